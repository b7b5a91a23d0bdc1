"""The drawer that adds runs from logs, on every page."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import ALL, Input, Output, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from dashboard.components.callbacks import callback, clientside
from dashboard.components.context import catalog
from dashboard.components.imports import mapping, upload
from dashboard.components.layout import notice
from dashboard.components.stores import LIVE
from dashboard.sources.imported import SourceError
from dashboard.sources.uploads import Uploads

DRAWER, OPENER = "import-drawer", "import-open"


def button() -> html.Button:
    """Opens the drawer; it stands in the bar of every page."""
    return html.Button("Import", id=OPENER, className="btn btn-quiet btn-tall import-opener", type="button")


def opener(words: str) -> html.Button:
    """A button in a page that opens the drawer too."""
    return html.Button(words, className="btn btn-main import-opener", type="button")


def drawer() -> html.Div:
    """The drawer, closed, and what is seen of it then: the last change, and where a file would fall."""
    listed = [
        upload.zone(),
        html.Div(id="import-sending"),
        html.Div(id="import-problem"),
        html.Div(id="import-undo", className="import-undo"),
        html.Div(id="import-files"),
    ]
    panel = dbc.Offcanvas(
        [
            html.Div(id="import-said", className="visually-hidden", role="status", **{"aria-live": "polite"}),
            html.Div(listed, id="import-listed"),
            html.Div(id=mapping.EDITOR, hidden=True),
        ],
        id=DRAWER,
        title=html.Span("Import", id="import-title"),
        labelledby="import-title",
        placement="end",
        class_name="drawer",
        is_open=False,
    )
    toast = html.Div(id="import-toast", className="import-toast", role="status", **{"aria-live": "polite"})
    hint = html.Div("Drop to import", id="import-hint", className="import-hint", hidden=True)
    return html.Div([panel, toast, hint, dcc.Store(id="import-shown")])


def _stamp(uploads: Uploads, is_open: bool, notes: tuple[str, ...]) -> str:
    last = uploads.last() if uploads.problem is None else None
    return f"{uploads.version} {is_open} {last and last.when} {uploads.problem} {hash(notes)}"


@callback(
    Output("import-files", "children"),
    Output("import-undo", "children"),
    Output("import-toast", "children"),
    Output("import-problem", "children"),
    Output("import-shown", "data"),
    Input(DRAWER, "is_open"),
    Input(LIVE, "data"),
    State("import-shown", "data"),
    prevent_initial_call=True,
)
def listed(is_open: Any, _: Any, shown: Any) -> tuple[Any, ...]:
    """The files as they are now; nothing is sent where nothing changed, nor to a drawer that was never opened."""
    if not is_open and shown is None:
        raise PreventUpdate
    known, snapshot = catalog().uploads, catalog().snapshot()
    stamp = _stamp(known, bool(is_open), snapshot.notes)
    if stamp == shown:
        raise PreventUpdate
    last = known.last() if known.problem is None else None
    if not is_open:
        return no_update, no_update, upload.undo(last, "page"), no_update, stamp
    return upload.files(snapshot.uploads, snapshot.notes), upload.undo(last, "drawer"), [], _problem(known), stamp


def _problem(known: Uploads) -> list[Any]:
    """Why the uploads cannot be looked at, with the way out."""
    if known.problem is None:
        return []
    told: list[Any] = [notice(known.problem, "bad")]
    if known.damaged:
        words = "Start anew: its folder is renamed, and the files in it are imported again, without their names."
        told.append(html.P(words, className="dim"))
        told.append(html.Button("Start anew", id={"type": "import-anew", "id": "anew"}, className="btn btn-main"))
    return told


@callback(
    Output("import-said", "children"),
    Output(LIVE, "data", allow_duplicate=True),
    Output("import-problem", "children", allow_duplicate=True),
    Input({"type": "import-remove", "id": ALL}, "n_clicks"),
    Input({"type": "import-undo", "id": ALL}, "n_clicks"),
    Input({"type": "import-anew", "id": ALL}, "n_clicks"),
    prevent_initial_call=True,
)
def act(*_: Any) -> tuple[Any, ...]:
    """Removes a file, undoes the last change, or starts a new database."""
    pressed = ctx.triggered_id
    if not isinstance(pressed, dict) or not any(part["value"] for part in ctx.triggered):
        raise PreventUpdate
    known = catalog().uploads
    try:
        said = _done(known, str(pressed.get("type")), str(pressed.get("id")))
    except SourceError as problem:
        return str(problem), no_update, notice(str(problem), "bad")
    return said, catalog().snapshot().version, []


def _done(known: Uploads, what: str, upload_id: str) -> str:
    """What was done, in words. Raises SourceError."""
    if what == "import-anew":
        aside, count = known.start_anew()
        return f"Files recovered, without their names: {count:,}. The damaged database is now {aside.name}."
    if what == "import-undo":
        words = known.undo()
        return f"Undone: {words}" if words else "There is nothing to undo any more."
    known.remove(upload_id)
    last = known.last()
    return last.words if last else "The file was removed already."


clientside("importPaint", Output("import-hint", "title"), Input(DRAWER, "is_open"), prevent_initial_call=True)
clientside(
    "importFocus",
    Output("import-listed", "title"),
    Input("import-files", "children"),
    Input(mapping.EDITOR, "hidden"),
    prevent_initial_call=True,
)
