"""Which runs cannot be told apart from the best by their reward accuracy."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from training.record.intervals import exact_count, z_value


@dataclass(frozen=True)
class Proportion:
    """A reward accuracy in [0, 1] measured on `n` pairs."""

    value: float
    n: int


def z_unpaired(a: Proportion, b: Proportion) -> float:
    """(a - b) in standard errors, unpaired: sqrt(p_a (1 - p_a) / n_a + p_b (1 - p_b) / n_b) (Agresti 2013, 3.1.2).

    Conservative where both runs were scored on the same pairs: their errors are then positively correlated and the
    true standard error is smaller. 0 where both are equal, infinite where they differ without any error.
    """
    difference = a.value - b.value
    if difference == 0:
        return 0.0
    error = math.sqrt(a.value * (1 - a.value) / a.n + b.value * (1 - b.value) / b.n)
    return difference / error if error else math.copysign(math.inf, difference)


def best_of(proportions: Mapping[str, Proportion]) -> str | None:
    """The id with the highest value; the first of equals; None if there is none."""
    return max(proportions, key=lambda run: proportions[run].value, default=None)


def tie_group(proportions: Mapping[str, Proportion], confidence: float = 0.95, comparisons: int = 1) -> frozenset[str]:
    """The ids that cannot be told apart from the best by the unpaired z test, the best included.

    Only means are needed; per-pair scores allow a paired test, which separates more runs. Each run is tested by
    itself, and so the true best may be missing, for the best of many is also the luckiest. With `comparisons` =
    number of runs - 1 (Bonferroni: Dunn 1961, JASA 56, 52-64) the group holds the true best at `confidence`
    (multiple comparisons with the best: Hsu 1981, Annals of Statistics 9, 1026-1034).
    """
    best = best_of(proportions)
    if best is None:
        return frozenset()
    limit = z_value(1 - (1 - confidence) / max(1, comparisons))
    return frozenset(run for run, p in proportions.items() if z_unpaired(proportions[best], p) < limit)


def share_of_batches(accuracies: Iterable[Proportion]) -> int:
    """How many of the accuracies are no share of their pairs, but a mean of batch means."""
    return sum(exact_count(p.value, p.n) is None for p in accuracies)
