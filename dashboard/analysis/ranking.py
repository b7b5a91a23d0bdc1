"""Which run is best by one metric."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Literal

from dashboard.analysis.significance import Proportion
from training.record.metrics import ACCURACY, LOSS, describe
from training.record.schema import Run

EVAL_LOSS = f"eval/{LOSS}"
EVAL_ACCURACY = f"eval/{ACCURACY}"

At = Literal["best", "last"]

_APART = frozenset({"running", "failed"})


def evaluation(run: Run, at: At) -> Mapping[str, float]:
    """The run's metrics at its best checkpoint or at its last evaluation; the last where no best one is recorded."""
    return run.best if at == "best" and run.best else run.metrics


def evaluation_step(run: Run, at: At) -> int | None:
    """The optimizer step that `evaluation` speaks of."""
    return run.best_step if at == "best" and run.best else run.step


def settled(run: Run) -> bool:
    """Whether the run's numbers can no longer change and no error cut it short: only such runs are ranked.

    A run whose source gives no state counts: it can be compared, though it is not known to have finished.
    """
    return run.status not in _APART


def untrained(run: Run, at: At) -> bool:
    """Whether the evaluation was made at step 0: its numbers are the base model's, not the run's."""
    return evaluation_step(run, at) == 0


def eligible(run: Run, at: At) -> bool:
    """Whether the run can be ranked by the evaluation: it is settled, and the evaluation is its own."""
    return settled(run) and not untrained(run, at)


def finite(value: float | None) -> float | None:
    """The value, or None where it is missing, NaN or infinite: what has diverged never wins."""
    return value if value is not None and math.isfinite(value) else None


def rank(runs: Iterable[Run], key: str, at: At) -> dict[str, int]:
    """Run id -> rank from 1, best first, equal values sharing the better rank; the rest is absent.

    Direction comes from the metric's definition. Raises ValueError for a metric without a better direction.
    """
    direction = describe(key).better
    if direction is None:
        raise ValueError(f"{key} has no better direction: neither more nor less of it is better by itself")
    sign = 1 if direction == "lower" else -1
    values = {
        run.id: sign * value
        for run in runs
        if eligible(run, at) and (value := finite(evaluation(run, at).get(key))) is not None
    }
    ordered = sorted(values.values())
    return {run: bisect_left(ordered, value) + 1 for run, value in values.items()}


def winner(runs: Iterable[Run], key: str, at: At) -> Run | None:
    """The run of rank 1, the first of equals; None if none can be ranked."""
    candidates = list(runs)
    ranks = rank(candidates, key, at)
    return next((run for run in candidates if ranks.get(run.id) == 1), None)


def proportions(runs: Iterable[Run], at: At) -> dict[str, Proportion]:
    """Run id -> reward accuracy with its number of pairs, for the ranked runs that have both."""
    found = {}
    for run in runs:
        accuracy = finite(evaluation(run, at).get(EVAL_ACCURACY))
        if eligible(run, at) and run.n_eval and accuracy is not None and 0 <= accuracy <= 1:
            found[run.id] = Proportion(accuracy, run.n_eval)
    return found
