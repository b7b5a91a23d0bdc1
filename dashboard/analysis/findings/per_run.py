"""Checks that look at one run at a time, and the one finding that names all runs a check has found."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dashboard.analysis.findings.finding import Finding, Severity
from dashboard.analysis.ranking import At
from dashboard.analysis.study import Evidence, Study

NAMED = 5
"""Runs that a sentence names, the worst first; the others are counted."""

LONGEST_NAME = 80

CONFIDENCE = 0.998
"""Of the two-sided intervals: a sound run is blamed once in a thousand checks by chance."""


@dataclass(frozen=True)
class Seen:
    """What a check saw in one run: words that follow its name, the numbers, and how much it is (worst first)."""

    words: str
    numbers: Mapping[str, Any]
    size: float


@dataclass(frozen=True)
class Check:
    """One check: `look` gives what it saw in a run, or None; `sentence` has {runs} where the runs are named."""

    id: str
    severity: Severity
    sentence: str
    source: str
    look: Callable[[Evidence, At], Seen | None]
    thresholds: Mapping[str, Any] = field(default_factory=dict)


def collect(checks: Iterable[Check], study: Study, at: At) -> list[Finding]:
    """One finding for each check that saw something; its evidence has `thresholds`, and `runs` by run id."""
    return [finding for check in checks if (finding := _finding(check, study, at)) is not None]


def _finding(check: Check, study: Study, at: At) -> Finding | None:
    looked = {run: check.look(evidence, at) for run, evidence in study.items()}
    seen = {run: found for run, found in looked.items() if found is not None}
    if not seen:
        return None
    worst = sorted(seen, key=lambda run: -seen[run].size)
    return Finding(
        check.id,
        check.severity,
        tuple(seen),
        check.sentence.replace(
            "{runs}", _named([f"{study[run].run.name[:LONGEST_NAME]} ({seen[run].words})" for run in worst])
        ),
        check.source,
        {"thresholds": dict(check.thresholds), "runs": {run: dict(found.numbers) for run, found in seen.items()}},
    )


def _named(runs: list[str]) -> str:
    """The runs as one enumeration: at most NAMED, then "and 3 more"."""
    shown = runs[:NAMED]
    if len(runs) > NAMED:
        return f"{', '.join(shown)} and {len(runs) - NAMED} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
