"""The report as JSON, format 1: the keys and types below are kept; a later format may only add keys.

Numbers that are NaN or infinite are the texts "nan", "inf", "-inf". What a source does not say is null or absent.
"""

from typing import Any, TypedDict

import orjson

from dashboard.reports.content import Content, Line
from training.record.writer import plain

FORMAT = 1


class RunDocument(TypedDict):
    """One run. `rank` has its place by each metric among the runs it may be compared with, from 1, equals sharing it.

    `accuracy_interval` is the 95% interval of the reward accuracy; `tied_with_best` is true for the best run and for
    those that cannot be told apart from it; losses may be compared within one `comparability_group`.
    """

    id: str
    name: str
    source: str
    state: str
    config: dict[str, Any]
    metrics: dict[str, Any]
    n_eval: int | None
    rank: dict[str, int]
    accuracy_interval: list[float] | None
    tied_with_best: bool
    comparability_group: str
    step: int | None


class FindingDocument(TypedDict):
    """One finding; `severity` is "bad", "warning" or "info", `runs` are ids, `source` a paper or a formula."""

    id: str
    severity: str
    runs: list[str]
    sentence: str
    evidence: dict[str, Any]
    source: str


class VerdictDocument(TypedDict):
    """Three sentences: which run, is it better than the others, is it better than the base model.

    `proven` is true only if both of the latter are shown at 95%.
    """

    sentences: list[str]
    best: str | None
    proven: bool


class SuggestionDocument(TypedDict):
    """A run worth trying next: what to change, and why."""

    config: dict[str, Any]
    reason: str


class Document(TypedDict):
    """The whole report."""

    format: int
    sources: list[str]
    notes: list[str]
    runs: list[RunDocument]
    findings: list[FindingDocument]
    verdict: VerdictDocument
    suggestions: list[SuggestionDocument]


def document(content: Content) -> Document:
    """The report as plain values."""
    return {
        "format": FORMAT,
        "sources": list(content.sources),
        "notes": list(content.notes),
        "runs": [_run(line) for line in content.lines],
        "findings": [
            {
                "id": found.id,
                "severity": found.severity,
                "runs": list(found.runs),
                "sentence": found.sentence,
                "evidence": plain(found.evidence),
                "source": found.source,
            }
            for found in content.findings
        ],
        "verdict": {
            "sentences": list(content.verdict.sentences),
            "best": content.verdict.best,
            "proven": content.verdict.proven,
        },
        "suggestions": [{"config": plain(item.config), "reason": item.reason} for item in content.suggestions],
    }


def render(content: Content) -> str:
    """The report as indented JSON, UTF-8, with a newline at its end."""
    return orjson.dumps(document(content), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _run(line: Line) -> RunDocument:
    run = line.run
    return {
        "id": run.id,
        "name": run.name,
        "source": run.source,
        "state": run.status,
        "config": plain(run.config),
        "metrics": plain(line.metrics),
        "n_eval": run.n_eval,
        "rank": dict(line.ranks),
        "accuracy_interval": list(line.interval) if line.interval else None,
        "tied_with_best": line.tied,
        "comparability_group": line.group,
        "step": line.step,
    }
