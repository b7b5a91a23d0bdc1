"""The Run page of a run that is not there."""

import difflib
from typing import Any

from dash import dcc, html

from dashboard.analysis import numbers
from dashboard.components import layout as parts
from dashboard.components.context import catalog
from dashboard.components.no_runs import no_runs
from dashboard.sources.catalog import Snapshot
from training.record.schema import Run

MOST = 8
ALIKE = 0.5
"""Share of common characters from which a name is said to be like another."""


def unknown(snapshot: Snapshot, run_id: str) -> html.Div:
    """That there is no such run, and the runs whose names are nearest to it."""
    near = nearest(snapshot, run_id)
    shown = near or list(snapshot.runs.values())[:MOST]
    slots = catalog().colours(snapshot.runs)
    links = html.Ul([html.Li(parts.run_link(run, slots[run.id])) for run in shown], className="run-near")
    title = f"There is no run “{numbers.one_line(run_id)}”" if run_id else "Choose a run"
    why = [] if not run_id else ["It may have been deleted or renamed, or the file that it came from was removed."]
    if not snapshot.runs:
        lines: list[Any] = [*why, no_runs(snapshot, "Here you will see all that is known of one run.")]
    else:
        home = dcc.Link("Go to the Leaderboard", href="/", className="btn btn-main")
        lines = [*why, "Runs with names like it:" if near else "Runs here:", links, home]
    return html.Div(_empty(title, lines), className="page")


def _empty(title: str, lines: list[Any]) -> html.Div:
    """As `parts.empty`, for lists too, which a paragraph cannot hold."""
    return html.Div([html.H1(title), *[html.Div(line) for line in lines]], className="empty run-unknown")


def nearest(snapshot: Snapshot, run_id: str) -> list[Run]:
    """The runs whose id or name is like it, the most alike first; none for no id."""
    runs = list(snapshot.runs.values())[:5_000] if run_id else []
    matcher = difflib.SequenceMatcher()
    matcher.set_seq2(run_id[:255].lower())
    scored = []
    for place, run in enumerate(runs):
        best = 0.0
        for name in {run.id, run.name}:
            matcher.set_seq1(name[:255].lower())
            if matcher.real_quick_ratio() > ALIKE and matcher.quick_ratio() > ALIKE:
                best = max(best, matcher.ratio())
        scored.append((-best, place, run))
    return [run for score, _, run in sorted(scored, key=lambda found: found[:2]) if score < -ALIKE][:MOST]
