"""How a run was set up: its arguments, what it ran on, what it was trained on."""

import json
import math
import shlex
from collections.abc import Mapping
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from dashboard.analysis import hyperparameters, numbers
from dashboard.components import layout as parts
from dashboard.components.run import command as run_command
from dashboard.components.run.defaults import DEFAULTS, OF
from dashboard.components.run.standing import Group
from dashboard.components.run.view import View, facts, lacking, leaves, pages_link
from dashboard.sources import run_files

WHICH = {"changed": "What was chosen", "all": "All arguments"}
LONGEST = 400
MOST_FIGURES = 120


def configuration(view: View, group: Group) -> list[Any]:
    """The arguments with a search; for our own runs also as recipe and command."""
    config = view.run.config
    if not config:
        return [lacking("Its source holds no configuration: only metrics were logged.")]
    own = view.run.source == "runs"
    chosen = run_command.changed(config) if own else dict(config)
    search = dbc.Input(id="run-search", type="search", placeholder="beta, lora, steps …", class_name="field")
    name = html.Span("Search the arguments", className="control-label")
    controls: list[Any] = [html.Label([name, search], className="control grow run-search", htmlFor="run-search")]
    if own:
        controls.append(parts.segmented("run-which", "Show", _which(config, chosen), "changed"))
    else:
        controls.append(html.Div(parts.segmented("run-which", "Show", WHICH, "all"), hidden=True))
    none = html.P("No argument matches.", id="run-no-match", className="dim", hidden=True)
    return [
        html.Div(controls, className="control-bar"),
        _table(config, chosen, group, own),
        none,
        *_again(view, chosen),
    ]


def _which(config: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, str]:
    return {"changed": f"{WHICH['changed']} ({len(chosen)})", "all": f"{WHICH['all']} ({len(config)})"}


def _table(config: Mapping[str, Any], chosen: Mapping[str, Any], group: Group, own: bool) -> html.Div:
    """Each argument with its value, the usual one, and whether it differs between the compared runs."""
    varying = set(hyperparameters.varying(group.runs))
    ordered = sorted(config, key=lambda key: (key not in varying, key not in chosen, key))
    head = [
        html.Th("Argument"),
        html.Th("Value"),
        *([html.Th("Default", title=f"Of training.run with {OF}")] if own else []),
        html.Th(html.Span("Note", className="visually-hidden")),
    ]
    rows = []
    for key in ordered:
        marks = [parts.badge("differs between runs", "info")] if key in varying else []
        usual = [html.Td(_value(DEFAULTS.get(key)), className="dim")] if own else []
        cells = [html.Th(numbers.one_line(key), scope="row"), html.Td(_value(config[key])), *usual, html.Td(marks)]
        rows.append(html.Tr(cells, className="run-chosen" if key in chosen or key in varying else "run-usual"))
    body = html.Table([html.Thead(html.Tr(head)), html.Tbody(rows)], className="run-arguments", id="run-arguments")
    return html.Div(body, className="plain-table run-scroll", tabIndex=0, role="region", **{"aria-label": "Arguments"})


def _value(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and math.isfinite(value) and float(numbers.short(value)) == value:
        return numbers.short(value)
    return numbers.one_line(text, LONGEST)


def _again(view: View, chosen: Mapping[str, Any]) -> list[Any]:
    """The arguments to be copied: as a recipe, and where the record has them all, as a command."""
    found = [html.H3("As YAML"), parts.copyable(run_command.recipe(chosen))]
    if view.run.source != "runs":
        why = "There is no command for it: its source does not say every argument, or names them as another tool does."
        return [*found, lacking(why)]
    runs = run_files.shown(view.folder.parent) if view.folder else "runs"
    again = run_command.command(chosen, None if runs == "runs" else runs)
    text = "The same arguments, for a new run with a name of its own. The seed is the same, the machine may not be."
    found += [html.H3("As a command"), html.P(text, className="chart-note"), parts.copyable(again.text)]
    if again.unsaid:
        names = ", ".join(map(numbers.one_line, again.unsaid))
        found.append(
            parts.notice(f"No command can say {names}: save the YAML and pass it by --config FILE.", "warning")
        )
    return found


def environment(view: View) -> list[Any]:
    """Packages, commit, device, size of the model, and the command."""
    found = dict(view.run.environment)
    if not found:
        return [lacking("Its source does not say what it ran on.")]
    packages = found.pop("packages", None)
    command = found.pop("command", None)
    rows = [(_label(key), _value(value)) for key, value in found.items() if value is not None]
    rows = [(name, _count(found, name, value)) for name, value in rows]
    versions = [(name, _value(value)) for name, value in packages.items()] if isinstance(packages, dict) else []
    shown: list[Any] = [html.Div([facts(rows), facts(versions)], className="run-columns")]
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        shown += [html.H3("Started by"), parts.copyable(shlex.join(command))]
    return shown


def _label(key: str) -> str:
    return numbers.one_line(key).replace("_", " ")


def _count(found: Mapping[str, Any], name: str, value: str) -> str:
    """Counts of parameters with separators."""
    number = found.get(name.replace(" ", "_"))
    return numbers.count(number) if name.endswith("parameters") and type(number) is int else value


def data(view: View) -> list[Any]:
    """Counts, what was left out, hashes, and the audit's figures."""
    known = view.run.data
    if not known:
        return [lacking("Its source says nothing of its data.")]
    names = (
        ("dataset", "data set"),
        ("read", "rows read"),
        ("n_train", "training pairs"),
        ("n_eval", "evaluation pairs"),
        ("train", "hash of the training pairs"),
        ("eval", "hash of the evaluation pairs"),
    )
    rows = [(label, _shown(known[key])) for key, label in names if known.get(key) is not None]
    dropped = known.get("dropped")
    reasons = dropped.items() if isinstance(dropped, dict) else ()
    rows += [(f"left out: {numbers.one_line(str(reason))}", _shown(count)) for reason, count in reasons]
    if dropped == {}:
        rows.append(("left out", "nothing"))
    link = dcc.Link("See the pairs and what the audit found", href=pages_link("/pairs", view.run.id))
    figures = list(leaves(known.get("audit")))[:MOST_FIGURES]
    if not figures:
        return [facts(rows), lacking("The record holds no audit of the data."), link]
    table = parts.table(["Figure", "Value"], [(name, _shown(value)) for name, value in figures], "Audit", (1,))
    return [facts(rows), parts.folded(f"Figures of the audit ({len(figures)})", table), link]


def _shown(value: Any) -> str:
    if type(value) is int:
        return numbers.count(value)
    return numbers.short(value) if isinstance(value, float) else _value(value)
