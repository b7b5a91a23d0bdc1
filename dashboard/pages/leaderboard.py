"""Leaderboard: which run is best, and how sure is that?"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dash_ag_grid as dag
from dash import Input, Output, State, dcc, html, no_update
from dash.exceptions import PreventUpdate

from dashboard.analysis import comparability, ranking, verdict
from dashboard.analysis.comparability import EvaluationSet
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.verdict import Answer
from dashboard.components import context, query, run_table, upload
from dashboard.components import layout as parts
from dashboard.components.callbacks import callback, clientside, new_data
from dashboard.components.context import catalog
from dashboard.components.run_table import Placed
from dashboard.components.shell import LIVE, SELECTION
from dashboard.figures import scatter, theme
from dashboard.sources.catalog import Snapshot

PATH, NAME = "/", "Leaderboard"

RANKS = {"auto": "Automatic", "loss": "Eval loss", "accuracy": "Reward accuracy"}
ATS: dict[At, str] = {"best": "Best checkpoint", "last": "Last evaluation"}
_KEYS = {"loss": EVAL_LOSS, "accuracy": EVAL_ACCURACY}

_GRID = {
    "theme": {"function": "prefscopeTheme(themeQuartz)"},
    "rowSelection": {"mode": "multiRow", "checkboxes": True, "headerCheckbox": True, "selectAll": "filtered"},
    "selectionColumnDef": {"pinned": "left", "width": 44},
    "tooltipShowDelay": 300,
    "suppressCellFocus": False,
    "suppressColumnMoveAnimation": True,
    "animateRows": False,
}


@dataclass(frozen=True)
class Board:
    """All that the page shows for one state of the runs."""

    rows: list[dict[str, Any]]
    columns: list[dict[str, Any]]
    answers: list[Any]
    figure: Any
    stamp: str

    @property
    def column_stamp(self) -> str:
        """Changes when the table's columns do: columns that a user has moved stay where they are until then."""
        return " ".join(f"{column['field']}:{column['headerName']}" for column in self.columns)


def board(snapshot: Snapshot, choice: str, at: At, now: float) -> Board:
    """`choice` is a key of RANKS: automatic takes the loss where it is comparable, per evaluation set."""
    runs = list(snapshot.runs.values())
    slots = catalog().colours(snapshot.runs)
    known = context.study(snapshot)
    sets = [EvaluationSet(group.label, group.runs, group.proven) for group in comparability.accuracy_groups(known)]
    placed: list[Placed] = []
    answers: list[Answer] = []
    for group in sets:
        key = _KEYS.get(choice) or comparability.natural_metric(group.runs)
        answers.append(verdict.answer(group, key, at, known))
        placed += _place(group.runs, key, at, answers[-1], slots)
    keys = run_table.parameters(runs)
    raw = any(not comparability.loss_scale(group.runs).comparable for group in sets)
    return Board(
        run_table.rows(placed, keys, at, now),
        run_table.columns(runs, keys, len(sets) > 1, raw),
        [_answer(answer, len(sets) > 1) for answer in answers],
        scatter.loss_against_accuracy([item.run for item in placed], at, slots),
        f"{snapshot.version} {choice} {at}",
    )


def _place(runs: Sequence[Any], key: str, at: At, group: Answer, slots: Mapping[str, int]) -> list[Placed]:
    """The runs in the order of their rank, those without one last."""
    ranks = ranking.rank(runs, key, at)
    placed = [Placed(run, ranks.get(run.id), group, slots[run.id]) for run in runs]
    return sorted(placed, key=lambda item: item.rank or len(placed) + 1)


def _answer(answer: Answer, named: bool) -> html.Div:
    title = [html.Div(answer.name, className="answer-set")] if named else []
    head = html.P(answer.headline, className="headline" if answer.best else "headline dim")
    certainty = [html.P(text, className="answer-detail") for text in (*answer.details[:1], answer.base) if text]
    fine = [html.P(" ".join(answer.details[1:]), className="answer-fine")] if answer.details[1:] else []
    warnings = [parts.notice(text, "warning") for text in answer.warnings]
    return html.Div([*title, head, *certainty, *warnings, *fine], className="answer")


def layout(rank: Any = None, at: Any = None, runs: Any = None, selected: Any = None, **_: Any) -> html.Div:
    """The page, complete with its data; the keywords come from the link and from the stored selection."""
    choice, moment = query.choice(rank, list(RANKS)), query.choice(at, list(ATS))
    chosen = query.linked_ids(runs) or query.ids(selected)
    snapshot = catalog().snapshot()
    shown = board(snapshot, choice, moment, time.time())
    return html.Div(
        [
            html.H1("Leaderboard", className="visually-hidden"),
            html.Div(_nothing(snapshot), id="leaderboard-empty", hidden=bool(snapshot.runs)),
            html.Div(
                [
                    html.Section(
                        shown.answers, id="leaderboard-answer", className="panel answers", **{"aria-live": "polite"}
                    ),
                    _table(shown, choice, moment, chosen),
                ],
                id="leaderboard-board",
                hidden=not snapshot.runs,
            ),
            html.Div(_scatter(shown), id="leaderboard-chart", hidden=not snapshot.runs),
            parts.card("Add runs", [upload.panel(snapshot.uploads, snapshot.notes)], id="add-runs"),
            dcc.Store(id="leaderboard-shown", data=shown.stamp),
            dcc.Store(id="leaderboard-columns", data=shown.column_stamp),
            dcc.Store(id="leaderboard-link"),
        ],
        className="page",
    )


def _nothing(snapshot: Snapshot) -> html.Div:
    if snapshot.problem:
        return parts.empty("The runs folder cannot be read", [snapshot.problem])
    return parts.empty(
        "No runs yet",
        [
            ["Train the demo sweep: ", parts.command("make demo")],
            ["Train one run: ", parts.command("python -m training.run")],
            "Or drop logs that you already have below. Runs appear here by themselves.",
        ],
    )


def _table(shown: Board, choice: str, at: At, chosen: list[str]) -> html.Section:
    controls = [
        parts.segmented("leaderboard-rank", "Rank by", RANKS, choice),
        parts.segmented("leaderboard-at", "Evaluated at", ATS, at),
        html.A("Add runs", href="#add-runs", className="btn btn-quiet btn-tall"),
    ]
    grid = dag.AgGrid(
        id="run-table",
        rowData=shown.rows,
        columnDefs=shown.columns,
        defaultColDef={"sortable": True, "resizable": True},
        getRowId="params.data.id",
        dashGridOptions=_GRID,
        selectedRows={"ids": chosen},
        style=_height(len(shown.rows)),
        className="run-grid",
    )
    foot = html.Div(
        [
            html.Span("Select runs to see their curves.", id="leaderboard-selected"),
            dcc.Link("Show curves", href="/curves", className="btn btn-main", id="leaderboard-to-curves"),
        ],
        className="table-foot",
    )
    return parts.card("Runs", [grid, foot], controls)


def _height(rows: int) -> dict[str, str | None]:
    """Tall enough for the rows up to 15; more are scrolled inside the table."""
    return {"height": f"{58 + 46 * min(max(rows, 1), 15)}px", "width": None}


def _scatter(shown: Board) -> html.Section:
    graph = dcc.Graph(id="leaderboard-scatter", figure=shown.figure, config=theme.CONFIG, style={"height": "380px"})
    about = html.P(
        "Each point is a run; its bar is the 95% interval of the accuracy. Up is more accurate, left is a lower loss. "
        "Compare only runs evaluated on the same pairs. Click a point to select its run.",
        className="chart-note",
    )
    return parts.card("Eval loss against reward accuracy", [about, graph])


@callback(
    Output("run-table", "rowData"),
    Output("run-table", "columnDefs"),
    Output("run-table", "style"),
    Output("leaderboard-answer", "children"),
    Output("leaderboard-scatter", "figure"),
    Output("leaderboard-empty", "hidden"),
    Output("leaderboard-board", "hidden"),
    Output("leaderboard-chart", "hidden"),
    Output("leaderboard-shown", "data"),
    Output("leaderboard-columns", "data"),
    Input(LIVE, "data"),
    Input("leaderboard-rank", "value"),
    Input("leaderboard-at", "value"),
    State("leaderboard-shown", "data"),
    State("leaderboard-columns", "data"),
    prevent_initial_call=True,
)
def refresh(_: Any, rank: Any, at: Any, stamp: Any, columns: Any) -> tuple[Any, ...]:
    """Brings the page up to date; nothing is sent when nothing changed."""
    choice, moment = query.choice(rank, list(RANKS)), query.choice(at, list(ATS))
    snapshot = catalog().snapshot()
    if stamp == f"{snapshot.version} {choice} {moment}":
        raise PreventUpdate
    shown = board(snapshot, choice, moment, time.time())
    none = not snapshot.runs
    table = (shown.rows, no_update if columns == shown.column_stamp else shown.columns, _height(len(shown.rows)))
    return (*table, shown.answers, new_data(shown.figure), not none, none, none, shown.stamp, shown.column_stamp)


clientside(
    "selectRows",
    Output(SELECTION, "data"),
    Output("leaderboard-selected", "children"),
    Input("run-table", "selectedRows"),
    State(SELECTION, "data"),
)
clientside(
    "selectPoint",
    Output("run-table", "selectedRows"),
    Input("leaderboard-scatter", "clickData"),
    State("run-table", "selectedRows"),
    prevent_initial_call=True,
)
clientside(
    "pinWhereWide",
    Output("leaderboard-link", "data", allow_duplicate=True),
    Input("run-table", "columnDefs"),
    prevent_initial_call="initial_duplicate",
)
clientside(
    "linkLeaderboard",
    Output("leaderboard-link", "data"),
    Input("leaderboard-rank", "value"),
    Input("leaderboard-at", "value"),
    Input("run-table", "selectedRows"),
    prevent_initial_call=True,
)
