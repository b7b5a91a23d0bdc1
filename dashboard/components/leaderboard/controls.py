"""The controls of the Leaderboard: what ranks the runs, which evaluation, groups, filters, columns, export."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from dashboard.components import layout as parts
from dashboard.components.leaderboard.board import Board, Moment, Rank, View
from training.record.metrics import CALIBRATED_LOSS, COMMON_BETA_LOSS

RANKS: dict[Rank, str] = {
    "auto": "Automatic",
    "accuracy": "Reward accuracy",
    "loss": "Eval loss",
    "common": "Common-beta loss",
    "calibrated": "Calibrated loss",
}
MOMENTS: dict[Moment, str] = {"best": "Best checkpoint", "last": "Last evaluation", "step": "At step"}

NO_GROUP = "none"

FORMATS = {"csv": "CSV", "markdown": "Markdown", "latex": "LaTeX"}


def ranking(view: View, shown: Board) -> list[Any]:
    """By what, and at which evaluation, the runs are ranked."""
    slider = html.Div(id="leaderboard-beta-slider", className="range-line", **{"data-beta": f"{shown.beta:g}"})
    field = dcc.Input(
        id="leaderboard-step",
        type="text",
        inputMode="numeric",
        value="" if view.step is None else str(view.step),
        placeholder="last common" if shown.step is None else f"{shown.step}",
        debounce=True,
        className="field field-step",
    )
    return [
        html.Div(
            [
                parts.segmented("leaderboard-rank", "Rank by", RANKS, view.rank),
                parts.metric_help(COMMON_BETA_LOSS, CALIBRATED_LOSS),
            ],
            className="with-help",
        ),
        html.Div(
            parts.labelled("Common beta", slider),
            id="leaderboard-beta-box",
            hidden=view.rank != "common",
        ),
        parts.segmented("leaderboard-at", "Evaluated at", MOMENTS, view.at),
        html.Div(parts.labelled("Step", field), id="leaderboard-step-box", hidden=view.at != "step"),
    ]


def grouping(view: View, choices: Mapping[str, str]) -> html.Div:
    """What the rows are put together by."""
    select = dbc.Select(
        id="leaderboard-group", options=group_options(choices), value=view.group or NO_GROUP, class_name="field"
    )
    return parts.labelled("Group by", select)


def group_options(choices: Mapping[str, str]) -> list[dict[str, str]]:
    """The entries of the list of groupings."""
    return [
        {"value": NO_GROUP, "label": "No groups"},
        *({"value": key, "label": words} for key, words in choices.items()),
    ]


def status_options(shown: Board) -> list[dict[str, str]]:
    """A chip for each state that runs are in, where they are in several."""
    counts: dict[str, int] = {}
    for evidence in shown.study.values():
        counts[evidence.run.status] = counts.get(evidence.run.status, 0) + 1
    found = [{"value": status, "label": f"{status} {count:,}"} for status, count in counts.items()]
    return found if len(found) > 1 else []


def filters(search: str, statuses: Sequence[str], tied: bool, shown: Board) -> list[Any]:
    """What decides in the browser which rows are seen."""
    box = dcc.Input(
        id="leaderboard-search",
        type="search",
        value=search,
        placeholder="Name or configuration",
        className="field field-search",
    )
    chips = dbc.Checklist(
        id="leaderboard-status",
        options=status_options(shown),
        value=list(statuses),
        class_name="segmented chips",
        input_class_name="btn-check",
        label_class_name="btn btn-segment",
        label_checked_class_name="active",
    )
    only = dbc.Checklist(
        id="leaderboard-tied",
        options=[{"value": "tied", "label": "Only the best and its ties"}],
        value=["tied"] * tied,
        switch=True,
    )
    return [
        parts.labelled("Search", box),
        html.Div(parts.labelled("State", chips), id="leaderboard-status-box", hidden=not status_options(shown)),
        html.Div(only, className="switch-line"),
    ]


def columns_menu() -> html.Details:
    """Which columns are shown; the browser fills it from the table."""
    return html.Details(
        [
            html.Summary("Columns", className="btn btn-quiet btn-tall"),
            html.Div(
                [
                    html.Div(id="leaderboard-columns-list", className="menu-list"),
                    html.P("Drag a header to move a column, its edge to resize it.", className="menu-note"),
                    html.Button(
                        "Reset columns", id="leaderboard-columns-reset", className="btn btn-quiet", type="button"
                    ),
                ],
                className="menu-body",
            ),
        ],
        className="menu",
    )


def export_menu() -> html.Details:
    """The table as it is seen, to take elsewhere."""
    lines = [
        html.Div(
            [html.Span(words, className="menu-label"), *(_button(kind, words, use) for use in ("Download", "Copy"))]
        )
        for kind, words in FORMATS.items()
    ]
    note = html.P("The rows and columns as they are shown now.", className="menu-note")
    said = html.P(id="leaderboard-export-said", className="menu-note", role="status")
    return html.Details(
        [
            html.Summary("Export", className="btn btn-quiet btn-tall"),
            html.Div([*lines, note, said], className="menu-body menu-export"),
        ],
        className="menu",
    )


def _button(kind: str, words: str, use: str) -> html.Button:
    data = {"data-export": kind, "data-use": use.lower(), "aria-label": f"{use} {words}"}
    return html.Button(use, className="btn btn-quiet", type="button", **data)
