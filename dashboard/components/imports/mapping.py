"""The mapping editor: what each column or metric of a file is, as the user says, with its effect before it is kept."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import dash_bootstrap_components as dbc
from dash import ALL, Input, Output, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from dashboard.analysis import numbers
from dashboard.components.callbacks import callback, clientside
from dashboard.components.context import catalog
from dashboard.components.imports.effect import WORDS, effect, values
from dashboard.components.imports.form import ROLES, said, told
from dashboard.components.layout import folded, notice
from dashboard.components.stores import LIVE
from dashboard.sources import corrections_json
from dashboard.sources.imported import Corrections, SourceError
from dashboard.sources.taken import Role, Taken, taken
from dashboard.sources.uploads import Upload
from training.record.metrics import METRICS, SPLITS, describe

EDITOR = "import-mapping"

_FOUND = "found"
_GROUPS: Mapping[Role, str] = {
    "metric": "Metrics",
    "config": "Settings",
    "other": "Neither: names, states, steps, and what has no value",
    "ignored": "Ignored",
}
_MOST = 400
"""Names that are shown; a page cannot hold more controls without becoming slow."""
_MOST_BETAS = 20
_NO_SPLIT = ("system/", "samples/")


def editor(upload: Upload) -> list[Any]:
    """All controls for one file."""
    # Dash gives the values of many controls in the order in which they stand.
    found = taken(upload.imported, upload.corrections)[:_MOST]
    names = [one for role in _GROUPS for one in found if one.role == role]
    head = [
        html.Button("Back to the files", id="import-back", className="btn btn-quiet", type="button"),
        html.H2([html.Span("Columns of "), html.Span(upload.name, className="file-name")], tabIndex=-1, id="import-of"),
        html.P(
            "What each column or metric is was told by its name. Say it here where that is wrong: a setting (what a "
            "run was given), a metric (what it logged), or nothing of interest. A metric can be read under a key that "
            "the pages know.",
            className="dim",
        ),
    ]
    more = len(upload.named) - len(names)
    return [
        *head,
        *_betas(upload),
        _search(len(names)),
        *([notice(f"The first {_MOST:,} names are shown; {more:,} more are left as they are.")] if more > 0 else []),
        *_groups(names, upload.corrections),
        _keys(),
        _foot(),
        html.Datalist([html.Option(value=key, label=label) for key, label in known_keys()], id="import-keys"),
        dcc.Store(id="import-editing", data={"id": upload.id, "names": [one.name for one in names]}),
    ]


def _search(count: int) -> html.Label:
    words = html.Span("Find a column", className="control-label")
    return html.Label([words, dbc.Input(id="import-find", type="search")], className="control", hidden=count < 12)


def _foot() -> html.Div:
    """The effect and the buttons, in sight wherever one is in the list."""
    preview = html.Button("Preview", id="import-preview", className="btn btn-quiet btn-tall", type="button")
    apply = html.Button("Apply", id="import-apply", className="btn btn-main", type="button")
    shown = html.Div(id="import-effect", role="status", tabIndex=0, **{"aria-live": "polite"})
    return html.Div([shown, html.Div([preview, apply], className="import-apply")], className="import-foot")


def _groups(names: Sequence[Taken], corrections: Corrections) -> list[Any]:
    places = {one.name: index for index, one in enumerate(names)}
    head = [html.Span("Column"), html.Span("What it is"), html.Span("Key to read it under")]
    found: list[Any] = [html.Div(head, className="import-row import-titles", **{"aria-hidden": "true"})]
    for role, title in _GROUPS.items():
        rows = [_row(places[one.name], one, corrections) for one in names if one.role == role]
        if rows:
            found.append(html.Section([html.H3(f"{title} ({len(rows)})"), *rows], className="import-group"))
    return found


def _row(index: int, one: Taken, corrections: Corrections) -> html.Div:
    """One name: what it was taken for with its first values, what it shall be, and under which key."""
    name = numbers.visible(one.name)
    now = next((role for role, names in said(corrections).items() if one.name in names), _FOUND)
    usual = {"value": _FOUND, "label": f"As found: {WORDS[one.role]}" if now == _FOUND else "As its name tells"}
    role = dbc.Select(
        id={"type": "import-role", "index": index},
        options=[usual, *({"value": value, "label": label} for value, label in ROLES.items())],
        value=now,
        size="sm",
    )
    key = dbc.Input(
        id={"type": "import-key", "index": index},
        type="text",
        list="import-keys",
        value=corrections.renamed.get(one.name, ""),
        placeholder=one.key or "key",
        maxLength=corrections_json.LONGEST,
        size="sm",
    )
    about = html.Div([html.Code(name), html.Span(values(one.values), className="dim import-values")])
    return html.Div(
        [about, _named(f"What {name} is", role), _named(f"Key of {name}", key)],
        className="import-row",
        **{"data-name": name.lower()},
    )


def _named(words: str, control: Any) -> html.Label:
    return html.Label([html.Span(words, className="visually-hidden"), control])


def _betas(upload: Upload) -> list[Any]:
    """A field for each run whose log tells no beta, one for all where these are many."""
    known = upload.corrections.beta
    runs = [run.name for run in upload.runs if run.name in known or run.config.get("beta") is None]
    names = list(dict.fromkeys(runs)) if len(runs) <= _MOST_BETAS else []
    if len(runs) > 1 or "" in known:
        names = ["", *names]
    store = dcc.Store(id="import-betas", data=names)
    if not names:
        return [store]
    fields = [_beta(index, name, known.get(name)) for index, name in enumerate(names)]
    about = html.P("Rewards are beta times a log-ratio: without beta they cannot be compared.", className="dim")
    return [html.Section([html.H3("Beta that the log does not tell"), about, *fields, store], className="import-group")]


def _beta(index: int, name: str, value: float | None) -> html.Label:
    words = html.Span(numbers.visible(name) if name else "All others", className="control-label")
    control = dbc.Input(
        id={"type": "import-beta", "index": index}, type="number", min=0, step="any", value=value, size="sm"
    )
    return html.Label([words, control], className="import-beta")


@cache
def known_keys() -> tuple[tuple[str, str], ...]:
    """Every W&B key that the pages know, with its label."""
    plain = [name for name in METRICS if name.startswith(_NO_SPLIT)]
    split = [f"{split}/{name}" for split in SPLITS for name in METRICS if name not in plain]
    return tuple((key, numbers.label(key)) for key in [*split, *plain])


def _keys() -> html.Details:
    """What the known keys mean, from the record's own words."""
    rows = [
        part
        for name in METRICS
        for part in (html.Dt([html.Code(name), f" {describe(name).label}"]), html.Dd(describe(name).meaning))
    ]
    lead = html.P("Write eval/ or train/ in front of those that are measured in both.", className="dim")
    return folded("What the known keys mean", lead, html.Dl(rows), className="import-notes")


_FORM = (
    State("import-editing", "data"),
    State({"type": "import-role", "index": ALL}, "value"),
    State({"type": "import-key", "index": ALL}, "value"),
    State("import-betas", "data"),
    State({"type": "import-beta", "index": ALL}, "value"),
)


def _asked(editing: Any, roles: Any, keys: Any, runs: Any, betas: Any) -> tuple[Upload, Corrections]:
    """Which upload, and what the user says about it. Raises SourceError with one sentence."""
    editing = editing if isinstance(editing, dict) else {}
    upload = catalog().uploads.all().get(str(editing.get("id")))
    if upload is None:
        raise SourceError("This file has been removed.")
    form = {"names": editing.get("names"), "roles": roles, "keys": keys, "runs": runs, "betas": betas}
    try:
        return upload, told(upload, form)
    except ValueError as problem:
        raise SourceError(str(problem)) from problem


@callback(
    Output(EDITOR, "children"),
    Output(EDITOR, "hidden"),
    Output("import-listed", "hidden"),
    Input({"type": "import-columns", "id": ALL}, "n_clicks"),
    prevent_initial_call=True,
)
def opened(_: Any) -> tuple[Any, bool, bool]:
    """Shows the editor of one file in place of the list."""
    pressed = ctx.triggered_id
    if not isinstance(pressed, dict) or not any(part["value"] for part in ctx.triggered):
        raise PreventUpdate
    upload = catalog().uploads.all().get(str(pressed.get("id")))
    if upload is None:
        raise PreventUpdate
    return editor(upload), False, True


@callback(Output("import-effect", "children"), Input("import-preview", "n_clicks"), *_FORM, prevent_initial_call=True)
def previewed(clicks: Any, *form: Any) -> Any:
    """What the corrections would change."""
    if not clicks:
        raise PreventUpdate
    try:
        upload, corrections = _asked(*form)
        return effect(upload, catalog().uploads.preview(upload.id, corrections))
    except SourceError as problem:
        return notice(str(problem), "bad")


@callback(
    Output("import-effect", "children", allow_duplicate=True),
    Output(EDITOR, "hidden", allow_duplicate=True),
    Output("import-listed", "hidden", allow_duplicate=True),
    Output("import-said", "children", allow_duplicate=True),
    Output(LIVE, "data", allow_duplicate=True),
    Input("import-apply", "n_clicks"),
    *_FORM,
    prevent_initial_call=True,
)
def applied(clicks: Any, *form: Any) -> tuple[Any, ...]:
    """Keeps the corrections and goes back to the list; what cannot be kept is said in the editor."""
    if not clicks:
        raise PreventUpdate
    try:
        upload, corrections = _asked(*form)
        if corrections != upload.corrections:
            catalog().uploads.correct(upload.id, corrections)
    except SourceError as problem:
        return notice(str(problem), "bad"), no_update, no_update, str(problem), no_update
    return [], True, False, f"Columns of {upload.name} changed.", catalog().snapshot().version


clientside(
    "importBack",
    Output(EDITOR, "hidden", allow_duplicate=True),
    Output("import-listed", "hidden", allow_duplicate=True),
    Input("import-back", "n_clicks"),
    prevent_initial_call=True,
)
clientside("importFind", Output("import-find", "title"), Input("import-find", "value"), prevent_initial_call=True)
