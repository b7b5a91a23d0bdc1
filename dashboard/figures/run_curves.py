"""The charts of one run: small, and made so that new points are added without drawing anything again."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.analysis import curves
from dashboard.figures import theme
from training.record.metrics import ACCURACY, CHOSEN, LOSS, REJECTED, describe
from training.record.schema import History, Series

Drawn = Mapping[str, Sequence[int]]
"""Metric key -> how many of its points have been sent, and the step of the last one."""

MOST_DRAWN = 3 * curves.MOST_POINTS
"""Points of a line that grows; a longer one is thinned again."""


@dataclass(frozen=True)
class Line:
    """One metric in a chart.

    `faint` lines stay behind the others, if these have points; `fills` shades up to the line before.
    """

    key: str
    dash: str = "solid"
    faint: bool = False
    fills: bool = False


@dataclass(frozen=True)
class Chart:
    """One chart: `unit` is its y title, `mark` a value that means something and the words for it."""

    id: str
    title: str
    lines: tuple[Line, ...]
    unit: str
    percent: bool = False
    mark: tuple[float, str] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(line.key for line in self.lines)


def learning(untrained: float | None) -> tuple[Chart, ...]:
    """Rewards with the margin between them, accuracy, and loss with that of the `untrained` model, where it is known.

    What was evaluated stands in front, what was logged in training behind.
    """
    rewards = (
        Line(f"train/{CHOSEN}", faint=True),
        Line(f"train/{REJECTED}", "dash", faint=True),
        Line(f"eval/{CHOSEN}"),
        Line(f"eval/{REJECTED}", "dash", fills=True),
    )
    shares = (Line(f"train/{ACCURACY}", faint=True), Line(f"eval/{ACCURACY}"))
    losses = (Line(f"train/{LOSS}", faint=True), Line(f"eval/{LOSS}"))
    loss_mark = None if untrained is None else (untrained, f"untrained: {untrained:.4g}")
    return (
        Chart("rewards", "Chosen and rejected reward", rewards, "reward (nats × beta)", mark=(0, "reference model")),
        Chart("accuracy", "Reward accuracy", shares, "reward accuracy", percent=True, mark=(0.5, "untrained: 50%")),
        Chart("loss", "Loss", losses, "loss (nats)", mark=loss_mark),
    )


SYSTEM = (
    Chart("load", "Processor and GPU load", (Line("system/cpu"), Line("system/gpu", "dash")), "load (%)"),
    Chart("memory", "Memory", (Line("system/memory"), Line("system/gpu_memory", "dash")), "GB"),
    Chart("speed", "Tokens per second", (Line("train/tokens_per_second"),), "tokens/s"),
)


def has_points(chart: Chart, history: History) -> bool:
    """Whether any line of the chart was logged."""
    return any(len(history.get(key, ())) for key in chart.keys)


def figure(chart: Chart, history: History, slot: int) -> dict[str, Any]:
    """The chart as plain JSON values: one trace per line, empty ones too, so that each keeps its place.

    Without any point it has no axes, which would show numbers that nobody measured.
    """
    behind = any(len(history.get(line.key, ())) > 1 for line in chart.lines if not line.faint)
    traces = [_trace(line, history.get(line.key, Series()), slot, behind and line.faint) for line in chart.lines]
    layout: dict[str, Any] = {"margin": {"l": 52, "r": 10, "t": 8, "b": 36}}
    if not has_points(chart, history):
        bare = {"visible": False}
        return theme.figure(traces, "", "", **layout, xaxis=bare, yaxis=bare, annotations=[_NONE_YET])
    layout |= _mark(chart)
    if chart.percent:
        layout["yaxis"] = {"tickformat": ".0%"}
    return theme.figure(traces, "optimizer step", chart.unit, **layout)


def _trace(line: Line, series: Series, slot: int, faint: bool) -> dict[str, Any]:
    colour = theme.colour(slot)
    split, name = line.key.split("/", 1)
    values = np.asarray(series.values, dtype=np.float64)
    kept = curves.thin(values)
    few = split == "eval" and len(values) <= 40
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers" if few else "lines",
        "name": describe(line.key).label
        if split == "system"
        else f"{_SPLITS.get(split, split)} {describe(name).label}",
        "x": np.asarray(series.steps, dtype=np.int64)[kept].tolist(),
        "y": [_finite(value) for value in values[kept].tolist()],
        "line": {"color": colour, "width": 1 if faint else 2, "dash": line.dash},
        "marker": {"color": colour, "size": 6, "symbol": theme.symbol(slot)},
        "opacity": 0.45 if faint else 1,
        "hovertemplate": "%{fullData.name}<br>%{y:.4~g} at step %{x:,}<extra></extra>",
    }
    return {**trace, "fill": "tonexty", "fillcolor": f"{colour}22"} if line.fills else trace


_SPLITS = {"eval": "evaluation:", "train": "training:"}


def _finite(value: float) -> float | None:
    """A gap where a value is no number: what has diverged is named by the findings."""
    return value if math.isfinite(value) else None


_NONE_YET = {
    "text": "no points yet",
    "x": 0.5,
    "y": 0.5,
    "xref": "paper",
    "yref": "paper",
    "showarrow": False,
    "font": {"color": theme.GREY},
}


def _mark(chart: Chart) -> dict[str, Any]:
    """A dotted line across the chart, with its words at the right end."""
    if chart.mark is None:
        return {}
    y, words = chart.mark
    line = {"dash": "dot", "width": 1, "color": theme.GREY}
    across = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": y, "y1": y, "line": line}
    text = {"x": 1, "xref": "paper", "xanchor": "right", "y": y, "yref": "y", "yanchor": "bottom", "showarrow": False}
    return {"shapes": [across], "annotations": [{**text, "text": words, "font": {"size": 11, "color": theme.GREY}}]}


def sent(charts: Sequence[Chart], history: History) -> dict[str, list[int]]:
    """What a browser has once it was sent `figure` of these charts."""
    found = {key: history.get(key, Series()) for chart in charts for key in chart.keys}
    return {key: [len(series), series.steps[-1] if len(series) else -1] for key, series in found.items()}


def began(chart: Chart, drawn: Any) -> bool:
    """Whether the browser, by what it says that it has, shows any point of the chart."""
    return isinstance(drawn, dict) and any(drawn.get(key) not in (None, [0, -1]) for key in chart.keys)


def news(chart: Chart, history: History, drawn: Any) -> list[Any] | None:
    """The points to add, as `dcc.Graph.extendData`; empty if nothing is new; None if it must be drawn again.

    That is where a resumed run has replaced points, a line has become too long, or `drawn`, what the browser says that
    it has, is not as `sent` says it.
    """
    xs: list[list[int]] = []
    ys: list[list[float | None]] = []
    places: list[int] = []
    for place, key in enumerate(chart.keys):
        series, known = history.get(key, Series()), drawn.get(key) if isinstance(drawn, dict) else None
        if not (isinstance(known, list) and len(known) == 2 and all(type(part) is int for part in known)):
            return None
        count, last = known
        if count < 0 or count > len(series) or (count and series.steps[count - 1] != last):
            return None
        if count < len(series):
            if len(series) > MOST_DRAWN and len(series) // MOST_DRAWN > count // MOST_DRAWN:
                return None
            places.append(place)
            xs.append(list(series.steps[count:]))
            ys.append([_finite(value) for value in series.values[count:]])
    return [{"x": xs, "y": ys}, places] if places else []
