"""Where files are dropped: what each was taken for, and how to take it away again."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from dash import ALL, Input, Output, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from dashboard.components import query
from dashboard.components.callbacks import callback
from dashboard.components.context import catalog
from dashboard.components.layout import notice
from dashboard.components.shell import LIVE
from dashboard.sources.imported import SourceError
from dashboard.sources.uploads import LARGEST, Upload

_REMOVE = "upload-remove"


def panel(uploads: Mapping[str, Upload], joined: Sequence[str] = ()) -> html.Div:
    """The drop zone, the answer to the last drop, and the list of files."""
    zone = dcc.Upload(
        html.Div(
            [
                html.Span(className="icon icon-upload"),
                html.Span([html.Strong("Drop a log of your runs here"), " or click to choose one"]),
                html.Span(
                    "W&B: runs table or chart as CSV, offline run. TensorBoard: event file, CSV. trainer_state.json. "
                    "Any table of runs. A .zip of these.",
                    className="hint",
                ),
            ],
            className="drop-inner",
        ),
        id="upload",
        max_size=LARGEST,
        className="drop-zone",
        className_active="drop-zone drop-active",
        className_reject="drop-zone drop-active",
        style={},
        style_active={},
        style_reject={},
    )
    return html.Div(
        [
            zone,
            html.Div(id="upload-message", role="status", **{"aria-live": "polite"}),
            html.Div(files(uploads, joined), id="upload-files"),
        ]
    )


def files(uploads: Mapping[str, Upload], joined: Sequence[str] = ()) -> list[html.Div]:
    """One line per uploaded file, with its notes folded away, and what is said of runs that several files hold."""
    return [*(_file(upload) for upload in uploads.values()), *(html.Div(note, className="dim") for note in joined)]


def _file(upload: Upload) -> html.Div:
    found = (
        notice(upload.problem, "bad") if upload.problem else html.Span(f"{len(upload.runs):,} runs", className="dim")
    )
    remove = html.Button(
        "Remove",
        id={"type": _REMOVE, "id": upload.id},
        className="btn btn-quiet",
        **{"aria-label": f"Remove {upload.name}"},
    )
    notes = html.Details(
        [html.Summary(f"{len(upload.notes)} notes on this file"), html.Ul([html.Li(note) for note in upload.notes])]
    )
    head = html.Div([html.Span(upload.name, className="file-name"), found, remove], className="file-head")
    return html.Div([head, notes] if upload.notes else [head], className="file")


def content(data: str) -> bytes:
    """The bytes of a data URL. Raises SourceError if it is none."""
    try:
        return base64.b64decode(data.partition("base64,")[2], validate=True)
    except (binascii.Error, ValueError):
        raise SourceError("The browser sent no readable file: drop it again.") from None


@callback(
    Output("upload-message", "children"),
    Output("upload-files", "children"),
    Output(LIVE, "data", allow_duplicate=True),
    Output("upload", "contents"),
    Input("upload", "contents"),
    State("upload", "filename"),
    prevent_initial_call=True,
)
def receive(data: Any, filename: Any) -> tuple[Any, Any, Any, Any]:
    """Keeps a dropped file, or says why not; the drop zone is emptied, so that the same file can be dropped again."""
    if not isinstance(data, str) or not data:
        raise PreventUpdate
    name = query.one(filename) or "upload"
    try:
        upload = catalog().uploads.add(name, content(data))
    except SourceError as problem:
        return notice(f"Not added: {problem}", "bad"), no_update, no_update, None
    snapshot = catalog().snapshot()
    message = notice(f"{upload.name}: {len(upload.runs):,} runs added.", "good")
    return message, files(snapshot.uploads, snapshot.notes), snapshot.version, None


@callback(
    Output("upload-message", "children", allow_duplicate=True),
    Output("upload-files", "children", allow_duplicate=True),
    Output(LIVE, "data", allow_duplicate=True),
    Input({"type": _REMOVE, "id": ALL}, "n_clicks"),
    prevent_initial_call=True,
)
def remove(clicks: Any) -> tuple[Any, Any, Any]:
    """Takes an uploaded file away."""
    pressed = ctx.triggered_id
    if not isinstance(clicks, list) or not any(clicks) or not isinstance(pressed, dict):
        raise PreventUpdate
    catalog().uploads.remove(str(pressed.get("id")))
    snapshot = catalog().snapshot()
    return None, files(snapshot.uploads, snapshot.notes), snapshot.version
