"""Many curves as one: seeds and crowds."""

import math

import numpy as np
import pytest

from dashboard.analysis import bands
from dashboard.analysis.bands import Points


def points(steps: list[int], values: list[float], x: list[float] | None = None) -> Points:
    return Points(np.array(steps), np.array(steps if x is None else x, dtype=float), np.array(values, dtype=float))


def test_the_band_of_seeds_is_mean_and_range_at_the_steps_that_all_have():
    """Steps 10 and 20 are common; at 20: mean of 2, 4 and 9 is 5, from 2 to 9."""
    runs = [points([0, 10, 20], [0, 1, 2]), points([10, 20], [1, 4]), points([10, 15, 20], [4, 7, 9])]
    band = bands.of_seeds(runs)
    assert band.n == 3
    assert band.x.tolist() == [10, 20]
    assert (band.low[1], band.middle[1], band.high[1]) == (2, 5, 9)


def test_where_one_seed_is_not_finite_the_mean_is_a_gap():
    band = bands.of_seeds([points([1, 2], [1, math.nan]), points([1, 2], [3, 3])])
    assert band.middle[0] == 2
    assert np.isnan([band.low[1], band.middle[1], band.high[1]]).all()


def test_the_time_of_a_common_step_is_the_mean_of_the_times():
    band = bands.of_seeds([points([5], [1], [2.0]), points([5], [1], [4.0])])
    assert band.x.tolist() == [3.0]


@pytest.mark.parametrize("runs", [[], [points([1], [1])], [points([1], [1]), points([2], [1])]])
def test_one_run_or_no_common_step_is_no_band(runs):
    assert bands.of_seeds(runs) is None


def test_the_crowd_is_its_quantiles():
    """Eleven runs with the values 0 to 10: the 10%, 50% and 90% quantiles are 1, 5 and 9."""
    band = bands.of_crowd([points([0, 1], [k, k]) for k in range(11)], 400)
    assert band.n == 11
    assert (band.low[0], band.middle[0], band.high[0]) == pytest.approx((1, 5, 9))


def test_between_its_points_a_run_lies_on_the_line_and_beyond_its_end_it_is_not_there():
    """At x = 5 the first run is at 5; at 10 only two runs are left, which is too few."""
    runs = [points([0, 10], [0, 10]), points([0, 5, 10], [5, 5, 5]), points([0, 5], [5, 5])]
    band = bands.of_crowd(runs, 400)
    assert band.x.tolist() == [0, 5, 10]
    assert band.middle[1] == 5
    assert np.isnan(band.middle[2])


def test_fewer_than_three_runs_are_no_crowd_and_no_more_points_are_made_than_asked_for():
    runs = [points(list(range(5_000)), [0.0] * 5_000)] * 3
    assert bands.of_crowd(runs[:2], 400) is None
    assert len(bands.of_crowd(runs, 400).x) == 400
    assert bands.of_crowd([points([1], [math.nan])] * 5, 400) is None


def test_a_step_that_one_seed_has_twice_is_no_common_step():
    """Of steps 5, 5, 10 and 10, 20 only 10 is common: there 3 and 5 have the mean 4."""
    band = bands.of_seeds([points([5, 5, 10], [1, 2, 3]), points([10, 20], [5, 6])])
    assert (band.x.tolist(), band.middle.tolist()) == ([10], [4])


def test_a_clock_that_was_set_back_leaves_the_crowd_its_values():
    """At x = 1 and 2 the runs have 2 and 3, though x = 3 was logged before."""
    band = bands.of_crowd([points([0, 1, 2, 3], [0, 1, 2, 3], [0, 3, 1, 2])] * 3, 400)
    assert (band.x.tolist(), band.middle.tolist()) == ([0, 1, 2, 3], [0, 2, 3, 1])
