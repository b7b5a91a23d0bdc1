"""Power: the formulas against the exact tests that they speak of."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import bdtr

from dashboard.analysis.power import (
    pairs_needed,
    pairs_needed_unpaired,
    smallest_detectable,
    smallest_detectable_unpaired,
    votes_needed,
)


def exact_power(n, difference, discordance, alpha=0.05):
    """How often the exact McNemar test finds the difference, over 100,000 samples."""
    rng = np.random.default_rng(1)
    b = rng.binomial(n, (discordance + difference) / 2, 100_000)
    c = rng.binomial(n - b, (discordance - difference) / 2 / (1 - (discordance + difference) / 2))
    return (2 * bdtr(np.minimum(b, c), b + c, 0.5) <= alpha).mean()


@pytest.mark.parametrize(("n", "discordance"), [(100, 0.25), (300, 0.25), (500, 0.1), (500, 0.4), (1286, 0.25)])
def test_the_smallest_detectable_difference_is_found_in_80_of_100_samples(n, discordance):
    """Measured: 0.827, 0.809, 0.817, 0.803 and 0.802. Standard error 0.0013."""
    assert 0.795 < exact_power(n, smallest_detectable(n, discordance), discordance) < 0.84


def test_for_many_comparisons_alpha_is_smaller():
    """0.05 / 190: the pairs of 20 runs."""
    delta = smallest_detectable(500, 0.25, alpha=0.05 / 190)
    assert delta > 1.4 * smallest_detectable(500, 0.25)
    assert 0.79 < exact_power(500, delta, 0.25, 0.05 / 190) < 0.84


def test_without_the_continuity_correction_it_would_not_be():
    """0.25 discordant, delta 0.15: (1.96 * 0.5 + 0.8416 * sqrt(0.25 - 0.0225))^2 / 0.0225 = 84.8; with it 98 pairs."""
    connor = (1.959964 * 0.5 + 0.841621 * math.sqrt(0.25 - 0.0225)) ** 2 / 0.0225
    assert connor == pytest.approx(84.8, abs=0.1)
    assert exact_power(85, 0.15, 0.25) < 0.78
    assert pairs_needed(0.15, 0.25) == 98
    assert exact_power(98, 0.15, 0.25) >= 0.795


@given(discordance=st.floats(0.02, 1), share=st.floats(0.05, 1))
def test_pairs_and_difference_are_the_same_curve(discordance, share):
    difference = share * discordance
    n = pairs_needed(difference, discordance)
    assert pairs_needed(-difference, discordance) == n
    assert smallest_detectable(n, discordance) <= difference * (1 + 1e-9)
    assert smallest_detectable(n - 1, discordance) >= difference * (1 - 1e-9)


def test_where_nothing_can_be_detected_that_is_said():
    """5 discordant pairs of 50 that all fall on one side give p = 2 / 32: never below 0.05."""
    assert smallest_detectable(50, 0.1) == math.inf
    assert smallest_detectable(0, 0.3) == math.inf
    assert smallest_detectable(500, 0.0) == math.inf
    assert smallest_detectable_unpaired(3, 0.5) == math.inf


@pytest.mark.parametrize(("n", "accuracy"), [(100, 0.65), (100, 0.9), (500, 0.65), (2000, 0.9)])
def test_the_unpaired_difference_is_found_in_80_of_100_samples(n, accuracy):
    """The unpaired z test on 100,000 samples; `significance.z_unpaired`, with two pairs more, finds it in 77 to 80."""
    delta = smallest_detectable_unpaired(n, accuracy)
    rng = np.random.default_rng(2)
    x, y = rng.binomial(n, accuracy, 100_000) / n, rng.binomial(n, accuracy - delta, 100_000) / n
    z = (x - y) / np.sqrt((x * (1 - x) + y * (1 - y)) / n)
    assert (abs(z) >= 1.96).mean() == pytest.approx(0.8, abs=0.01)
    assert pairs_needed_unpaired(delta, accuracy) == pytest.approx(n, abs=1)


@pytest.mark.parametrize(("share", "votes"), [(0.55, 783), (0.6, 194), (0.65, 85), (0.7, 47), (0.45, 783)])
def test_votes_needed(share, votes):
    """(0.97998 + 0.841621 sqrt(p (1 - p)))^2 / (p - 1/2)^2: 782.5, 193.8, 84.9 and 46.2."""
    assert votes_needed(share) == votes


@pytest.mark.parametrize(
    "call",
    [
        lambda: pairs_needed(0.3, 0.2),
        lambda: pairs_needed(0.0, 0.2),
        lambda: pairs_needed(0.1, 0.2, power=1.0),
        lambda: pairs_needed_unpaired(0.7, 0.6),
        lambda: votes_needed(0.5),
        lambda: votes_needed(1.5),
        lambda: smallest_detectable(100, 0.2, alpha=0.0),
    ],
)
def test_what_cannot_be_is_refused(call):
    with pytest.raises(ValueError, match="needed"):
        call()
