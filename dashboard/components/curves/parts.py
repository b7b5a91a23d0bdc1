"""The parts of the Curves page: its controls, its legend, and the place of each chart."""

from collections.abc import Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from dashboard.analysis.numbers import visible
from dashboard.components import layout as parts
from dashboard.components import selection
from dashboard.components.curves import about as curves_about
from dashboard.components.curves import state as curves_state
from dashboard.components.curves.state import Asked
from dashboard.figures import curves_live, theme
from dashboard.figures.curves import Drawing, Entry, Panel, drawing
from dashboard.figures.curves_view import panel
from dashboard.sources.catalog import Snapshot

HEIGHT = 300
LINE = 28
"""Pixels of a line of the legend."""
_UNSEEN = {"visible": False}
_NOT_YET = Drawing(theme.figure([], "", "", xaxis=_UNSEEN, yaxis=_UNSEEN), {})
"""Behind the skeleton of a chart that is still to come (assets/page-curves.css)."""


def listed(legend: Sequence[Entry]) -> list[dict[str, Any]]:
    """The legend as assets/page-curves-legend.js draws it."""
    return [
        {
            "id": entry.id,
            "name": visible(entry.name),
            "colour": theme.colour(entry.slot),
            "symbol": theme.symbol(entry.slot),
            "link": parts.run_path(entry.id),
        }
        for entry in legend
    ]


def controls(
    snapshot: Snapshot, chosen: list[str], state: Asked, legend: Sequence[Entry], names: Sequence[str]
) -> list[html.Div]:
    """What is shown, and how: two rows of choices."""
    view = state.view
    slider = dcc.Slider(
        0,
        curves_state.MOST_SMOOTHING,
        0.01,
        value=view.smoothing,
        id="curves-smoothing",
        marks=None,
        updatemode="mouseup",
        allow_direct_input=False,
        tooltip={"placement": "bottom", "always_visible": False},
    )
    more = dcc.Dropdown(metrics(legend, names), id="curves-add", placeholder="Add a metric", maxHeight=420)
    toggles = dbc.Checklist(
        id="curves-show",
        options=[{"value": key, "label": words} for key, words in curves_state.SHOWN.items()],
        value=_toggled(state),
        class_name="segmented",
        input_class_name="btn-check",
        label_class_name="btn btn-segment",
        label_checked_class_name="active",
    )
    first = [
        html.Div(parts.labelled("Runs", selection.picker("curves-runs", snapshot, chosen)), className="grow"),
        html.Div(parts.labelled("More metrics", more), className="curves-more"),
    ]
    second = [
        parts.segmented("curves-split", "Metrics of", curves_state.SPLITS, view.split),
        parts.segmented("curves-x", "Across", curves_state.AXES, view.axis),
        parts.segmented("curves-unit", "Rewards as", curves_state.UNITS, view.unit),
        parts.labelled("Show", toggles),
        html.Div(parts.labelled("Smoothing", slider), className="slider-box"),
    ]
    return [html.Div(first, className="control-bar"), html.Div(second, className="control-bar")]


def _toggled(state: Asked) -> list[str]:
    on = {"logx": state.view.log_x, "logy": state.view.log_y, "seeds": state.seeds, "crowd": state.view.crowd}
    return [key for key in curves_state.SHOWN if on[key]]


def metrics(legend: Sequence[Entry], names: Sequence[str]) -> list[dict[str, Any]]:
    """The list of metrics that have no panel among `names` yet."""
    return curves_about.metrics(legend, [name for one in names for name in panel(one).metrics])


def legend(lines: int) -> html.Section:
    """Filled by page-curves-legend.js from the store of entries, with so many `lines` first: it follows the pointer."""
    buttons = [
        html.Button(words, id=f"curves-{name}", className="btn btn-quiet", hidden=True, type="button")
        for name, words in (("unpin", "Unpin all"), ("unhide", "Show all"), ("unzoom", "Zoom out"))
    ]
    keys = [
        html.Span([html.Span(className="line-sample"), "chosen"], className="legend-item dim"),
        html.Span([html.Span(className="line-sample line-dashed"), "rejected"], className="legend-item dim"),
    ]
    head = html.Div([html.H2("Runs"), html.Span(id="curves-at", className="dim")], className="curves-legend-head")
    return html.Section(
        [
            head,
            html.Div(id="curves-find"),
            html.Ul(id="curves-legend", className="curves-legend", style={"--tall": f"{LINE * min(lines, 6)}px"}),
            html.Div(buttons, className="curves-buttons"),
            html.Div(keys, className="legend"),
        ],
        className="panel curves-side",
        **{"aria-label": "Runs"},
    )


def card(one: Panel, drawn: Sequence[Entry], state: Asked, made: bool = False) -> html.Section:
    """The chart's place; only the first is `made` with the page, the others when they come into view."""

    def part(kind: str) -> dict[str, str]:
        return {"type": f"curves-{kind}", "panel": one.id}

    found = drawing(one, drawn, state.view) if made else _NOT_YET
    sent = {**curves_live.stamp(one, drawn, state.view), "live": curves_live.sent(found)} if made else None
    config = {**theme.CONFIG, "doubleClick": "autosize"}
    graph = dcc.Graph(id=part("graph"), figure=found.figure, config=config, style={"height": f"{HEIGHT}px"})
    close = html.Button(
        "×", id=part("remove"), className="curves-close", type="button", **{"aria-label": f"Remove {one.title}"}
    )
    note = html.Span(" ".join(found.notes), id=part("note"), className="dim curves-note")
    body = [
        html.Div([graph, html.Div(className="curves-marks")], className="curves-chart", style=parts.reserved(HEIGHT)),
        html.P(
            f"{one.title}; its values are listed beside the charts as the pointer moves.", className="visually-hidden"
        ),
        dcc.Store(id=part("seen"), data=False),
        dcc.Store(id=part("want")),
        dcc.Store(id=part("sent"), data=sent),
    ]
    aside = [note, parts.metric_help(*one.metrics), close]
    wide = " wide" if one.id == "rewards" else ""
    return parts.card(one.title, body, aside, className=f"curves-panel{wide}", **{"data-panel": one.id})
