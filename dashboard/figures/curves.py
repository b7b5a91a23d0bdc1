"""Metrics of several runs against step, epoch or time, as figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.analysis import curves
from dashboard.analysis.bands import Points
from dashboard.analysis.curves import Floats
from dashboard.figures import curves_axes, curves_bands, theme
from dashboard.figures.curves_columns import listed, packed, plain
from dashboard.figures.curves_view import (
    FEW,
    PANELS,
    Curve,
    Entry,
    Line,
    Panel,
    Split,
    Unit,
    View,
    apart,
    key_of,
    lines,
    points,
    splits,
)
from training.record.metrics import describe

__all__ = ["PANELS", "Curve", "Drawing", "Entry", "Panel", "Split", "Unit", "View", "drawing", "panel_figure"]

_LOGGED = {"eval": "evaluation", "train": "training", "": ""}

FILLED = 4
"""Runs up to which the margin between chosen and rejected is shaded."""

MOST_IN_CHART = 18_000
"""Points of one chart, of which each of 100 lines gets 180: some 200 kB, and the browser draws them in 0.1 s."""

FEWEST_POINTS = 60

MARKED = 40
"""Points of an evaluation's line up to which each is marked."""


@dataclass(frozen=True)
class Drawing:
    """A figure as plain JSON values, which lines its traces are, and `notes` on what is not drawn."""

    figure: dict[str, Any]
    lines: dict[int, Line]
    notes: tuple[str, ...] = ()


def _in_window(found: Points, view: View) -> tuple[Floats, Floats]:
    if view.window is None:
        return found.x, found.y
    part = curves.window(found.x, *view.window)
    return found.x[part], found.y[part]


def drawing(one: Panel, entries: Sequence[Entry], view: View, static: bool = False) -> Drawing:
    """The panel of these entries. `static` is for pages of its own: names under the pointer, columns as arrays."""
    drawn = list(lines(one, entries, view))
    many = len(entries) > FEW
    most = share(len(drawn))
    traces = _bands(one, entries, view)
    by_trace: dict[int, Line] = {}
    lost = gaps = 0
    for line in drawn:
        found = points(line.curve, line.key, view, smoothed=not line.raw)
        if found is None:
            continue
        lost, gaps = lost + found[1], gaps + bool(found[1])
        trace = _trace(line, *_in_window(found[0], view), most, view, many) | _words(one, line, static)
        if len(entries) <= theme.LOOKS and not (line.raw or line.faint or "marker" in trace):
            trace |= theme.along(line.curve.slot)
        if len(entries) <= FILLED and _follows(by_trace.get(len(traces) - 1), line) and _whole(traces[-1], trace):
            trace |= {"fill": "tonexty", "fillcolor": f"{theme.colour(line.curve.slot)}1c"}
        by_trace[len(traces)] = line
        traces.append(trace)
    layout = curves_axes.layout(one, [curve for entry in entries for curve in entry.curves], view)
    notes = [f"Log scale: {lost:,} values of {gaps:,} lines are zero or below and left out."] if lost else []
    kinds = splits(one, entries, view.split)
    if kinds and kinds[-1] and view.split not in ("both", *kinds):
        notes.append(f"Logged in {_LOGGED[kinds[-1]]} only.")
    if not static:
        layout["hovermode"] = False
    traces = [_encoded(trace, by_trace.get(place), static) for place, trace in enumerate(traces)]
    figure = theme.figure(traces, curves_axes.X_TITLES[view.axis], curves_axes.y_title(one, view), **layout)
    return Drawing(figure, by_trace, tuple(notes))


def share(count: int) -> int:
    """How many points each of so many lines may have."""
    return min(curves.MOST_POINTS, max(FEWEST_POINTS, MOST_IN_CHART // max(1, count)))


def panel_figure(one: Panel, drawn: Sequence[Curve], view: View) -> go.Figure:
    """The panel's metrics of all runs: solid for the first metric (chosen), dashed for the second (rejected)."""
    return go.Figure(drawing(one, [Entry(curve.run.name, (curve,)) for curve in drawn], view, static=True).figure)


def _trace(line: Line, x: Floats, y: Floats, most: int, view: View, many: bool) -> dict[str, Any]:
    colour = theme.colour(line.curve.slot)
    kept = curves.thin(y, most, np.log(x) if view.log_x else None)
    marked = line.key.startswith("eval/") and len(y) <= MARKED and not many and not line.raw
    width = 1 if line.faint or line.raw else 1.4 if many else 2
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers" if marked else "markers" if len(y) == 1 else "lines",
        "x": x[kept],
        "y": y[kept],
        "line": {"color": colour, "width": width, "dash": ("solid", "dash")[line.place]},
    }
    if marked or len(y) == 1:
        trace["marker"] = {"color": colour, "size": 6, "symbol": theme.symbol(line.curve.slot)}
    return trace | ({"opacity": 0.25} if line.raw else {"opacity": 0.45} if line.faint else {})


def _words(one: Panel, line: Line, static: bool) -> dict[str, Any]:
    """How a trace is known: by its name under plotly's pointer, or to assets/page-curves-*.js."""
    metric = describe(one.metrics[line.place])
    if static:
        name = {"name": theme.plain(f"{line.curve.run.name}: {metric.label}")}
        if line.raw:
            return {**name, "hoverinfo": "skip"}
        return {**name, "hovertemplate": "%{fullData.name}<br>%{y:.4~g} at %{x:.4~g}<extra></extra>"}
    part = ("chosen", "rejected")[line.place] if len(one.metrics) > 1 else ""
    words = " ".join(filter(None, (part, "(training)" if line.faint else "")))
    role = "raw" if line.raw else "behind" if line.faint else "line"
    uid = f"{line.curve.slot}-{line.place}-{role}-{line.key.partition('/')[0][:5]}"
    return {"uid": uid, "meta": {"run": line.curve.run.id, "part": words, "role": role}}


def _follows(before: Line | None, line: Line) -> bool:
    """Whether the two are chosen and rejected of one run, so that what lies between them is its margin."""
    same = (
        before is not None and before.curve is line.curve and before.key.partition("/")[0] == line.key.partition("/")[0]
    )
    return same and line.place == 1 and not line.raw and not line.faint


def _whole(*traces: Mapping[str, Any]) -> bool:
    """Whether no line has a gap, across which plotly would shade at random."""
    return all(np.isfinite(trace["y"]).all() for trace in traces)


def _bands(one: Panel, entries: Sequence[Entry], view: View) -> list[dict[str, Any]]:
    """Mean and range of seeds, and the quantiles of the crowd."""
    traces: list[dict[str, Any]] = []
    for kind in splits(one, entries, view.split)[-1:]:
        for place, name in enumerate(one.metrics):
            key, part = key_of(kind, name), ("chosen", "rejected")[place] if len(one.metrics) > 1 else ""

            def values(some: Sequence[Curve], key: str = key) -> list[Points]:
                return [found[0] for curve in some if (found := points(curve, key, view))]

            if view.crowd:
                crowd = values([curve for entry in entries for curve in entry.curves])
                traces += curves_bands.of_crowd(crowd, part, place, view.window)
            for entry in entries:
                if len(entry.curves) > 1 and apart(entry, view):
                    traces += curves_bands.of_seeds(
                        values(entry.curves), entry.id, entry.slot, part, place, view.window
                    )
    return traces


def _encoded(trace: dict[str, Any], line: Line | None, static: bool) -> dict[str, Any]:
    columns: Callable[[Floats], Any] = listed if line is not None and line.live else packed
    columns = plain if static else columns
    return {**trace, "x": columns(trace["x"]), "y": columns(trace["y"])}
