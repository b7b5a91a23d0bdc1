"""Which runs cannot be told apart from the best by their reward accuracy."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.record.intervals import Interval, exact_count, wilson, z_value

_ROUNDING = 1e-12
"""Mean square of the prompts' deviations that is nothing but rounding: of one prompt all are 0."""


@dataclass(frozen=True)
class Proportion:
    """A reward accuracy in [0, 1] measured on `n` pairs."""

    value: float
    n: int


def measured(
    right: npt.NDArray[np.float64], prompts: npt.NDArray[np.int64], confidence: float = 0.95
) -> tuple[Proportion, Interval] | None:
    """The accuracy and its interval from what each pair got, 1, 1/2 or 0, and each pair's prompt, shape (n,) each.

    Wilson's interval on the effective number of pairs: p (1 - p) over the square of the clustered standard error (Korn
    and Graubard 1998, Survey Methodology 24, 193-201), at most n, and at least n^2 / sum of squared pairs per prompt
    (Kish 1965, Survey Sampling: all pairs of a prompt alike); n itself where each prompt has one pair. Pairs of NaN are
    left out: n tells how many are in. None if none is.
    """
    known = np.isfinite(right)
    right, prompts = right[known], prompts[known]
    n = len(right)
    if not n:
        return None
    value = float(right.mean())
    sizes = np.bincount(prompts)
    groups = int((sizes > 0).sum())
    squares = float((np.bincount(prompts, weights=right - value) ** 2).sum()) * groups / max(1, groups - 1)
    least = n * n / float((sizes**2).sum())
    effective = n * n * value * (1 - value) / squares if squares > _ROUNDING * n else least
    pairs = round(min(n, max(least, effective)))
    return Proportion(value, n), wilson(value * pairs, pairs, confidence)


def z_unpaired(a: Proportion, b: Proportion) -> float:
    """(a - b) in standard errors, unpaired: sqrt(p_a (1 - p_a) / n_a + p_b (1 - p_b) / n_b), with one right and one
    wrong pair added to each (Agresti and Caffo 2000, The American Statistician 54, 280-288).

    As they are, six pairs call two equal runs different in up to 15% of samples; with these in 4%. Conservative where
    both runs were scored on the same pairs: their errors are then positively correlated and the true standard error is
    smaller.
    """
    (p_a, n_a), (p_b, n_b) = (((p.value * p.n + 1) / (p.n + 2), p.n + 2) for p in (a, b))
    return (p_a - p_b) / math.sqrt(p_a * (1 - p_a) / n_a + p_b * (1 - p_b) / n_b)


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
