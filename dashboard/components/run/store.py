"""What a run left on disk: checkpoints with how to load, publish and resume them, and its files."""

import shlex
from typing import Any

from dash import html

from dashboard.analysis import numbers
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.components import layout as parts
from dashboard.components import query
from dashboard.components.run import samples as run_samples
from dashboard.components.run.head import resume
from dashboard.components.run.view import View, ago, elsewhere, lacking, size, when
from dashboard.sources import run_files
from dashboard.sources.run_files import Checkpoint
from training.publishing.loading import Files, loading_code
from training.record import schema
from training.record.schema import History

NONE = ""


def checkpoints(view: View) -> list[Any]:
    """The saved models, and what can be done with them."""
    if view.folder is None:
        return [lacking(f"No checkpoints are known here. {elsewhere(view.run)}")]
    found = run_files.checkpoints(view.folder, view.run.best_step)
    if not found:
        yet = "No checkpoint has been saved yet." if view.run.status == "running" else "There are no checkpoints."
        return [lacking(f"{yet} They would lie in {numbers.visible(view.where)}/{schema.CHECKPOINTS}.")]
    head = ["Checkpoint", "Step", "Size", "Reward accuracy", "Eval loss", "Training can go on from it"]
    by = numbers.label(view.run.best_metric) if view.run.best_metric else "its evaluation"
    rows = [_row(one, view.history, by) for one in found]
    usable = next((one for one in found if one.has_weights), None)
    todo = [*_load(view, usable), *_publish(view, found), *_resume(view, found)]
    return [parts.table(head, rows, "Checkpoints", (1, 2, 3, 4)), *todo]


def _row(one: Checkpoint, history: History, by: str) -> list[Any]:
    at = [_at(history, key, one.step) for key in (EVAL_ACCURACY, EVAL_LOSS)]
    step = numbers.MISSING if one.step is None else f"{one.step:,}"
    name: Any = [one.name, " ", parts.badge(f"by {by}", "good")] if one.name == "best" else one.name
    goes = "yes" if not one.missing else f"no: it lacks {', '.join(one.missing)}"
    if one.name == "best" and one.has_weights:
        goes = "no: the model alone"
    return [name, step, size(one.size), numbers.percent(at[0]), numbers.metric(at[1]), goes]


def _at(history: History, key: str, step: int | None) -> float | None:
    series = history.get(key)
    return series.values[series.steps.index(step)] if series and step is not None and step in series.steps else None


def _load(view: View, one: Checkpoint | None) -> list[Any]:
    """Python that loads the model, as the card of a published one says it, from the folder here."""
    if one is None:
        return [parts.notice("None of them has whole weights, so none can be loaded.", "bad")]
    base = str(view.run.config.get("model_name_or_path") or "unknown")
    found = [row for row in run_samples.rows(view) if row.get("step") == one.step and row.get("prompt")]
    # transformers lays an adapter over its base model by itself, from the path that the adapter names.
    files = Files(False, one.encoder_decoder, one.chat_template)
    code = loading_code(files, base, found, run_files.shown(one.path))
    about = f"{one.name} holds {'a LoRA adapter over ' + numbers.one_line(base) if one.adapter else 'the whole model'}."
    needs = " The package peft must be installed." if one.adapter else ""
    note = html.P(f"{about}{needs} From the repository's folder:", className="chart-note")
    return [html.H3("Load it in Python"), note, parts.copyable(code)]


def _publish(view: View, found: list[Checkpoint]) -> list[Any]:
    """`training.publish` for the best checkpoint, else for the last one, into a folder first."""
    best = next((one for one in found if one.name == "best" and one.has_weights), None)
    last = next((one for one in found if one.name != "best" and not one.missing), None)
    if best is None and last is None:
        return []
    which = "" if best is not None and view.run.best_step is not None else " --checkpoint last"
    target = shlex.quote(f"published-{view.run.id}")
    text = f"python -m training.publish {shlex.quote(view.where)} --dry_run {target}{which}"
    note = html.P(
        "Makes the files and the model card in a new folder; with --repo user/name they go to the Hub.",
        className="chart-note",
    )
    return [html.H3("Publish it"), note, parts.copyable(text)]


def _resume(view: View, found: list[Checkpoint]) -> list[Any]:
    if view.run.status == "finished":
        return [html.H3("Go on with it"), lacking("The run has finished: there is nothing to go on with.")]
    whole = next((one for one in found if not one.missing), None)
    where = f"Training goes on from {whole.name}." if whole else "No checkpoint is whole: training starts anew."
    if view.run.status == "running":
        where += " Only if its process has ended."
    return [html.H3("Go on with it"), html.P(where, className="chart-note"), *resume(view)]


def files(view: View, now: float) -> list[Any]:
    """Names, sizes and ages of all that lies in the folder."""
    if view.folder is None:
        return [lacking(f"There are no files to show. {elsewhere(view.run)}")]
    items, whole = run_files.listing(view.folder)
    rows = [
        [
            numbers.visible(item.path) + ("/" if item.kind == "folder" else ""),
            size(item.size) if item.kind == "file" else {"link": "a link, not followed"}.get(item.kind, ""),
            html.Span(ago(item.changed, now), title=when(item.changed)),
        ]
        for item in items
    ]
    rest = [] if whole else [lacking(f"Only the first {run_files.MOST_FILES} are listed.")]
    where = html.P(["In ", parts.command(numbers.visible(view.where))], className="chart-note")
    return [
        where,
        html.Div(parts.table(["Name", "Size", "Changed"], rows, "Files", (1,)), className="run-scroll"),
        *rest,
    ]


def viewer(view: View, name: Any) -> list[Any]:
    """The choice of a small file, and its text."""
    options = viewable(view)
    chosen = query.choice(name, list(options))
    hidden = len(options) < 2
    return [
        html.Div(parts.segmented("run-file", "Read", options, chosen), hidden=hidden, id="run-file-choice"),
        html.Div(content(view, chosen), id="run-file-text"),
    ]


def viewable(view: View) -> dict[str, str]:
    """The files that can be read here, those that say most first."""
    if view.folder is None:
        return {NONE: "None"}
    there = [name for name in sorted(run_files.VIEWABLE) if run_files.is_plain(view.folder, name)]
    return {NONE: "None", **{name: name for name in sorted(there, key=lambda name: name != run_files.ERROR_LOG)}}


def content(view: View, name: Any) -> list[Any]:
    """A file's text; nothing for a name that is not offered, whatever a browser sends."""
    found = run_files.text(view.folder, name) if view.folder is not None and isinstance(name, str) else None
    if found is None:
        return []
    text, whole = found
    note = [] if whole else [lacking(f"Only {size(run_files.LARGEST_TEXT)} of it are shown.")]
    return [*note, html.Pre(text, className="run-file", tabIndex=0)]
