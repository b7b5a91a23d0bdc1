"""Suspected wrong labels, where it is known which labels are wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pair_runs import margins

from dashboard.analysis.label_noise import fit, pooled, suspects


def studies(share, count=15, pairs=600, runs=4, **how):
    """Of simulated studies: how many pairs are named, how many of them are flipped, and the estimated share."""
    rows = []
    for seed in range(count):
        h, flipped = margins(np.random.default_rng(seed), pairs, runs, share, **how)
        found = suspects(h)
        rows.append((len(found.rows), int(flipped[found.rows].sum()), found.share))
    return np.array(rows).T


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_of_the_pairs_named_at_least_four_in_five_are_flipped(share):
    """Over 15 studies of 600 pairs each. The rule aims at 95%; that its parameters are estimates costs some of it."""
    named, hits, _ = studies(share)
    assert named.sum() >= 15 * 600 * share * 0.15
    assert hits.sum() / named.sum() >= 0.85


def test_without_flipped_labels_hardly_a_study_names_any():
    """The test has level 5%: 7 or more of 40 studies would have probability 0.3%."""
    named, _, share = studies(0.0, count=40)
    assert (named > 0).sum() < 7
    assert named.sum() <= 40
    assert np.mean(share) < 0.01


def test_heavy_tails_of_clean_margins_name_one_pair_in_a_hundred_at_most():
    """Student's t of 5 degrees: confident errors that no wrong label explains are there, and some are named."""
    rng = np.random.default_rng(0)
    named, _, _ = studies(0.0, drawn=lambda size: rng.standard_t(5, size) / np.sqrt(5 / 3))
    assert named.mean() <= 6


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_the_share_of_wrong_labels_is_estimated(share):
    _, _, estimated = studies(share)
    assert np.mean(estimated) == pytest.approx(share, abs=0.015)


def test_more_runs_find_more_at_the_same_precision():
    """Where runs have half of a margin of their own, one run misses what eight find together."""
    one, alone, _ = studies(0.1, runs=1, common=0.5)
    eight, together, _ = studies(0.1, runs=8, common=0.5)
    assert together.sum() > 1.5 * alone.sum()
    assert together.sum() / eight.sum() >= 0.85 and alone.sum() / one.sum() >= 0.8


def test_the_model_is_exact_for_normal_margins():
    """The log-odds of N(m, 1) being positive at size x are log(pdf(x) / pdf(-x)) = 2 m x: steepness 2 m."""
    margin = np.random.default_rng(3).normal(1.2, 1.0, 200_000)
    found = fit(margin)
    assert found.steepness == pytest.approx(2.4, rel=0.03)
    assert found.share < 0.003


def test_each_run_counts_alike_whatever_its_beta():
    h, _ = margins(np.random.default_rng(1), 300, 3, 0.1)
    assert pooled(h * np.array([1.0, 1000.0, 0.01])) == pytest.approx(pooled(h))
    assert (suspects(h * 7).rows == suspects(h).rows).all()


def test_the_most_suspect_pair_comes_first():
    h, _ = margins(np.random.default_rng(1), 500, 3, 0.15)
    found = suspects(h)
    assert len(found.rows) > 20
    assert (np.diff(found.margin[found.rows]) >= 0).all()
    assert found.margin[found.rows].max() < 0


def test_copies_and_runs_that_tell_nothing_are_not_pooled():
    h, _ = margins(np.random.default_rng(1), 400, 2, 0.1)
    noise = np.random.default_rng(2).standard_normal(400)
    broken = np.where(np.arange(400) == 5, np.nan, h[:, 0])
    found = suspects(np.column_stack([h, h[:, 0] * (1 + 1e-6), noise, np.zeros(400), broken]))
    assert (found.used, found.copies, found.broken) == ((0, 1), (2,), (3, 4, 5))
    assert (found.rows == suspects(h).rows).all()


@pytest.mark.parametrize("h", [np.zeros((0, 3)), np.zeros((200, 0)), np.full((200, 2), np.nan), np.ones((49, 2))])
def test_too_little_names_nothing_and_says_so(h):
    found = suspects(h)
    assert found.share is None and not len(found.rows) and len(found.margin) == len(h)


def test_runs_that_make_no_error_leave_nothing_to_suspect():
    h = np.abs(np.random.default_rng(0).normal(5, 1, (300, 2)))
    assert not len(suspects(h).rows)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 4), st.floats(0, 0.5), st.floats(1e-6, 1e6))
def test_whatever_the_margins_the_named_are_wrong_pairs_without_repeats(seed, runs, share, unit):
    h, _ = margins(np.random.default_rng(seed), 120, runs, share)
    found = suspects(h * unit)
    assert len(set(found.rows.tolist())) == len(found.rows)
    assert (found.margin[found.rows] < 0).all()
