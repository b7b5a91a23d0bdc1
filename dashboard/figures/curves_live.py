"""What is new in charts of curves: which must be drawn again, and the points that running runs have added."""

import hashlib
from collections.abc import Sequence
from typing import Any

from dashboard.analysis import curves
from dashboard.figures.curves import MARKED, Drawing, share
from dashboard.figures.curves_columns import listed
from dashboard.figures.curves_view import Entry, Line, Panel, View, lines, points, splits
from training.record.schema import Series


def stamp(one: Panel, entries: Sequence[Entry], view: View) -> dict[str, str]:
    """What is to be seen: the `frame`, which are the axes, and the `data` in it but for what running runs add."""
    frame = (one.id, splits(one, entries, view.split), view.axis, view.unit, view.log_x, view.log_y)
    drawn = [
        (line.curve.run.id, line.curve.slot, line.key, line.raw, _few(line) if line.live else _span(line))
        for line in lines(one, entries, view)
    ]
    merged = [
        [(curve.run.id, key, curves.span(series)) for curve in entry.curves for key, series in curve.history.items()]
        for entry in entries
        if len(entry.curves) > 1 or view.crowd
    ]
    looks = (view.smoothing, view.window, view.crowd, len(entries), drawn, merged)
    return {"frame": repr(frame), "data": hashlib.sha1(repr(looks).encode(), usedforsecurity=False).hexdigest()}


def _few(line: Line) -> bool:
    """Whether a growing line still has its points marked: one that has grown beyond that is drawn again without."""
    return len(line.curve.history.get(line.key, Series())) <= MARKED


def _span(line: Line) -> tuple[int, int, Any]:
    return curves.span(line.curve.history.get(line.key, Series()))


def sent(found: Drawing) -> list[list[int]]:
    """Per line of a running run: its trace, how many points there were, the last one's step, how many were sent."""
    made = []
    for place, line in found.lines.items():
        if line.live:
            series = line.curve.history[line.key]
            made.append([place, len(series), series.steps[-1], len(found.figure["data"][place]["x"])])
    return made


News = tuple[list[Any], list[list[int]]]
"""`dcc.Graph.extendData`, empty if there are no points to add, and what the browser has then, as `sent` says it."""


def news(one: Panel, entries: Sequence[Entry], view: View, known: Any) -> News | None:
    """What the running runs of a panel have added to `known`, which `sent` once said; None if it must be drawn again.

    That is where a resumed run has replaced points, a line has grown beyond twice its share of points, or `known`,
    which comes from the browser, is not as it was sent.
    """
    drawn = list(lines(one, entries, view))
    live = [line for line in drawn if line.live]
    if not isinstance(known, list) or len(known) != len(live):
        return None
    places, xs, ys, now = [], [], [], []
    for line, has in zip(live, known, strict=True):
        if not _goes_on(line, has):
            return None
        x, y = _added(line, has[2], view) if has[1] < len(line.curve.history[line.key]) else ([], [])
        if has[3] + len(x) > 2 * share(len(drawn)):
            return None
        series = line.curve.history[line.key]
        now.append([has[0], len(series), series.steps[-1], has[3] + len(x)])
        if x:
            places.append(has[0])
            xs.append(x)
            ys.append(y)
    return ([{"x": xs, "y": ys}, places] if places else []), now


def _goes_on(line: Line, has: Any) -> bool:
    """Whether the line as it is begins with what the browser has of it."""
    if not (isinstance(has, list) and len(has) == 4 and all(type(part) is int and part >= 0 for part in has)):
        return False
    series = line.curve.history[line.key]
    return bool(0 < has[1] <= len(series) and series.steps[has[1] - 1] == has[2])


def _added(line: Line, last: int, view: View) -> tuple[list[float | None], list[float | None]]:
    """The points after a step; what lies beyond the window is not sent."""
    found = points(line.curve, line.key, view, smoothed=not line.raw)
    if found is None:
        return [], []
    fresh = found[0].steps > last
    if view.window is not None:
        fresh &= found[0].x <= view.window[1]
    return listed(found[0].x[fresh]), listed(found[0].y[fresh])
