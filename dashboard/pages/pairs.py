"""Pairs: which evaluation pairs do the runs get right, and which labels look wrong?"""

from typing import Any

from dash import Input, Output, State, dcc, html, no_update
from dash.exceptions import PreventUpdate

from dashboard.components import layout as parts
from dashboard.components import link, query, selection
from dashboard.components.callbacks import callback, clientside, new_data
from dashboard.components.context import catalog
from dashboard.components.link import Parameter
from dashboard.components.pairs import seen as pairs_seen
from dashboard.components.pairs import tokens as pairs_tokens
from dashboard.components.pairs.board import Board
from dashboard.components.pairs.seen import ATS, BASES, COLUMNS, ORDERS, UNITS, View
from dashboard.components.stores import LIVE, SELECTION
from dashboard.sources.catalog import Snapshot

PATH, NAME = "/pairs", "Pairs"
HEIGHT = 620

PARAMETERS = (
    Parameter("runs", "pairs-runs", default=[]),
    Parameter("at", "pairs-at", default="best"),
    Parameter("unit", "pairs-unit", default="relative"),
    Parameter("sort", "pairs-order", default="suspicion"),
    Parameter("columns", "pairs-columns", default="rank"),
    Parameter("filter", "pairs-only", default="all"),
    Parameter("search", "pairs-search", default=""),
    Parameter("base", "pairs-base", default="sum"),
    Parameter("cell", "pairs-cell", "data", ""),
    Parameter("pair", "pairs-pair", "data", ""),
)
"""The state of the page in its link."""

_WISHES = {
    "at": Input("pairs-at", "value"),
    "unit": Input("pairs-unit", "value"),
    "order": Input("pairs-order", "value"),
    "columns": Input("pairs-columns", "value"),
    "only": Input("pairs-only", "value"),
    "search": Input("pairs-search", "value"),
    "base": Input("pairs-base", "value"),
    "cell": Input("pairs-cell", "data"),
}


def layout(runs: Any = None, selected: Any = None, pair: Any = None, **linked: Any) -> html.Div:
    """The page, complete with its data; the keywords come from the link and from the stored selection."""
    snapshot = catalog().snapshot()
    chosen = pairs_seen.wanted(snapshot, runs, selected)
    wishes = {**linked, "order": linked.get("sort"), "only": linked.get("filter")}
    wish = pairs_seen.view(snapshot, chosen, **wishes)
    board = Board(snapshot, wish)
    current = query.one(pair) or board.first
    return html.Div(
        [
            html.H1("Pairs", className="visually-hidden"),
            html.Section(_runs(snapshot, chosen, wish), className="panel control-bar page-controls"),
            html.Section(board.answer(), id="pairs-answer", className="panel", **{"aria-live": "polite"}),
            html.Div(_cards(board, current), id="pairs-cards", className="pairs-cards", hidden=board.found is None),
            dcc.Store(id="pairs-cell", data=wish.cell),
            dcc.Store(id="pairs-pair", data=current),
            dcc.Store(id="pairs-rows", data=board.rows()),
            dcc.Store(id="pairs-shown", data=board.stamps),
            dcc.Store(id="pairs-detail-shown", data=[current, board.stamps[0]]),
            dcc.Store(id="pairs-drawn"),
            link.store("pairs", PATH, PARAMETERS),
        ],
        className="page",
    )


def _runs(snapshot: Snapshot, chosen: list[str], wish: View) -> list[html.Div]:
    picker = selection.picker("pairs-runs", snapshot, chosen)
    picker.placeholder = "All runs that have scores"
    return [
        html.Div(parts.labelled("Runs", picker), className="grow"),
        parts.segmented("pairs-at", "Evaluated at", ATS, wish.at),
    ]


def _cards(board: Board, current: str) -> list[Any]:
    head, texts, scores = board.pair(current)
    wish = board.wish
    base = parts.segmented("pairs-base", "Judged by", BASES, wish.base)
    cells = html.Div(board.cells(), id="pairs-cells")
    pair = [html.Div(texts, id="pairs-texts"), html.Div(scores, id="pairs-scores")]
    return [
        _matrix(board),
        parts.card("The pair", pair, html.Div(head, id="pairs-head", className="pairs-title"), id="pairs-detail"),
        parts.card("Before and after training", [cells], base),
        parts.card("The data", [html.Div(board.audit(), id="pairs-audit", className="pairs-audit")]),
    ]


def _matrix(board: Board) -> html.Section:
    wish = board.wish
    order = dcc.Dropdown(
        [{"value": key, "label": words} for key, words in ORDERS.items()],
        wish.order,
        id="pairs-order",
        clearable=False,
        searchable=False,
    )
    search = dcc.Input(
        id="pairs-search",
        type="search",
        value=wish.search,
        debounce=0.3,
        placeholder="Text or pair id",
        className="field field-search",
    )
    only = parts.segmented("pairs-only", "Show", {o["value"]: o["label"] for o in board.filters()}, wish.only)
    controls = [
        only,
        parts.labelled("Search", search),
        html.Div(parts.labelled("Sort pairs by", order), className="pairs-order"),
        parts.segmented("pairs-columns", "Sort runs by", COLUMNS, wish.columns),
        parts.segmented("pairs-unit", "Margins as", UNITS, wish.unit),
    ]
    chart = parts.chart("pairs-map", board.figure(), HEIGHT, board.summary(), clear_on_unhover=True)
    scale = html.Div(board.scale(), id="pairs-scale", className="pairs-legend")
    pairs = html.Div(
        id="pairs-list",
        className="pairs-list",
        role="listbox",
        tabIndex=0,
        **{"aria-label": "Pairs, move with the arrows"},
    )
    both = html.Div([html.Div([scale, chart], className="pairs-map"), pairs], className="pairs-both")
    notes = html.Div(board.notes(), id="pairs-notes", className="pairs-notes")
    return parts.card("Every pair under every run", [html.Div(controls, className="control-bar"), notes, both])


def _board(runs: Any, **wishes: Any) -> Board:
    snapshot = catalog().snapshot()
    chosen = [run for run in query.ids(runs) if run in snapshot.runs]
    return Board(snapshot, pairs_seen.view(snapshot, chosen, **wishes))


@callback(
    {
        "answer": Output("pairs-answer", "children"),
        "hidden": Output("pairs-cards", "hidden"),
        "figure": Output("pairs-map", "figure"),
        "summary": Output("pairs-map-summary", "children"),
        "scale": Output("pairs-scale", "children"),
        "rows": Output("pairs-rows", "data"),
        "filters": Output("pairs-only", "options"),
        "notes": Output("pairs-notes", "children"),
        "cells": Output("pairs-cells", "children"),
        "audit": Output("pairs-audit", "children"),
        "stamps": Output("pairs-shown", "data"),
    },
    inputs={
        "_": Input(LIVE, "data"),
        "runs": Input("pairs-runs", "value"),
        "wishes": _WISHES,
        "stamps": State("pairs-shown", "data"),
    },
    prevent_initial_call=True,
)
def refresh(_: Any, runs: Any, wishes: dict[str, Any], stamps: Any) -> dict[str, Any]:
    """Brings the page up to date; only what changed is sent."""
    board = _board(runs, **wishes)
    if stamps == board.stamps:
        raise PreventUpdate
    known = stamps if isinstance(stamps, list) and len(stamps) == 3 else ["", "", ""]
    changed = board.stamps[0] != known[0]
    figure = board.figure()
    return {
        "answer": board.answer() if changed else no_update,
        "hidden": board.found is None,
        "figure": new_data(figure) if board.stamps[1] == known[1] else figure,
        "summary": board.summary(),
        "scale": board.scale(),
        "rows": board.rows(),
        "filters": board.filters() if changed else no_update,
        "notes": board.notes(),
        "cells": board.cells(),
        "audit": board.audit() if changed else no_update,
        "stamps": board.stamps,
    }


@callback(
    Output("pairs-head", "children"),
    Output("pairs-texts", "children"),
    Output("pairs-scores", "children"),
    Output("pairs-detail-shown", "data"),
    Input("pairs-pair", "data"),
    Input("pairs-shown", "data"),
    State("pairs-runs", "value"),
    State("pairs-at", "value"),
    State("pairs-detail-shown", "data"),
    prevent_initial_call=True,
)
def show(pair: Any, _: Any, runs: Any, at: Any, shown: Any) -> tuple[Any, ...]:
    """The chosen pair; when only its scores have changed, its texts, and what is open there, stay."""
    board, current = _board(runs, at=at), query.one(pair)
    stamp = [current, board.stamps[0]]
    if shown == stamp:
        raise PreventUpdate
    head, texts, scores = board.pair(current)
    same = isinstance(shown, list) and shown[:1] == [current]
    return head, no_update if same else texts, scores, stamp


@callback(
    Output("pairs-token-map", "children"),
    Input("pairs-token-show", "n_clicks"),
    State("pairs-token-run", "value"),
    State("pairs-pair", "data"),
    State("pairs-at", "value"),
    running=[
        (Output("pairs-token-wait", "hidden"), False, True),
        (Output("pairs-token-map", "hidden"), True, False),
        (Output("pairs-token-show", "disabled"), True, False),
    ],
    prevent_initial_call=True,
)
def tokens(clicks: Any, run: Any, pair: Any, at: Any) -> list[Any]:
    """What each token of the pair's answers contributes under one run, from the process that holds the models."""
    if not clicks:
        raise PreventUpdate
    return pairs_tokens.shown(catalog().snapshot(), query.one(run), query.one(pair), query.choice(at, list(ATS)))


link.linked("pairs", PARAMETERS)
clientside("pairsList", Output("pairs-drawn", "data"), Input("pairs-rows", "data"), Input("pairs-pair", "data"))
clientside(
    "pairsMark",
    Output("pairs-map", "figure", allow_duplicate=True),
    Input("pairs-rows", "data"),
    Input("pairs-pair", "data"),
    prevent_initial_call="initial_duplicate",
)
clientside(
    "pairsClick",
    Output("pairs-pair", "data"),
    Input("pairs-map", "clickData"),
    State("pairs-rows", "data"),
    State("pairs-map", "figure"),
    prevent_initial_call=True,
)
clientside(
    "pairsSelection",
    Output(SELECTION, "data", allow_duplicate=True),
    Input("pairs-runs", "value"),
    State(SELECTION, "data"),
    prevent_initial_call=True,
)
