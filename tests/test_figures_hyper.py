"""The charts of the Hyper-parameters page: what is measured, where it stands, what is missing."""

import math
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis.hyperparameters import Column
from dashboard.analysis.importance import Importance, Importances
from dashboard.analysis.ranking import EVAL_ACCURACY
from dashboard.analysis.surface import Line, surface
from dashboard.figures import importance as importance_figures
from dashboard.figures.parallel import MOST_LEVELS, MOST_TICKS, axis, lines, ticks
from dashboard.figures.slices import MOST_BARS, Point, slice_figure
from dashboard.figures.surface import _spread, surface_figure
from training.record.intervals import Interval
from training.record.schema import Run


def run(name: str, **config: object) -> Run:
    return Run(id=name, name=name, source="runs", status="finished", config=config)


def test_a_number_chosen_by_factors_has_a_logarithmic_axis_and_missing_values_a_place_of_their_own():
    found = axis("learning_rate", "learning rate", [1e-5, None, 1e-6, 1e-5])
    assert found["kind"] == "log"
    assert found["levels"] == [1e-6, 1e-5]
    assert found["at"] == [1, -1, 0, 1]
    assert found["words"] == ["1e-6", "1e-5"]


def test_words_and_truth_values_are_categories():
    assert axis("scheduler", "scheduler", ["linear", None, "cosine"])["levels"] == ["cosine", "linear"]
    found = axis("use_peft", "use peft", [True, False])
    assert (found["kind"], found["levels"]) == ("text", ["False", "True"])


def test_what_has_diverged_counts_as_missing():
    assert axis("m", "metric", [math.nan, 0.5, math.inf, None], is_metric=True)["at"] == [-1, 0, -1, -1]


def test_the_metric_is_the_last_axis_and_an_accuracy_is_a_percentage():
    found = lines(
        [run("a", beta=0.1), run("b", beta=0.2)],
        ["beta"],
        (EVAL_ACCURACY, "reward accuracy"),
        [0.7, None],
        {},
        "higher",
    )
    assert [one["key"] for one in found["axes"]] == ["beta", EVAL_ACCURACY]
    assert found["axes"][-1]["words"] == ["70.0%"]
    assert found["ids"] == ["a", "b"]


def test_many_categories_name_only_some():
    found = axis("name", "name", [f"n{n:03}" for n in range(100)])
    assert len(found["ticks"]) <= MOST_LEVELS
    assert len(found["levels"]) == 100


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=30, unique=True).map(sorted), st.booleans())
def test_ticks_are_few_and_inside_the_range(levels, log):
    found = ticks(levels, log)
    assert 1 <= len(found) <= MOST_TICKS
    assert all(levels[0] <= tick <= levels[-1] for tick in found)


def test_round_ticks_of_a_logarithmic_and_of_a_linear_range():
    assert ticks([n * 1.1e-6 for n in range(1, 91)], True) == [2e-6, 5e-6, 1e-5, 2e-5, 5e-5]
    assert ticks([n / 1000 for n in range(1, 100)], False) == [0.02, 0.04, 0.06, 0.08]


def test_importance_has_a_bar_with_its_interval_for_each_and_grey_is_chance():
    found = Importances(
        EVAL_ACCURACY,
        40,
        (Importance("beta", 0.7, Interval(0.4, 0.9), 0.02), Importance("<b>x</b>", 0.3, Interval(0.1, 0.6), 0.4)),
    )
    figure = go.Figure(importance_figures.importance(found))
    (bars,) = figure.data
    assert list(bars.x) == [0.7, 0.3]
    assert np.allclose(bars.error_x.array, [0.2, 0.3])
    assert np.allclose(bars.error_x.arrayminus, [0.3, 0.2])
    assert bars.marker.color[0] != bars.marker.color[1]
    assert figure.layout.yaxis.ticktext[1] == "&lt;b&gt;x&lt;/b&gt;"


def column(values: tuple[object, ...], log: bool = False) -> Column:
    numeric = all(isinstance(value, float) for value in values)
    numbers = np.array(values, dtype=np.float64) if numeric else None
    return Column("beta", values, np.log10(numbers) if log and numbers is not None else numbers, log)


def test_a_slice_has_a_point_per_run_that_states_the_value_with_its_interval():
    points = [
        Point(run("a", beta=0.1), 0.7, Interval(0.65, 0.75)),
        Point(run("b", beta=0.2), 0.8, Interval(0.7, 0.85)),
        Point(run("c"), 0.9, None),
    ]
    (trace,) = go.Figure(slice_figure(column((0.1, 0.2), log=True), points, {}, "accuracy", True)).data
    assert list(trace.customdata) == ["a", "b"]
    assert np.allclose(trace.error_y.array, [0.05, 0.05])
    assert np.allclose(trace.error_y.arrayminus, [0.05, 0.1])


def test_error_bars_of_many_runs_are_left_out():
    points = [Point(run(str(n), beta=0.1), 0.7, Interval(0.6, 0.8)) for n in range(MOST_BARS + 1)]
    (trace,) = go.Figure(slice_figure(column((0.1,)), points, {}, "accuracy", True)).data
    assert trace.error_y.array is None


def test_the_line_of_an_effect_lies_below_the_points():
    four = np.arange(4.0)
    points = [Point(run("a", beta=1.0), 0.7, None)]
    figure = go.Figure(slice_figure(column((1.0,)), points, {}, "m", False, Line(four, four, four - 1, four + 1)))
    assert [trace.fill for trace in figure.data] == ["toself", None, None]
    assert figure.data[-1].mode == "markers"


def test_a_category_is_an_axis_of_words_shown_letter_for_letter():
    points = [Point(run("<i>a</i>", beta="<b>x"), 0.7, None)]
    figure = go.Figure(slice_figure(column(("<b>x",)), points, {}, "m", False))
    assert figure.layout.xaxis.type == "category"
    assert figure.data[0].x[0] == "&lt;b&gt;x"
    assert "<i>" not in figure.data[0].text[0]


def square(values: tuple[float, float, float, float]) -> dict[str, object]:
    places = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
    runs = tuple((run(str(n), x=x, y=y),) for n, (x, y) in enumerate(places))
    x = Column("x", tuple(a for a, _ in places), np.array([a for a, _ in places]), False)
    y = Column("y", tuple(b for _, b in places), np.array([b for _, b in places]), False)
    return surface_figure(surface(x, y, np.array(values), runs), "reward accuracy", True)


def test_measured_points_lie_over_contours_of_the_same_colours():
    figure = go.Figure(square((0.6, 0.7, 0.8, 0.9)))
    contour, beyond, outline, points = figure.data
    assert contour.coloraxis == points.marker.coloraxis == "coloraxis"
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0.6, 0.9)
    assert len(points.x) == 4
    assert (outline.x[0], outline.y[0]) == (outline.x[-1], outline.y[-1])
    assert contour.connectgaps is False
    assert beyond.fill == "toself"


def test_the_sheet_beyond_the_places_is_wider_than_they_are_and_has_them_as_its_hole():
    """The places span 0 to 1 on both axes: the frame goes from 2 * 0 - 1 = -1 to 2 * 1 - 0 = 2.

    Hole and frame turn in opposite ways, or the browser would fill the hole: areas 1 and -9 by the shoelace formula.
    """
    beyond = square((0.6, 0.7, 0.8, 0.9))["data"][1]
    gap = beyond["x"].index(None)
    frame, hole = (
        [*zip(beyond["x"][part], beyond["y"][part], strict=True)] for part in (slice(gap), slice(gap + 1, None))
    )
    assert {*frame} == {(-1, -1), (-1, 2), (2, 2), (2, -1)}
    assert {*hole} == {(0, 0), (1, 0), (0, 1), (1, 1)}
    assert [
        sum(x * below - across * y for (x, y), (across, below) in pairwise(ring)) / 2 for ring in (frame, hole)
    ] == [-9, 1]


@pytest.mark.parametrize("values", [(0.7, 0.7, 0.7, 0.7), (0.6, math.nan, math.nan, 0.8)])
def test_equal_and_missing_values_are_drawn_too(values):
    figure = go.Figure(square(values))
    assert figure.layout.coloraxis.cmin < figure.layout.coloraxis.cmax


def test_the_colour_reaches_beyond_the_places_by_one_step_of_the_grid():
    """Around the one known point of a 5 x 5 grid 8 become known, with its value; the 16 of the border stay empty."""
    z = np.full((5, 5), np.nan)
    z[2, 2] = 0.7
    spread = _spread(z)
    assert np.isfinite(spread).sum() == 9
    assert np.nanmin(spread) == np.nanmax(spread) == 0.7
