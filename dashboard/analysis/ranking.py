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
Better = Literal["lower", "higher"]

_APART = frozenset({"running", "failed", "pruned"})


def evaluation(run: Run, at: At) -> Mapping[str, float]:
    """The run's metrics at its best checkpoint or at its last evaluation; the last where no best one is recorded."""
    return run.best if at == "best" and run.best else run.metrics


def evaluation_step(run: Run, at: At) -> int | None:
    """The optimizer step that `evaluation` speaks of."""
    return run.best_step if at == "best" and run.best else run.step


def settled(run: Run) -> bool:
    """Whether the run went on to an end of its own: only such runs are ranked; running, failed and pruned ones are not.

    A run whose source gives no state counts: it can be compared, though it is not known to have finished.
    """
    return run.status not in _APART


def untrained(run: Run, at: At) -> bool:
    """Whether the evaluation was made at step 0: its numbers are the base model's, not the run's."""
    return evaluation_step(run, at) == 0


def eligible(run: Run, at: At) -> bool:
    """Whether the run can be ranked by the evaluation: it is settled, of a kind with others, the evaluation its own."""
    return settled(run) and run.apart is None and not untrained(run, at)


def finite(value: float | None) -> float | None:
    """The value, or None where it is missing, NaN or infinite: what has diverged never wins."""
    return value if value is not None and math.isfinite(value) else None


def direction(key: str, better: Better | None = None) -> Better:
    """Which way the metric `key` is better: as the user says (`better`), else by the metric's definition.

    Raises ValueError where neither says it.
    """
    found = better or describe(key).better
    if found is None:
        raise ValueError(f"{key} has no better direction: neither more nor less of it is better by itself")
    return found


def rank_values(values: Mapping[str, float], better: Better) -> dict[str, int]:
    """Key -> rank from 1, best first, equal values sharing the better rank; what is not finite is absent."""
    sign = 1 if better == "lower" else -1
    known = {key: sign * value for key, value in values.items() if math.isfinite(value)}
    ordered = sorted(known.values())
    return {key: bisect_left(ordered, value) + 1 for key, value in known.items()}


def rank(runs: Iterable[Run], key: str, at: At, better: Better | None = None) -> dict[str, int]:
    """Run id -> rank by the metric `key`, as `rank_values`; runs that are not eligible or lack it are absent.

    Raises ValueError for a metric of no known direction, unless `better` gives it.
    """
    way = direction(key, better)
    found = {run.id: evaluation(run, at).get(key, math.nan) for run in runs if eligible(run, at)}
    return rank_values(found, way)


def ranks(runs: Iterable[Run], keys: Iterable[str], at: At) -> dict[str, dict[str, int]]:
    """Run id -> metric -> rank, for every run; metrics of no known direction are left out."""
    known = list(runs)
    by_key = {key: rank(known, key, at) for key in keys if describe(key).better is not None}
    return {run.id: {key: found[run.id] for key, found in by_key.items() if run.id in found} for run in known}


def winner(runs: Iterable[Run], key: str, at: At, better: Better | None = None) -> Run | None:
    """The run of rank 1, the first of equals; None if none can be ranked."""
    candidates = list(runs)
    places = rank(candidates, key, at, better)
    return next((run for run in candidates if places.get(run.id) == 1), None)


def proportions(runs: Iterable[Run], at: At) -> dict[str, Proportion]:
    """Run id -> reward accuracy with its number of pairs, for the ranked runs that have both."""
    found = {}
    for run in runs:
        accuracy = finite(evaluation(run, at).get(EVAL_ACCURACY))
        if eligible(run, at) and run.n_eval and accuracy is not None and 0 <= accuracy <= 1:
            found[run.id] = Proportion(accuracy, run.n_eval)
    return found
