"""Run: how is this run doing, and what came of it?"""

import hashlib
import time
from typing import Any
from urllib.parse import unquote

from dash import Input, Output, State, dcc, html, no_update
from dash.exceptions import PreventUpdate

from dashboard.analysis import numbers
from dashboard.components import layout as parts
from dashboard.components import link, query
from dashboard.components.callbacks import callback, clientside
from dashboard.components.context import catalog
from dashboard.components.link import Parameter
from dashboard.components.run import absent as run_absent
from dashboard.components.run import charts as run_charts
from dashboard.components.run import head as run_head
from dashboard.components.run import samples as run_samples
from dashboard.components.run import setup as run_setup
from dashboard.components.run import standing as run_standing
from dashboard.components.run import store as run_store
from dashboard.components.run import unknown as run_unknown
from dashboard.components.run.view import View, lacking, pages_link, section, view
from dashboard.components.stores import LIVE
from training.record.schema import Run

PATH, NAME = "/run", "Run"
TEMPLATE = "/run/<run_id>"

SECTIONS = {
    "verdict": "Verdict",
    "curves": "Curves",
    "findings": "Findings",
    "samples": "Samples",
    "checkpoints": "Checkpoints",
    "setup": "Configuration",
    "data": "Data",
    "environment": "Environment",
    "system": "System use",
    "files": "Files",
}

PARAMETERS = (
    Parameter("prompt", "run-prompt", default="0"),
    Parameter("step", "run-step", default=run_samples.LATEST),
    Parameter("file", "run-file", default=run_store.NONE),
)

CHANGING = ("head", "verdict-body", "findings-body", "notices", "checkpoints-body", "files-body")
"""Parts that are sent again when their content has changed; nothing that a user opens or types in is in them."""


def layout(
    run_id: Any = None, prompt: Any = None, step: Any = None, file: Any = None, selected: Any = None, **_: Any
) -> html.Div:
    """The page, complete with its data. `run_id` is the rest of the address, as the browser has it: percent-encoded."""
    raw = query.one(run_id)
    snapshot = catalog().snapshot()
    shown = view(snapshot, unquote(raw)) or view(snapshot, raw)
    if shown is None:
        return run_unknown.unknown(snapshot, unquote(raw))
    samples, now = run_samples.read(shown), _changing(shown)
    absent = run_absent.absent(shown)
    cards = {
        "verdict": [html.Div(now["verdict-body"], id="run-verdict-body")],
        "curves": run_charts.learning(shown),
        "findings": [
            html.Div(now["findings-body"], id="run-findings-body"),
            html.Div(now["notices"], id="run-notices"),
        ],
        "samples": run_samples.body(shown, samples, prompt, step),
        "checkpoints": [html.Div(now["checkpoints-body"], id="run-checkpoints-body")],
        "setup": run_setup.configuration(shown, run_standing.group_of(shown)),
        "data": run_setup.data(shown),
        "environment": run_setup.environment(shown),
        "system": run_charts.system(shown),
        "files": [html.Div(now["files-body"], id="run-files-body"), *run_store.viewer(shown, file)],
    }
    asides = {"curves": _more(shown), "samples": _sampling()}
    sections = [
        section(name, SECTIONS[name], body, asides.get(name), hidden=name in absent) for name, body in cards.items()
    ]
    return html.Div(
        [
            html.Div(id="run-gone", role="status"),
            html.Section(now["head"], id="run-head", className="panel run-head"),
            _navigation([name for name in SECTIONS if name not in absent]),
            html.Div([*sections, *run_absent.card(shown, absent)], className="run-sections"),
            dcc.Store(id="run-id", data=shown.run.id),
            dcc.Store(id="run-stamps", data=_stamps(now)),
            dcc.Store(id="run-drawn", data=run_charts.drawn(shown)),
            dcc.Store(id="run-drawn-samples", data=_sample_stamp(samples)),
            link.store("run", f"{PATH}/{raw}", PARAMETERS),
        ],
        className="page run-page",
    )


def _navigation(names: list[str]) -> html.Nav:
    """Buttons that lead to the cards: links within the page would change its address."""
    buttons = [
        html.Button(SECTIONS[name], type="button", className="run-jump", **{"data-target": f"run-{name}"})
        for name in names
    ]
    return html.Nav(buttons, className="run-navigation", **{"aria-label": "On this page"})


def _more(shown: View) -> dcc.Link:
    return dcc.Link("All metrics on Curves", href=pages_link("/curves", shown.run.id))


def _sampling() -> html.Span:
    return parts.help_mark(
        "Base model and policy answer with the same random seed. Marked words are those that the other answer has not."
    )


def _changing(shown: View) -> dict[str, Any]:
    """The parts of `CHANGING` as they are now."""
    group, now = run_standing.group_of(shown), time.time()
    found = (
        run_head.head(shown, group, now),
        run_standing.body(shown, group),
        run_standing.findings(shown),
        _notices(shown),
        run_store.checkpoints(shown),
        run_store.files(shown, now),
    )
    return dict(zip(CHANGING, found, strict=True))


def _notices(shown: View) -> list[Any]:
    """What the run's own log remarked."""
    rows = run_head.notices(shown)
    if not rows:
        return []
    said = [[str(row.get("step", "")), str(row.get("kind", "")), str(row.get("message", ""))] for row in rows[-100:]]
    return [html.H3("Remarked while it trained"), parts.table(["Step", "Kind", "What"], said, "Notices", (0,))]


def _stamps(now: dict[str, Any]) -> dict[str, str]:
    """A short text per part that changes when the part does."""
    return {name: hashlib.sha1(repr(part).encode(), usedforsecurity=False).hexdigest() for name, part in now.items()}


@callback(
    *[Output(f"run-{name}", "children") for name in CHANGING],
    Output("run-gone", "children"),
    Output("run-stamps", "data"),
    Input(LIVE, "data"),
    State("run-id", "data"),
    State("run-stamps", "data"),
    prevent_initial_call=True,
)
def refresh(_: Any, run_id: Any, stamps: Any) -> tuple[Any, ...]:
    """Sends the parts that have changed; of a run that is no longer there, only that it is not."""
    shown = view(catalog().snapshot(), run_id)
    if shown is None:
        gone = "This run is no longer there: what you see is what was last known of it."
        return (*[no_update] * len(CHANGING), parts.notice(gone, "warning"), no_update)
    now = _changing(shown)
    known, fresh = stamps if isinstance(stamps, dict) else {}, _stamps(now)
    changed = [part if fresh[name] != known.get(name) else no_update for name, part in now.items()]
    return (*changed, [], fresh)


@callback(
    *run_charts.outputs(),
    Output("run-drawn", "data"),
    Input(LIVE, "data"),
    State("run-id", "data"),
    State("run-drawn", "data"),
    prevent_initial_call=True,
)
def grow(_: Any, run_id: Any, drawn: Any) -> tuple[Any, ...]:
    """Adds new points to the charts."""
    shown = view(catalog().snapshot(), run_id)
    now = run_charts.drawn(shown) if shown else None
    if shown is None or now == drawn:
        raise PreventUpdate
    return (*run_charts.news(shown, drawn), now)


@callback(
    Output("run-answers", "children"),
    Output("run-strip", "children"),
    Output("run-prompt", "options"),
    Output("run-step", "options"),
    Output("run-no-samples", "hidden"),
    Output("run-samples-shown", "hidden"),
    Output("run-drawn-samples", "data"),
    Input(LIVE, "data"),
    Input("run-prompt", "value"),
    Input("run-step", "value"),
    State("run-id", "data"),
    State("run-drawn-samples", "data"),
    prevent_initial_call=True,
)
def answer(_: Any, prompt: Any, step: Any, run_id: Any, stamp: Any) -> tuple[Any, ...]:
    """The answers to the chosen prompt; the choices only where the run has drawn new ones."""
    shown = view(catalog().snapshot(), run_id)
    if shown is None:
        raise PreventUpdate
    samples = run_samples.read(shown)
    now = [*_sample_stamp(samples), query.one(prompt), query.one(step)]
    if now == stamp:
        raise PreventUpdate
    there = bool(samples.prompts)
    children = run_samples.answers(samples, prompt, step)
    if isinstance(stamp, list) and stamp[:2] == now[:2]:
        return *children, no_update, no_update, no_update, no_update, now
    steps = [{"value": key, "label": words} for key, words in run_samples.step_options(samples).items()]
    return *children, run_samples.prompt_options(samples), steps, there, not there, now


def _sample_stamp(samples: run_samples.Samples) -> list[Any]:
    """What changes when answers were drawn: how many, and the last step."""
    return [sum(map(len, samples.answers)), max(samples.steps, default=-1)]


@callback(
    Output("run-file-text", "children"),
    Input("run-file", "value"),
    State("run-id", "data"),
    prevent_initial_call=True,
)
def read(name: Any, run_id: Any) -> list[Any]:
    """The text of a small file of the run."""
    shown = view(catalog().snapshot(), run_id)
    return run_store.content(shown, name) if shown else [lacking("This run is no longer there.")]


def title(run_id: Any = None, **_: Any) -> str:
    """The title of the browser's tab."""
    run: Run | None = catalog().snapshot().runs.get(unquote(query.one(run_id)))
    return f"{numbers.visible(run.name) if run else NAME} · Prefscope"


clientside(
    "runFilter",
    Output("run-no-match", "hidden"),
    Input("run-search", "value"),
    Input("run-which", "value"),
)
link.linked("run", PARAMETERS)
