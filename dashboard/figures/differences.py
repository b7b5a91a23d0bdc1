"""How far runs are from one of them, with 95% intervals: what crosses zero is not told apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.figures import theme
from dashboard.figures.intervals import short
from training.record.intervals import Interval


@dataclass(frozen=True)
class Row:
    """One run: its difference in accuracy from the baseline, as a share; `slot` is its position in the palette."""

    name: str
    slot: int
    difference: float
    interval: Interval | None


def height(rows: int) -> int:
    """Pixels that the figure needs."""
    return 84 + 34 * rows


def accuracy_differences(rows: Sequence[Row]) -> dict[str, Any]:
    """One line per run, in percentage points, the first on top."""
    traces = [_trace(place, row) for place, row in enumerate(rows)]
    ends = [0.0, *(row.difference for row in rows), *(end for row in rows for end in row.interval or ())]
    low, high = 100 * min(ends), 100 * max(ends)
    beside = max(1.0, 0.06 * (high - low))
    return theme.figure(
        traces,
        "accuracy, points above baseline",
        "",
        xaxis={"range": [low - beside, high + beside], "ticksuffix": "", "zeroline": False},
        yaxis={
            "tickvals": list(range(len(rows))),
            "ticktext": [theme.plain(name) for name in short([row.name for row in rows])],
            "range": [len(rows) - 0.4, -0.6],
            "showgrid": False,
        },
        shapes=[{"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "line": _ZERO}],
    )


_ZERO = {"dash": "dot", "width": 1, "color": theme.GREY}


def _trace(place: int, row: Row) -> dict[str, Any]:
    found = 100 * row.difference
    colour = theme.colour(row.slot)
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [found],
        "y": [place],
        "name": theme.plain(row.name),
        "marker": {"color": colour, "size": 10, "symbol": theme.symbol(row.slot)},
        "hovertemplate": "%{fullData.name}<br>%{x:+.1f} points<extra></extra>",
    }
    if row.interval:
        trace["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [100 * row.interval.high - found],
            "arrayminus": [found - 100 * row.interval.low],
            "color": colour,
            "thickness": 1.8,
            "width": 5,
        }
    return trace
