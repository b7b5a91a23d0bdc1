"""The Leaderboard in words: the verdict, and what the checks have found."""

from collections.abc import Sequence
from typing import Any

import orjson
from dash import html

from dashboard.analysis.findings.finding import SEVERITIES, Finding
from dashboard.analysis.numbers import visible
from dashboard.analysis.verdict import Answer
from dashboard.components import layout as parts
from dashboard.components.context import Findings

FIRST = 3
"""Findings that are shown before the user asks for more."""

LONGEST = 400
"""Characters of a finding's sentence in a tooltip."""


def verdict(answers: Sequence[Answer], notes: Sequence[str]) -> list[Any]:
    """The answer for each evaluation set: the first one whole, the others as one line to unfold."""
    said = [parts.notice(text) for text in notes]
    if not answers:
        return said
    first, *others = answers
    return [_open(first, bool(others)), *said, *map(_folded, others)]


def _open(answer: Answer, named: bool) -> html.Div:
    title = [html.Div(answer.name, className="answer-set")] if named else []
    return html.Div([*title, *_sentences(answer), *_beside(answer)], className="answer")


def _folded(answer: Answer) -> html.Details:
    head = html.Summary([html.Span(answer.name, className="answer-set"), html.Span(visible(answer.headline))])
    return html.Details([head, *_sentences(answer)[1:], *_beside(answer)], className="answer answer-folded")


def _sentences(answer: Answer) -> list[Any]:
    head, *rest = map(visible, answer.sentences or ("",))
    style = "headline" if answer.best else "headline dim"
    return [html.P(head, className=style), *(html.P(text, className="answer-detail") for text in rest)]


def _beside(answer: Answer) -> list[Any]:
    """Warnings, and what is secondary, folded."""
    warnings = [parts.notice(visible(text), "warning") for text in answer.warnings]
    details = answer.details[1:]
    if not details:
        return warnings
    fine = html.Ul([html.Li(visible(text)) for text in details], className="answer-fine")
    return [*warnings, parts.folded("How sure is this?", fine)]


def findings(found: Findings) -> list[Any]:
    """The gravest findings as sentences, and all of them to unfold."""
    if not found.ready and not found.found:
        return [html.P("What the checks find in these runs is being worked out.", className="dim findings-wait")]
    if not found.found:
        return [html.P("The checks have found nothing that stands out in these runs.", className="dim")]
    first, count = found.found[:FIRST], len(found.found)
    shown: list[Any] = [html.Div(parts.finding_list(first), className="findings-first")]
    if count > FIRST:
        shown.append(parts.folded(f"All {count} findings", parts.finding_list(found.found)))
    return shown


def badges(found: Sequence[Finding], runs: Sequence[str]) -> str:
    """For the table, as JSON: each finding once with its weight, and its runs; null stands for all of `runs`."""
    everything = set(runs)
    sent = [
        {
            "severity": finding.severity,
            "sentence": visible(finding.sentence[:LONGEST]),
            "runs": None if everything <= set(finding.runs) else finding.runs,
        }
        for finding in found
    ]
    return orjson.dumps({"order": SEVERITIES, "findings": sent}).decode()
