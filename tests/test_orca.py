"""What the authors of the orca sweeps published, and what their own export says (14 runs)."""

import pytest

from dashboard.analysis import budgets, comparability, ranking, significance
from dashboard.analysis.findings import identities, studies
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.references import references
from dashboard.analysis.study import Evidence, study
from dashboard.sources import wandb_runs


@pytest.fixture(scope="module")
def orca(shared_data):
    content = (shared_data / "wandb_runs" / "orca_sweep_export.csv").read_bytes()
    return study(Evidence(run) for run in wandb_runs.read(content, "orca.csv", "p").runs)


@pytest.fixture(scope="module")
def runs(orca):
    return [evidence.run for evidence in orca.values()]


@pytest.fixture(scope="module")
def named(runs):
    return {run.name: run for run in runs}


def by_name(runs, key):
    ranks = ranking.rank(runs, key, "last")
    return {run.name: ranks[run.id] for run in runs}


def test_every_run_was_evaluated_on_1286_pairs(runs):
    assert len(runs) == 14
    assert {run.n_eval for run in runs} == {1286}
    assert {run.status for run in runs} == {"finished"}


def test_daily_sweep_1_is_8th_by_loss_and_5th_by_accuracy(runs, named):
    assert by_name(runs, EVAL_LOSS)["daily-sweep-1"] == 8
    assert by_name(runs, EVAL_ACCURACY)["daily-sweep-1"] == 5
    assert named["daily-sweep-1"].metrics[EVAL_LOSS] == pytest.approx(0.6584, abs=5e-5)
    assert named["daily-sweep-1"].metrics[EVAL_ACCURACY] == pytest.approx(0.8219, abs=5e-5)


def test_the_best_by_loss_and_by_accuracy_are_others(runs):
    loss, accuracy = (ranking.winner(runs, key, "last") for key in (EVAL_LOSS, EVAL_ACCURACY))
    assert (loss.name, loss.config["beta"], round(loss.metrics[EVAL_LOSS], 4)) == ("daily-sweep-5", 0.01, 0.4276)
    assert (accuracy.name, accuracy.config["beta"]) == ("ruby-sweep-8", 0.1)
    assert round(accuracy.metrics[EVAL_ACCURACY], 4) == 0.8367
    assert accuracy.config["learning_rate"] == pytest.approx(3.03e-6, abs=5e-9)


def test_beta_0_01_is_not_consistently_poor(runs):
    ranks = by_name(runs, EVAL_LOSS)
    betas = {rank: run.config["beta"] for run in runs if (rank := ranks[run.name])}
    assert [betas[rank] for rank in range(1, 6)] == [0.01, 0.1, 0.1, 0.01, 0.01]
    assert sorted(rank for rank, beta in betas.items() if beta == 0.01) == [1, 4, 5, 7]


def test_magic_sweep_7_is_12th_by_loss_and_the_least_accurate(runs):
    assert by_name(runs, EVAL_LOSS)["magic-sweep-7"] == 12
    assert by_name(runs, EVAL_ACCURACY)["magic-sweep-7"] == 14


def test_feasible_sweep_2_and_soft_sweep_3_have_the_worst_losses(runs, named):
    ranks = by_name(runs, EVAL_LOSS)
    assert {ranks["feasible-sweep-2"], ranks["soft-sweep-3"]} == {13, 14}
    for name in ("feasible-sweep-2", "soft-sweep-3"):
        assert named[name].metrics[EVAL_LOSS] / comparability.UNTRAINED == pytest.approx(3, abs=0.15)


def test_four_runs_are_worse_than_the_untrained_model_and_nine_tie_for_the_best_accuracy(runs):
    worse = {run.name for run in runs if comparability.worse_than_untrained(run, run.metrics[EVAL_LOSS])}
    assert worse == {"magic-sweep-7", "distinctive-sweep-3", "feasible-sweep-2", "soft-sweep-3"}
    assert len(significance.tie_group(ranking.proportions(runs, "last"))) == 9


def test_all_share_one_reference_and_every_beta_is_as_stated(orca):
    found = references(orca)
    assert {one.state for one in found.identities.values()} == {"confirmed"}
    (group,) = found.groups
    assert (round(group.reference.chosen, 3), round(group.reference.rejected, 3)) == (-342.272, -399.901)
    assert len(group.runs) == 14
    assert group.proven
    (comparable,) = comparability.accuracy_groups(orca)
    assert comparable.proven
    assert len(comparability.loss_groups(orca)) == 4


@pytest.mark.parametrize("planted", [0.3, 1.0, None])
def test_a_beta_planted_in_any_one_row_is_put_right(orca, planted):
    """Also in ruby-sweep-8, whose chosen log-probability moved by a tenth of a nat only."""
    for run, evidence in orca.items():
        config = {**evidence.run.config, "beta": planted}
        changed = Evidence(type(evidence.run)(**{**vars(evidence.run), "config": config}))
        found = references({**orca, run: changed})
        assert found.identities[run].state == ("recovered" if planted is None else "refuted")
        assert found.identities[run].beta == evidence.run.config["beta"]
        assert sum(one.state == "confirmed" for one in found.identities.values()) == 13


def test_loss_is_refused_as_a_ranking(runs):
    assert comparability.natural_metric(runs) == EVAL_ACCURACY
    assert comparability.refusal(runs, EVAL_LOSS).startswith("Beta differs (0.01–0.5)")


def test_nothing_untrue_is_found(orca):
    found = {one.id: one for one in [*identities.check(orca, "last"), *studies.check(orca, "last")]}
    assert sorted(found) == ["batch-mean-accuracy", "different-budgets", "loss-not-comparable", "same-reference"]
    assert found["same-reference"].sentence.startswith("All 14 runs share one reference model and one evaluation set")
    assert "1.49 at beta 0.01 is 149 nats (daily-sweep-5)" in found["loss-not-comparable"].sentence
    assert "400 to 16,000 training pairs" in found["different-budgets"].sentence
    assert set(found["batch-mean-accuracy"].evidence["runs"]) == set(orca)


def test_margins_are_larger_in_nats_where_they_look_smaller(named):
    """3.20 / 0.2 = 16 nats against 1.49 / 0.01 = 149."""
    nats = {name: run.metrics["eval/rewards/margins"] / run.config["beta"] for name, run in named.items()}
    assert round(nats["daily-sweep-5"]) == 149
    assert round(nats["daily-sweep-1"]) == 16


def test_budgets_are_told(named):
    assert budgets.budget(named["daily-sweep-5"]) == "500 of 500 steps, 1.38 epochs, 16,000 pairs"
    assert budgets.budget(named["confused-sweep-1"]) == "200 of 200 steps, 0.03 epochs, 400 pairs"
