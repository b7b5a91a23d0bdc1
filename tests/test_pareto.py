"""Which runs no other beats in two metrics at once."""

import math

from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis.pareto import front

POINTS = st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), max_size=30)


def test_the_front_rises_from_the_cheapest_to_the_best():
    """(2, 5) is beaten by (1, 6); (3, 7) and (4, 9) each gain for what they cost."""
    assert front([(4, 9), (2, 5), (1, 6), (3, 7), (5, 9)]) == [2, 3, 0]


def test_what_is_not_finite_is_no_point_and_of_equal_points_the_first_stays():
    assert front([(math.nan, 9), (1, math.inf), (2, 3), (2, 3)]) == [2]
    assert front([]) == []


@given(POINTS)
def test_every_point_is_on_the_front_or_no_better_than_one_that_is(points):
    best = [points[place] for place in front(points)]
    for cost, gain in points:
        assert any(x <= cost and y >= gain for x, y in best)
    for x, y in best:
        assert not any(a <= x and b >= y and (a < x or b > y) for a, b in points)
