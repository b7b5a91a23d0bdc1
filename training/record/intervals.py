"""How sure a number of an evaluation is: intervals of a proportion and of a mean, and an exact paired test."""

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist, fmean
from typing import NamedTuple

MIN_CLUSTERS = 5
SHORT = 5


class Interval(NamedTuple):
    """A confidence interval; of a proportion, both ends are in [0, 1]."""

    low: float
    high: float


def z_value(confidence: float) -> float:
    """The two-sided quantile of the standard normal: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def t_value(confidence: float, freedom: int) -> float:
    """The two-sided quantile of Student's t with `freedom` degrees: 2.776 for 0.95 and 4.

    Expanded about the normal's (Abramowitz and Stegun 1964, 26.7.5): right to 0.002 from 4 degrees on, at 0.95.
    """
    z = z_value(confidence)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, 1))


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
    a smaller last batch weigh more. The tolerance is what a 32-bit float can hold, or what a number written with at
    most SHORT digits after the point leaves open: 0.863 is 552 of 640, rounded.
    """
    halves = accuracy * 2 * n
    digits = len(repr(accuracy).partition(".")[2])
    rounding = n * 10.0**-digits if digits <= SHORT else 0.0
    tolerance = max(1e-6, halves * 2.0**-23, rounding)
    return round(halves) / 2 if abs(halves - round(halves)) <= tolerance else None


def accuracy_interval(accuracy: float | None, n: int | None, confidence: float = 0.95) -> Interval | None:
    """Wilson's interval of a reward accuracy on `n` pairs; None if either is unknown or not a proportion."""
    if accuracy is None or not n or n <= 0 or not 0 <= accuracy <= 1:
        return None
    count = exact_count(accuracy, n)
    return wilson(accuracy * n if count is None else count, n, confidence)


def mean_interval(values: Sequence[float], clusters: Sequence[Hashable], confidence: float = 0.95) -> Interval | None:
    """The interval of the mean of `values`, shape (n,), that come in `clusters`, shape (n,): pairs of one prompt.

    The standard error is clustered, sqrt(sum over clusters of (sum of deviations)^2) / n (Miller 2024,
    arXiv:2411.00640, eq. 4), times sqrt(G / (G - 1)), with Student's t of G - 1 degrees for G clusters (Cameron and
    Miller 2015, J. Human Resources 50, 317-372, section VI). None below MIN_CLUSTERS clusters, or if a value is NaN or
    infinite.
    """
    sums = dict.fromkeys(clusters, 0.0)
    if len(sums) < MIN_CLUSTERS or not all(map(math.isfinite, values)):
        return None
    mean = fmean(values)
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] += value - mean
    n, groups = len(values), len(sums)
    error = math.sqrt(sum(total * total for total in sums.values()) * groups / (groups - 1)) / n
    half = t_value(confidence, groups - 1) * error
    return Interval(mean - half, mean + half)


def mcnemar(b: int, c: int) -> float:
    """The exact two-sided p-value of McNemar's test: `b` pairs right only before, `c` right only after.

    Under no change each of the b + c falls on either side with probability 1/2: twice the smaller binomial tail, at
    most 1 (McNemar 1947, Psychometrika 12, 153-157; Dietterich 1998). Raises ValueError if a count is negative.
    """
    if min(b, c) < 0:
        raise ValueError(f"counts of pairs cannot be negative, got {b} and {c}")
    n, term, tail = b + c, 1, 0
    for k in range(min(b, c) + 1):
        tail += term
        term = term * (n - k) // (k + 1)
    return min(1.0, 2 * tail / (1 << n))
