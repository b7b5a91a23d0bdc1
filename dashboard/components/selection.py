"""Which runs a page is about: chosen by link, by the stored selection, or by the user in a list."""

from collections.abc import Sequence
from typing import Any

from dash import Input, Output, State, dcc
from dash.exceptions import PreventUpdate

from dashboard.analysis.numbers import visible
from dashboard.components import query
from dashboard.components.callbacks import callback, clientside
from dashboard.components.context import catalog
from dashboard.components.stores import LIVE, SELECTION
from dashboard.sources.catalog import Snapshot


def options(snapshot: Snapshot) -> list[dict[str, str]]:
    """The entries of a list of runs: by name, with the source where it is not the runs folder."""
    return [
        {"value": run.id, "label": visible(run.name if run.source == "runs" else f"{run.name} ({run.source})")}
        for run in snapshot.runs.values()
    ]


def chosen(snapshot: Snapshot, linked: Any, selected: Any, most: int = query.MOST_IDS) -> list[str]:
    """The known runs that a link names, else those selected elsewhere; `most` at most."""
    wanted = query.linked_ids(linked) or query.ids(selected)
    return [run for run in wanted if run in snapshot.runs][:most]


def picker(control_id: str, snapshot: Snapshot, value: Sequence[str]) -> dcc.Dropdown:
    """A list of all runs, from which several are chosen."""
    return dcc.Dropdown(
        options(snapshot),
        list(value),
        id=control_id,
        multi=True,
        placeholder="Choose runs",
        closeOnSelect=False,
        maxHeight=420,
    )


def kept(control_id: str) -> None:
    """What is chosen in the list is selected on all pages: call it once for a page's picker."""
    clientside(
        "select",
        Output(SELECTION, "data", allow_duplicate=True),
        Input(control_id, "value"),
        State(SELECTION, "data"),
        prevent_initial_call=True,
    )


def offered(control_id: str) -> None:
    """New runs appear in the list by themselves: call it once for a page's picker."""
    place = Output(control_id, "options"), Input(LIVE, "data"), State(control_id, "options")

    @callback(*place, prevent_initial_call=True)
    def offer(_: Any, shown: Any) -> list[dict[str, str]]:
        now = options(catalog().snapshot())
        if now == shown:
            raise PreventUpdate
        return now
