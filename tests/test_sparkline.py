"""A curve as a short text."""

import math

from hypothesis import given
from hypothesis import strategies as st

from dashboard.components.leaderboard import curves as board_curves
from dashboard.figures.sparkline import GAP, LEVELS, POINTS, spark
from training.record.schema import Series


def test_the_lowest_value_is_the_first_level_and_the_highest_the_last():
    """0.5 is half way: 61 x 0.5 = 30.5, to the even 30, which is U."""
    assert spark([0.0, 0.5, 1.0]) == "0Uz"
    assert LEVELS[30] == "U"


def test_what_diverged_is_a_gap_and_one_point_no_curve():
    assert spark([1.0, math.nan, 2.0]) == f"0{GAP}z"
    assert spark([1.0, math.nan]) == spark([]) == ""
    assert set(spark([2.0, 2.0])) == {LEVELS[30]}


@given(st.lists(st.floats(), max_size=300))
def test_any_curve_is_short_and_keeps_both_extremes(values):
    found = spark(values)
    assert len(found) <= POINTS
    assert set(found) <= {*LEVELS, GAP}
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) > 1 and max(finite) - min(finite) < math.inf and max(finite) > min(finite):
        assert {"0", "z"} <= set(found)


def series(*values: float) -> Series:
    from array import array

    n = len(values)
    return Series(array("q", range(n)), array("d", [0.0] * n), array("d", [0.0] * n), array("d", values))


def test_the_accuracy_is_drawn_or_else_the_loss():
    both = {"eval/rewards/accuracies": series(0.5, 0.9, 0.8), "eval/loss": series(0.7, 0.5, 0.6)}
    assert board_curves.curve(both)[1] == ("Reward accuracy of 3 evaluations: 50.0% first, 80.0% last, 90.0% highest.")
    assert "0.5000 lowest" in board_curves.curve({"eval/loss": both["eval/loss"]})[1]
    assert board_curves.curve({}) == ("", "")
