"""The markup of the Leaderboard: stores, table, chart's place, empty state, and the link's parameters."""

from typing import Any

import dash_ag_grid as dag
import orjson
from dash import dcc, html

from dashboard.analysis import common_scale
from dashboard.components import layout as parts
from dashboard.components import query
from dashboard.components.leaderboard import controls
from dashboard.components.leaderboard.board import Board, View
from dashboard.components.link import Parameter
from dashboard.components.no_runs import no_runs
from dashboard.components.stores import SELECTION
from dashboard.sources.catalog import Snapshot

PARAMETERS = (
    Parameter("rank", "leaderboard-rank", default="auto"),
    Parameter("at", "leaderboard-at", default="best"),
    Parameter("step", "leaderboard-step", default=""),
    Parameter("beta", "leaderboard-beta", "data"),
    Parameter("group", "leaderboard-group", default=controls.NO_GROUP),
    Parameter("search", "leaderboard-search", default=""),
    Parameter("state", "leaderboard-status", default=[]),
    Parameter("tied", "leaderboard-tied", default=[]),
    Parameter("sort", "leaderboard-sort", "data"),
    Parameter("filter", "leaderboard-filter", "data"),
    Parameter("columns", "leaderboard-columns", "data"),
    Parameter("runs", SELECTION, "data"),
)
_GRID = {
    "theme": {"function": "prefscopeTheme(themeQuartz)"},
    "rowSelection": {"mode": "multiRow", "checkboxes": True, "headerCheckbox": True, "selectAll": "filtered"},
    "selectionColumnDef": {"pinned": "left", "width": 44},
    "tooltipShowDelay": 300,
    "suppressColumnMoveAnimation": True,
    "animateRows": False,
    "suppressNoRowsOverlay": True,
}
_LONGEST_FILTER = 4_000


def stores(shown: Board, link_: dict[str, Any], runs: list[str]) -> list[Any]:
    """What the browser keeps: the rows and their stamp, sort, filter and columns, and what it asks for."""
    columns, filters = query.linked_ids(link_.get("columns")), _filter(link_.get("filter"))
    kept = {
        "data": shown.content,
        "stamp": shown.stamp,
        "sort": query.one(link_.get("sort"))[:200] or None,
        "filter": filters,
        "columns": columns or None,
        "beta": query.number(link_.get("beta"), common_scale.LEAST, common_scale.MOST),
        "start": runs,
    }
    empty = ("painted", "wanted", "curves", "badges", "near", "export", "exported", "done", "again")
    # A Store that is given None tells its callbacks of it: what has no value yet is left without one.
    return [
        dcc.Interval(id="leaderboard-tick", interval=1_500, disabled=True),
        *(dcc.Store(id=f"leaderboard-{name}", data=value) for name, value in kept.items() if value is not None),
        *(dcc.Store(id=f"leaderboard-{name}") for name in (*empty, *(key for key in kept if kept[key] is None))),
    ]


def _filter(text: Any) -> dict[str, Any] | None:
    """The column filters of a link; AG Grid passes over what it does not know."""
    try:
        found = orjson.loads(query.one(text)[:_LONGEST_FILTER])
    except orjson.JSONDecodeError:
        return None
    usable = isinstance(found, dict) and found and all(isinstance(value, dict) for value in found.values())
    return found if usable else None


def nothing(snapshot: Snapshot) -> html.Div:
    """What is shown where there are no runs."""
    promise = "Here you will see which run is best, and how sure that is. Runs appear by themselves."
    return no_runs(snapshot, promise)


def runs(shown: Board, chosen: View, link_: dict[str, Any], selected: list[str]) -> html.Section:
    """The card with the table: its controls, the grid without rows (the browser puts them in), its foot."""
    grid = dag.AgGrid(
        id="run-table",
        defaultColDef={"sortable": True, "resizable": True},
        getRowId="params.data.id",
        dashGridOptions=_GRID,
        selectedRows={"ids": selected},
        style=height(shown),
        className="run-grid",
    )
    states = [state for state in query.one(link_.get("state")).split(",") if state]
    filters = controls.filters(query.one(link_.get("search"))[:200], states, bool(link_.get("tied")), shown)
    menus = html.Div([controls.columns_menu(), controls.export_menu()], className="menus")
    bar = html.Div([controls.grouping(chosen, shown.groupings), *filters, menus], className="control-bar board-bar")
    place = html.Div(grid, className="grid-place", style={"--tall": height(shown)["height"]})
    return parts.card("Runs", [bar, place, _foot()], controls.ranking(chosen, shown), className="board-runs")


def _foot() -> html.Div:
    """What can be done with the selected runs."""
    links = {"curves": "Show curves", "compare": "Compare", "pairs": "Pairs", "hyperparameters": "Hyper-parameters"}
    return html.Div(
        [
            html.Span("Select runs to see their curves.", id="leaderboard-selected", role="status"),
            html.Div(
                [
                    dcc.Link(
                        words,
                        href=f"/{page}",
                        className="btn btn-main" if page == "curves" else "btn btn-quiet btn-tall",
                        id=f"leaderboard-to-{page}",
                    )
                    for page, words in links.items()
                ],
                className="foot-links",
            ),
        ],
        className="table-foot",
    )


def height(shown: Board) -> dict[str, str | None]:
    """Tall enough for the rows up to 15; more are scrolled inside the table. Groups have room to be opened."""
    rows = max(len(shown.groups), min(8, len(shown.table.rows))) if shown.groups else len(shown.table.rows)
    return {"height": f"{58 + 46 * min(max(rows, 1), 15)}px", "width": None}


def chart_place() -> html.Section:
    """Where the chart will be: it comes when the user is near it, for plotly.js takes long to load."""
    about = html.P(
        "Each point is a run, its bars are 95% intervals where they are known. Up is more accurate, left is a lower "
        "loss. Click a point to select its run.",
        className="chart-note",
    )
    place = html.Div(parts.skeleton(380), id="leaderboard-chart-body", className="board-chart")
    words = html.P(id="leaderboard-chart-words", className="chart-note")
    return parts.card("Loss against reward accuracy", [about, place, words])
