"""Two runs on the same pairs: by hand, and against the plain formulas."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis.paired import BOOTSTRAP, CLUSTERED, EXACT, accuracy, aligned, holm, mean, prompt_sums
from tests.scored import margins, scored
from training.record.intervals import mcnemar


def test_rows_are_brought_into_one_order_by_pair_id():
    a, b = scored([1, 2, 3], pairs="abc"), scored([30, 10, 20], pairs="cab")
    rows_a, rows_b = aligned(a, b)
    assert [a.pairs[i] for i in rows_a] == [b.pairs[i] for i in rows_b]
    assert b.h[rows_b].tolist() == [10, 20, 30]


@pytest.mark.parametrize("other", ["abd", "ab", "abcd", ""])
def test_runs_that_share_only_some_pairs_are_not_aligned(other):
    a, b = scored([1, 2, 3], pairs="abc"), scored(range(len(other)), pairs=other)
    assert aligned(a, b) is None
    with pytest.raises(ValueError, match="not scored on the same pairs"):
        accuracy(a, b)


def test_a_difference_in_accuracy_by_hand():
    """12 pairs: both right 5, only a 5, only b 1, none 1. a - b = 4/12; p = 2 (C(6,0) + C(6,1)) / 2^6 = 14/64.

    Interval: two pairs added, 4/14; sum of (d - 4/14)^2 over 12 = 6 - 2 * 4 * 4/14 + 12 * (4/14)^2 = 4.6939, times
    12/11, plus 1: 6.1206; sqrt / 14 = 0.17671; t(11) = 2.201: 0.2857 +- 0.3889.
    """
    a = [1] * 5 + [1] * 5 + [-1] + [-1]
    b = [1] * 5 + [-1] * 5 + [1] + [-1]
    found = accuracy(scored(a), scored(b))
    assert found.difference == pytest.approx(4 / 12)
    assert found.p == 14 / 64
    assert (found.n, found.prompts, found.only_a, found.only_b, found.missing) == (12, 12, 5, 1, 0)
    assert found.interval == pytest.approx((0.2857 - 0.3889, 0.2857 + 0.3889), abs=2e-4)
    assert found.test == EXACT
    assert found.discordance == 0.5


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=5, max_size=80))
def test_swapping_the_runs_changes_only_the_sign(pairs):
    a, b = (scored([1 if side[k] else -1 for side in pairs]) for k in (0, 1))
    one, two = accuracy(a, b), accuracy(b, a)
    assert one.difference == -two.difference
    assert one.p == two.p == mcnemar(one.only_a, one.only_b)
    assert one.interval == pytest.approx((-two.interval.high, -two.interval.low))
    assert -1 <= one.interval.low <= one.interval.high <= 1


def test_several_pairs_of_a_prompt_are_tested_as_one():
    """8 prompts of 2 pairs, a better on both pairs of 7, b on both of 1: sums 2 x 7 and -2, total 12, squares 32.

    z = (12 - 1) / sqrt(32) = 1.9445, p = 0.0518; McNemar on 14 against 2 as if they were independent: 0.0042.
    """
    a = [1] * 14 + [-1] * 2
    found = accuracy(scored(a, np.arange(16) // 2), scored([-x for x in a], np.arange(16) // 2))
    assert found.test == CLUSTERED
    assert found.p == pytest.approx(0.0518, abs=1e-4)
    assert found.prompts == 8
    assert mcnemar(14, 2) < 0.01


def test_a_tie_makes_half_a_difference():
    """The untrained model, all margins 0, against 30 right of 40: d = -1/2 on 30, 1/2 on 10: total -10, squares 10.

    z = (10 - 1/2) / sqrt(10) = 3.004, p = 0.0027; the exact test on 30 against 10 gives 0.0022.
    """
    found = accuracy(scored(np.zeros(40)), scored([1] * 30 + [-1] * 10))
    assert found.difference == -0.25
    assert found.p == pytest.approx(0.0027, abs=1e-4)
    assert mcnemar(30, 10) == pytest.approx(0.0022, abs=1e-4)
    assert (found.only_a, found.only_b, found.test) == (10, 30, CLUSTERED)


def test_pairs_without_a_value_are_left_out_and_counted():
    found = accuracy(scored([1, 1, math.nan, 1, 1, 1]), scored([1, -1, 1, math.nan, 1, 1]))
    assert (found.n, found.missing, found.only_a) == (4, 2, 1)
    found = mean(np.array([1, np.inf, 2.0]), np.array([0, 1, np.nan]), np.arange(3))
    assert (found.n, found.missing, found.difference) == (1, 2, 1.0)


def test_nothing_is_claimed_from_nothing():
    for found in (
        accuracy(scored([math.nan]), scored([1])),
        mean(np.array([np.nan]), np.array([1.0]), np.array([0])),
    ):
        assert (found.n, found.interval, found.p) == (0, None, 1.0)
        assert math.isnan(found.difference)


def test_too_few_prompts_show_nothing():
    prompts = np.repeat(np.arange(4), 50)
    found = accuracy(scored(np.ones(200), prompts), scored(-np.ones(200), prompts))
    assert (found.difference, found.p, found.interval) == (1.0, 1.0, None)
    found = mean(np.linspace(1, 2, 200), np.zeros(200), prompts)
    assert (found.p, found.interval) == (1.0, None)


def test_the_same_run_twice_does_not_differ():
    h, prompts = margins(np.random.default_rng(0), 60, [0.6])
    found = mean(h[0], h[0], prompts)
    assert (found.difference, found.p, found.interval) == (0.0, 1.0, (0.0, 0.0))
    assert accuracy(scored(h[0]), scored(h[0])).p == 1.0


def test_a_run_that_is_better_by_the_same_on_every_pair_is_better():
    found = mean(np.full(30, 0.3), np.full(30, 0.2), np.arange(30))
    assert found.p == pytest.approx(1 / 2001)
    assert found.interval == pytest.approx((0.1, 0.1))


def test_a_mean_difference_is_the_same_for_the_same_seed():
    rng = np.random.default_rng(1)
    x, y = rng.normal(0.3, 1, 80), rng.normal(0, 1, 80)
    first = mean(x, y, np.arange(80))
    assert first == mean(x, y, np.arange(80))
    assert first.interval != mean(x, y, np.arange(80), seed=1).interval
    assert first.test == BOOTSTRAP


def test_the_interval_of_a_mean_is_near_students_where_that_is_right():
    """Normal differences: mean +- t(199) sd / sqrt(200), within 8% of its length."""
    d = np.random.default_rng(2).normal(0.2, 1, 200)
    found = mean(d, np.zeros(200), np.arange(200))
    half = 1.972 * d.std(ddof=1) / math.sqrt(200)
    assert found.interval.high - found.difference == pytest.approx(half, rel=0.08)
    assert found.difference - found.interval.low == pytest.approx(half, rel=0.08)


def test_repeated_pairs_add_no_certainty():
    """Each pair four times in its prompt: the same interval as once, where every pair for itself would halve it."""
    d = np.random.default_rng(4).normal(0.1, 1, 50)
    once = mean(d, np.zeros(50), np.arange(50))
    again = mean(np.repeat(d, 4), np.zeros(200), np.repeat(np.arange(50), 4))
    assert again.interval == pytest.approx(once.interval)
    assert again.p == once.p


def test_a_difference_that_rests_on_one_prompt_has_no_interval():
    """All but one difference is 0: a resample without that prompt has no error at all, and no limit can be given."""
    d = np.zeros(30)
    d[7] = 100.0
    found = mean(d, np.zeros(30), np.arange(30))
    assert found.interval is None
    assert found.p > 0.05


def test_prompt_sums_do_not_need_sorted_prompts():
    assert prompt_sums(np.array([[1.0, 2, 3, 4]]), np.array([5, 0, 5, 2])).tolist() == [[2.0, 4.0, 4.0]]


def test_holm_by_hand():
    """0.01 * 4, 0.02 * 3, 0.03 * 2 (not below the last: 0.06), 0.9: smallest first, never falling, NaN no test."""
    found = holm(np.array([0.03, 0.01, np.nan, 0.9, 0.02]))
    assert found[[0, 1, 3, 4]] == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert math.isnan(found[2])
    assert holm(np.array([])).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_lies_between_p_and_bonferroni(p):
    raw = np.array(p)
    found = holm(raw)
    assert (found >= raw).all()
    assert (found <= np.minimum(1, raw * len(raw)) + 1e-12).all()
    assert (np.diff(found[np.argsort(raw, kind="stable")]) >= 0).all()
