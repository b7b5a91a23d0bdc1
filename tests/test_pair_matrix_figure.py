"""The map of margins."""

import base64

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.figures import pair_matrix as figures


def decoded(column):
    shape = tuple(int(part) for part in column["shape"].split(","))
    return np.frombuffer(base64.b64decode(column["bdata"]), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("unit", ["relative", "nats", "sign"])
def test_plotly_takes_the_map_and_its_values_row_by_row(unit):
    values = np.array([[1.0, -2.0], [np.nan, 4.0], [0.0, 1e300]])
    made = figures.heat_map(values, ["a", "b", "c"], ["x", "y"], unit)
    go.Figure(made)
    assert np.array_equal(decoded(made["data"][0]["z"]), [[1, -2], [np.nan, 4], [0, np.nan]], equal_nan=True)


@pytest.mark.parametrize("unit", ["relative", "nats", "sign"])
def test_plotly_takes_the_bars_of_one_run(unit):
    made = figures.bars(np.array([1.0, -1.0]), ["a", "b"], unit)
    go.Figure(made)
    assert made["data"][0]["marker"]["color"] == [f"rgb({figures.RIGHT})", f"rgb({figures.WRONG})"]


def test_no_margin_is_neutral_and_both_sides_are_alike():
    trace = figures.heat_map(np.array([[3.0, -1.0]]), ["a"], ["x", "y"], "nats")["data"][0]
    assert trace["zmin"] == -trace["zmax"]


def test_one_wild_margin_does_not_wash_out_the_others():
    """Of 100 margins of size 1 and one of a million the limit is 1."""
    assert figures.limit(np.append(np.ones(100), 1e6)) == pytest.approx(1.0)
    assert figures.limit(np.zeros(3)) == figures.limit(np.full(3, np.nan)) == 1.0


def test_five_hundred_pairs_of_a_hundred_runs_are_sent_as_float32():
    """4 bytes a cell, a third more in base64."""
    trace = figures.heat_map(np.zeros((500, 100)), list(map(str, range(500))), list(map(str, range(100))), "nats")[
        "data"
    ][0]
    assert len(trace["z"]["bdata"]) == pytest.approx(500 * 100 * 4 * 4 / 3, rel=0.001)


@given(st.lists(st.text(max_size=4), max_size=8))
def test_names_are_shown_letter_for_letter_and_each_once(names):
    found = figures.unique(names)
    assert len(found) == len(names)
    assert not any("<" in name for name in found)


def test_equal_names_are_told_apart():
    assert figures.unique(["a", "a", "b", "a"]) == ["a", "a (2)", "b", "a (3)"]
