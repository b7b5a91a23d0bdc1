"""Loss against accuracy: points, error bars, front."""

import plotly.graph_objects as go
import pytest

from dashboard.figures import theme
from dashboard.figures.scatter import MOST_BARS, Point, loss_against_accuracy
from training.record.intervals import Interval


def drawn(points, **options) -> go.Figure:
    """The figure, checked by plotly."""
    return go.Figure(loss_against_accuracy(points, "eval loss", **options))


def test_a_thousand_runs_are_no_more_traces_than_there_are_looks():
    figure = drawn([Point(str(i), str(i), i, 0.5, 0.8) for i in range(1_000)])
    assert len(figure.data) == 36
    assert sum(len(trace.x) for trace in figure.data) == 1_000


def test_error_bars_are_the_intervals_on_both_axes_and_left_out_where_none_is_known():
    point = Point("a", "a", 0, 0.5, 0.84, Interval(0.45, 0.57), Interval(0.81, 0.86))
    (trace,) = drawn([point, Point("b", "b", 36, 0.6, 0.8)]).data
    assert trace.error_x.array[0] == pytest.approx(0.07)
    assert trace.error_x.arrayminus[0] == pytest.approx(0.05)
    assert trace.error_y.array[0] == pytest.approx(0.02)
    assert trace.error_y.arrayminus[0] == pytest.approx(0.03)
    assert trace.error_y.array[1] is None
    assert trace.customdata == ("a", "b")
    many = [point] * (MOST_BARS + 1)
    assert all(trace.error_y.array is None for trace in drawn(many).data)


def test_the_front_is_a_step_line_of_the_runs_that_no_other_beats():
    points = [Point(n, n, 0, x, y) for n, x, y in (("a", 0.4, 0.7), ("b", 0.5, 0.6), ("c", 0.6, 0.9))]
    line = drawn(points, front=points).data[0]
    assert (list(line.x), list(line.y), line.line.shape) == ([0.4, 0.6], [0.7, 0.9], "hv")
    assert len(drawn(points).data) == 1


def test_a_name_is_plain_text():
    (trace,) = drawn([Point("a", '<b>x</b><a href="https://evil.example">', 0, 0.5, 0.8)]).data
    assert trace.text[0].startswith("&lt;b&gt;x&lt;/b&gt;")


def test_the_untrained_loss_is_a_line_where_it_is_known():
    figure = drawn([Point("a", "a", 0, 0.5, 0.8)], untrained=0.693147)
    assert [shape.x0 for shape in figure.layout.shapes] == [0.693147]
    assert figure.layout.annotations[0].text == "untrained: 0.693"
    assert figure.layout.annotations[0].font.color == theme.GREY
    assert not drawn([]).layout.shapes
