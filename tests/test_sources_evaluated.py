"""The number of pairs is recovered from runtime and speed where it is certain, and nowhere else."""

import math

from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources.evaluated import RUNTIME, SPEED, counted, pairs


def test_a_product_close_to_a_whole_number_is_the_number_of_pairs():
    """111.3291 s x 11.551 per second = 1,285.9624, within 111.3291 * 0.0005 + 11.551 * 0.00005 = 0.056 of 1,286."""
    assert counted(111.3291, 11.551) == 1286
    assert pairs({RUNTIME: 111.3291, SPEED: 11.551}) == 1286


def test_a_product_that_could_be_several_numbers_or_none_is_unknown():
    """10 s x 10.25 = 102.5, no whole number; 5,000 s leave an error of 5,000 * 0.0005 = 2.5 pairs."""
    assert counted(10.0, 10.25) is None
    assert counted(5000.0, 10.0) is None


def test_what_was_not_logged_or_is_no_number_is_unknown():
    assert [counted(1.0, None), counted(None, 1.0), counted(math.nan, 1.0), counted(math.inf, 1.0)] == [None] * 4
    assert [counted(-2.0, -2.0), counted(0.0, 5.0), counted(1e300, 1e300), pairs({})] == [None] * 4


@given(st.integers(1, 5_000), st.floats(0.01, 500))
def test_a_trainers_rounded_figures_give_the_number_back_or_nothing(n, seconds):
    """Transformers prints round(runtime, 4) and round(n / runtime, 3)."""
    assert counted(round(seconds, 4), round(n / seconds, 3)) in (n, None)
