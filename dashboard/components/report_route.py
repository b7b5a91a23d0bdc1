"""The report on the runs that are looked at, as one file to keep or to send."""

import re
from typing import Any

from dash import Input, Output, State, html
from dash.exceptions import PreventUpdate
from flask import Flask, Response, request

from dashboard.analysis.common_scale import LEAST, MOST
from dashboard.components import query
from dashboard.components.callbacks import callback
from dashboard.components.context import catalog
from dashboard.components.stores import LIVE
from dashboard.reports import build
from dashboard.reports.build import Format
from dashboard.reports.moments import Moment
from dashboard.sources.imported import Imported, SourceError

PATH = "/api/report"
TYPES: dict[Format, str] = {"html": "text/html", "md": "text/markdown", "json": "application/json"}

_ABOUT = "One HTML file on the runs of this page: verdict, table, charts, findings"
_NO_RUNS = "There are no runs to report on."


def button() -> html.Button:
    """Downloads the report on what the open page shows (assets/clientside.js)."""
    return html.Button(
        "Download report",
        id="report-button",
        className="btn btn-quiet btn-tall report-button",
        type="button",
        title=_ABOUT,
    )


@callback(
    Output("report-button", "disabled"),
    Output("report-button", "title"),
    Input(LIVE, "data"),
    State("report-button", "title"),
)
def offer(_: Any, title: Any) -> tuple[bool, str]:
    """Without a run there is no report: then the button says so."""
    none = not catalog().snapshot().runs
    words = _NO_RUNS if none else _ABOUT
    if title == words:
        raise PreventUpdate
    return none, words


def register(server: Flask) -> None:
    """Adds the route to the server."""
    server.add_url_rule(PATH, "report", report)


def report() -> Response:
    """The report in the format asked for; 400 with one sentence if it cannot be made."""
    asked = request.args
    form = query.choice(asked.get("format"), list(TYPES))
    found = _imported(query.linked_ids(asked.get("runs")))
    try:
        if not found.runs:
            raise SourceError(_NO_RUNS)
        made = build.of(found, (catalog().root.name,), None, _moment(asked.get("at")), _beta(asked.get("beta")))
        text = build.render(made, form)
    except SourceError as problem:
        return Response(str(problem), 400, mimetype="text/plain")
    name = f"prefscope-{re.sub(r'[^A-Za-z0-9_-]', '-', catalog().root.name) or 'runs'}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(text.encode(errors="replace"), mimetype=TYPES[form], headers=headers)


def _imported(wanted: list[str]) -> Imported:
    """The runs that are named, all where none of them is known, with their curves and folders."""
    known = catalog()
    snapshot = known.snapshot()
    chosen = [run for run in wanted if run in snapshot.runs] or list(snapshot.runs)
    runs = [snapshot.runs[run] for run in chosen]
    folders = {run.id: known.root / run.id for run in runs if run.source == "runs" and (known.root / run.id).is_dir()}
    return Imported(tuple(runs), snapshot.notes, {run: known.history(run) for run in chosen}, folders)


def _moment(value: Any) -> Moment:
    text = query.one(value)
    if text.isdecimal() and len(text) < 12:
        return int(text)
    return text if text in ("best", "last", "common") else "best"  # type: ignore[return-value]


def _beta(value: Any) -> float | None:
    return None if not query.one(value) else query.number(value, LEAST, MOST)
