"""Leaderboard: which run is best, and how sure is that?"""

from typing import Any

from dash import Input, Output, State, html, no_update, set_props
from dash.exceptions import PreventUpdate

from dashboard.analysis import common_scale
from dashboard.components import context, link, query
from dashboard.components import layout as parts
from dashboard.components.callbacks import callback, clientside, new_data
from dashboard.components.context import catalog
from dashboard.components.leaderboard import controls
from dashboard.components.leaderboard import curves as board_curves
from dashboard.components.leaderboard import export_menu as board_export
from dashboard.components.leaderboard import page as board_page
from dashboard.components.leaderboard import words as board_words
from dashboard.components.leaderboard.board import Board, View, board, change, known
from dashboard.components.leaderboard.chart import Chart, chart
from dashboard.components.stores import LIVE, SELECTION
from dashboard.sources.catalog import Snapshot

PATH, NAME = "/", "Leaderboard"

_VIEW = [
    ("leaderboard-rank", "value"),
    ("leaderboard-at", "value"),
    ("leaderboard-step", "value"),
    ("leaderboard-beta", "data"),
    ("leaderboard-group", "value"),
]
"""The controls that a View is read from."""


def view(rank: Any, at: Any, step: Any, beta: Any, group: Any, groups: Any = None) -> View:
    """What the user has chosen, of what a browser sent."""
    chosen, moment = query.choice(rank, list(controls.RANKS)), query.choice(at, list(controls.MOMENTS))
    number = query.number(step, 1, 1e12) if moment == "step" else None
    scale = query.number(beta, common_scale.LEAST, common_scale.MOST) if chosen == "common" else None
    name = query.one(group)[:200]
    return View(
        chosen,
        moment,
        None if number is None else int(number),
        None if scale is None else float(f"{scale:.3g}"),
        name if groups is None or name in groups else "",
    )


def _shown(snapshot: Snapshot, *chosen: Any) -> tuple[View, Board]:
    """The board of what was chosen; a grouping that these runs do not offer is none."""
    wanted = view(*chosen)
    plain = board(snapshot, wanted._replace(group=""))
    if not wanted.group or wanted.group not in plain.groupings:
        return wanted._replace(group=""), plain
    return wanted, board(snapshot, wanted)


def layout(selected: Any = None, **link_: Any) -> html.Div:
    """The page, complete with its rows; the keywords come from the link and from the stored selection."""
    snapshot = catalog().snapshot()
    chosen, shown = _shown(snapshot, *(link_.get(name) for name in ("rank", "at", "step", "beta", "group")))
    runs = query.linked_ids(link_.get("runs")) or query.ids(selected)
    found = context.findings(snapshot, shown.at)
    none = not snapshot.runs
    return html.Div(
        [
            html.H1("Leaderboard", className="visually-hidden"),
            html.Div(board_page.nothing(snapshot), id="leaderboard-empty", hidden=not none),
            html.Div(
                [
                    html.Section(
                        board_words.verdict(shown.answers, shown.notes),
                        id="leaderboard-answer",
                        className="panel answers",
                        **{"aria-live": "polite"},
                    ),
                    parts.card("Findings", [html.Div(board_words.findings(found), id="leaderboard-findings")]),
                    board_page.runs(shown, chosen, link_, runs),
                ],
                id="leaderboard-board",
                hidden=none,
            ),
            html.Div(board_page.chart_place(), id="leaderboard-chart", hidden=none),
            *board_page.stores(shown, link_, runs),
            link.store("leaderboard", PATH, board_page.PARAMETERS),
        ],
        className="page",
    )


@callback(
    Output("leaderboard-data", "data"),
    Output("leaderboard-stamp", "data"),
    Output("leaderboard-answer", "children"),
    Output("leaderboard-group", "options"),
    Output("leaderboard-status", "options"),
    Output("leaderboard-status-box", "hidden"),
    Output("run-table", "style"),
    Output("leaderboard-empty", "hidden"),
    Output("leaderboard-board", "hidden"),
    Output("leaderboard-chart", "hidden"),
    Input(LIVE, "data"),
    Input("leaderboard-again", "data"),
    *[Input(*place) for place in _VIEW],
    State("leaderboard-stamp", "data"),
    prevent_initial_call=True,
)
def refresh(_: Any, __: Any, rank: Any, at: Any, step: Any, beta: Any, group: Any, stamp: Any) -> tuple[Any, ...]:
    """Brings the page up to date: only rows that changed are sent, and nothing when nothing changed.

    A browser whose rows are not those that a change was made for asks again, without a stamp.
    """
    snapshot = catalog().snapshot()
    chosen, shown = _shown(snapshot, rank, at, step, beta, group)
    if stamp == shown.stamp:
        raise PreventUpdate
    before = known(snapshot, stamp, chosen)
    none = not snapshot.runs
    hidden = (not none, none, none)
    if before is None or shown.groups or before.table.columns != shown.table.columns or before.groups:
        said = board_words.verdict(shown.answers, shown.notes)
        states = controls.status_options(shown)
        groups = controls.group_options(shown.groupings)
        return shown.content, shown.stamp, said, groups, states, not states, board_page.height(shown), *hidden
    return _changed(before, shown, hidden)


def _changed(before: Board, shown: Board, hidden: tuple[bool, ...]) -> tuple[Any, ...]:
    """The difference of two boards of one view and the same columns."""
    said = (before.answers, before.notes) != (shown.answers, shown.notes)
    words = board_words.verdict(shown.answers, shown.notes) if said else no_update
    sent = change(before, shown, said)
    if sent is None:
        raise PreventUpdate
    states = controls.status_options(shown)
    groups = no_update if before.groupings == shown.groupings else controls.group_options(shown.groupings)
    return sent, shown.stamp, words, groups, states, not states, board_page.height(shown), *hidden


@callback(
    Output("leaderboard-findings", "children"),
    Output("leaderboard-badges", "data"),
    Output("leaderboard-tick", "disabled"),
    Input("leaderboard-painted", "data"),
    Input("leaderboard-tick", "n_intervals"),
    *[State(*place) for place in _VIEW],
    prevent_initial_call=True,
)
def find(painted: Any, _: Any, *chosen: Any) -> tuple[Any, ...]:
    """What the checks find comes after the table; while it is being worked out it is asked for again."""
    snapshot = catalog().snapshot()
    _, shown = _shown(snapshot, *chosen)
    found = context.findings(snapshot, shown.at)
    if not found.ready:
        return no_update, no_update, False
    badges = context.cached(snapshot, lambda: board_words.badges(found.found, tuple(snapshot.runs)), "badges", shown.at)
    return board_words.findings(found), badges, True


@callback(
    Output("leaderboard-curves", "data"),
    Input("leaderboard-wanted", "data"),
    prevent_initial_call=True,
)
def small_curves(wanted: Any) -> str:
    """The curves of the rows in view."""
    runs = catalog().snapshot().runs
    return board_curves.curves([run for run in query.ids(wanted) if run in runs])


def _chart(*chosen: Any) -> Chart:
    snapshot = catalog().snapshot()
    wanted, shown = _shown(snapshot, *chosen)
    plain = wanted._replace(group="")
    slots = catalog().colours(snapshot.runs)
    return context.cached(snapshot, lambda: chart(shown, wanted.rank, slots), "chart", plain)


@callback(
    Output("leaderboard-chart-body", "children"),
    Output("leaderboard-chart-words", "children"),
    Input("leaderboard-near", "data"),
    *[State(*place) for place in _VIEW],
    prevent_initial_call=True,
)
def first_chart(_: Any, *chosen: Any) -> tuple[Any, str]:
    """The chart, once the user is near it."""
    found = _chart(*chosen)
    summary = f"Loss against reward accuracy of the runs in the table above. {found.words}"
    return parts.chart("leaderboard-scatter", found.figure, 380, summary), found.words


@callback(
    Output("leaderboard-chart-words", "children", allow_duplicate=True),
    Input("leaderboard-stamp", "data"),
    State("leaderboard-near", "data"),
    *[State(*place) for place in _VIEW],
    prevent_initial_call=True,
)
def next_chart(_: Any, near: Any, *chosen: Any) -> str:
    """The chart after a change, where there is one."""
    if near != 1:
        raise PreventUpdate
    found = _chart(*chosen)
    patch = new_data(found.figure)
    patch["layout"]["xaxis"]["title"] = found.figure["layout"]["xaxis"]["title"]
    set_props("leaderboard-scatter", {"figure": patch})
    return found.words


@callback(
    Output("leaderboard-exported", "data"),
    Input("leaderboard-export", "data"),
    *[State(*place) for place in _VIEW],
    prevent_initial_call=True,
)
def export(wanted: Any, *chosen: Any) -> dict[str, Any]:
    """The table as it is seen, as text."""
    if not isinstance(wanted, dict):
        raise PreventUpdate
    kind = query.choice(wanted.get("kind"), list(board_export.ENDINGS))
    use = query.choice(wanted.get("use"), ["copy", "download"])
    rows, fields = ([] if not isinstance(wanted.get(part), list) else wanted[part] for part in ("rows", "fields"))
    _, shown = _shown(catalog().snapshot(), *chosen)
    text = board_export.exported(shown, kind, rows, fields)
    return {"text": text, "use": use, "name": f"runs.{board_export.ENDINGS[kind]}", "at": wanted.get("at")}


_LINKS = ("curves", "compare", "pairs", "hyperparameters")
_DONE = Output("leaderboard-done", "data", allow_duplicate=True)

link.linked("leaderboard", board_page.PARAMETERS)
clientside(
    "boardShow",
    Output("leaderboard-done", "data"),
    Input("leaderboard-data", "data"),
    *[State(f"leaderboard-{name}", "data") for name in ("sort", "filter", "columns", "start")],
)
clientside(
    "boardFilter",
    _DONE,
    *[Input(f"leaderboard-{name}", "value") for name in ("search", "status", "tied")],
    prevent_initial_call=True,
)
clientside("boardBadges", _DONE, Input("leaderboard-badges", "data"), prevent_initial_call=True)
clientside("boardCurves", _DONE, Input("leaderboard-curves", "data"), prevent_initial_call=True)
clientside("boardPoint", _DONE, Input("leaderboard-scatter", "clickData"), prevent_initial_call=True)
clientside(
    "boardHighlight",
    _DONE,
    Input("leaderboard-scatter", "figure", allow_optional=True),
    Input(SELECTION, "data"),
    prevent_initial_call=True,
)
clientside(
    "boardExported",
    Output("leaderboard-export-said", "children"),
    Input("leaderboard-exported", "data"),
    prevent_initial_call=True,
)
clientside(
    "boardSelection",
    Output("leaderboard-selected", "children"),
    *[Output(f"leaderboard-to-{page}", name) for name in ("href", "className") for page in _LINKS],
    Input(SELECTION, "data"),
)
clientside(
    "boardControls",
    Output("leaderboard-beta-box", "hidden"),
    Output("leaderboard-step-box", "hidden"),
    Input("leaderboard-rank", "value"),
    Input("leaderboard-at", "value"),
    prevent_initial_call=True,
)
