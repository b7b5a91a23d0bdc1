"""What a report says, whatever its format: the runs in their order, the findings, the verdict."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from dashboard.analysis.comparability import Group
from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.numbers import one_line, visible
from dashboard.analysis.ranking import At
from dashboard.analysis.suggestions import Suggestion
from dashboard.analysis.verdict import Answer
from training.record.intervals import Interval
from training.record.schema import Run


@dataclass(frozen=True)
class Line:
    """One run: its evaluation at `step`, its rank by each metric among the runs it may be compared with.

    `best` says that it is the best of the runs it may be compared with, `tied` that it is or is not told apart from it.
    `group` names the runs whose losses may be compared with its own, `label` says so in words; `among` are the runs
    that it is ranked with.
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
    among: Group


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

    @property
    def blocks(self) -> list[tuple[str, list[Line]]]:
        """The runs that are ranked with each other, under what they were evaluated on; one block has no title."""
        found = [list(lines) for _, lines in groupby(self.lines, key=lambda line: line.among.id)]
        if len(found) < 2:
            return [("", lines) for lines in found]
        return [(f"{(label := lines[0].among.label)[:1].upper()}{label[1:]}", lines) for lines in found]

    @cached_property
    def spoken(self) -> frozenset[str]:
        """The runs' names as sentences have them: whole, or cut."""
        return frozenset(shown(line.run.name) for line in self.lines for shown in (visible, one_line))

    def named(self, runs: Sequence[str], most: int = 5) -> str:
        """Run ids as names, the first `most` of them."""
        shown = ", ".join(self.names.get(run, run) for run in runs[:most])
        return f"{shown} and {len(runs) - most} more" if len(runs) > most else shown


def parts(text: str, names: Collection[str]) -> Iterator[tuple[str, bool]]:
    """A sentence cut at others' words in it (names of runs, quoted cells): each part, and whether it is theirs."""
    known = "|".join(map(re.escape, sorted(filter(None, map(visible, names)), key=len, reverse=True)))
    pattern = re.compile(rf'((?:"[^"]*"|(?<!\w)(?:{known})(?!\w))+)' if known else '((?:"[^"]*")+)')
    return ((part, place % 2 == 1) for place, part in enumerate(pattern.split(visible(text))))
