"""What the log of a foreign run does not hold: one card in place of many empty ones."""

from collections.abc import Mapping
from typing import Any

from dash import html

from dashboard.components import layout as parts
from dashboard.components.run.view import View, elsewhere
from dashboard.figures.run_curves import SYSTEM, has_points

REASONS: Mapping[str, tuple[str, str]] = {
    "curves": ("Curves", "only the last value of each metric is known"),
    "samples": ("Samples", "answers of base and policy are recorded by training.run alone"),
    "checkpoints": ("Checkpoints", "they are where the run was trained"),
    "setup": ("Configuration", "no argument was logged"),
    "data": ("Data", "neither the data set nor its size was logged"),
    "environment": ("Environment", "neither packages nor the machine were logged"),
    "system": ("System use", "neither load nor memory nor tokens per second were logged"),
    "files": ("Files", "the run has no folder here"),
}


def absent(view: View) -> frozenset[str]:
    """The cards that a run without a folder here has nothing for; none of one that has a folder."""
    if view.folder is not None:
        return frozenset()
    there = {
        "curves": bool(view.history),
        "setup": bool(view.run.config),
        "data": bool(view.run.data),
        "environment": bool(view.run.environment),
        "system": any(has_points(chart, view.history) for chart in SYSTEM),
    }
    return frozenset(name for name in REASONS if not there.get(name, False))


def card(view: View, names: frozenset[str]) -> list[Any]:
    """What is missing and why; nothing if nothing is."""
    if not names:
        return []
    rows = [
        html.Li([html.Span(title, className="run-missing"), reason])
        for name, (title, reason) in REASONS.items()
        if name in names
    ]
    about = html.P(elsewhere(view.run), className="chart-note")
    return [
        parts.card("Not in this log", [about, html.Ul(rows, className="run-missing-list")], className="run-section")
    ]
