"""Compare: how do two to six runs differ, and is one really better?"""

from collections.abc import Sequence
from typing import Any

import yaml
from dash import Input, Output, State, dcc, html
from dash.exceptions import PreventUpdate

from dashboard.analysis import common_scale, comparing
from dashboard.analysis.comparing import Comparable
from dashboard.analysis.ranking import At
from dashboard.components import compare_parts, context, link, query, selection
from dashboard.components import layout as parts
from dashboard.components.callbacks import callback
from dashboard.components.context import catalog
from dashboard.components.link import Parameter
from dashboard.components.no_runs import no_runs
from dashboard.components.stores import LIVE
from dashboard.sources.catalog import Snapshot

PATH, NAME = "/compare", "Compare"

ATS: dict[At, str] = {"best": "Best checkpoint", "last": "Last evaluation"}

PARAMETERS = (
    Parameter("runs", "compare-runs", default=[]),
    Parameter("base", "compare-base"),
    Parameter("at", "compare-at", default="best"),
)


def layout(runs: Any = None, base: Any = None, at: Any = None, selected: Any = None, **_: Any) -> html.Div:
    """The page, complete with its data; the keywords come from the link and from the stored selection."""
    snapshot = catalog().snapshot()
    chosen = selection.chosen(snapshot, runs, selected, comparing.MOST)
    moment = query.choice(at, list(ATS))
    baseline = _baseline(chosen, base)
    return html.Div(
        [
            html.H1("Compare", className="visually-hidden"),
            html.Section(_controls(snapshot, chosen, baseline, moment), className="panel control-bar page-controls"),
            html.Div(_content(snapshot, chosen, baseline, moment), id="compare-content", className="page"),
            link.store("compare", PATH, PARAMETERS),
            dcc.Store(id="compare-shown", data=_stamp(snapshot, chosen, baseline, moment)),
        ],
        className="page",
    )


def _baseline(chosen: Sequence[str], wanted: Any) -> str | None:
    named = query.one(wanted)
    return named if named in chosen else next(iter(chosen), None)


def _controls(snapshot: Snapshot, chosen: list[str], baseline: str | None, at: At) -> list[Any]:
    against = dcc.Dropdown(
        _named(snapshot, chosen), baseline, id="compare-base", clearable=False, searchable=False, placeholder="–"
    )
    return [
        html.Div(
            parts.labelled("Runs (two to six)", selection.picker("compare-runs", snapshot, chosen)), className="grow"
        ),
        html.Div(parts.labelled("Baseline", against), className="compare-against"),
        parts.segmented("compare-at", "Evaluated at", ATS, at),
    ]


def _named(snapshot: Snapshot, chosen: Sequence[str]) -> list[dict[str, str]]:
    return [{"value": run, "label": snapshot.runs[run].name} for run in chosen]


def _stamp(snapshot: Snapshot, chosen: Sequence[str], baseline: str | None, at: At) -> str:
    """What is to be seen: the runs as they are now. A run that is new elsewhere changes nothing here."""
    return repr((chosen, baseline, at, [hash(repr(snapshot.runs[run])) for run in chosen]))


def _content(snapshot: Snapshot, chosen: Sequence[str], baseline: str | None, at: At) -> list[Any]:
    if not snapshot.runs:
        return [no_runs(snapshot, "Here you will see how two to six runs differ, and whether one is really better.")]
    if len(chosen) < comparing.FEWEST or baseline is None:
        leaderboard = dcc.Link("Choose on the Leaderboard", href="/", className="btn btn-main")
        lines = ["Choose two to six above, or tick them on the Leaderboard and press Compare there.", leaderboard]
        return [parts.empty("Choose runs to compare", lines)]
    study = context.study(snapshot)
    beta = common_scale.usual_beta(study)
    groups = Comparable(context.accuracy_groups(snapshot), context.loss_groups(snapshot))
    found = context.cached(
        snapshot,
        lambda: comparing.differences(study, chosen, baseline, at, beta, groups),
        *("compare", tuple(chosen), baseline, at),
    )
    runs = [snapshot.runs[run] for run in chosen]
    slots = catalog().colours(snapshot.runs)
    rows, same = comparing.settings(runs)
    return [
        compare_parts.answer(found, snapshot, baseline),
        compare_parts.metrics(found, runs, baseline, slots, beta, at),
        compare_parts.configuration(rows, same, runs, slots, _yaml(runs, rows)),
        compare_parts.curves(runs, slots),
        compare_parts.pairs(study, runs, slots, at),
    ]


def _yaml(runs: Sequence[Any], rows: Sequence[comparing.Setting]) -> str:
    return yaml.safe_dump(comparing.as_yaml([run.name for run in runs], rows), sort_keys=False, allow_unicode=True)


@callback(
    Output("compare-content", "children"),
    Output("compare-base", "options"),
    Output("compare-base", "value"),
    Output("compare-shown", "data"),
    Input(LIVE, "data"),
    Input("compare-runs", "value"),
    Input("compare-base", "value"),
    Input("compare-at", "value"),
    State("compare-shown", "data"),
    prevent_initial_call=True,
)
def refresh(_: Any, runs: Any, base: Any, at: Any, shown: Any) -> tuple[Any, ...]:
    """Compares anew when the choice or one of the chosen runs has changed; nothing is sent when nothing did."""
    snapshot = catalog().snapshot()
    chosen = [run for run in query.ids(runs) if run in snapshot.runs][: comparing.MOST]
    baseline, moment = _baseline(chosen, base), query.choice(at, list(ATS))
    stamp = _stamp(snapshot, chosen, baseline, moment)
    if stamp == shown:
        raise PreventUpdate
    return _content(snapshot, chosen, baseline, moment), _named(snapshot, chosen), baseline, stamp


link.linked("compare", PARAMETERS)
selection.kept("compare-runs")
selection.offered("compare-runs")
