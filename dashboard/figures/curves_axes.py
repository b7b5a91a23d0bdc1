"""The axes of a chart of curves: titles, scales, range, and the lines of values that mean something."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.analysis import curves, logged
from dashboard.analysis.curves import Axis
from dashboard.analysis.study import Evidence
from dashboard.figures import theme
from dashboard.figures.curves_view import Curve, Panel, View
from training.record.metrics import describe

X_TITLES: Mapping[Axis, str] = {"step": "optimizer step", "epoch": "epoch", "time": "minutes since the start"}


def layout(one: Panel, drawn: Sequence[Curve], view: View) -> dict[str, Any]:
    """Both axes and the reference lines, as `theme.figure` takes them."""
    x_axis: dict[str, Any] = {"type": "log"} if view.log_x else {}
    y_axis: dict[str, Any] = {"type": "log"} if view.log_y else {}
    if view.window is not None:
        x_axis["range"] = [math.log10(max(end, 1e-9)) if view.log_x else end for end in view.window]
    if one.id == "accuracy":
        y_axis["tickformat"] = ".0%"
    found = [line for line in _references(one, drawn, view) if line[0] > 0 or not view.log_y]
    style = {"dash": "dot", "width": 1, "color": theme.GREY}
    across = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "line": style}
    at = {"x": 1, "xref": "paper", "xanchor": "right", "yref": "y", "yanchor": "bottom", "showarrow": False}
    text = {**at, "font": {"size": 11, "color": theme.GREY}}
    return {
        "xaxis": x_axis,
        "yaxis": y_axis,
        "shapes": [{**across, "y0": y, "y1": y} for y, _ in found],
        "annotations": [{**text, "y": math.log10(y) if view.log_y else y, "text": words} for y, words in found],
    }


def _references(one: Panel, drawn: Sequence[Curve], view: View) -> list[tuple[float, str]]:
    """What a value means: 0 and a half are the untrained model's, ln 2 its loss where all runs began there."""
    if one.id in ("rewards", "margin"):
        return [(0.0, "reference model")]
    if one.id == "accuracy":
        return [(0.5, "untrained: 50%")]
    if one.id != "loss" or not drawn:
        return []
    due = {logged.untrained(Evidence(curve.run, curve.history)) for curve in drawn if curve.history}
    value = due.pop() if len(due) == 1 else None
    if value is None:
        return []
    return [(value, "untrained: ln 2" if value == math.log(2) else f"untrained: {value:.4g}")]


def y_title(one: Panel, view: View) -> str:
    """The metric with its unit."""
    if one.metrics[0] in curves.REWARDS:
        return "reward / beta (nats)" if view.unit == "nats" else "reward (nats × beta)"
    metric = describe(one.metrics[0])
    label = "log-probability" if one.id == "logps" else theme.plain(metric.label)
    return f"{label} ({metric.unit})" if metric.unit else label
