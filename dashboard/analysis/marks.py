"""What is marked on a run's axis: epochs, the best evaluation, what findings and the training itself remarked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dashboard.analysis.curves import Axis, x_values
from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.numbers import one_line
from training.record.history import whole
from training.record.schema import History, Run, Series

Kind = Literal["epoch", "best", "bad", "warning", "info"]

MOST_EPOCHS = 20
"""Ends of epochs that are marked; of more the axis would be full."""

_LONGEST = 160
_KNOWN: Mapping[str, tuple[str, str]] = {
    "divergence": ("first_step", "the loss is NaN or infinite"),
    "loss-not-finite": ("first_step", "the loss is NaN or infinite for a time"),
    "gradient-spikes": ("largest_step", "the largest jump of the gradient norm"),
    "evaluation-loss-turned": ("step", "the evaluation loss is lowest and rises from here"),
    "noisy-start": ("step", "the first training loss is not that of the untrained model"),
}
"""Finding id -> where its evidence has the step that it speaks of, and what is there."""


@dataclass(frozen=True)
class Mark:
    """Something at an optimizer step of a run, in words."""

    step: float
    kind: Kind
    words: str


def marks(run: Run, history: History, found: Iterable[Finding], notices: Iterable[Mapping[str, Any]]) -> list[Mark]:
    """All marks of one run, by step. `notices` are rows of its notices.jsonl."""
    made = [*_epochs(history), *_best(run), *_findings(run, found), *_notices(notices)]
    return sorted(made, key=lambda mark: mark.step)


def _longest(history: History) -> Series:
    return max(history.values(), key=len, default=Series())


def _epochs(history: History) -> list[Mark]:
    """Where a pass over the training data ends, between the logged steps around it."""
    curve = _longest(history)
    steps, epochs = np.asarray(curve.steps, dtype=np.float64), np.asarray(curve.epochs)
    known = np.isfinite(epochs)
    if known.sum() < 2 or (np.diff(epochs[known]) < 0).any():
        return []
    ends = np.arange(1, int(epochs[known][-1]) + 1)
    if len(ends) > MOST_EPOCHS:
        return []
    at = np.interp(ends, epochs[known], steps[known])
    return [Mark(step, "epoch", f"end of epoch {end}") for end, step in zip(ends.tolist(), at.tolist(), strict=True)]


def _best(run: Run) -> list[Mark]:
    if run.best_step is None or not run.best:
        return []
    by = f" by {one_line(run.best_metric)}" if run.best_metric else ""
    return [Mark(run.best_step, "best", f"best evaluation{by}")]


def _findings(run: Run, found: Iterable[Finding]) -> list[Mark]:
    made = []
    for finding in found:
        if finding.id not in _KNOWN:
            continue
        key, words = _KNOWN[finding.id]
        runs = finding.evidence.get("runs")
        numbers = runs.get(run.id) if isinstance(runs, Mapping) else None
        step = whole(numbers.get(key)) if isinstance(numbers, Mapping) else None
        if step is not None:
            made.append(Mark(step, finding.severity, words))
    return made


def _notices(notices: Iterable[Mapping[str, Any]]) -> list[Mark]:
    """What was remarked while training; what was said before the first step is no event on the axis."""
    made = []
    for row in notices:
        step, message = whole(row.get("step")), row.get("message")
        if step is not None and step > 0 and isinstance(message, str):
            made.append(Mark(step, "info", one_line(message, _LONGEST)))
    return made


def placed(marks: Sequence[Mark], history: History, axis: Axis, started: float | None) -> list[tuple[float, Mark]]:
    """The marks with their x on the axis asked for; those that lie nowhere on it are left out."""
    if axis == "step":
        return [(mark.step, mark) for mark in marks]
    curve = _longest(history)
    steps, x = np.asarray(curve.steps, dtype=np.float64), x_values(curve, axis, started)
    known = np.isfinite(x)
    if not known.any():
        return []
    at = np.interp([mark.step for mark in marks], steps[known], x[known])
    return list(zip(at.tolist(), marks, strict=True))
