"""Curves: did training pull chosen and rejected answers apart, and when?"""

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import Any

from dash import Input, Output, State, dcc, html
from dash.exceptions import PreventUpdate

from dashboard.analysis import comparability, curves, ranking
from dashboard.analysis.curves import Axis
from dashboard.components import layout as parts
from dashboard.components import query
from dashboard.components.callbacks import callback, clientside, new_data
from dashboard.components.context import catalog
from dashboard.components.shell import LIVE, SELECTION
from dashboard.figures import theme
from dashboard.figures.curves import PANELS, Curve, Panel, Split, Unit, View, panel_figure
from dashboard.sources.catalog import Snapshot
from training.record.metrics import describe
from training.record.schema import Run

PATH, NAME = "/curves", "Curves"

SPLITS: dict[Split, str] = {"eval": "Evaluation", "train": "Training"}
AXES: dict[Axis, str] = {"step": "Step", "epoch": "Epoch", "time": "Time"}
UNITS: dict[Unit, str] = {"reward": "Reward", "nats": "Nats (reward / beta)"}
MOST_SMOOTHING = 0.99
HEIGHT = {"height": "300px"}
FIRST_LOOK = 4
"""Runs drawn when none is selected."""


def layout(
    runs: Any = None,
    split: Any = None,
    x: Any = None,
    smooth: Any = None,
    unit: Any = None,
    selected: Any = None,
    **_: Any,
) -> html.Div:
    """The page, complete with its data; the keywords come from the link and from the stored selection."""
    snapshot = catalog().snapshot()
    view = _view(split, x, smooth, unit)
    wanted = query.linked_ids(runs) or query.ids(selected)
    chosen = [run for run in wanted if run in snapshot.runs] or first_look(snapshot)
    drawn = _curves(snapshot, chosen)
    return html.Div(
        [
            html.H1("Curves", className="visually-hidden"),
            html.Section(_controls(snapshot, chosen, view), className="panel control-bar"),
            html.Div(_legend(drawn), id="curves-legend", className="legend"),
            html.Div(notes(drawn, view, len(wanted)), id="curves-notes"),
            html.Div([_chart(panel, drawn, view) for panel in PANELS], className="charts"),
            dcc.Store(id="curves-shown", data=stamp(drawn, view)),
        ],
        className="page",
    )


def first_look(snapshot: Snapshot) -> list[str]:
    """The best few runs that have curves, where the user has chosen none."""
    runs = snapshot.runs.values()
    groups = comparability.evaluation_sets(runs)
    ranks = [ranking.rank(group.runs, comparability.natural_metric(group.runs), "last") for group in groups]
    merged = {run: place for group in ranks for run, place in group.items()}
    best_first = sorted(snapshot.runs, key=lambda run: merged.get(run, len(runs) + 1))
    return list(islice((run for run in best_first if catalog().history(run)), FIRST_LOOK))


def _view(split: Any, x: Any, smooth: Any, unit: Any) -> View:
    return View(
        query.choice(split, list(SPLITS)),
        query.choice(x, list(AXES)),
        query.fraction(smooth, MOST_SMOOTHING),
        query.choice(unit, list(UNITS)),
    )


def _curves(snapshot: Snapshot, chosen: Sequence[str]) -> list[Curve]:
    slots = catalog().colours(snapshot.runs)
    return [Curve(snapshot.runs[run], catalog().history(run), slots[run]) for run in chosen if run in snapshot.runs]


def stamp(drawn: Sequence[Curve], view: View) -> list[str]:
    """What is to be seen, as two texts: how the axes are, and which runs, smoothed how, up to which point."""
    spans = [(c.run.id, c.slot, [(key, curves.span(series)) for key, series in c.history.items()]) for c in drawn]
    data = hashlib.sha1(repr((view.smoothing, spans)).encode(), usedforsecurity=False).hexdigest()
    return [f"{view.split} {view.axis} {view.unit}", data]


def options(snapshot: Snapshot) -> list[dict[str, str]]:
    """The picker's entries: runs by name, with the source where it is not the runs folder."""
    return [
        {"value": run.id, "label": run.name if run.source == "runs" else f"{run.name} ({run.source})"}
        for run in snapshot.runs.values()
    ]


def _controls(snapshot: Snapshot, chosen: list[str], view: View) -> list[html.Div]:
    picker = dcc.Dropdown(
        options(snapshot),
        chosen,
        id="curves-runs",
        multi=True,
        placeholder="Choose runs",
        closeOnSelect=False,
        maxHeight=420,
    )
    slider = dcc.Slider(
        0,
        MOST_SMOOTHING,
        0.01,
        value=view.smoothing,
        id="curves-smoothing",
        marks=None,
        updatemode="drag",
        tooltip={"placement": "bottom", "always_visible": False},
    )
    return [
        html.Div(parts.labelled("Runs", picker), className="grow"),
        parts.segmented("curves-split", "Metrics of", SPLITS, view.split),
        parts.segmented("curves-x", "Across", AXES, view.axis),
        parts.segmented("curves-unit", "Rewards as", UNITS, view.unit),
        html.Div(parts.labelled("Smoothing", slider), className="slider-box"),
    ]


def _legend(drawn: Sequence[Curve]) -> list[html.Span]:
    swatches = [
        html.Span(
            [
                html.Span(
                    className=f"swatch swatch-{theme.symbol(curve.slot)}",
                    style={"background": theme.colour(curve.slot)},
                ),
                curve.run.name,
            ],
            className="legend-item",
        )
        for curve in drawn
    ]
    lines = [
        html.Span([html.Span(className="line-sample"), "chosen"], className="legend-item dim"),
        html.Span([html.Span(className="line-sample line-dashed"), "rejected"], className="legend-item dim"),
    ]
    return [*swatches, *lines] if drawn else []


def notes(drawn: Sequence[Curve], view: View, wanted: int) -> list[html.Div]:
    """What the charts do not show, and why."""
    if not drawn:
        return [parts.empty("No run chosen", ["Choose runs above, or select them on the Leaderboard."])]
    found = []
    bare = [curve.run for curve in drawn if not curve.history]
    if bare:
        found.append(f"{_names(bare)}: no curves. {_why(bare)}")
    no_beta = [curve.run for curve in drawn if curve.history and comparability.beta(curve.run.config) is None]
    if view.unit == "nats" and no_beta:
        found.append(f"{_names(no_beta)}: beta is unknown, so rewards cannot be shown in nats.")
    scale = comparability.loss_scale(curve.run for curve in drawn if curve.history)
    if not scale.comparable:
        reward = "" if view.unit == "nats" else " or logged rewards"
        found.append(f"{scale.reason[0].upper()}{scale.reason[1:]}: do not compare loss{reward} between these runs.")
    if wanted >= query.MOST_IDS:
        found.append(f"At most {query.MOST_IDS} runs are drawn at once.")
    return [parts.notice(text) for text in found]


def _names(runs: Sequence[Run]) -> str:
    shown = ", ".join(run.name for run in runs[:3])
    return f"{shown} and {len(runs) - 3} more" if len(runs) > 3 else shown


def _why(runs: Sequence[Run]) -> str:
    if any(run.source != "runs" for run in runs):
        return "Their source has only the last value of each metric; it is on the Leaderboard."
    return "Nothing has been logged yet."


def _chart(panel: Panel, drawn: Sequence[Curve], view: View) -> html.Section:
    meaning = " ".join(describe(name).meaning for name in panel.metrics)
    graph = dcc.Graph(
        id=f"curves-{panel.id}", figure=panel_figure(panel, drawn, view), config=theme.CONFIG, style=HEIGHT
    )
    help_mark = html.Span("?", className="help", title=meaning, tabIndex=0, **{"aria-label": meaning})
    return parts.card(panel.title, [graph], help_mark, className="wide" if panel.id == "rewards" else "")


@callback(
    *[Output(f"curves-{panel.id}", "figure") for panel in PANELS],
    Output("curves-legend", "children"),
    Output("curves-notes", "children"),
    Output("curves-shown", "data"),
    Input(LIVE, "data"),
    Input("curves-runs", "value"),
    Input("curves-split", "value"),
    Input("curves-x", "value"),
    Input("curves-smoothing", "value"),
    Input("curves-unit", "value"),
    State("curves-shown", "data"),
    prevent_initial_call=True,
)
def draw(_: Any, runs: Any, split: Any, x: Any, smooth: Any, unit: Any, shown: Any) -> tuple[Any, ...]:
    """Redraws what changed, keeping the zoom while the axes are the same; nothing is sent when nothing did."""
    view, snapshot = _view(split, x, smooth, unit), catalog().snapshot()
    chosen = query.ids(runs)
    drawn = _curves(snapshot, chosen)
    now = stamp(drawn, view)
    if now == shown:
        raise PreventUpdate
    figures = [panel_figure(panel, drawn, view) for panel in PANELS]
    if isinstance(shown, list) and shown[:1] == now[:1]:
        figures = [new_data(figure) for figure in figures]
    return (*figures, _legend(drawn), notes(drawn, view, len(chosen)), now)


@callback(
    Output("curves-runs", "options"), Input(LIVE, "data"), State("curves-runs", "options"), prevent_initial_call=True
)
def offer(_: Any, offered: Any) -> list[dict[str, str]]:
    """New runs appear in the picker."""
    now = options(catalog().snapshot())
    if now == offered:
        raise PreventUpdate
    return now


clientside(
    "linkCurves",
    Output(SELECTION, "data", allow_duplicate=True),
    Input("curves-runs", "value"),
    Input("curves-split", "value"),
    Input("curves-x", "value"),
    Input("curves-smoothing", "value"),
    Input("curves-unit", "value"),
    State(SELECTION, "data"),
    prevent_initial_call=True,
)
