"""Importance is refused where chance would decide it, and nothing irrelevant is called important."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from dashboard.analysis.hyperparameters import design
from dashboard.analysis.importance import FEWEST, RUNS_PER_PARAMETER, Importance, _divergences, _trials, importances
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from training.record.schema import Run

KEYS = ("learning_rate", "beta", "warmup_ratio", "weight_decay")


def sweep(n: int, seed: int, weights: tuple[float, ...] = (0.8, 0.4, 0.2, 0.0), **config: object) -> list[Run]:
    """Random search; standardised effects as given, noise 0.4; the last parameter does nothing."""
    rng = np.random.default_rng(seed)
    points = rng.random((n, len(weights)))
    outcome = 0.7 + 0.02 * ((points - 0.5) * 12**0.5 @ np.array(weights) + 0.4 * rng.standard_normal(n))
    return [
        Run(
            id=str(row),
            name=str(row),
            source="runs",
            status="finished",
            config={
                "learning_rate": 10 ** (-6 + 2 * place[0]),
                **dict(zip(KEYS[1:], place[1:], strict=False)),
                **config,
            },
            metrics={EVAL_ACCURACY: value, EVAL_LOSS: 1 - value},
        )
        for row, (place, value) in enumerate(zip(points.tolist(), outcome.tolist(), strict=True))
    ]


@cache
def forty() -> list[tuple[Importance, ...]]:
    """What 16 sweeps of 40 runs find."""
    return [importances(sweep(40, seed), "last").found for seed in range(16)]


def test_the_first_is_named_right_in_nine_of_ten_at_the_number_that_is_asked_for():
    n = RUNS_PER_PARAMETER * len(KEYS)
    right = 0
    for seed in range(100):
        rows = design(sweep(n, seed))
        places = np.argsort(np.argsort([runs[0].metrics[EVAL_ACCURACY] for runs in rows.runs])).astype(float)
        names = [column.key for column in rows.columns]
        found = _divergences(_trials(rows.columns, np.ones(n, dtype=bool), places), names)
        right += names[int(found.argmax())] == "learning_rate"
    assert right >= 90


def test_fewer_runs_are_refused_with_the_number_that_is_needed():
    found = importances(sweep(39, 0), "last")
    assert found.found == ()
    assert found.sentences == (found.refused,)
    assert "4 hyper-parameters need 40 configurations, and there are 39" in found.refused


def test_two_parameters_need_twenty():
    assert str(FEWEST) in importances(sweep(19, 0, (0.8, 0.4)), "last").refused
    assert importances(sweep(20, 0, (0.8, 0.4)), "last").found


def test_the_planted_order_comes_out_and_twice_the_same():
    found = importances(sweep(80, 2), "last")
    assert [one.key for one in found.found][:2] == ["learning_rate", "beta"]
    assert found.found[0].important
    assert sum(one.share for one in found.found) == pytest.approx(1)
    assert found == importances(sweep(80, 2), "last")
    assert found.sentences[0].startswith("Learning rate has ")


def test_an_interval_holds_its_share_and_what_such_sweeps_find_on_average():
    """16 sweeps of 4 parameters: at a coverage of 95% fewer than 13 hold it with a probability of 0.7%."""
    for key in KEYS:
        found = [one for sweep in forty() for one in sweep if one.key == key]
        average = np.mean([one.share for one in found])
        assert all(one.interval.low <= one.share <= one.interval.high for one in found)
        assert sum(one.interval.low <= average <= one.interval.high for one in found) >= 13


def test_an_irrelevant_parameter_is_seldom_called_important():
    """16 sweeps at the least number of runs: a rate of 5% gives more than 3 with a probability of 0.7%."""
    called = [one.key for sweep in forty() for one in sweep if one.important]
    assert called.count("weight_decay") <= 3
    assert called.count("learning_rate") >= 12


def test_nothing_is_important_where_nothing_matters():
    sweeps = [importances(sweep(20, seed, (0.0, 0.0)), "last").found for seed in range(8)]
    assert sum(any(one.important for one in found) for found in sweeps) <= 2


def test_losses_of_several_betas_are_refused():
    assert "no one scale" in importances(sweep(40, 0), "last", EVAL_LOSS).refused


def test_equal_outcomes_and_a_single_parameter_are_refused():
    same = [replace(run, metrics={EVAL_ACCURACY: 0.7}) for run in sweep(40, 0)]
    assert importances(same, "last").refused == "All configurations have the same reward accuracy."
    assert "fewer than two vary" in importances(sweep(40, 0, (0.8,)), "last").refused


def test_a_category_that_decides_is_called_important():
    """Five standard deviations between its two levels: all of the best 30% have one of them."""
    runs = [replace(run, config={**run.config, "bf16": n % 2 == 0}) for n, run in enumerate(sweep(60, 3))]
    better = [0.1 * bool(run.config["bf16"]) for run in runs]
    runs = [
        replace(run, metrics={EVAL_ACCURACY: run.metrics[EVAL_ACCURACY] + more})
        for run, more in zip(runs, better, strict=True)
    ]
    assert "bf16" in [one.key for one in importances(runs, "last").found if one.important]


def test_a_metric_without_a_direction_has_no_best_runs():
    with pytest.raises(ValueError, match="no better direction"):
        importances(sweep(40, 0), "last", "eval/rewards/margins")
