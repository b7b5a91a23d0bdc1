"""Answers of base and policy to one prompt: side by side at one step, and of all steps one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dash import dcc, html

from dashboard.analysis import numbers
from dashboard.components import context, query
from dashboard.components import layout as parts
from dashboard.components.run import texts as run_texts
from dashboard.components.run.view import View, elsewhere
from dashboard.sources import run_files
from training.publishing.loading import as_text
from training.record import reader, schema

LATEST = ""
MOST_MARKED = 30
"""Steps of the strip whose differences are marked."""

MOST_STEPS = 200

LABEL = 110
"""Characters of a prompt in the list of prompts; a longer one is shown whole below it."""


@dataclass(frozen=True)
class Answer:
    """One row of samples.jsonl as text; `ended` and `tokens` are None where they were not recorded."""

    step: int
    base: str
    policy: str
    ended: bool | None
    tokens: int | None


@dataclass(frozen=True)
class Samples:
    """Prompts in the order of the record, and the answers to each of them by step, ascending."""

    prompts: tuple[str, ...] = ()
    answers: tuple[tuple[Answer, ...], ...] = ()

    @property
    def steps(self) -> list[int]:
        return sorted({answer.step for row in self.answers for answer in row})[-MOST_STEPS:]


def rows(view: View) -> list[dict[str, Any]]:
    """The run's samples as recorded, read once for each state of the runs; none where its folder is not here."""
    folder = view.folder
    if folder is None:
        return []
    read = reader.read_samples
    return context.cached(
        view.snapshot, lambda: run_files.recorded(folder, schema.SAMPLES, read), "run-samples", view.run.id
    )


def read(view: View) -> Samples:
    """The run's samples as they are shown."""
    return samples(rows(view))


def samples(rows: Sequence[dict[str, Any]]) -> Samples:
    """Rows of any kind as samples; those without a step are passed over."""
    found: dict[str, list[Answer]] = {}
    for row in rows:
        step = row.get("step")
        if type(step) is not int or not 0 <= step < 2**53:
            continue
        ended, tokens = row.get("ended"), row.get("tokens")
        answer = Answer(
            step,
            run_texts.as_text(row.get("base")),
            run_texts.as_text(row.get("dpo")),
            ended if isinstance(ended, bool) else None,
            tokens if type(tokens) is int else None,
        )
        found.setdefault(run_texts.as_text(as_text(row.get("prompt"))), []).append(answer)
    return Samples(tuple(found), tuple(tuple(sorted(row, key=lambda one: one.step)) for row in found.values()))


def body(view: View, found: Samples, prompt: Any, step: Any) -> list[Any]:
    """The card: both controls, the answers, and the strip; all of them hidden while there is nothing."""
    chosen, at = _prompt(found, prompt), _step(found, step)
    picker = dcc.Dropdown(
        prompt_options(found), chosen, id="run-prompt", clearable=False, maxHeight=420, optionHeight="auto"
    )
    controls = html.Div(
        [
            html.Div(parts.labelled("Prompt", picker), className="grow"),
            parts.segmented("run-step", "Answers at step", step_options(found), at),
        ],
        className="control-bar run-controls",
    )
    now, over_time = answers(found, chosen, at)
    answers_over_time = html.Ol(over_time, id="run-strip", className="run-strip")
    strip = parts.folded("How the answer changed from evaluation to evaluation", answers_over_time, open=True)
    shown = [controls, html.Div(now, id="run-answers"), strip]
    return [
        html.Div(missing(view), id="run-no-samples", hidden=bool(found.prompts)),
        html.Div(shown, id="run-samples-shown", hidden=not found.prompts),
    ]


def missing(view: View) -> html.P:
    """Why there are no answers to be read."""
    if view.folder is None:
        why = f"No answers were recorded. {elsewhere(view.run)}"
    elif view.run.status == "running":
        why = "No answers yet: they are drawn at every evaluation."
    else:
        why = "The run recorded no answers: there is no samples.jsonl in its folder, or it is too large to be read."
    return html.P(why, className="dim")


def prompt_options(found: Samples) -> list[dict[str, str]]:
    """The prompts, one line each."""
    return [
        {"value": str(place), "label": numbers.one_line(prompt, LABEL)} for place, prompt in enumerate(found.prompts)
    ]


def step_options(found: Samples) -> dict[str, str]:
    """The steps at which answers were drawn, the newest by its name."""
    return {LATEST: "Latest", **{str(step): f"{step:,}" for step in found.steps}}


def _prompt(found: Samples, value: Any) -> str:
    return query.choice(value, [str(place) for place in range(max(1, len(found.prompts)))])


def _step(found: Samples, value: Any) -> str:
    return query.choice(value, list(step_options(found)))


def answers(found: Samples, prompt: Any, step: Any) -> tuple[list[Any], list[html.Li]]:
    """The answers to a prompt at a step, and those at all steps; `prompt` and `step` may be anything."""
    if not found.prompts:
        return [], []
    place = int(_prompt(found, prompt))
    text, row = found.prompts[place], found.answers[place]
    at = _step(found, step)
    shown = row[-1] if at == LATEST else next((answer for answer in row if str(answer.step) == at), None)
    whole = [html.Div("Prompt", className="run-who"), html.Div(text, className="run-text")]
    asked = [] if numbers.one_line(text, LABEL) == text else [html.Div(whole, className="run-asked")]
    return [*asked, _side_by_side(text, shown, at)], _strip(text, row)


def _side_by_side(prompt: str, answer: Answer | None, at: str) -> html.Div:
    if answer is None:
        return html.Div(f"This prompt was not answered at step {at}.", className="dim")
    base = _pane("Base model", answer.base, answer.policy, "run-removed", _badges(prompt, answer.base, None, None))
    said = _badges(prompt, answer.policy, answer.ended, answer.tokens)
    policy = _pane(f"Policy, step {answer.step:,}", answer.policy, answer.base, "run-added", said)
    return html.Div([base, policy], className="run-panes")


def _pane(who: str, text: str, other: str, class_name: str, badges: list[Any]) -> html.Div:
    head = html.Div([html.Span(who), *badges], className="run-who")
    return html.Div(
        [head, html.Div(run_texts.marked(text, other, class_name), className="run-text")], className="run-pane"
    )


def _badges(prompt: str, text: str, ended: bool | None, tokens: int | None) -> list[Any]:
    """What is degenerate, then what was counted."""
    found = [parts.badge(fault, "warning") for fault in run_texts.faults(prompt, text)]
    if ended is False:
        found.append(parts.badge("cut at the limit", "warning", "It did not end by itself before the token limit."))
    counted = [f"{tokens:,} tokens"] if tokens is not None else []
    counted += ["ended by itself"] if ended else []
    return [*found, html.Span(", ".join(counted), className="dim run-counted")]


def _strip(prompt: str, row: Sequence[Answer]) -> list[html.Li]:
    """The policy's answers one below the other, each with what is new against the one before."""
    recent = row[-MOST_STEPS:]
    entries, before = [], None
    for answer in recent:
        same = before is not None and answer.policy == before.policy
        text: list[Any] = [html.Span("as before", className="dim")] if same else [answer.policy]
        if before is not None and not same and len(recent) <= MOST_MARKED:
            text = run_texts.marked(answer.policy, before.policy, "run-added")
        faults = [parts.badge(fault, "warning") for fault in run_texts.faults(prompt, answer.policy)]
        head = html.Div([html.Span(f"step {answer.step:,}", className="dim"), *faults], className="run-at")
        entries.append(html.Li([head, html.Div(text, className="run-text")]))
        before = answer
    return entries
