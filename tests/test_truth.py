"""What people published of their runs, and what the whole report says of the same logs: all that is true, no more.

The truths are those of the five projects that this product must serve; every finding that fires is named here, and was
judged true by hand. The logs of other people are read where they are present; runs made up by published numbers
stand in for those that kept no log.
"""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from reports import scores

from dashboard.analysis import ranking, significance
from dashboard.analysis.effects import effects
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.reports import build
from dashboard.sources.imported import Corrections
from training.record.metrics import COMMON_BETA_LOSS
from training.record.writer import RunWriter

EVAL_COMMON = f"eval/{COMMON_BETA_LOSS}"


def report(*paths: Path, **asked):
    return build.build(list(paths), Corrections(), **asked)


def findings(made):
    return {finding.id: finding for finding in made.content.findings}


def runs(made):
    return [line.run for line in made.content.lines]


def named(made, ids):
    return {made.content.names[run] for run in ids}


def all_words(made):
    content = made.content
    said = [*content.verdict.sentences, *(finding.sentence for finding in content.findings), *content.importance]
    return " ".join([*said, *(one.reason for one in content.suggestions), *content.notes])


# The W&B runs table of the gpt2-orca sweeps: 14 runs.


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


# trainer_state.json of three small runs, beta in the name of the folder only.


@pytest.mark.parametrize("beta", [0.05, 0.1, 0.5])
def test_recovery_beta_is_confirmed_and_six_pairs_are_too_few(shared_data, beta):
    made = report(shared_data / "trainer_state" / f"recovery_beta_{beta}")
    name = f"recovery_beta_{beta}"
    assert {run.name for run in runs(made)} == {name, f"{name}/checkpoint-7"}
    assert set(findings(made)) == {
        "tiny-evaluation-set",
        "different-budgets",
        "unknown-state",
        "beta-by-name-only",
        "same-reference",
        "one-seed-only",
    }
    told = findings(made)["beta-by-name-only"].sentence
    assert f"{name} (beta {beta}, confirmed by the log)" in told
    assert f"{name}/checkpoint-7 (beta {beta}, not confirmed)" in told
    few = findings(made)["tiny-evaluation-set"].sentence
    assert "of 6 pairs" in few and "only multiples of 1/6 possible" in few
    assert not made.content.verdict.proven
    nested = ("checkpoint-27", "checkpoint-54", "checkpoint-81", "one run")
    assert any(all(words in note for words in nested) for note in notes(made))
    assert any("is a run of its own: its max_steps is 7, not 81" in note for note in notes(made))


def notes(made):
    return made.content.notes


def test_losses_of_the_three_betas_are_not_compared(shared_data):
    made = report(*(shared_data / "trainer_state" / f"recovery_beta_{beta}" for beta in (0.05, 0.1, 0.5)))
    assert len(made.content.lines) == 6
    assert set(findings(made)) == {
        "tiny-evaluation-set",
        "loss-not-comparable",
        "different-budgets",
        "unknown-state",
        "beta-by-name-only",
        "same-reference",
        "one-seed-only",
    }
    assert made.content.key == EVAL_ACCURACY
    assert findings(made)["same-reference"].sentence.startswith("All 6 runs share one reference model")
    assert len({line.group for line in made.content.lines}) == 3


def test_two_larger_states_are_judged_by_what_they_have(shared_data):
    """cs5788 logs no log-probabilities: beta is unknown. llama2 does: it was 0.1. One of its losses is NaN."""
    state = shared_data / "trainer_state"
    first, second = report(state / "cs5788"), report(state / "llama2_miniguanaco")
    assert set(findings(first)) == {"unknown-state", "likelihood-displacement"}
    assert "(chosen -1.52, rejected -2.11 in reward)" in findings(first)["likelihood-displacement"].sentence
    assert set(findings(second)) == {"unknown-state", "beta-recovered", "loss-not-finite"}
    assert "llama2_miniguanaco (beta 0.1)" in findings(second)["beta-recovered"].sentence
    assert "eval/loss once, at step 600" in findings(second)["loss-not-finite"].sentence


# Event files of t5-human-like and gpt2-human-like.


def test_the_noise_of_t5_and_the_109_rows_of_gpt2_are_found(shared_data):
    """52.6152 s x 6.215 pairs a second = 327 = 3 epochs of 109. T5's loss began at 8.05 and never fell below 2.19."""
    made = report(shared_data / "tfevents")
    assert set(findings(made)) == {
        "no-evaluation",
        "noisy-start",
        "tiny-training-set",
        "training-pairs-solved",
        "clipped-gradients",
        "unknown-state",
    }
    assert named(made, findings(made)["noisy-start"].runs) == {"t5_small_DPO_ds302"}
    assert "8.0461 at step 10, due 0.6931; never below 2.1878" in findings(made)["noisy-start"].sentence
    assert "(109 pairs, 2.8 epochs)" in findings(made)["tiny-training-set"].sentence
    assert "trivially easy" in findings(made)["training-pairs-solved"].sentence
    assert made.content.verdict.best is None
    assert sum("holds no scalars" in note for note in notes(made)) == 2


def test_a_chart_export_is_judged_by_its_four_curves(shared_data):
    assert set(findings(report(shared_data / "tensorboard_csv"))) == {"accuracy-without-n", "unknown-state"}


def test_runs_of_other_fields_are_not_judged_as_dpo(shared_data):
    assert set(findings(report(shared_data / "wandb_history"))) == {"no-evaluation", "unknown-state"}
    assert set(findings(report(shared_data / "wandb_runs" / "alighieri_assgan.csv"))) == {"no-evaluation"}


def test_ln_2_is_no_measure_of_the_ipo_table(shared_data):
    made = report(shared_data / "wandb_runs" / "cluebbers_hyperparameters_ipo.csv")
    assert len(made.content.lines) == 23
    assert set(findings(made)) == {
        "loss-not-comparable",
        "different-budgets",
        "confounded-hyper-parameters",
        "accuracy-without-n",
        "unknown-state",
        "loss-type-not-stated",
    }
    first = next(run for run in runs(made) if run.name == "trial 1")
    assert (first.config["beta"], first.best[EVAL_LOSS], first.best[EVAL_ACCURACY]) == (0.1, 23.54, 0.78)
    assert "all 23 runs (each that of ipo)" in findings(made)["loss-type-not-stated"].sentence
    assert not any(said in all_words(made) for said in ("ln 2", "0.6931", "untrained model by loss"))
    assert "1.3 nats" in findings(made)["loss-not-comparable"].sentence


# Projects without a log that can be had: runs made by their published numbers.


def epochs(folder, name, evaluations, config=None, data=None, best=None):
    """A run of one evaluation an epoch; `best` is the epoch whose checkpoint was kept."""
    writer = RunWriter(folder, name)
    writer.publish({"config": {"loss_type": ["sigmoid"], "beta": 0.1, **(config or {})}, "data": data or {}})
    for epoch, metrics in enumerate(evaluations, 1):
        writer.log(epoch, float(epoch), {f"eval/{key}": value for key, value in metrics.items()})
    if best is not None:
        kept = {f"eval/{key}": value for key, value in evaluations[best - 1].items()}
        writer.best(best, "eval/loss", kept)
    writer.finish("finished")
    return folder


def identical_reference(fell, beta=0.1, reference=(-260.0, -240.0)):
    """What TRL logs where chosen and rejected answers fell by so many nats."""
    found = {}
    for side, nats, base in zip(("chosen", "rejected"), fell, reference, strict=True):
        found |= {f"logps/{side}": base - nats, f"rewards/{side}": -beta * nats}
    return {**found, "rewards/margins": found["rewards/chosen"] - found["rewards/rejected"]}


def test_qwen2_full_hh_had_beta_0_1_and_lost_nothing_that_can_be_told(tmp_path):
    """Published: beta 1, and an accuracy that declines 0.6052, 0.5972, 0.5940. On 5,000 pairs z = 1.14."""
    evaluations = [
        {"loss": loss, "rewards/accuracies": accuracy, **identical_reference(fell)}
        for loss, accuracy, fell in (
            (1.60, 0.6052, (77.0, 84.0)),
            (1.75, 0.5972, (95.0, 103.0)),
            (1.87, 0.5940, (110.0, 119.0)),
        )
    ]
    data = {"n_train": 112052, "n_eval": 5000}
    made = report(epochs(tmp_path, "qwen2-full-hh", evaluations, {"beta": 1.0}, data, best=1))
    assert set(findings(made)) == {"wrong-stated-beta", "worse-than-untrained", "likelihood-displacement"}
    assert "qwen2-full-hh (stated 1, is 0.1)" in findings(made)["wrong-stated-beta"].sentence
    assert "1.6000 against 0.6931, 2.3 times as much" in findings(made)["worse-than-untrained"].sentence
    assert "(chosen -77.00 nats, rejected -84.00)" in findings(made)["likelihood-displacement"].sentence
    last = report(tmp_path, moment="last")
    assert "1.8700 against 0.6931, 2.7 times as much" in findings(last)["worse-than-untrained"].sentence
    assert "(chosen -110.00 nats, rejected -119.00)" in findings(last)["likelihood-displacement"].sentence
    shares = [significance.Proportion(one["rewards/accuracies"], 5000) for one in evaluations]
    assert round(significance.z_unpaired(shares[0], shares[2]), 2) == 1.14


def table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_three_epochs_of_qwen2_full_hh_as_three_runs_tie(tmp_path):
    """500 s x 10 pairs a second."""
    shares = {"epoch 1": 0.6052, "epoch 2": 0.5972, "epoch 3": 0.5940}
    told = {"eval/runtime": 500, "eval/samples_per_second": 10.0}
    rows = [
        {"Name": name, "State": "finished", "eval/rewards/accuracies": share, **told} for name, share in shares.items()
    ]
    made = report(table(tmp_path / "epochs.csv", rows))
    assert [line.tied for line in made.content.lines] == [True, True, True]
    assert not made.content.verdict.proven


def test_five_of_five_right_proves_little(tmp_path):
    """gpt2-static-hh: 5 training rows, 5 evaluation rows, 5 steps; Wilson's interval of 5 of 5 is 56.6% to 100.0%."""
    losses = (0.62, 0.55, 0.50, 0.47, 0.46)
    evaluations = [{"loss": loss, "rewards/accuracies": 1.0} for loss in losses]
    made = report(epochs(tmp_path, "gpt2-static-hh", evaluations, data={"n_train": 5, "n_eval": 5}, best=4))
    assert set(findings(made)) == {"tiny-evaluation-set", "tiny-training-set"}
    assert "(100.0% of 5 pairs, 95% interval 56.6% to 100.0%" in findings(made)["tiny-evaluation-set"].sentence
    assert "gpt2-static-hh (5 pairs, 5.0 epochs)" in findings(made)["tiny-training-set"].sentence


@pytest.mark.parametrize(("accuracy", "right"), [(0.6875, "5 or 8"), (0.625, "4 or 7")])
def test_an_accuracy_of_ten_pairs_is_a_mean_of_batch_means(tmp_path, accuracy, right):
    """gpt2-rm-single-context: batches of 8 and 2. 0.6875 = (3/8 + 2/2) / 2 = (7/8 + 1/2) / 2."""
    config = {"per_device_eval_batch_size": 8}
    evaluations = [{"loss": 0.6, "rewards/accuracies": accuracy}]
    made = report(epochs(tmp_path, "gpt2-rm", evaluations, config, {"n_train": 10, "n_eval": 10}))
    assert set(findings(made)) == {"tiny-evaluation-set", "tiny-training-set", "batch-mean-accuracy"}
    assert f"gpt2-rm ({right} of 10 pairs right). In batches of 8" in findings(made)["batch-mean-accuracy"].sentence
    assert "does not show that anything was learned" in findings(made)["tiny-evaluation-set"].sentence


def test_a_beta_in_a_folder_name_is_said_to_be_confirmed_by_the_log(tmp_path):
    """The same words as for recovery_beta_*, where those logs are not present."""
    history = [
        {"step": 10 * epoch, "epoch": float(epoch), "eval_loss": 0.6, "eval_rewards/accuracies": 0.8}
        | {f"eval_{key}": value for key, value in identical_reference((20.0 * epoch, 45.0 * epoch)).items()}
        for epoch in (1, 2, 3)
    ]
    state = {"global_step": 30, "max_steps": 30, "num_train_epochs": 3, "log_history": history}
    folder = tmp_path / "dpo_beta_0.1" / "checkpoint-30"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps(state))
    told = findings(report(tmp_path / "dpo_beta_0.1"))["beta-by-name-only"].sentence
    assert "dpo_beta_0.1 (beta 0.1, confirmed by the log)" in told


# One policy, scored as five betas.


def scored(folder, name, h, beta):
    metrics = {EVAL_LOSS: float(np.logaddexp(0, -beta * h).mean()), EVAL_ACCURACY: float((h > 0).mean())}
    writer = RunWriter(folder, name)
    data = {"eval": "e" * 64, "n_eval": len(h), "dataset": "ours"}
    writer.publish({"config": {"beta": beta, "loss_type": ["sigmoid"]}, "data": data})
    writer.log(10, 1.0, metrics)
    writer.scores(10, scores(h))
    writer.best(10, EVAL_ACCURACY, metrics)
    writer.finish("finished")


def test_one_policy_scored_as_five_betas_is_one_policy(tmp_path):
    """Its logged losses spread; its rank, its loss at a common beta and its accuracy are one."""
    h = np.random.default_rng(0).normal(6, 12, 400)
    for beta in (0.01, 0.05, 0.1, 0.3, 0.5):
        scored(tmp_path, f"beta-{beta}", h, beta)
    made = report(tmp_path, sort=EVAL_COMMON, b=0.1)
    lines = made.content.lines
    assert len(lines) == 5
    assert np.ptp([line.run.metrics[EVAL_LOSS] for line in lines]) > 0.1
    common = [line.run.metrics[EVAL_COMMON] for line in lines]
    assert common == pytest.approx([float(np.logaddexp(0, -0.1 * h).mean())] * 5, abs=1e-6)
    assert {line.ranks[EVAL_COMMON] for line in lines} == {line.ranks[EVAL_ACCURACY] for line in lines} == {1}
    assert all(line.tied for line in lines)
    assert not made.content.verdict.proven
    assert len({line.group for line in lines}) == 5
