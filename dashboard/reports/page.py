"""The report as one HTML file that needs nothing else: charts included, opens without a network."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.io import to_html

from dashboard.analysis import comparability, ranking
from dashboard.analysis.numbers import visible
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.study import Study
from dashboard.figures import intervals, scatter, theme
from dashboard.figures.curves import panel_figure
from dashboard.figures.curves_view import PANELS, Curve, Panel, Split, View
from dashboard.figures.intervals import Bar
from dashboard.figures.scatter import Point
from dashboard.reports import columns
from dashboard.reports.content import Content, parts
from training.record.schema import History, Run

_TEMPLATE = Path(__file__).with_name("page.html")
_CURVES = 12
"""Runs whose curves are drawn: the first in the report's order; more cannot be followed."""

_POINTS = len(theme.PALETTE) * len(theme.SYMBOLS)
"""Runs that are drawn as points: as many as there are marks."""

_NAMED = 48
"""Letters of a name beside a chart."""

_NEAR = 0.6
"""Share of the untrained loss that a run must reach for that loss to be drawn: a far line would flatten the rest."""

_MARKS = dict(zip(theme.SYMBOLS, "●■◆▲✖★", strict=True))
_PAIRS: Mapping[Split, str] = {"eval": "evaluation", "train": "training"}


def render(content: Content, study: Study) -> str:
    """The page. Text from files is escaped by the template; nothing on the page asks for anything outside it."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters |= {"said": partial(_said, names=content.spoken), "breakable": _breakable}
    shown = columns.columns(content)
    histories = [study[line.run.id].history for line in content.lines]
    names = intervals.short([visible(line.run.name) for line in content.lines], _NAMED)
    runs = [
        replace(line.run, id=visible(line.run.id), name=name) for line, name in zip(content.lines, names, strict=True)
    ]
    curves, split = _curves(runs[:_CURVES], histories)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        heading=columns.heading(content),
        legend=columns.legend(content, shown),
        verdict=content.verdict,
        columns=shown,
        blocks=[
            (title, [(line.run.id == content.verdict.best, columns.cells(line, shown, content)) for line in lines])
            for title, lines in content.blocks
        ],
        findings=content.findings,
        suggestions=content.suggestions,
        importance=content.importance,
        notes=content.notes,
        summaries=_summaries(content),
        scatter=_scatter(runs[:_POINTS], content),
        curves=curves,
        pairs=_PAIRS[split],
        two_lines=any(len(chart["lines"]) > 1 for chart in curves),
        pointed=_marked(runs, _POINTS),
        followed=_marked(runs, _CURVES),
        plotly=theme.PLOTLYJS.read_text(encoding="utf-8"),
    )


def _shown(value: Any) -> Any:
    """Plain texts without control characters; what is HTML already stays."""
    return visible(value) if type(value) is str else value


def _said(text: str, names: Collection[str]) -> Markup:
    """A sentence in which names keep their own direction: what follows an Arabic name is not turned around."""
    return Markup("").join(
        Markup("<bdi>{}</bdi>").format(part) if theirs else part for part, theirs in parts(text, names)
    )


def _breakable(text: str) -> Markup:
    """A long word may be broken behind _ and /."""
    return Markup("").join(
        Markup("{}<wbr>").format(part) if part[-1:] in ("_", "/") else part
        for part in re.split(r"(?<=[_/])", visible(text))
    )


def _marked(runs: Sequence[Run], most: int) -> Mapping[str, Any]:
    """The names of the runs that are drawn, with colour and mark, and how many are not."""
    marks = [(run.name, theme.colour(place), _MARKS[theme.symbol(place)]) for place, run in enumerate(runs[:most])]
    return {"marks": marks, "more": f"The first {most} of {len(runs)} runs." if len(runs) > most else ""}


def _summaries(content: Content) -> list[Mapping[str, Any]]:
    """The accuracies of the runs that the verdict compares, with their intervals, if there are several."""
    lines = [
        line
        for line in sorted(content.lines, key=lambda line: -line.metrics.get(EVAL_ACCURACY, -1.0))
        if line.run.id in content.compared and 0 <= line.metrics.get(EVAL_ACCURACY, -1.0) <= 1
    ]
    if len(lines) < 2:
        return []
    sure, best = any(line.interval for line in lines), any(line.tied for line in lines)
    title = "Reward accuracy" + (" with its 95% interval" if sure else "; of how many pairs the source does not say")
    if sure and best:
        title += "; in blue, what is not told apart from the best, in grey the others"
    bars = [
        Bar(visible(line.run.name), line.metrics[EVAL_ACCURACY], line.interval, line.tied or not (sure and best))
        for line in lines
    ]
    return [_chart(title, intervals.accuracy_intervals(bars))]


def _scatter(runs: Sequence[Run], content: Content) -> list[Mapping[str, Any]]:
    """Loss against accuracy, of the runs that have a mark of their own, if there are several."""
    points = [
        Point(run.id, run.name, place, loss, accuracy, None, line.interval, ranking.eligible(line.run, content.at))
        for place, (run, line) in enumerate(zip(runs, content.lines, strict=False))
        if (loss := ranking.finite(line.metrics.get(EVAL_LOSS))) is not None
        and (accuracy := ranking.finite(line.metrics.get(EVAL_ACCURACY))) is not None
    ]
    if len(points) < 2:
        return []
    before = {comparability.untrained_loss(line.run) for line in content.lines[: len(runs)]}
    untrained = before.pop() if len(before) == 1 else None
    seen = untrained is not None and max(point.loss for point in points) > _NEAR * untrained
    figure = go.Figure(scatter.loss_against_accuracy(points, "eval loss", (), untrained if seen else None))
    figure.update_traces(cliponaxis=False)
    return [_chart("Eval loss against reward accuracy", figure)]


def _curves(runs: Sequence[Run], histories: Sequence[History]) -> tuple[list[dict[str, Any]], Split]:
    """The metrics of the first runs over training; of the training pairs where there is no curve of an evaluation."""
    drawn = [Curve(run, history, place) for place, (run, history) in enumerate(zip(runs, histories, strict=False))]
    for split in _PAIRS:
        own = [panel for panel in PANELS if any(_logged(curve.history, split, panel) for curve in drawn)]
        figures = [(panel, panel_figure(panel, drawn, View(split))) for panel in own]
        found = [
            _chart(panel.title, figure) | {"lines": panel.metrics}
            for panel, figure in figures
            if any(len(trace.x) > 1 for trace in figure.data)
        ]
        if found:
            return found, split
    return [], "eval"


def _logged(history: History, split: Split, panel: Panel) -> bool:
    """Whether the run has a curve of one of the panel's metrics on this split."""
    return any(len(history.get(f"{split}/{metric}", ())) > 0 for metric in panel.metrics)


def _chart(title: str, figure: go.Figure) -> dict[str, Any]:
    if figure.layout.height is None:
        figure.update_layout(height=360)
    figure.update_yaxes(automargin="left")  # on all sides, plotly may move the axes for ever: a label at the corner
    drawn = to_html(figure, config=theme.CONFIG, include_plotlyjs=False, full_html=False)
    return {"title": title, "html": drawn, "height": figure.layout.height}
