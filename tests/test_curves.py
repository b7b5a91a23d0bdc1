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
