"""The loss at a common beta, its least value, and calibration: by hand and as properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis.common_beta import Calibrated, calibrated, calibration, loss, losses

# A margin below 1e-307, scaled down, is 0: no margin of the same sign any more.
MARGINS = st.lists(st.floats(-1e6, 1e6).filter(lambda h: h == 0 or abs(h) > 1e-100), min_size=2, max_size=60).map(
    np.array
)


def test_the_loss_by_hand():
    """b = 0.5, h = 2 and -2: log(1 + e^-1) = 0.3133 and log(1 + e) = 1.3133, their mean 0.8133; at h = 0 ln 2."""
    assert loss(np.array([2.0, -2.0]), 0.5) == pytest.approx(0.8133, abs=1e-4)
    assert loss(np.zeros(3), 0.5) == pytest.approx(math.log(2))


def test_the_largest_margins_do_not_overflow():
    """softplus(-b h) is 0 far on the right side and -b h far on the wrong one."""
    assert losses(np.array([1e6, -1e6]), 0.1).tolist() == [0.0, 1e5]


def test_a_diverged_run_has_no_loss():
    h = np.array([1.0, np.nan])
    assert math.isnan(loss(h, 0.1))
    assert math.isnan(calibrated(h).loss)
    assert math.isnan(loss(np.array([]), 0.1))


def test_one_policy_scored_as_five_betas_has_one_loss_and_one_rank():
    """A run's rewards are beta h: taken back to h, the loss at a common b is the same to 1e-6, and so is its rank."""
    rng = np.random.default_rng(3)
    h, better = rng.normal(2, 6, 500), rng.normal(3, 6, 500)
    rewards = {beta: np.float32(beta * h) for beta in (0.01, 0.05, 0.1, 0.3, 0.5)}
    back = {beta: reward / beta for beta, reward in rewards.items()}
    own = [loss(h, beta) for beta in rewards]
    assert max(own) - min(own) > 0.1
    for b in (0.02, 0.1, 1.0):
        common = [loss(found, b) for found in back.values()]
        assert max(common) - min(common) < 1e-6
        assert all(loss(better, b) < found for found in common)
    least = [calibrated(found) for found in back.values()]
    assert max(found.loss for found in least) - min(found.loss for found in least) < 1e-6
    assert max(found.b for found in least) / min(found.b for found in least) == pytest.approx(1, abs=1e-5)


@given(h=MARGINS, scale=st.sampled_from([1e-3, 0.1, 7.0, 1e3]))
def test_the_least_loss_does_not_depend_on_the_scale_of_the_margins(h, scale):
    first, second = calibrated(h), calibrated(h * scale)
    assert second.loss == pytest.approx(first.loss, rel=1e-9, abs=1e-9)
    assert first.at_edge == second.at_edge


@given(h=MARGINS)
def test_no_other_b_has_a_lower_loss(h):
    least = calibrated(h)
    assert 0 <= least.loss <= math.log(2) + 1e-12
    for b in np.geomspace(1e-9, 1e9, 40):
        assert loss(h, b) >= least.loss - 1e-9


def test_the_least_loss_by_hand():
    """Three margins of 1, one of -1: 3/4 sigmoid(-b) = 1/4 sigmoid(b), so e^b = 3 and the loss is the entropy of 3/4,
    0.5623 nats."""
    found = calibrated(np.array([1.0, 1.0, 1.0, -1.0]))
    assert found.b == pytest.approx(math.log(3))
    assert found.loss == pytest.approx(0.5623, abs=1e-4)
    assert not found.at_edge


def test_where_the_least_loss_is_at_an_edge_that_is_said():
    """All right: 0 as b grows; one of two tied: half of ln 2; all wrong, or wrong on average: no b helps."""
    assert calibrated(np.array([1.0, 2.0])) == Calibrated(0.0, math.inf, True)
    assert calibrated(np.array([1.0, 0.0])).loss == pytest.approx(math.log(2) / 2)
    for wrong in ([-1.0, -2.0], [1.0, -5.0], [0.0, 0.0]):
        found = calibrated(np.array(wrong))
        assert (found.loss, found.b, found.at_edge) == (pytest.approx(math.log(2)), 0.0, True)


def truthful(rng, n, beta, temperature=1.0):
    """Margins of a run whose confidence sigmoid(beta |h|) is right, or too high by `temperature` in the logit."""
    size = np.abs(rng.normal(0, 12, n))
    right = rng.random(n) < 1 / (1 + np.exp(-beta * size / temperature))
    return np.where(right, size, -size)


def test_a_calibrated_run_shows_no_more_than_chance():
    """200 runs of 500 pairs: the mean ECE is what `expected` says; the slope is 1 on average."""
    rng = np.random.default_rng(5)
    found = [calibration(truthful(rng, 500, 0.1), 0.1) for _ in range(200)]
    assert np.mean([c.ece for c in found]) == pytest.approx(np.mean([c.expected for c in found]), rel=0.05)
    assert np.median([c.slope for c in found]) == pytest.approx(1, abs=0.05)


def test_an_overconfident_run_is_told_by_its_slope():
    found = calibration(truthful(np.random.default_rng(6), 20_000, 0.1, temperature=2.0), 0.1)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.ece > 3 * found.expected


def test_calibration_by_hand():
    """beta 1, h = ln 4, ln 4, -ln 4 and 0: p = 0.8 three times, right twice: gap 2/15; p = 0.5 right by half: no gap.

    ECE = 3/4 * 2/15 = 0.1; Brier = (2 * 0.04 + 0.64 + 0.25) / 4 = 0.2425.
    """
    size = math.log(4)
    found = calibration(np.array([size, size, -size, 0.0, np.nan]), 1.0)
    assert [(b.n, round(b.confidence, 6), round(b.accuracy, 6)) for b in found.bins] == [
        (1, 0.5, 0.5),
        (3, 0.8, 0.666667),
    ]
    assert found.ece == pytest.approx(0.1)
    assert found.brier == pytest.approx(0.2425)
    assert (found.n, found.missing) == (4, 1)


def test_full_confidence_falls_into_the_last_bin():
    found = calibration(np.array([1e6, 1e6, -1e6]), 0.1)
    assert [(b.n, b.confidence) for b in found.bins] == [(3, 1.0)]
    assert calibration(np.array([np.nan]), 0.1) is None
