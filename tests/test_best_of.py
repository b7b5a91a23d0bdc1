"""The best of many: by hand, and by simulation of runs whose truth is known."""

import math

import numpy as np
import pytest

from dashboard.analysis.best_of import best_of, most_optimism
from dashboard.analysis.significance import Proportion
from tests.scored import margins


def picked(rng, n, truths, per_prompt=1, resamples=300):
    """The selection among runs of such truths, and what each run's accuracy came out as, (K,)."""
    h, prompts = margins(rng, n, truths, per_prompt=per_prompt)
    right = (h > 0).astype(float)
    return best_of({str(k): row for k, row in enumerate(right)}, prompts, resamples), right.mean(axis=1)


def errors(n, truths, seeds, per_prompt=1, seed=1):
    """Mean error, in points, of the best's own value and of the corrected one; share of intervals that hold the truth.

    The truth is that of the picked run. What the drawn pairs do to all runs alike is taken off both errors: its mean
    is 0, and without it fewer seeds tell a bias of half a point.
    """
    rng = np.random.default_rng(seed)
    truths = np.array(truths)
    value, corrected, covered = [], [], 0
    for _ in range(seeds):
        found, means = picked(rng, n, truths, per_prompt)
        truth, luck = truths[int(found.best)], (means - truths).mean()
        value.append(found.value - truth - luck)
        corrected.append(found.corrected - truth - luck)
        covered += found.interval.low <= truth <= found.interval.high
    return 100 * np.mean(value), 100 * np.mean(corrected), covered / seeds


@pytest.mark.parametrize(("n", "optimism", "seeds"), [(50, 10.1, 300), (100, 7.2, 300), (500, 3.2, 150)])
def test_the_best_of_twenty_equal_runs_is_corrected_to_within_a_point(n, optimism, seeds):
    """All 65%: the best looks better by 10.1, 7.2 and 3.2 points; corrected by +0.3, -0.1 and -0.1 (400 seeds)."""
    value, corrected, covered = errors(n, [0.65] * 20, seeds)
    assert value == pytest.approx(optimism, abs=0.6)
    assert abs(corrected) < 1
    assert 0.93 <= covered <= 1


@pytest.mark.parametrize(("n", "seeds"), [(50, 300), (100, 300), (500, 150)])
def test_so_is_the_best_where_one_is_better_by_five_points(n, seeds):
    """70% against 65%: measured 0.0, +0.2 and -0.1 points (400 seeds, standard error 0.3)."""
    value, corrected, covered = errors(n, [0.7] + [0.65] * 19, seeds, seed=2)
    assert value > 0.5
    assert abs(corrected) < 1
    assert 0.93 <= covered <= 1


def test_the_worst_case_is_corrected_too_much_but_its_interval_holds():
    """One run better by 10 points at 50 pairs: what it owes to luck cannot be told from what it is worth."""
    value, corrected, covered = errors(50, [0.75] + [0.65] * 19, 300, seed=3)
    assert value > 3
    assert -3 < corrected < 0
    assert covered >= 0.93


def test_prompts_of_four_pairs_are_drawn_as_one():
    """100 prompts of 4 pairs, 20 equal runs."""
    value, corrected, covered = errors(400, [0.65] * 20, 150, per_prompt=4, seed=4)
    assert value > 3
    assert abs(corrected) < 1
    assert 0.93 <= covered <= 1


def test_equal_runs_share_the_chance_and_a_better_one_has_most_of_it():
    found, _ = picked(np.random.default_rng(5), 500, [0.8, 0.65, 0.65, 0.65])
    assert found.best == "0"
    assert found.chance["0"] > 0.99
    assert sum(found.chance.values()) == pytest.approx(1)
    same = np.tile([1.0, 0.0, 1.0], 20)
    found = best_of({"a": same, "b": same, "c": 1 - same}, np.arange(60))
    assert found.chance == pytest.approx({"a": 0.5, "b": 0.5, "c": 0.0}, abs=0.02)
    assert found.best == "a"


def test_p_best_by_hand():
    """Two prompts, a right on the first, b on the second: a wins where the first is drawn twice, 1/4, and half of the
    even draws: 1/4 + 1/2 * 1/2 = 1/2."""
    found = best_of({"a": np.array([1.0, 0]), "b": np.array([0.0, 1])}, np.arange(2), resamples=20_000)
    assert found.chance["a"] == pytest.approx(0.5, abs=0.01)


def test_a_single_run_owes_nothing_to_luck():
    """Nothing was picked: the mean of the held-out scores is the mean of all."""
    right = (np.random.default_rng(6).random(200) < 0.7).astype(float)
    found = best_of({"a": right}, np.arange(200))
    assert found.chance == {"a": 1.0}
    assert found.optimism == pytest.approx(0, abs=0.005)


def test_what_is_not_finite_never_wins():
    values = {"a": np.array([0.0, 1.0] * 10), "diverged": np.array([math.nan] + [1.0] * 19)}
    found = best_of(values, np.arange(20))
    assert (found.best, found.apart) == ("a", ("diverged",))
    assert best_of({"diverged": values["diverged"]}, np.arange(20)) is None
    assert best_of({}, np.arange(0)) is None


def test_few_prompts_give_no_interval():
    found = best_of({"a": np.array([1.0]), "b": np.array([0.0])}, np.zeros(1, dtype=np.int64))
    assert (found.best, found.interval, found.optimism) == ("a", None, 0.0)
    assert best_of({"a": np.ones(8), "b": np.zeros(8)}, np.arange(8) // 2).interval is None


def test_the_same_seed_gives_the_same_selection():
    values = {str(k): np.random.default_rng(k).random(50) for k in range(4)}
    assert best_of(values, np.arange(50)) == best_of(values, np.arange(50))
    assert best_of(values, np.arange(50)).corrected != best_of(values, np.arange(50), seed=1).corrected


def test_drawn_in_parts_the_result_stays_within_chance():
    """1,500 runs: more than one part. P(best) still sums to 1."""
    rng = np.random.default_rng(7)
    values = {str(k): row for k, row in enumerate((rng.random((1500, 60)) < 0.65).astype(float))}
    found = best_of(values, np.arange(60), resamples=3000)
    assert sum(found.chance.values()) == pytest.approx(1)
    assert found.corrected == pytest.approx(0.65, abs=0.15)


def test_means_alone_bound_the_optimism():
    """20 normals: their largest is 1.8675 on average (Tippett's tables); sqrt(0.65 * 0.35 / 50) = 0.06745."""
    assert most_optimism([Proportion(0.65, 50)] * 20) == pytest.approx(1.8675 * 0.06745, abs=1e-4)
    assert most_optimism([Proportion(0.5, 100)] * 2) == pytest.approx(0.05 / math.sqrt(math.pi), abs=1e-5)
    assert most_optimism([Proportion(0.65, 50)]) == most_optimism([]) == 0.0


@pytest.mark.parametrize("truths", [[0.65] * 20, [0.7] + [0.65] * 19, list(np.linspace(0.5, 0.8, 20))])
def test_the_optimism_stays_below_that_bound(truths):
    """The true optimism over 150 seeds, from the runs' own errors, against the mean of the bounds."""
    rng, luck, bounds = np.random.default_rng(8), [], []
    for _ in range(150):
        right = (margins(rng, 100, truths)[0] > 0).mean(axis=1)
        luck.append(right.max() - truths[int(right.argmax())] - (right - truths).mean())
        bounds.append(most_optimism(Proportion(value, 100) for value in right))
    assert 0 < np.mean(luck) < np.mean(bounds)
