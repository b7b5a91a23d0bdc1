"""What a report says, whatever its format: the runs in their order, the findings, the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.ranking import At
from dashboard.analysis.suggestions import Suggestion
from dashboard.analysis.verdict import Answer
from training.record.intervals import Interval
from training.record.schema import Run


@dataclass(frozen=True)
class Line:
    """One run: its evaluation at `step`, its rank by each metric among the runs it may be compared with.

    `best` says that it is the best of the runs it may be compared with, `tied` that it is or is not told apart from it.
    `group` names the runs whose losses may be compared with its own, `label` says so in words.
    """

    run: Run
    step: int | None
    metrics: Mapping[str, float]
    ranks: Mapping[str, int]
    interval: Interval | None
    best: bool
    tied: bool
    group: str
    label: str


@dataclass(frozen=True)
class Content:
    """A whole report. `key` is the metric that orders the runs, `parameters` the hyper-parameters worth a column.

    `moment` says in words at which evaluation the runs are compared, `compared` are the runs that the verdict is on.
    """

    sources: tuple[str, ...]
    notes: tuple[str, ...]
    lines: tuple[Line, ...]
    findings: tuple[Finding, ...]
    verdict: Answer
    suggestions: tuple[Suggestion, ...]
    importance: tuple[str, ...]
    parameters: tuple[str, ...]
    key: str
    at: At
    moment: str
    compared: frozenset[str]
    names: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def letters(self) -> Mapping[str, str]:
        """A short name for every group of comparable losses, in order of appearance: A, B, ..., Z, A2, ..."""
        groups = enumerate(dict.fromkeys(line.group for line in self.lines))
        return {group: f"{chr(65 + place % 26)}{place // 26 + 1 if place >= 26 else ''}" for place, group in groups}

    def named(self, runs: Sequence[str], most: int = 5) -> str:
        """Run ids as names, the first `most` of them."""
        shown = ", ".join(self.names.get(run, run) for run in runs[:most])
        return f"{shown} and {len(runs) - most} more" if len(runs) > most else shown
