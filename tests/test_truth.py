"""What people published of the gpt2-orca sweeps, and what the whole report says of the same W&B runs table: 14 runs.

Every finding that fires is named here, and was judged true by hand.
"""

import math

import pytest
from judged import findings, named, report, runs

from dashboard.analysis import ranking
from dashboard.analysis.effects import effects
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS


@pytest.fixture(scope="module")
def orca(shared_data):
    return report(shared_data / "wandb_runs" / "orca_sweep_export.csv")


def orca_ranks(orca, key):
    places = ranking.rank(runs(orca), key, "last")
    return {orca.content.names[run]: place for run, place in places.items()}


def test_orca_has_these_findings_and_no_other(orca):
    assert set(findings(orca)) == {
        "worse-than-untrained",
        "loss-not-comparable",
        "different-budgets",
        "over-fitting",
        "confounded-hyper-parameters",
        "batch-mean-accuracy",
        "same-reference",
        "likelihood-displacement",
        "one-seed-only",
    }


def test_orca_was_evaluated_on_1286_pairs_in_every_run(orca):
    assert len(orca.content.lines) == 14
    assert {run.n_eval for run in runs(orca)} == {1286}


def test_daily_sweep_1_is_no_best_run(orca):
    """Published: the lowest loss and the highest accuracy. It is 8th by loss and 5th by accuracy."""
    assert orca_ranks(orca, EVAL_LOSS)["daily-sweep-1"] == 8
    assert orca_ranks(orca, EVAL_ACCURACY)["daily-sweep-1"] == 5
    assert orca_ranks(orca, EVAL_LOSS)["daily-sweep-5"] == 1
    (line,) = (line for line in orca.content.lines if line.run.name == "daily-sweep-1")
    assert line.ranks[EVAL_ACCURACY] == 5
    assert round(line.run.metrics[EVAL_LOSS], 4) == 0.6584
    assert orca.content.names[orca.content.verdict.best] == "ruby-sweep-8"
    assert not orca.content.verdict.proven


def test_losses_of_orca_are_not_ranked_across_beta(orca):
    """Published: beta 0.2 is best, 0.01 poor. By loss the runs of beta 0.01 rank 1, 4, 5, 7, and loss says little."""
    assert orca.content.key == EVAL_ACCURACY
    assert findings(orca)["loss-not-comparable"].sentence.startswith("Beta differs (0.01–0.5), so eval loss and")
    places = orca_ranks(orca, EVAL_LOSS)
    assert sorted(places[run.name] for run in runs(orca) if run.config["beta"] == 0.01) == [1, 4, 5, 7]
    assert len({line.group for line in orca.content.lines}) == 4


def test_asked_for_loss_orca_says_why_not(shared_data):
    made = report(shared_data / "wandb_runs" / "orca_sweep_export.csv", sort=EVAL_LOSS)
    assert any("eval/loss is on another scale for each" in note for note in made.content.notes)


def test_a_margin_of_orca_is_told_in_nats(orca):
    """1.49 at beta 0.01 is 149 nats; 3.20 at beta 0.2 is 16."""
    finding = findings(orca)["loss-not-comparable"]
    assert "A margin of 1.49 at beta 0.01 is 149 nats (daily-sweep-5), one of" in finding.sentence
    nats = {orca.content.names[run]: value for run, value in finding.evidence["nats"].items()}
    assert round(nats["daily-sweep-5"]) == 149
    assert round(nats["daily-sweep-1"]) == 16
    assert len(nats) == 14


def test_learning_rate_and_beta_of_orca_are_confounded(orca):
    """Published: 5e-5 to 7e-5 is the range. The six best by loss have less; by rank, more is worse (+0.83)."""
    (rate,) = (one for one in effects(runs(orca), "last", EVAL_LOSS) if one.key == "learning_rate")
    assert round(rate.strength, 2) == 0.83
    assert rate.untold and not rate.proven
    assert "Beta and learning rate move together here" in findings(orca)["confounded-hyper-parameters"].sentence
    places = orca_ranks(orca, EVAL_LOSS)
    rates = sorted(run.config["learning_rate"] for run in runs(orca) if places[run.name] <= 6)
    assert rates[0] > 2.2e-6 and rates[-1] < 2.7e-5
    assert not any(" changes " in sentence for sentence in orca.content.importance)


def test_magic_sweep_7_is_not_better_than_many(orca):
    assert orca_ranks(orca, EVAL_LOSS)["magic-sweep-7"] == 12
    assert orca_ranks(orca, EVAL_ACCURACY)["magic-sweep-7"] == 14


def test_four_runs_of_orca_are_worse_than_untrained_two_of_them_by_three_times_ln_2(orca):
    finding = findings(orca)["worse-than-untrained"]
    assert named(orca, finding.runs) == {"magic-sweep-7", "distinctive-sweep-3", "feasible-sweep-2", "soft-sweep-3"}
    assert "feasible-sweep-2 (2.0949 against 0.6931, 3.0 times as much)" in finding.sentence
    assert "soft-sweep-3 (2.0005 against 0.6931, 2.9 times as much)" in finding.sentence
    places = orca_ranks(orca, EVAL_LOSS)
    assert {places["feasible-sweep-2"], places["soft-sweep-3"]} == {13, 14}
    assert finding.sentence.count("only the mean is known") == 1


def test_nine_runs_of_orca_tie(orca):
    assert sum(line.tied for line in orca.content.lines) == 9


def test_the_three_published_as_best_overfit(orca):
    finding = findings(orca)["over-fitting"]
    assert {"daily-sweep-1", "crimson-sweep-4", "woven-sweep-5"} < named(orca, finding.runs)
    for run, numbers in finding.evidence["runs"].items():
        if orca.content.names[run] in ("daily-sweep-1", "crimson-sweep-4", "woven-sweep-5"):
            assert orca.content.names[run] in finding.sentence
            assert 0.12 <= numbers["loss"][0] <= 0.142
            assert round(numbers["accuracy"][0], 4) >= 0.95
            assert numbers["margin"][0] >= 1.8 * numbers["margin"][1]
    assert "no reason by itself to discard a run" in finding.sentence


def test_all_runs_of_orca_share_a_reference(orca):
    sentence = findings(orca)["same-reference"].sentence
    assert sentence.startswith("All 14 runs share one reference model and one evaluation set, and beta is as stated:")
    assert "-342.272 (chosen) and -399.901 (rejected) nats" in sentence


def test_what_else_is_said_of_orca_is_so(orca):
    """Displaced: both mean rewards below 0. Budgets: max_steps x batch x accumulation. No accuracy is a whole count."""
    by_name = {run.name: run for run in runs(orca)}
    displaced = named(orca, findings(orca)["likelihood-displacement"].runs)
    for name in displaced:
        metrics = by_name[name].metrics
        assert metrics["eval/rewards/rejected"] < metrics["eval/rewards/chosen"] < 0
    magic = by_name["magic-sweep-7"]
    nats = magic.metrics["eval/rewards/chosen"] / magic.config["beta"]
    assert f"magic-sweep-7 (chosen {nats:+.2f} nats" in findings(orca)["likelihood-displacement"].sentence
    keys = ("max_steps", "per_device_train_batch_size", "gradient_accumulation_steps")
    taken = [math.prod(run.config[key] for key in keys) for run in runs(orca)]
    assert (min(taken), max(taken)) == (400, 16000)
    assert "400 to 16,000 training pairs" in findings(orca)["different-budgets"].sentence
    counts = [run.metrics[EVAL_ACCURACY] * 1286 for run in runs(orca)]
    assert all(abs(count - round(count)) > 1e-3 for count in counts)
    assert len({(run.config["beta"], run.config["learning_rate"]) for run in runs(orca)}) == 14
