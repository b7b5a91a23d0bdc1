"""The report as JSON, format 1: the keys and types below are kept; keys may be added, none is renamed or removed.

Numbers that are NaN or infinite are the texts "nan", "inf", "-inf". What a source does not say is null or absent. Text
is UTF-8: bytes of a file name that are none are shown as U+FFFD.
"""

import re
from typing import Any, TypedDict

import orjson

from dashboard.reports.content import Content, Line
from training.record.writer import plain

FORMAT = 1

_SURROGATE = re.compile("[\ud800-\udfff]")


class RunDocument(TypedDict):
    """One run. `rank` has its place by each metric among the runs it may be compared with, from 1, equals sharing it.

    `state` is "finished", "running", "failed", "pruned", "stopped" or "unknown". `config` has TRL's argument names,
    `metrics` W&B's keys with their values at the evaluation that the run is judged by, made at `step`; `n_eval` counts
    its pairs. `accuracy_interval` is the 95% interval of the reward accuracy. `tied_with_best` is true for the best run
    and for those that a test at 95% does not tell apart from it: a paired test of the metric that ranks the runs where
    there are per-pair scores, else one of the accuracies; false where nothing can be tested. Losses may be compared
    within one `comparability_group`.
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
    """Three sentences: which run is best, is it better than the others, is it better than the base model.

    They speak of the runs that may be compared with `best`, a run id: of the largest such group. One sentence, and null
    as `best`, where no run can be ranked. `proven` is true only if both of the latter are shown at 95%, against every
    ranked run, on pairs known to be the same for all.
    """

    sentences: list[str]
    best: str | None
    proven: bool


class SuggestionDocument(TypedDict):
    """A run worth trying next: what to change, and why."""

    config: dict[str, Any]
    reason: str


class Document(TypedDict):
    """The whole report. `sources` are the names of what was read, `notes` what was dropped, assumed or mapped in it and
    what holds beside the verdict; `runs` are in the report's order, `findings` the gravest first."""

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
    written = orjson.dumps(_utf8(document(content)), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return written.decode()


def _utf8(value: Any) -> Any:
    """The same without lone surrogates, which stand for bytes of file names that are no UTF-8."""
    if isinstance(value, dict):
        return {_utf8(key): _utf8(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_utf8(item) for item in value]
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value


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
