"""Losses on one scale: at one beta for all runs, and each at its own best."""

from dataclasses import replace

import numpy as np
import pytest
from scored import scored
from verdicts import run, with_scores

from dashboard.analysis import common_beta
from dashboard.analysis.common_scale import EVAL_CALIBRATED, EVAL_COMMON, recorded_beta, usual_beta, with_common_scale
from dashboard.analysis.study import Evidence, study
from training.record.schema import Run

H = np.random.default_rng(0).normal(8, 14, 200)


def only(evidence, b):
    (found,) = with_common_scale(study([evidence]), b).values()
    return found.run


def recorded(name, common_beta, value=0.6):
    found = run(name, config={"common_beta": common_beta})
    return Evidence(replace(found, metrics={**found.metrics, EVAL_COMMON: value}))


def test_the_common_beta_loss_is_the_mean_of_softplus():
    found = only(with_scores("a", H), 0.2)
    assert found.metrics[EVAL_COMMON] == pytest.approx(np.log1p(np.exp(-0.2 * H)).mean(), rel=1e-12)
    assert found.metrics[EVAL_CALIBRATED] == common_beta.calibrated(H).loss


def test_without_a_beta_only_the_calibrated_loss_is_there():
    assert only(with_scores("a", H), None).metrics.keys() >= {EVAL_CALIBRATED}
    assert EVAL_COMMON not in only(with_scores("a", H), None).metrics


def test_one_policy_scored_as_five_betas_has_one_common_and_one_calibrated_loss():
    found = with_common_scale(study(with_scores(str(beta), H, beta=beta) for beta in (0.01, 0.05, 0.1, 0.3, 0.5)), 0.1)
    for key in (EVAL_COMMON, EVAL_CALIBRATED):
        assert len({evidence.run.metrics[key] for evidence in found.values()}) == 1


def test_the_best_evaluation_is_scored_by_its_own_pairs():
    evidence = with_scores("a", H)
    better = replace(scored(H + 5), step=5)
    evidence = replace(
        evidence,
        run=replace(evidence.run, best={"eval/loss": 0.3}, best_step=5),
        scores={**evidence.scores, 5: better},
    )
    found = only(evidence, 0.2)
    assert found.best[EVAL_COMMON] == common_beta.loss(H + 5, 0.2)
    assert found.metrics[EVAL_COMMON] == common_beta.loss(H, 0.2)
    assert only(replace(evidence, scores={5: better}), 0.2).metrics.keys().isdisjoint({EVAL_COMMON, EVAL_CALIBRATED})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_margins_that_are_not_finite_give_no_loss(bad):
    h = H.copy()
    h[3] = bad
    assert (
        only(with_scores("a", h, accuracy=0.5, loss=0.5), 0.2).metrics.keys().isdisjoint({EVAL_COMMON, EVAL_CALIBRATED})
    )


def test_a_run_without_scores_stays_as_it_is():
    evidence = Evidence(run("a"))
    assert with_common_scale(study([evidence]), 0.2)["a"] is evidence


def test_what_a_run_has_recorded_stays_only_at_the_same_beta():
    assert only(recorded("a", 0.1), 0.1).metrics[EVAL_COMMON] == 0.6
    for common, b in [(0.1, 0.2), (0.1, None), (None, 0.1), ("0.1", 0.1)]:
        assert EVAL_COMMON not in only(recorded("a", common), b).metrics


def test_the_recorded_beta_is_known_where_all_runs_that_have_one_agree():
    assert recorded_beta(study([recorded("a", 0.1), recorded("b", 0.1), Evidence(run("c"))])) == 0.1
    assert recorded_beta(study([recorded("a", 0.1), recorded("b", 0.2)])) is None
    assert recorded_beta(study([recorded("a", 0.1), recorded("b", None)])) is None
    assert recorded_beta(study([Evidence(run("a", config={"common_beta": 0.1}))])) is None
    assert all(recorded_beta(study([recorded("a", odd)])) is None for odd in ("nan", 0.0, -0.1, 1e300))


@pytest.mark.parametrize(
    ("betas", "usual"),
    [((0.1, 0.5, 0.5), 0.5), ((0.5, 0.1), 0.1), ((None, None), 0.1), ((0.0, 1e9, 0.3), 0.3), ((), 0.1)],
)
def test_the_usual_beta_is_the_most_frequent_of_those_that_runs_state(betas, usual):
    """Of equally frequent ones the smallest; none at which a loss cannot be told from ln 2; TRL's 0.1 without any."""
    stated = [{} if beta is None else {"beta": beta} for beta in betas]
    runs = [Run(f"{n}", f"{n}", "runs", "finished", config) for n, config in enumerate(stated)]
    assert usual_beta(study(Evidence(run) for run in runs)) == usual
