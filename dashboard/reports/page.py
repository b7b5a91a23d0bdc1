"""The report as one HTML file that needs nothing else: charts included, opens without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from dashboard.analysis.numbers import one_line, visible
from dashboard.analysis.ranking import EVAL_ACCURACY
from dashboard.analysis.study import Study
from dashboard.figures import intervals, scatter, theme
from dashboard.figures.curves import PANELS, Curve, View, panel_figure
from dashboard.figures.intervals import Bar
from dashboard.reports import columns
from dashboard.reports.content import Content
from training.record.schema import History, Run

_TEMPLATE = Path(__file__).with_name("page.html")
_DRAWN = 12
"""Runs that are drawn one by one: the first in the report's order; more cannot be told apart."""

_MARKS = dict(zip(theme.SYMBOLS, "●■◆▲✖★", strict=True))


def render(content: Content, study: Study) -> str:
    """The page. Text from files is escaped by the template; nothing on the page asks for anything outside it."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    shown = columns.columns(content)
    runs = [replace(line.run, id=visible(line.run.id), name=one_line(line.run.name)) for line in content.lines]
    histories = [study[line.run.id].history for line in content.lines]
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        heading=columns.heading(content),
        legend=columns.legend(content, shown),
        verdict=content.verdict,
        columns=shown,
        rows=[(line.run.id == content.verdict.best, columns.cells(line, shown, content)) for line in content.lines],
        findings=content.findings,
        suggestions=content.suggestions,
        importance=content.importance,
        notes=content.notes,
        summaries=_summaries(content),
        scatter=_scatter(runs, content),
        curves=_curves(runs[:_DRAWN], histories),
        marks=[(run.name, theme.colour(place), _MARKS[theme.symbol(place)]) for place, run in enumerate(runs[:_DRAWN])],
        more=f"The first {_DRAWN} of {len(runs)} runs." if len(runs) > _DRAWN else "",
        plotly=get_plotlyjs(),
    )


def _shown(value: Any) -> Any:
    """Plain texts without control characters; what is HTML already stays."""
    return visible(value) if type(value) is str else value


def _summaries(content: Content) -> list[Mapping[str, Any]]:
    """The accuracies of the runs that the verdict compares, with their intervals."""
    bars = [
        Bar(one_line(line.run.name), line.metrics[EVAL_ACCURACY], line.interval, line.tied)
        for line in sorted(content.lines, key=lambda line: -line.metrics.get(EVAL_ACCURACY, -1.0))
        if line.run.id in content.compared and 0 <= line.metrics.get(EVAL_ACCURACY, -1.0) <= 1
    ]
    title = "Reward accuracy with its 95% interval; in blue, what is not told apart from the best"
    return [_chart(title, intervals.accuracy_intervals(bars))] if bars else []


def _scatter(runs: Sequence[Run], content: Content) -> list[Mapping[str, Any]]:
    """Loss against accuracy, of the runs that have a colour of their own."""
    slots = {run.id: place for place, run in enumerate(runs)}
    figure = scatter.loss_against_accuracy(runs[:_DRAWN], content.at, slots)
    return [_chart("Eval loss against reward accuracy", figure)] if figure.data else []


def _curves(runs: Sequence[Run], histories: Sequence[History]) -> list[Mapping[str, Any]]:
    """The metrics of the first runs over training, as far as their sources have curves."""
    drawn = [Curve(run, history, place) for place, (run, history) in enumerate(zip(runs, histories, strict=False))]
    figures = [(panel.title, panel_figure(panel, drawn, View())) for panel in PANELS]
    return [_chart(title, figure) for title, figure in figures if any(len(trace.x) > 1 for trace in figure.data)]


def _chart(title: str, figure: go.Figure) -> Mapping[str, Any]:
    if figure.layout.height is None:
        figure.update_layout(height=360)
    drawn = to_html(figure, config=dict(theme.CONFIG), include_plotlyjs=False, full_html=False)
    return {"title": title, "html": drawn, "height": figure.layout.height}
