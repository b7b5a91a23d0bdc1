"""One hyper-parameter against the metric: a point per run, and the line of its effect where one is proven."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.analysis.hyperparameters import Column, text, value_of
from dashboard.analysis.numbers import setting
from dashboard.analysis.surface import Line
from dashboard.figures import theme
from dashboard.figures.parallel import plotly_axis
from training.record.intervals import Interval
from training.record.schema import Run

MOST_BARS = 60
"""Runs up to which each has its error bar: of more of them the bars hide the points."""


@dataclass(frozen=True)
class Point:
    """One run: the metric's value, with its interval where that is known."""

    run: Run
    value: float
    interval: Interval | None


def slice_figure(
    column: Column,
    points: Sequence[Point],
    slots: Mapping[str, int],
    y_title: str,
    share: bool,
    line: Line | None = None,
) -> dict[str, Any]:
    """Points of the runs that state the hyper-parameter; `share` says that the metric is one in [0, 1]."""
    drawn = [point for point in points if value_of(point.run, column.key) is not None]
    numeric = column.numbers is not None
    xs = [value_of(point.run, column.key) for point in drawn]
    form = ".1%" if share else ".4f"
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [float(x) for x in xs] if numeric else [_short(x) for x in xs],
        "y": [point.value for point in drawn],
        "customdata": [point.run.id for point in drawn],
        "text": [
            f"{theme.plain(point.run.name)}<br>{theme.plain(setting(x))}" for point, x in zip(drawn, xs, strict=True)
        ],
        "marker": {
            "color": [theme.colour(slots.get(point.run.id, 0)) for point in drawn],
            "symbol": [theme.symbol(slots.get(point.run.id, 0)) for point in drawn],
            "size": 8 if len(drawn) <= 200 else 5,
            "opacity": 0.9 if len(drawn) <= 200 else 0.6,
        },
        "hovertemplate": f"%{{text}}: %{{y:{form}}}<extra></extra>",
    }
    if len(drawn) <= MOST_BARS and any(point.interval for point in drawn):
        trace["error_y"] = _bars(drawn)
    traces = [*(_band(line) if line else []), trace]
    x_axis: dict[str, Any] = {"type": "category", "categoryorder": "category ascending", "fixedrange": True}
    if numeric:
        x_axis = plotly_axis([float(x) for x in xs], column.log)
    y_axis = {"fixedrange": True, "nticks": 5, **({"tickformat": ".0%"} if share else {})}
    return theme.figure(traces, "", y_title, xaxis=x_axis, yaxis=y_axis, margin={"l": 44, "r": 10, "t": 6, "b": 26})


def _short(value: Any) -> str:
    return theme.plain(setting(text(value)))[:24]


def _bars(drawn: Sequence[Point]) -> dict[str, Any]:
    spans = [point.interval or Interval(point.value, point.value) for point in drawn]
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, span.high - point.value) for span, point in zip(spans, drawn, strict=True)],
        "arrayminus": [max(0.0, point.value - span.low) for span, point in zip(spans, drawn, strict=True)],
        "color": theme.GREY,
        "thickness": 1,
        "width": 2,
    }


def _band(line: Line) -> list[dict[str, Any]]:
    """The line of the effect over its 95% band."""
    across = np.concatenate([line.x, line.x[::-1]])
    around = np.concatenate([line.high, line.low[::-1]])
    quiet = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
    fill = "rgba(128,128,128,0.22)"
    band = {"x": theme.packed(across), "y": theme.packed(around), "fill": "toself", "fillcolor": fill}
    shown = {"x": theme.packed(line.x), "y": theme.packed(line.y), "line": {"color": theme.GREY, "width": 2}}
    return [{**quiet, **band, "line": {"width": 0}}, {**quiet, **shown}]
