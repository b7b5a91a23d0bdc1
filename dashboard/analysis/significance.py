"""How sure a reward accuracy is: its interval, and which runs cannot be told apart from the best."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple


class Interval(NamedTuple):
    """A confidence interval of a proportion, both ends in [0, 1]."""

    low: float
    high: float


@dataclass(frozen=True)
class Proportion:
    """A reward accuracy in [0, 1] measured on `n` pairs."""

    value: float
    n: int


def z_value(confidence: float) -> float:
    """The two-sided quantile of the standard normal: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(count: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for `count` of `n` (Wilson 1927, JASA 22, 209-212).

    `count` may be a half or a fraction: a tied pair counts half, a mean of batch means need not be whole.
    Raises ValueError unless n > 0 and 0 <= count <= n.
    """
    if n <= 0 or not 0 <= count <= n:
        raise ValueError(f"a proportion needs 0 <= count <= n and n > 0, got {count} of {n}")
    z, p = z_value(confidence), count / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(max(0.0, (centre - half) / (1 + z * z / n)), min(1.0, (centre + half) / (1 + z * z / n)))


def exact_count(accuracy: float, n: int) -> float | None:
    """How many of the `n` pairs were right (ties count half), if `accuracy` is a multiple of 1 / (2 n); else None.

    None says that the number is no share of pairs: TRL's own accuracy is a mean of batch means, in which the pairs of
    a smaller last batch weigh more. The tolerance is what a 32-bit float can hold.
    """
    halves = accuracy * 2 * n
    tolerance = max(1e-6, halves * 2.0**-23)
    return round(halves) / 2 if abs(halves - round(halves)) <= tolerance else None


def accuracy_interval(accuracy: float | None, n: int | None, confidence: float = 0.95) -> Interval | None:
    """Wilson's interval of a reward accuracy on `n` pairs; None if either is unknown or not a proportion."""
    if accuracy is None or not n or n <= 0 or not 0 <= accuracy <= 1:
        return None
    count = exact_count(accuracy, n)
    return wilson(accuracy * n if count is None else count, n, confidence)


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
