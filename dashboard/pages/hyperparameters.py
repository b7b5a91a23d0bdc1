"""Hyper-parameters: which ones matter, and what to try next?"""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

from dash import ALL, Input, Output, State, dcc, html
from dash.exceptions import PreventUpdate

from dashboard.analysis.proposals import STEM, SweepFile
from dashboard.components import layout as parts
from dashboard.components import link, query
from dashboard.components.callbacks import callback, clientside
from dashboard.components.context import catalog
from dashboard.components.hyperparameters import cards as hyper_cards
from dashboard.components.hyperparameters import frame as hyper_frame
from dashboard.components.hyperparameters import lines as hyper_lines
from dashboard.components.hyperparameters import seen as hyper_seen
from dashboard.components.hyperparameters.seen import Seen
from dashboard.components.link import Parameter
from dashboard.components.stores import LIVE, SELECTION
from dashboard.sources.catalog import Snapshot

PATH, NAME = "/hyperparameters", "Hyper-parameters"

PARAMETERS = (
    Parameter("group", "hyper-group"),
    Parameter("metric", "hyper-metric"),
    Parameter("at", "hyper-at", default="best"),
    Parameter("x", "hyper-x"),
    Parameter("y", "hyper-y"),
    Parameter("colour", "hyper-colour", default="metric"),
    Parameter("brush", "hyper-brushes", "data", {}),
    Parameter("hide", "hyper-hidden", "data", []),
    Parameter("order", "hyper-order", "data", []),
    Parameter("runs", "hyper-scope", "data", []),
)

CHOICES = [State("hyper-metric", "value"), State("hyper-at", "value"), State("hyper-group", "value")]


def layout(
    group: Any = None,
    metric: Any = None,
    at: Any = None,
    x: Any = None,
    y: Any = None,
    colour: Any = None,
    brush: Any = None,
    hide: Any = None,
    order: Any = None,
    runs: Any = None,
    **_: Any,
) -> html.Div:
    """The page; the keywords come from the link. What takes seconds follows by `advise`."""
    snapshot = catalog().snapshot()
    scope = [run for run in query.linked_ids(runs) if run in snapshot.runs]
    shown = hyper_seen.seen(snapshot, hyper_seen.wish(metric, at, group, scope))
    found = hyper_seen.judged(shown)
    first, second = hyper_frame.two(shown, found, x, y)
    lines = hyper_lines.section(
        snapshot,
        shown,
        hyper_lines.brushes(brush),
        hyper_lines.keys(hide),
        hyper_lines.keys(order),
        query.choice(colour, list(hyper_lines.COLOURS)),
    )
    body = [
        html.Section(hyper_frame.controls(shown, scope), className="panel control-bar"),
        html.Section(hyper_frame.answer(shown, found), id="hyper-answer", className="panel answers"),
        lines,
        hyper_frame.slices(hyper_cards.slices(snapshot, shown, found)),
        html.Div([hyper_frame.importance(), hyper_frame.confounding(shown, found)], className="charts"),
        hyper_frame.surface(shown, first, second),
        parts.card("What to try next", [html.Div(parts.skeleton(180), id="hyper-next")]),
    ]
    return html.Div(
        [
            html.H1(NAME, className="visually-hidden"),
            html.Div(hyper_frame.empty(snapshot), id="hyper-empty", hidden=bool(snapshot.runs)),
            html.Div(body, id="hyper-body", className="hyper-body", hidden=not snapshot.runs),
            dcc.Store(id="hyper-scope", data=scope),
            dcc.Store(id="hyper-stamp", data=shown.stamp),
            dcc.Download(id="hyper-download"),
            html.Div(id="hyper-drawn", hidden=True),
            link.store("hyper", PATH, PARAMETERS),
        ],
        className="page",
    )


def _asked(metric: Any, at: Any, group: Any, scope: Any) -> tuple[Snapshot, Seen]:
    snapshot = catalog().snapshot()
    known = [run for run in query.ids(scope) if run in snapshot.runs]
    return snapshot, hyper_seen.seen(snapshot, hyper_seen.wish(metric, at, group, known))


@callback(
    Output("hyper-answer", "children"),
    Output("hyper-lines-data", "data"),
    Output("hyper-lines-summary", "children"),
    Output("hyper-slices", "children"),
    Output("hyper-mixed", "children"),
    Output("hyper-group", "options"),
    Output("hyper-group", "value"),
    Output("hyper-x", "options"),
    Output("hyper-x", "value"),
    Output("hyper-y", "options"),
    Output("hyper-y", "value"),
    Output("hyper-empty", "hidden"),
    Output("hyper-body", "hidden"),
    Output("hyper-stamp", "data"),
    Input(LIVE, "data"),
    Input("hyper-metric", "value"),
    Input("hyper-at", "value"),
    Input("hyper-group", "value"),
    Input("hyper-scope", "data"),
    State("hyper-x", "value"),
    State("hyper-y", "value"),
    State("hyper-stamp", "data"),
    prevent_initial_call=True,
)
def draw(_: Any, metric: Any, at: Any, group: Any, scope: Any, x: Any, y: Any, stamp: Any) -> tuple[Any, ...]:
    """Brings the page up to date; nothing is sent where nothing changed."""
    snapshot, shown = _asked(metric, at, group, scope)
    if stamp == shown.stamp:
        raise PreventUpdate
    found = hyper_seen.judged(shown)
    first, second = hyper_frame.two(shown, found, x, y)
    axes = hyper_frame.axis_options(shown)
    return (
        hyper_frame.answer(shown, found),
        hyper_lines.data(snapshot, shown),
        hyper_lines.summary(shown),
        hyper_cards.slices(snapshot, shown, found),
        hyper_cards.confounding(shown, found),
        hyper_frame.group_options(shown),
        shown.group.id if shown.group else None,
        axes,
        first or None,
        axes,
        second or None,
        bool(snapshot.runs),
        not snapshot.runs,
        shown.stamp,
    )


@callback(
    Output("hyper-surface", "children"),
    Input("hyper-x", "value"),
    Input("hyper-y", "value"),
    Input("hyper-stamp", "data"),
    *CHOICES,
    State("hyper-scope", "data"),
    prevent_initial_call=True,
)
def draw_surface(x: Any, y: Any, _: Any, metric: Any, at: Any, group: Any, scope: Any) -> list[Any]:
    """The chart of the two hyper-parameters that are chosen."""
    _, shown = _asked(metric, at, group, scope)
    return hyper_cards.between(shown, query.one(x), query.one(y))


@callback(
    Output("hyper-importance", "children"),
    Output("hyper-next", "children"),
    Input("hyper-stamp", "data"),
    *CHOICES,
    State("hyper-scope", "data"),
    running=[
        (Output("hyper-importance", "className"), "hyper-busy", ""),
        (Output("hyper-next", "className"), "hyper-busy", ""),
    ],
)
def advise(_: Any, metric: Any, at: Any, group: Any, scope: Any) -> tuple[list[Any], list[Any]]:
    """What takes seconds to work out: importance and what to try next."""
    _, shown = _asked(metric, at, group, scope)
    found = hyper_seen.advice(shown)
    return hyper_cards.importance(found), hyper_cards.advice(found)


@callback(
    Output("hyper-download", "data"),
    Input("hyper-write", "n_clicks"),
    *CHOICES,
    State("hyper-scope", "data"),
    prevent_initial_call=True,
)
def write(clicks: Any, metric: Any, at: Any, group: Any, scope: Any) -> Any:
    """The suggestions as one sweep file, or as a .zip of several."""
    if not clicks:
        raise PreventUpdate
    _, shown = _asked(metric, at, group, scope)
    proposal = hyper_seen.advice(shown).proposal
    if proposal is None or not proposal.files:
        raise PreventUpdate
    return download(proposal.files)


def download(files: Sequence[SweepFile]) -> Any:
    """What dcc.Download takes; the names are ours, not the browser's."""
    if len(files) == 1:
        return {"content": files[0].content, "filename": files[0].name, "type": "application/yaml"}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(file.name, (1980, 1, 1, 0, 0, 0)), file.content)
    return dcc.send_bytes(packed.getvalue(), f"{STEM}.zip", type="application/zip")


clientside(
    "hyperLines",
    Output("hyper-drawn", "title"),
    Input("hyper-lines-data", "data"),
    Input("hyper-brushes", "data"),
    Input("hyper-hidden", "data"),
    Input("hyper-order", "data"),
    Input("hyper-colour", "value"),
    Input(SELECTION, "data"),
)
clientside(
    "hyperPicked",
    Output("hyper-chips", "children"),
    Output("hyper-links", "hidden"),
    Output("hyper-to-curves", "href"),
    Output("hyper-to-compare", "href"),
    Output("hyper-to-pairs", "href"),
    Input(SELECTION, "data"),
    Input("hyper-lines-data", "data"),
)
clientside(
    "hyperPick",
    Output(SELECTION, "data", allow_duplicate=True),
    Input({"type": hyper_cards.SLICE, "key": ALL}, "clickData"),
    Input("hyper-surface-chart", "clickData", allow_optional=True),
    State(SELECTION, "data"),
    prevent_initial_call=True,
)
clientside(
    "hyperOnly",
    Output("hyper-scope", "data"),
    Input("hyper-only", "n_clicks"),
    State("hyper-scope", "data"),
    State(SELECTION, "data"),
    prevent_initial_call=True,
)
clientside(
    "hyperOnlyWords",
    Output("hyper-only", "children"),
    Output("hyper-only", "disabled"),
    Input("hyper-scope", "data"),
    Input(SELECTION, "data"),
)
link.linked("hyper", PARAMETERS)
