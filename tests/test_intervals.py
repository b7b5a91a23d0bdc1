"""Intervals and the paired test, by hand and by simulation."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.record.intervals import (
    accuracy_interval,
    exact_count,
    mcnemar,
    mean_interval,
    t_value,
    wilson,
    z_value,
)


def test_wilson_of_five_out_of_five():
    """By hand: p = 1, z2 = 3.8415; low = (1 + z2/10 - z * sqrt(z2/100)) / (1 + z2/5) = 1 / (1 + z2/5) = 0.5655."""
    assert wilson(5, 5) == pytest.approx((0.5655, 1.0), abs=1e-4)


def test_wilson_of_thirty_out_of_fifty():
    """The true 95% interval of 30 wins and 20 losses is 0.462 to 0.724; a 90% one would be narrower."""
    assert wilson(30, 50) == pytest.approx((0.4618, 0.7239), abs=1e-4)
    low, high = wilson(30, 50, confidence=0.90)
    assert 0.4618 < low < high < 0.7239


@pytest.mark.parametrize(("lowest", "highest"), [(0.5, 0.5), (0.8, 0.8), (0.5, 0.99)])
def test_wilson_covers_what_it_claims(lowest, highest):
    """4,000 seeded samples of 200 pairs: 95% +- 1.5 points (three standard errors are 1.03 points)."""
    chance = random.Random(7)
    trials, n = 4_000, 200
    limits = [wilson(k, n) for k in range(n + 1)]
    truths = [chance.uniform(lowest, highest) for _ in range(trials)]
    found = [limits[sum(chance.random() < truth for _ in range(n))] for truth in truths]
    covered = sum(limit.low <= truth <= limit.high for limit, truth in zip(found, truths, strict=True))
    assert covered / trials == pytest.approx(0.95, abs=0.015)


@given(n=st.integers(1, 10_000), share=st.floats(0, 1))
def test_wilson_contains_its_estimate_and_stays_in_the_unit_interval(n, share):
    low, high = wilson(share * n, n)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


@pytest.mark.parametrize(("count", "n"), [(-1, 5), (6, 5), (1, 0)])
def test_wilson_refuses_what_is_no_proportion(count, n):
    with pytest.raises(ValueError, match="a proportion needs"):
        wilson(count, n)


@given(n=st.integers(1, 5_000), data=st.data())
def test_every_half_count_is_recognised(n, data):
    halves = data.draw(st.integers(0, 2 * n))
    assert exact_count(halves / (2 * n), n) == halves / 2


def test_a_mean_of_batch_means_is_no_count():
    """Two batches, 8 and 2 pairs: (6/8 + 1/2) / 2 = 0.625, but 0.625 * 10 = 6.25 pairs."""
    assert exact_count(0.625, 10) is None
    assert exact_count(0.6875, 10) is None


def test_a_32_bit_accuracy_is_still_exact():
    """833 / 1,286 as a 32-bit float is off by less than 3e-8."""
    assert exact_count(0.64774495, 1286) == 833


@pytest.mark.parametrize(("accuracy", "n"), [(None, 10), (0.5, None), (0.5, 0), (1.5, 10), (math.nan, 10)])
def test_no_interval_without_an_accuracy_and_a_number_of_pairs(accuracy, n):
    assert accuracy_interval(accuracy, n) is None


def test_the_limit_is_that_of_a_two_sided_test():
    assert z_value(0.95) == pytest.approx(1.959964, abs=1e-6)


@pytest.mark.parametrize(("freedom", "known"), [(4, 2.7764), (9, 2.2622), (30, 2.0423), (1000, 1.9623)])
def test_quantiles_of_t_are_those_of_the_tables(freedom, known):
    assert t_value(0.95, freedom) == pytest.approx(known, abs=0.002)


def test_the_interval_of_a_mean_by_hand():
    """1 .. 5, each a cluster: mean 3, sum of squares 10, error sqrt(10 * 5/4) / 5 = 0.7071; t(4) = 2.776."""
    assert mean_interval([1, 2, 3, 4, 5], "abcde") == pytest.approx((3 - 1.963, 3 + 1.963), abs=2e-3)


def test_pairs_of_one_prompt_count_as_one():
    """Every value twice, in its own cluster, says no more than once: the interval of 1 .. 5 stays as it is."""
    assert mean_interval([1, 2, 3, 4, 5] * 2, "abcde" * 2) == pytest.approx(mean_interval([1, 2, 3, 4, 5], "abcde"))


def coverage(clustered: bool, groups: int) -> float:
    """How often the interval holds the truth, 0: prompts of 1 to 4 pairs that share half of their variance."""
    chance, covered, trials = random.Random(5), 0, 2_000
    for _ in range(trials):
        values, clusters = [], []
        for group in range(groups):
            shared = chance.gauss(0, 1)
            for _ in range(chance.randint(1, 4)):
                values.append(shared + chance.gauss(0, 1))
                clusters.append(group if clustered else len(values))
        low, high = mean_interval(values, clusters)
        covered += low <= 0 <= high
    return covered / trials


@pytest.mark.parametrize("groups", [20, 100])
def test_the_clustered_interval_covers_what_it_claims(groups):
    """2,000 samples: 95% +- 2 points (four standard errors are 1.95 points)."""
    assert coverage(clustered=True, groups=groups) == pytest.approx(0.95, abs=0.02)


def test_an_interval_that_ignores_prompts_would_not():
    assert coverage(clustered=False, groups=100) < 0.91


@pytest.mark.parametrize("values", [[1.0, 2.0], [1, 2, 3, 4, math.nan], [math.inf, -math.inf, 1, 2, 3], []])
def test_no_interval_of_too_few_prompts_or_of_what_is_not_finite(values):
    assert mean_interval(values, range(len(values))) is None


def test_mcnemar_by_hand():
    """1 against 5: 2 * (C(6,0) + C(6,1)) / 2^6 = 14 / 64; no difference, or none that can be told: 1."""
    assert mcnemar(1, 5) == mcnemar(5, 1) == 14 / 64
    assert mcnemar(0, 0) == mcnemar(3, 3) == 1.0
    assert mcnemar(0, 1000) == 2.0**-999


@given(b=st.integers(0, 400), c=st.integers(0, 400))
def test_mcnemar_is_the_binomial_tail(b, c):
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1))
    assert mcnemar(b, c) == pytest.approx(min(1, 2 * tail / 2 ** (b + c)))


def test_mcnemar_errs_no_more_often_than_it_claims():
    """5,000 samples of 60 discordant pairs that fall on either side: p < 0.05 in at most 5% of them."""
    chance = random.Random(11)
    wins = [sum(chance.random() < 0.5 for _ in range(60)) for _ in range(5_000)]
    wrong = sum(mcnemar(win, 60 - win) < 0.05 for win in wins) / len(wins)
    assert 0.01 < wrong <= 0.05


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="cannot be negative"):
        mcnemar(-1, 2)
