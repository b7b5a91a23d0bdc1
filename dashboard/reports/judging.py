"""By which metric the runs of a report are judged, and what must be said with the verdict."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dashboard.analysis import comparability, numbers, verdict
from dashboard.analysis.common_scale import EVAL_COMMON
from dashboard.analysis.comparability import EvaluationSet, Group
from dashboard.analysis.hyperparameters import upper
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.study import Study
from dashboard.analysis.verdict import Answer
from dashboard.reports.moments import named
from dashboard.sources.imported import SourceError
from training.record.metrics import CHOSEN, LOSS, MARGIN, METRICS, REJECTED, describe, split_key

_GROUPS = 10
"""Other groups whose best run is named."""


def check_sort(sort: str, study: Study) -> None:
    """Raises SourceError unless some run has the metric and it is known which way it is better."""
    known = {key for evidence in study.values() for key in (*evidence.run.metrics, *evidence.run.best)}
    if sort not in known:
        if sort == EVAL_COMMON:
            raise SourceError(f"{sort} needs per-pair scores and --beta, the beta that it is computed at, such as 0.1.")
        near = difflib.get_close_matches(sort, known, n=3, cutoff=0.4) or sorted(known)[:5]
        raise SourceError(f"No run has a metric {sort!r}; there are {', '.join(near) or 'none'}.")
    if describe(sort).better is None:
        why = "neither more nor less of it is better by itself"
        if split_key(sort)[1] not in METRICS:
            why = "whether more or less of it is better is not known here"
        raise SourceError(f"The runs cannot be ordered by {sort}: {why}.")


@dataclass(frozen=True)
class Judged:
    """Runs that may be compared, the metric that ranks them, the answer, and why it is not by what was asked for."""

    group: Group
    key: str
    answer: Answer
    refused: str | None


def judged(group: Group, sort: str | None, at: At, study: Study, b: float | None) -> Judged:
    """The answer by `sort`, unless that must not rank these runs; else by loss or accuracy, what can be compared."""
    refused = None if sort is None else _refusal(group, sort)
    key = sort if sort is not None and refused is None else _natural(group)
    answer = verdict.answer(EvaluationSet(group.label, group.runs, group.proven), key, at, study, b)
    return Judged(group, key, answer, refused)


def scaled(metric: str) -> bool:
    """Whether the metric has the scale of its run's beta: it ranks within groups of one loss only."""
    return split_key(metric)[1] in (LOSS, CHOSEN, REJECTED, MARGIN)


def _refusal(group: Group, sort: str) -> str | None:
    """Why `sort` must not rank these runs: beta or loss type differs, or cannot be shown to be the same."""
    found = comparability.refusal(group.runs, sort)
    if found is None and scaled(sort) and group.scales > 1:
        return f"Beta and loss type are not known to be the same: {sort} may be on another scale for each."
    return found


def _natural(group: Group) -> str:
    """The loss where all these runs have it on one scale, else the accuracy."""
    key = comparability.natural_metric(group.runs)
    several = key == EVAL_LOSS and group.scales > 1
    return EVAL_ACCURACY if several and any(EVAL_ACCURACY in run.metrics for run in group.runs) else key


def scoped(first: Judged, groups: int) -> Answer:
    """The verdict; where it is on some of the runs only, it says so."""
    if groups == 1 or first.answer.best is None:
        return first.answer
    count = len(first.group.runs)
    scope = f"Of the {count} {'run' if count == 1 else 'runs'} on {first.group.label}, {first.answer.headline}"
    return replace(first.answer, headline=scope)


def told(groups: Sequence[Judged], sort: str | None) -> Iterable[str]:
    """What is said beside the verdict: what it assumes, and what holds for runs that it does not speak of."""
    first = groups[0]
    if first.refused is not None:
        words = numbers.label(first.key)
        yield f"{first.refused} The runs are ordered by {sort} inside each group only; the verdict is by {words}."
    if len(groups) > 1:
        yield (
            f"Runs are in {len(groups)} groups that cannot be compared with each other (other evaluation pairs, "
            f"reference or max_length); the verdict is on one of them, {first.group.label}."
        )
    yield from (f"{upper(one.group.label)}: {one.answer.headline}" for one in groups[1 : _GROUPS + 1])
    yield from first.answer.details[1:]


def unscored(study: Study, b: float | None) -> Iterable[str]:
    """What is said where a common-beta loss was asked for, and runs have none."""
    if b is None:
        return
    runs = [evidence.run for evidence in study.values()]
    without = [run.name for run in runs if EVAL_COMMON not in run.metrics and EVAL_COMMON not in run.best]
    if len(without) == len(study):
        yield f"No run has per-pair scores: there is no loss at the common beta {b:g}."
    elif without:
        have = "has" if len(without) == 1 else "have"
        yield f"{named(without)} {have} no per-pair scores at that evaluation: no loss at the common beta {b:g}."
