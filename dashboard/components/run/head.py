"""The head of the Run page: which run, in which state, how far, how much longer."""

import shlex
from typing import Any

from dash import dcc, html

from dashboard.analysis import numbers, progress
from dashboard.components import layout as parts
from dashboard.components.run.standing import Group, steps_beside
from dashboard.components.run.view import View, ago, lacking, pages_link, when
from dashboard.sources import run_files
from dashboard.sources.catalog import quiet_minutes
from training.record import reader, schema
from training.record.schema import Run

QUIET = 10
"""Minutes without a line after which a running run may have been killed."""

KINDS = {"finished": "good", "running": "info", "failed": "bad", "stopped": "warning", "pruned": "warning"}
LONGEST_ERROR = 400


def head(view: View, group: Group, now: float) -> list[Any]:
    """Name, state and facts, what happened, and for a running run its progress."""
    run = view.run
    title = html.H1([parts.swatch(view.slot), html.Span(numbers.visible(run.name))], className="run-title")
    links = [
        dcc.Link("Curves", href=pages_link("/curves", run.id), className="btn btn-quiet btn-tall"),
        dcc.Link("Pairs", href=pages_link("/pairs", run.id), className="btn btn-quiet btn-tall"),
    ]
    if group.answer.best and group.answer.best != run.id:
        href = pages_link("/compare", group.answer.best, run.id)
        links.append(dcc.Link("Compare with the best", href=href, className="btn btn-quiet btn-tall"))
    top = html.Div([title, parts.badge(run.status, KINDS.get(run.status, "plain"))], className="run-top")
    row = html.Div([top, html.Div(links, className="run-links")], className="run-head-row")
    return [row, _facts(view, now), *_happened(view, now), *_progress(view, now), steps_beside(view, group)]


def _facts(view: View, now: float) -> html.Div:
    run = view.run
    model = _named(run.config.get("model_name_or_path"))
    data = _named(run.data.get("dataset") or run.config.get("dataset_name"))
    words = [("Model", model), ("Data", data), ("Began", _began(run, now)), ("Took", _took(run))]
    shown: list[Any] = [html.Span([html.Span(name, className="dim"), f" {value}"]) for name, value in words if value]
    if run.sweep:
        same = [other.id for other in view.snapshot.runs.values() if other.sweep == run.sweep]
        link = dcc.Link(run.sweep, href=pages_link("/hyperparameters", *same[:200]))
        shown.append(html.Span([html.Span("Sweep ", className="dim"), link, f" ({len(same)} runs)"]))
    if run.source != "runs":
        shown.append(html.Span([html.Span("From ", className="dim"), numbers.one_line(run.source)]))
    return html.Div(shown, className="run-line")


def _named(value: Any) -> str:
    return "" if value is None else numbers.one_line(str(value))


def _began(run: Run, now: float) -> str:
    return "" if run.created is None else f"{when(run.created)} ({ago(run.created, now)})"


def _took(run: Run) -> str:
    return "" if run.seconds is None or run.status == "running" else progress.words(run.seconds)


def _happened(view: View, now: float) -> list[Any]:
    """How the run ended, or that nothing was heard of it, and how to go on with it."""
    run = view.run
    reason = numbers.one_line(run.error or "", LONGEST_ERROR)
    if run.status == "failed":
        log = view.folder is not None and run_files.is_plain(view.folder, run_files.ERROR_LOG)
        where = f" The traceback is in {view.where}/{run_files.ERROR_LOG}, shown under Files." if log else ""
        return [parts.notice(f"Failed: {_sentence(reason or 'its source does not say why')}{where}", "bad")]
    if run.status == "pruned":
        return [parts.notice(f"Pruned by its sweep: {_sentence(reason or 'no reason was recorded')}", "warning")]
    if run.status == "stopped":
        return [parts.notice(_stopped(run), "warning"), *resume(view)]
    if run.status == "unknown":
        return [lacking("Its source does not say whether the run has finished.")]
    quiet = quiet_minutes(run, now)
    if quiet is None or quiet < QUIET:
        return []
    text = f"No news for {numbers.duration(quiet)}: it may have been killed. If it was, go on with it by:"
    return [parts.notice(text, "warning"), *resume(view)]


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _stopped(run: Run) -> str:
    at = f" at step {run.step:,}" if run.step is not None else ""
    return f"Stopped{at}{f' of {run.max_steps:,}' if run.max_steps and at else ''}. Go on with it by:"


def resume(view: View) -> list[Any]:
    """The command that goes on with the run, for one that has a folder and has not finished."""
    if view.folder is None or view.run.status == "finished":
        return []
    return [parts.copyable(f"python -m training.run --resume {shlex.quote(view.where)}")]


def _progress(view: View, now: float) -> list[Any]:
    run = view.run
    if run.status != "running":
        return []
    share = min(1.0, max(0.0, run.step / run.max_steps)) if run.step is not None and run.max_steps else None
    return [*([_bar(run, share)] if share is not None else []), html.Div(_pace(view, now), className="run-line")]


def _bar(run: Run, share: float) -> html.Div:
    meter = {"aria-valuenow": f"{100 * share:.0f}", "aria-valuemin": "0", "aria-valuemax": "100"}
    fill = html.Div(className="run-progress-fill", style={"width": f"{100 * share:.2f}%"})
    bar = html.Div(fill, className="run-progress", role="progressbar", **meter, **{"aria-label": "Progress"})
    return html.Div([bar, html.Span(f"step {run.step:,} of {run.max_steps:,} ({share:.0%})", className="run-steps")])


def _pace(view: View, now: float) -> list[Any]:
    run = view.run
    found = progress.pace(view.history, resumed(view))
    news = html.Span([html.Span("Last news ", className="dim"), ago(run.updated, now)])
    if found is None:
        return [html.Span("Too few points yet to tell its speed.", className="dim"), news]
    speed = html.Span([html.Span("Speed ", className="dim"), progress.speed(found.seconds)])
    left = progress.remaining(found, run.max_steps, now) if run.max_steps else None
    quiet = quiet_minutes(run, now)
    if left is None or (quiet is not None and quiet >= QUIET):
        return [speed, news]
    if left.high == 0:
        return [speed, html.Span("At this pace it should have ended by now."), news]
    tip = (
        f"From the time between the last {found.stretches} evaluations or logs, evaluations included. If the machine "
        "goes on as it did, the run ends within this range in 9 of 10 cases."
    )
    words = f"{progress.words(left.expected)} ({progress.words(left.low)} to {progress.words(left.high)})"
    return [speed, html.Span([html.Span("Left, about ", className="dim"), words, " ", parts.help_mark(tip)]), news]


def resumed(view: View) -> float | None:
    """When the run was last gone on with, in seconds since 1970: the pause before says nothing of its pace."""
    times = [row.get("time") for row in notices(view) if row.get("kind") == "resumed"]
    return max((float(time) for time in times if isinstance(time, int | float)), default=None)


def notices(view: View) -> list[dict[str, Any]]:
    """What was remarked on the run while it trained."""
    return run_files.recorded(view.folder, schema.NOTICES, reader.read_notices) if view.folder else []
