"""Losses that can be compared whatever beta a run was trained with, and how well its confidence fits."""

from dataclasses import dataclass

import numpy as np

from dashboard.analysis.study import Floats
from training.record.intervals import Interval, wilson

_STEPS = 200
"""Halvings of the bracket of b: each h is a double, so fewer than 64 are ever needed once b is bracketed."""


@dataclass(frozen=True)
class Calibrated:
    """The least loss over b >= 0, in nats, and the `b` that attains it; `at_edge` where b is 0 or infinite."""

    loss: float
    b: float
    at_edge: bool


@dataclass(frozen=True)
class Bin:
    """Pairs of near confidence: how many, their mean confidence, and how many of them were right (ties half)."""

    n: int
    confidence: float
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class Calibration:
    """Whether a run that is 80% confident is right 80% of the time, on `n` pairs.

    `ece` is the mean gap between confidence and accuracy, `expected` the gap that chance alone gives a perfectly
    calibrated run in the same bins; `brier` the mean squared error of the confidence; `slope` is b* / beta.
    """

    n: int
    missing: int
    bins: tuple[Bin, ...]
    ece: float
    expected: float
    brier: float
    slope: float


def losses(h: Floats, b: float) -> Floats:
    """Per pair softplus(-b h) = -log sigmoid(b h) in nats, shape (n,); `h` are margins of log-ratios, in nats.

    DPO's loss (arXiv:2305.18290, eq. 7) with one b for all runs instead of each run's beta. NaN stays NaN.
    """
    x = -b * h
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def loss(h: Floats, b: float) -> float:
    """The common-beta loss L*(b) = mean softplus(-b h), in nats; NaN if a margin is NaN, or if there is none."""
    return float(losses(h, b).mean()) if len(h) else float("nan")


def calibrated(h: Floats) -> Calibrated:
    """The least common-beta loss over b >= 0: what the order and spread of the margins are worth, whatever beta.

    softplus(-b h) is convex in b (a convex function of a linear one) and so is the mean; its slope is
    -mean(h sigmoid(-b h)), at b = 0 -mean(h) / 2. So the least value is ln 2 at b = 0 unless mean(h) > 0; it is only
    approached, as b grows without bound, where no margin is below 0 (the loss is then ln 2 for each margin of 0, else
    0); otherwise it lies where the slope is 0. NaN if a margin is not finite, or if there is none.
    """
    if not len(h) or not np.isfinite(h).all():
        return Calibrated(float("nan"), float("nan"), False)
    if h.mean() <= 0:
        return Calibrated(float(np.log(2)), 0.0, True)
    if h.min() >= 0:
        return Calibrated(float(np.log(2) * (h == 0).mean()), float("inf"), True)
    b = _least(h)
    return Calibrated(loss(h, b), b, False)


def _least(h: Floats) -> float:
    """Where the slope of L*(b) is 0, by bisection of a bracket that is doubled until it holds it."""
    low, high = 0.0, 1 / float(np.abs(h).max())
    while _slope(h, high) < 0:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _slope(h, middle) < 0 else (low, middle)
    return (low + high) / 2


def _slope(h: Floats, b: float) -> float:
    return -float((h * np.exp(-np.logaddexp(0.0, b * h))).mean())


def calibration(h: Floats, beta: float, bins: int = 10) -> Calibration | None:
    """The reliability of p = sigmoid(beta |h|), the confidence that the answer of higher reward is the preferred one.

    `bins` of equal width over [0.5, 1], the empty ones left out; accuracy with Wilson's interval, which takes each
    pair as one of its own. ECE: Guo et al. 2017, arXiv:1706.04599, eq. 3. In each bin even a perfect run shows a gap
    of about sqrt(2 / pi) of the standard error, sqrt(mean p (1 - p) / n): `expected`. Brier 1950, Monthly Weather
    Review 78, 1-3; a tied pair is right and wrong by halves. A slope below 1 is over-confidence (1 / temperature).
    Margins that are not finite are left out and counted as `missing`. None if no margin is left.
    """
    found = h[np.isfinite(h)]
    if not len(found):
        return None
    p = np.exp(-np.logaddexp(0.0, -beta * np.abs(found)))
    right = (np.sign(found) + 1) / 2
    which = np.minimum(((p - 0.5) * 2 * bins).astype(np.int64), bins - 1)
    masks = [which == k for k in np.unique(which)]
    groups = tuple(_bin(p[mask], right[mask]) for mask in masks)
    noise = [float(np.sqrt(2 / np.pi * (p[mask] * (1 - p[mask])).sum())) for mask in masks]
    n = len(found)
    return Calibration(
        n,
        len(h) - n,
        groups,
        sum(group.n * abs(group.accuracy - group.confidence) for group in groups) / n,
        sum(noise) / n,
        float(((p - right) ** 2 + right * (1 - right)).mean()),
        calibrated(found).b / beta,
    )


def _bin(p: Floats, right: Floats) -> Bin:
    return Bin(len(p), float(p.mean()), float(right.mean()), wilson(float(right.sum()), len(right)))
