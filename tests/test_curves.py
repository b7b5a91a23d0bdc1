"""Curves made ready to be drawn."""

import math
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis import curves
from training.record.schema import Run, Series


def test_smoothing_is_unbiased_from_the_first_point():
    """By hand, weight 0.5 over 1, 0: total 0.50 / (1 - 0.5) = 1, then 0.25 / (1 - 0.25) = 1/3."""
    assert curves.smooth(np.array([1.0, 0.0]), 0.5) == pytest.approx([1.0, 1 / 3])


def test_smoothing_passes_over_nan():
    """As 1, 0 above: NaN neither counts nor decays."""
    out = curves.smooth(np.array([1.0, math.nan, 0.0]), 0.5)
    assert out[[0, 2]] == pytest.approx([1.0, 1 / 3])
    assert math.isnan(out[1])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 0.999))
def test_a_smoothed_curve_stays_between_its_extremes(values, weight):
    out = curves.smooth(np.array(values), weight)
    slack = 1e-6 * (1 + max(map(abs, values)))
    assert out.min() >= min(values) - slack
    assert out.max() <= max(values) + slack


def test_a_constant_stays_constant_under_any_smoothing():
    assert curves.smooth(np.full(20, 3.0), 0.97) == pytest.approx(np.full(20, 3.0))


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=700), st.floats(0, 0.999))
def test_smoothing_in_blocks_is_the_moving_average_step_by_step(values, weight):
    total, kept, expected = 0.0, 1.0, []
    for value in values:
        total, kept = weight * total + (1 - weight) * value, kept * weight
        expected.append(total / (1 - kept))
    assert curves.smooth(np.array(values), weight) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_every_spike_survives_thinning():
    values = np.sin(np.arange(10_000) / 700)
    for at in (0, 17, 5_000, 9_998, 9_999):
        spiked = values.copy()
        spiked[at] = 50.0
        kept = curves.thin(spiked)
        assert at in kept
        assert len(kept) <= curves.MOST_POINTS


@given(st.lists(st.one_of(st.floats(-10, 10), st.just(math.nan)), min_size=1, max_size=2_000), st.integers(5, 400))
def test_thinning_keeps_ends_extremes_and_gaps(values, most):
    array_of = np.array(values)
    kept = curves.thin(array_of, most)
    assert len(kept) <= most or len(kept) == len(values) <= most
    assert (np.diff(kept) > 0).all()
    assert kept[0] == 0
    assert kept[-1] == len(values) - 1
    finite = array_of[np.isfinite(array_of)]
    if len(finite):
        assert np.nanmin(array_of[kept]) == finite.min()
        assert np.nanmax(array_of[kept]) == finite.max()
    assert np.isnan(array_of[kept]).any() == np.isnan(array_of).any()


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=1_500), st.integers(5, 60), st.data())
def test_both_extremes_of_any_window_survive_the_zoom_into_it(values, most, data):
    """A zoom thins what lies in the window, with a neighbour on either side: no spike in it is lost."""
    y, x = np.array(values), np.arange(len(values), dtype=float)
    low = data.draw(st.integers(0, len(values) - 1))
    high = data.draw(st.integers(low, len(values) - 1))
    part = curves.window(x, low, high)
    kept = part.start + curves.thin(y[part], most)
    assert len(kept) <= max(most, 5)
    shown = y[kept[(kept >= low) & (kept <= high)]]
    assert (shown.min(), shown.max()) == (y[low : high + 1].min(), y[low : high + 1].max())


@given(st.lists(st.floats(-10, 10), min_size=10, max_size=1_500), st.integers(5, 60))
def test_thinning_by_width_keeps_the_extremes_too(values, most):
    y, x = np.array(values), np.log(np.arange(1, len(values) + 1))
    kept = curves.thin(y, most, x)
    assert len(kept) <= max(most, 10) or len(kept) == len(values)
    assert (y[kept].min(), y[kept].max()) == (y.min(), y.max())


def test_on_a_log_axis_the_few_early_points_are_kept_and_the_many_late_ones_thinned():
    """Of 10,000 steps the first 10 are a quarter of a log axis: all stay, of the last 5,000 a twelfth at most."""
    kept = curves.thin(np.sin(np.arange(10_000)), 400, np.log(np.arange(1, 10_001)))
    assert set(range(10)) <= set(kept.tolist())
    assert (kept >= 5_000).sum() <= 5_000 / 12


def test_a_window_holds_a_neighbour_on_either_side():
    x = np.array([0.0, 10, 20, 30, 40])
    assert x[curves.window(x, 12, 28)].tolist() == [10, 20, 30]
    assert x[curves.window(x, 21, 22)].tolist() == [20, 30]
    assert x[curves.window(x, -5, 100)].tolist() == x.tolist()


def test_a_clock_that_was_set_back_does_not_lose_points():
    x = np.array([0.0, 10, 5, 20])
    assert x[curves.window(x, 8, 12)].tolist() == [0, 10, 5, 20]


def series(steps: list[int], values: list[float]) -> Series:
    times = array("d", [1000.0 + 30 * step for step in steps])
    return Series(array("q", steps), array("d", [step / 10 for step in steps]), times, array("d", values))


def test_x_is_steps_epochs_or_minutes_since_the_start():
    """30 s per step: step 4 is 2 minutes after the first; the run itself began a minute earlier."""
    found = series([0, 2, 4], [1, 1, 1])
    assert list(curves.x_values(found, "step", None)) == [0, 2, 4]
    assert list(curves.x_values(found, "epoch", None)) == [0, 0.2, 0.4]
    assert list(curves.x_values(found, "time", None)) == [0, 1, 2]
    assert list(curves.x_values(found, "time", 940.0)) == [1, 2, 3]


def test_rewards_over_beta_are_nats_and_other_metrics_stay():
    run = Run("a", "a", "runs", "finished", config={"beta": 0.1})
    values = np.array([1.0, 2.0])
    assert curves.in_nats("eval/rewards/margins", values, run) == pytest.approx([10.0, 20.0])
    assert curves.in_nats("eval/loss", values, run) is values


@pytest.mark.parametrize("config", [{}, {"beta": 0}, {"beta": "nan"}, {"beta": "a lot"}])
def test_nats_are_not_guessed_without_a_beta(config):
    run = Run("a", "a", "runs", "finished", config=config)
    assert curves.in_nats("rewards/chosen", np.array([1.0]), run) is None
