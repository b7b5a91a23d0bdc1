"""Suspected wrong labels on the built-in data, whose flips are known.

The margins are those of the six runs of `make demo` at their best checkpoints, kept as 16-bit floats in
data/demo_margins.npz by tests/bench/suspects.py; the flips are those of the generator of the pairs.
"""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from dashboard.analysis.label_noise import suspects
from training.embedded import pairs


@pytest.fixture(scope="module")
def margins():
    with np.load(Path(__file__).parent / "data" / "demo_margins.npz") as kept:
        return kept["h"].astype(np.float64)


@pytest.fixture(scope="module")
def flipped():
    return np.array([row["flipped"] for row in pairs.build()["eval"]])


def test_at_least_four_in_five_suspects_are_flips_and_most_flips_are_suspected(margins, flipped):
    """51 of 640 labels are flipped; every run gets 52 pairs wrong, of which 40 are flips."""
    found = suspects(margins)
    assert len(found.rows) >= 30
    assert flipped[found.rows].mean() >= 0.8
    assert flipped[found.rows].sum() / flipped.sum() >= 0.6


def test_so_are_those_of_any_two_or_three_of_the_runs_bad_ones_too(margins, flipped):
    for size in (2, 3):
        for columns in combinations(range(6), size):
            found = suspects(margins[:, columns])
            assert flipped[found.rows].mean() >= 0.8


def test_the_share_of_flips_is_estimated_within_a_point(margins, flipped):
    assert suspects(margins).share == pytest.approx(flipped.mean(), abs=0.01)


def test_with_the_flips_undone_one_label_at_most_is_suspected(margins, flipped):
    """The margin of answers that are not swapped is the margin with the other sign."""
    assert len(suspects(np.where(flipped[:, None], -margins, margins)).rows) <= 1
