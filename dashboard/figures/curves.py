"""Metrics of several runs against step, epoch or time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from dashboard.analysis import comparability, curves
from dashboard.analysis.curves import Axis, Floats
from dashboard.figures import theme
from training.record.metrics import ACCURACY, CHOSEN, LOGPS_CHOSEN, LOGPS_REJECTED, LOSS, MARGIN, REJECTED, describe
from training.record.schema import History, Run, Series

Split = Literal["eval", "train"]
Unit = Literal["reward", "nats"]

X_TITLES: Mapping[Axis, str] = {"step": "optimizer step", "epoch": "epoch", "time": "minutes since the start"}


@dataclass(frozen=True)
class Panel:
    """One chart: its metrics (of both answers where there are two), and a heading."""

    id: str
    title: str
    metrics: tuple[str, ...]


PANELS = (
    Panel("rewards", "Chosen and rejected reward", (CHOSEN, REJECTED)),
    Panel("margin", "Reward margin", (MARGIN,)),
    Panel("accuracy", "Reward accuracy", (ACCURACY,)),
    Panel("loss", "Loss", (LOSS,)),
    Panel("logps", "Log-probability of chosen and rejected", (LOGPS_CHOSEN, LOGPS_REJECTED)),
)


@dataclass(frozen=True)
class Curve:
    """One run as it is to be drawn: `slot` is its position in the palette."""

    run: Run
    history: History
    slot: int


@dataclass(frozen=True)
class View:
    """How the curves are looked at; `smoothing` in [0, 1) is the share of the past."""

    split: Split = "eval"
    axis: Axis = "step"
    smoothing: float = 0.0
    unit: Unit = "reward"


def panel_figure(panel: Panel, drawn: Sequence[Curve], view: View) -> go.Figure:
    """The panel's metrics of all runs: solid for the first metric (chosen), dashed for the second (rejected)."""
    figure = theme.blank(X_TITLES[view.axis], _y_title(panel, view))
    for curve in drawn:
        for name, dash in zip(panel.metrics, ("solid", "dash"), strict=False):
            figure.add_traces(_traces(curve, name, dash, view))
    _reference(figure, panel, [curve.run for curve in drawn])
    if panel.id == "accuracy":
        figure.update_yaxes(tickformat=".0%")
    return figure


def _y_title(panel: Panel, view: View) -> str:
    if panel.metrics[0] in curves.REWARDS:
        return "reward / beta (nats)" if view.unit == "nats" else "reward (nats x beta)"
    unit = describe(panel.metrics[0]).unit
    label = "log-probability" if panel.id == "logps" else describe(panel.metrics[0]).label
    return f"{label} ({unit})" if unit else label


def _reference(figure: go.Figure, panel: Panel, runs: Iterable[Run]) -> None:
    if panel.id in ("rewards", "margin"):
        theme.reference_line(figure, 0, "reference model")
    if panel.id == "accuracy":
        theme.reference_line(figure, 0.5, "untrained: 50%")
    if panel.id == "loss" and {comparability.untrained_loss(run) for run in runs} == {comparability.UNTRAINED}:
        theme.reference_line(figure, comparability.UNTRAINED, "untrained: ln 2")


def _values(curve: Curve, name: str, view: View) -> tuple[Series, Floats] | None:
    series = curve.history.get(f"{view.split}/{name}")
    if series is None or not len(series):
        return None
    values: Floats | None = np.asarray(series.values, dtype=np.float64)
    if view.unit == "nats" and values is not None:
        values = curves.in_nats(name, values, curve.run)
    return None if values is None else (series, values)


def _traces(curve: Curve, name: str, dash: str, view: View) -> list[dict[str, Any]]:
    """The line; where it is smoothed, the logged line faint behind it."""
    found = _values(curve, name, view)
    if found is None:
        return []
    series, values = found
    x = curves.x_values(series, view.axis, curve.run.created)
    base = _style(curve, name, dash, few=len(values) <= 40 and view.split == "eval")
    if view.smoothing <= 0 or len(values) < 3:
        return [_thinned(base, x, values)]
    line = base["line"]
    raw = {**base, "mode": "lines", "opacity": 0.25, "hoverinfo": "skip", "line": {**line, "width": 1}}
    raw.pop("hovertemplate")
    return [_thinned(raw, x, values), _thinned(base, x, curves.smooth(values, view.smoothing))]


def _thinned(base: dict[str, Any], x: Floats, values: Floats) -> dict[str, Any]:
    """At most `curves.MOST_POINTS` points, as 32-bit floats: a screen shows no more, and half as much is sent."""
    kept = curves.thin(values)
    with np.errstate(over="ignore"):
        y = values[kept].astype(np.float32)
    return {**base, "x": x[kept].astype(np.float32), "y": np.where(np.isfinite(y), y, np.nan)}


def _style(curve: Curve, name: str, dash: str, few: bool) -> dict[str, Any]:
    colour = theme.colour(curve.slot)
    return {
        "type": "scatter",
        "mode": "lines+markers" if few else "lines",
        "name": theme.plain(f"{curve.run.name}: {describe(name).label}"),
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"color": colour, "size": 6, "symbol": theme.symbol(curve.slot)},
        "hovertemplate": "%{fullData.name}<br>%{y:.4~g} at %{x:.4~g}<extra></extra>",
    }
