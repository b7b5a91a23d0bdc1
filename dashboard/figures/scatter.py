"""A loss against reward accuracy: are the runs with the lowest loss the most accurate ones?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.analysis import pareto
from dashboard.figures import theme
from training.record.intervals import Interval

MOST_BARS = 200
"""Points that have error bars: those of more runs cover each other."""


@dataclass(frozen=True)
class Point:
    """A run: its loss in nats and its reward accuracy, each with its 95% interval where that is known.

    `slot` is its position in the palette; `ranked` is False for a run that is still running, or has failed.
    """

    id: str
    name: str
    slot: int
    loss: float
    accuracy: float
    loss_interval: Interval | None = None
    accuracy_interval: Interval | None = None
    ranked: bool = True


def loss_against_accuracy(
    points: Sequence[Point], loss: str, front: Sequence[Point] = (), untrained: float | None = None
) -> dict[str, Any]:
    """One point per run; runs of one colour and marker are one trace.

    `front` are the runs among which the Pareto front is drawn, `untrained` the loss in nats that all had before
    training; `loss` is the metric in words.
    """
    looks: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        looks.setdefault((theme.colour(point.slot), theme.symbol(point.slot)), []).append(point)
    bars = len(points) <= MOST_BARS
    traces = [*_front(front), *(_trace(*look, members, bars) for look, members in looks.items())]
    return theme.figure(
        traces,
        f"{loss} (nats)",
        "reward accuracy",
        xaxis={"visible": bool(points)},
        yaxis={"tickformat": ".0%", "visible": bool(points)},
        **(_line(untrained) if untrained is not None else {}),
    )


def _trace(colour: str, symbol: str, points: Sequence[Point], bars: bool) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [point.loss for point in points],
        "y": [point.accuracy for point in points],
        "text": [theme.plain(point.name) for point in points],
        "customdata": [point.id for point in points],
        "marker": {
            "color": colour,
            "size": 10,
            "symbol": symbol,
            "opacity": [1 if point.ranked else 0.45 for point in points],
        },
        "unselected": {"marker": {"opacity": 0.18}},
        "hovertemplate": "%{text}<br>loss %{x:.4f}, accuracy %{y:.1%}<extra></extra>",
    }
    if bars:
        trace |= {
            "error_x": _bars([(point.loss, point.loss_interval) for point in points], colour),
            "error_y": _bars([(point.accuracy, point.accuracy_interval) for point in points], colour),
        }
    return trace


def _bars(known: Sequence[tuple[float, Interval | None]], colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [interval.high - value if interval else None for value, interval in known],
        "arrayminus": [value - interval.low if interval else None for value, interval in known],
        "color": colour,
        "thickness": 1,
        "width": 2,
    }


def _front(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The step line below and right of which every run is beaten in one of the two and not better in the other."""
    best = [points[place] for place in pareto.front([(point.loss, point.accuracy) for point in points])]
    if len(best) < 2:
        return []
    line = {"color": theme.GREY, "width": 2, "shape": "hv"}
    x, y = [point.loss for point in best], [point.accuracy for point in best]
    return [{"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "hoverinfo": "skip"}]


def _line(untrained: float) -> dict[str, Any]:
    style = {"dash": "dot", "width": 1, "color": theme.GREY}
    line = {"type": "line", "x0": untrained, "x1": untrained, "y0": 0, "y1": 1, "yref": "paper", "line": style}
    words = {
        "text": f"untrained: {untrained:.3f}",
        "x": untrained,
        "y": 0,
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 11, "color": theme.GREY},
    }
    return {"shapes": [line], "annotations": [words]}
