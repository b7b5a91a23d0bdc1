"""What a page and its address agree on."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.components import link, query
from dashboard.components.link import Parameter

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(ANYTHING)
def test_any_value_becomes_a_number_within_bounds_or_none(value):
    found = query.number(value, 0.5, 20)
    assert found is None or 0.5 <= found <= 20


@pytest.mark.parametrize(
    ("value", "number"),
    [("3", 3.0), (0.1, 0.5), ("1e9", 20.0), ("nan", None), (math.inf, None), ("", None), ([], None)],
)
def test_numbers_are_brought_into_their_bounds(value, number):
    assert query.number(value, 0.5, 20) == number


def test_the_store_says_which_parameters_the_address_has_and_which_values_it_leaves_out():
    made = link.store("word", "/path", [Parameter("at", "word-at", default="best"), Parameter("runs", "word-runs")])
    assert made.id == "word-link"
    assert made.data == {"path": "/path", "names": ["at", "runs"], "defaults": ["best", None]}
