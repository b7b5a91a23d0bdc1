"""The parallel coordinates of the Hyper-parameters page: the frame that page-hyperparameters-lines.js draws in."""

import math
from typing import Any

import orjson
from dash import dcc, html

from dashboard.analysis.hyperparameters import words
from dashboard.components import context, query
from dashboard.components import layout as parts
from dashboard.components.hyperparameters.seen import Seen
from dashboard.figures import parallel
from dashboard.sources.catalog import Snapshot
from training.record.metrics import describe

COLOURS = {"metric": "By metric", "run": "By run"}

MOST_AXES = 40
_LONGEST = 300

Brushes = dict[str, list[float | str | None]]
"""Axis -> what is kept: two numbers (from, to) or categories; a None among them keeps runs that do not state it."""


def brushes(value: Any) -> Brushes:
    """The brushes of a link, as JSON; what is none is left out."""
    try:
        content = orjson.loads(query.one(value))
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(content, dict):
        return {}
    found = {key[:_LONGEST]: _brush(kept) for key, kept in list(content.items())[:MOST_AXES] if isinstance(kept, list)}
    return {key: kept for key, kept in found.items() if kept}


def _brush(kept: list[Any]) -> list[float | str | None]:
    missing: list[float | str | None] = [None] if None in kept else []
    numbers = [float(one) for one in kept if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) == 2 and all(map(math.isfinite, numbers)):
        return [*sorted(numbers), *missing]
    return [*(one[:_LONGEST] for one in kept[:MOST_AXES] if isinstance(one, str)), *missing]


def keys(value: Any) -> list[str]:
    """The axes that a link names."""
    return query.linked_ids(value)[:MOST_AXES]


def data(snapshot: Snapshot, shown: Seen) -> parallel.Lines:
    """What is drawn: all runs of the group, also those without the metric, for which settings fail is to be seen."""
    return parallel.lines(
        shown.runs,
        shown.axes,
        (shown.key, shown.label),
        [shown.value(run) for run in shown.runs],
        context.catalog().colours(snapshot.runs),
        describe(shown.key).better or "",
    )


def summary(shown: Seen) -> str:
    """The chart in words, for those who cannot see it."""
    names = ", ".join(words(key) for key in shown.axes) or "no hyper-parameter"
    ranked = [(value, run.name) for run in shown.runs if (value := shown.value(run)) is not None]
    if not ranked:
        return f"{len(shown.runs)} runs over {names}; none has a {shown.label}."
    best = (max if describe(shown.key).better == "higher" else min)(ranked)
    return f"{len(shown.runs)} runs as lines over {names} and {shown.label}; the best is {best[1]}."


def section(
    snapshot: Snapshot, shown: Seen, brushed: Brushes, hidden: list[str], order: list[str], colour: str
) -> html.Section:
    """The card, with its stores."""
    about = html.P(
        "Each line is a run. Drag along an axis, or press its name, to keep only some of its values; "
        "the runs that are left are selected on every page.",
        className="chart-note",
    )
    links = html.Div(
        [
            dcc.Link("Curves", href="/curves", id="hyper-to-curves", className="btn btn-quiet btn-tall"),
            dcc.Link("Compare", href="/compare", id="hyper-to-compare", className="btn btn-quiet btn-tall"),
            dcc.Link("Pairs", href="/pairs", id="hyper-to-pairs", className="btn btn-quiet btn-tall"),
        ],
        className="hyper-links",
        id="hyper-links",
        hidden=True,
    )
    frame = html.Div(id="hyper-lines", className="hyper-lines", role="group", **{"aria-label": "Parallel coordinates"})
    return parts.card(
        "Every run at a glance",
        [
            about,
            frame,
            html.P(summary(shown), id="hyper-lines-summary", className="visually-hidden"),
            html.Div([html.Div(id="hyper-chips", className="hyper-chips"), links], className="hyper-foot"),
            dcc.Store(id="hyper-lines-data", data=data(snapshot, shown)),
            dcc.Store(id="hyper-brushes", data=brushed),
            dcc.Store(id="hyper-hidden", data=hidden),
            dcc.Store(id="hyper-order", data=order),
        ],
        parts.segmented("hyper-colour", "Colour", COLOURS, colour),
    )
