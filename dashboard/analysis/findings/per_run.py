"""Checks that look at one run at a time, and the one finding that names all runs a check has found."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboard.analysis.findings.finding import Finding, Severity
from dashboard.analysis.ranking import At
from dashboard.analysis.study import Evidence, Study

NAMED = 5
"""Runs that a sentence names, the worst first; the others are counted, if they are more than one."""

LONGEST_NAME = 80

CONFIDENCE = 0.998
"""Of the two-sided intervals: a sound run is blamed once in a thousand checks by chance."""


@dataclass(frozen=True)
class Seen:
    """What a check saw in one run: words that follow its name, the numbers, and how much it is (worst first).

    `asides` are sentences that the finding says once, at its end, if they hold for any of its runs.
    """

    words: str
    numbers: Mapping[str, Any]
    size: float
    asides: tuple[str, ...] = ()


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
    named = described([(study[run].run.name, seen[run].words) for run in worst], len(study))
    asides = dict.fromkeys(aside for found in seen.values() for aside in found.asides)
    return Finding(
        check.id,
        check.severity,
        tuple(seen),
        " ".join([check.sentence.replace("{runs}", named), *asides]),
        check.source,
        {"thresholds": dict(check.thresholds), "runs": {run: dict(found.numbers) for run, found in seen.items()}},
    )


def described(runs: Sequence[tuple[str, str]], total: int) -> str:
    """Names, each with its words in brackets; said once where several have the same, or all of `total` runs have."""
    same = len({words for _, words in runs}) == 1
    if same and len(runs) == total > 1:
        return f"{'both' if total == 2 else f'all {total:,}'} runs{_bracket([words for _, words in runs])}"
    if same:
        return enumerated([name for name, _ in runs]) + _bracket([words for _, words in runs])
    shown = runs if len(runs) <= NAMED + 1 else runs[:NAMED]
    groups: dict[str, list[str]] = {}
    for name, words in shown:
        groups.setdefault(words, []).append(name)
    parts = [enumerated(names) + _bracket([words] * len(names)) for words, names in groups.items()]
    parts += [f"{len(runs) - len(shown):,} more"] if len(runs) > len(shown) else []
    return _joined(parts, ", " if len(groups) == len(shown) else "; ")


def enumerated(names: Sequence[str]) -> str:
    """The names as one enumeration: at most NAMED (one more is as short as to count it), then "and 3 more"."""
    shown = names if len(names) <= NAMED + 1 else names[:NAMED]
    more = [f"{len(names) - len(shown):,} more"] if len(names) > len(shown) else []
    return _joined([*(name[:LONGEST_NAME] for name in shown), *more], ", ")


def _joined(parts: Sequence[str], between: str) -> str:
    return parts[0] if len(parts) == 1 else f"{between.join(parts[:-1])} and {parts[-1]}"


def _bracket(words: Sequence[str]) -> str:
    """The words, the same of all the runs named before them."""
    return f" ({'each ' if len(words) > 1 else ''}{words[0]})" if words[0] else ""
