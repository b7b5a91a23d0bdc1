"""The runs of a report as they were at the moment that was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dashboard.analysis import numbers
from dashboard.analysis.budgets import at_step, common_step, evaluated_steps
from dashboard.analysis.ranking import At, settled
from dashboard.analysis.study import Evidence
from dashboard.sources.imported import Imported, SourceError

Moment = Literal["best", "last", "common"] | int


@dataclass(frozen=True)
class Seen:
    """Runs as they were at a moment: `at` says by which of their evaluations they are judged then, `words` when it was.

    `notes` name the runs that are left out.
    """

    found: Imported
    at: At
    words: str
    notes: tuple[str, ...] = ()


def seen_at(found: Imported, moment: Moment) -> Seen:
    """The runs at their best or last evaluation, at the last step common to all, or at a step.

    Raises SourceError, one sentence, if there is no such step, or no run was evaluated near it.
    """
    if moment == "best" or moment == "last":
        return Seen(found, moment, f"at each run's {moment} evaluation")
    evidence = [Evidence(run, found.histories.get(run.id, {})) for run in found.runs]
    step = _common(evidence) if moment == "common" else moment
    runs = tuple(run for one in evidence if (run := at_step(one, step)) is not None)
    if not runs:
        raise SourceError(f"No run was evaluated near step {step:,}: ask for --at best, --at last or --at common.")
    kept = {run.id for run in runs}
    names = [run.name for run in found.runs if run.id not in kept]
    were = "was" if len(names) == 1 else "were"
    left = (f"{named(names)} {were} not evaluated near step {step:,} and {were} left out.",) if names else ()
    return Seen(replace(found, runs=runs), "last", f"at the evaluation nearest to step {step:,}", left)


def _common(evidence: Sequence[Evidence]) -> int:
    """The last step near which all were evaluated of the runs that have an evaluation and went on to their own end."""
    step = common_step([one for one in evidence if settled(one.run) and evaluated_steps(one)])
    if step is None:
        raise SourceError("There is no step near which every run was evaluated: ask for --at best or --at last.")
    return step


def named(names: Sequence[str], most: int = 5) -> str:
    """Some names in a sentence, the first `most` of them."""
    shown = [numbers.one_line(name) for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
