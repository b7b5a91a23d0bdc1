"""Which evaluation pairs look mislabelled: every run prefers the rejected answer, by more than it errs on others."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dashboard.analysis.study import Floats, Ints

LEVEL = 0.05
"""Of the likelihood-ratio test before any pair is named, and the share of those named that are expected to be right."""

COPY = 1e-4
"""Relative: runs whose margins differ by less, everywhere, are one run counted twice."""

FEWEST = 50
"""Pairs below which no share of wrong labels can be told."""

_STEEPNESS = np.geomspace(0.02, 200, 41)
_SHARES = np.linspace(0.0, 0.5, 26)
_ZOOMS = 5
_CHI_SQUARED = 2.706
"""90% quantile of one degree: at the border the ratio is 0 half of the time (Self and Liang 1987, JASA 82, 605-610)."""


class Fit(NamedTuple):
    """The noise model's two parameters, and twice the log-likelihood that `share` adds over a share of 0."""

    steepness: float
    share: float
    ratio: float


@dataclass(frozen=True, eq=False)
class Suspects:
    """`rows` of the pairs named, the most suspect first; `margin`, shape (n,), is the pooled margin that decides.

    `share` is the estimated share of wrong labels among all pairs, None where no run could be used. `used` are the
    columns of the runs that were pooled, `copies` and `broken` those of the runs that were not.
    """

    rows: Ints
    margin: Floats
    share: float | None
    used: tuple[int, ...]
    copies: tuple[int, ...]
    broken: tuple[int, ...]


def suspects(h: Floats, level: float = LEVEL) -> Suspects:
    """Suspected wrong labels from margins in nats, shape (n, K): n pairs under K runs.

    A wrong label mirrors a margin. A pair's pooled margin m (`pooled`) agrees with its label with probability
    (1 - e) sigmoid(a |m|) + e sigmoid(-a |m|): Bradley and Terry's model with labels flipped at rate e (Chowdhury,
    Kini and Natarajan 2024, arXiv:2403.00409, section 2; in psychometrics the lapse rate). It is exact where margins
    are normal. a and e are fitted by maximum likelihood. No pair is named unless e > 0 by a likelihood-ratio test at
    `level`; then as many as keep the mean probability of a right label among them at `level` (the direct posterior
    approach of Newton, Noueiry, Sarkar and Ahlquist 2004, Biostatistics 5, 155-176), none that is more probably right.

    What it rests on: runs err the less, the larger the margin. An error that all runs make with confidence looks the
    same. Simulated with 500 pairs and 6 runs: of 5% to 40% flips of normal margins, 84% to 91% of the named are flips
    (of 60 pairs 76%, by one run 88%). Of no flips, 2% of the studies name any; where margins that all runs share have
    the tails of Student's t of 3 or 5 degrees, 9 of 10 studies do, 4 to 7 pairs each.

    The order is that of the margin averaged over runs, as AUM averages it over epochs (Pleiss et al. 2020,
    arXiv:2001.10528), whose own cut-off needs a training of its own; the counting of confident learning (Northcutt,
    Jiang and Chuang 2021, arXiv:1911.00068) has one class here, for which answer is called chosen is no property of it.
    """
    used, copies, broken = _runs(h)
    margin = pooled(h[:, used])
    known = np.flatnonzero(np.isfinite(margin))
    if not used or len(known) < FEWEST:
        return Suspects(np.zeros(0, dtype=np.int64), margin, None, used, copies, broken)
    found = fit(margin[known])
    right = 1 - flipped(margin[known], found)
    order = np.argsort(margin[known], kind="stable")
    mean = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    doubtful = np.minimum((mean <= level).sum(), (right[order] < 0.5).sum())
    named = int(doubtful) if found.ratio > _CHI_SQUARED else 0
    share = found.share if found.ratio > _CHI_SQUARED else 0.0
    return Suspects(known[order[:named]], margin, share, used, copies, broken)


def pooled(h: Floats) -> Floats:
    """Per pair the mean margin of the runs, each in units of its own median |margin|: (n, K) becomes (n,)."""
    if not h.shape[1]:
        return np.full(len(h), np.nan)
    mean: Floats = (h / np.median(np.abs(h), axis=0)).mean(axis=1)
    return mean


def fit(margin: Floats) -> Fit:
    """The noise model of `suspects` by maximum likelihood: a grid that closes in on the best of its points."""
    steepness, shares = _STEEPNESS, _SHARES
    for _ in range(_ZOOMS):
        likelihood = np.array([_likelihood(margin, a, shares) for a in steepness])
        row, column = np.unravel_index(likelihood.argmax(), likelihood.shape)
        best, a, e = float(likelihood.max()), float(steepness[row]), float(shares[column])
        steepness, shares = _closer(steepness, int(row)), _closer(shares, int(column))
    without = max(float(_likelihood(margin, a, np.zeros(1))[0]) for a in _STEEPNESS)
    return Fit(a, e, max(0.0, 2 * (best - without)))


def _likelihood(margin: Floats, a: float, shares: Floats) -> Floats:
    """Log-likelihood of the labels by share of wrong ones, shape of `shares`."""
    agree = _sigmoid(a * margin)[:, None]
    chance = (1 - shares) * agree + shares * (1 - agree)
    total: Floats = np.log(np.maximum(chance, 1e-300)).sum(axis=0)
    return total


def _closer(values: Floats, place: int) -> Floats:
    """Between the neighbours of the best value, which stays one of them."""
    low, high = values[max(0, place - 1)], values[min(len(values) - 1, place + 1)]
    return np.unique(np.append(np.linspace(low, high, 9), values[place]))


def flipped(margin: Floats, found: Fit) -> Floats:
    """The model's probability that a label is wrong, by Bayes' rule; the shape of `margin`."""
    agree = _sigmoid(found.steepness * margin)
    wrong: Floats = found.share * (1 - agree)
    return wrong / np.maximum(wrong + (1 - found.share) * agree, 1e-300)


def _sigmoid(x: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-np.clip(x, -700, 700)))
    return found


def _runs(h: Floats) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Columns of the runs that can be pooled, of copies of an earlier one, and of those that tell nothing."""
    used: list[int] = []
    copies: list[int] = []
    broken: list[int] = []
    for run in range(h.shape[1]):
        if not _tells(h[:, run]):
            broken.append(run)
        elif used and _copies(h[:, [run]], h[:, used]):
            copies.append(run)
        else:
            used.append(run)
    return tuple(used), tuple(copies), tuple(broken)


def _tells(margins: Floats) -> bool:
    """Whether a run is finite, has moved, and is right above chance: by more than 1.645 standard errors of a half."""
    n = len(margins)
    if not n or not np.isfinite(margins).all() or not np.median(np.abs(margins)) > 0:
        return False
    return bool((margins > 0).mean() > 0.5 + 1.645 * np.sqrt(0.25 / n))


def _copies(run: Floats, others: Floats) -> bool:
    """Whether a run, shape (n, 1), has the margins of one of the others, (n, K)."""
    return bool((np.abs(run - others).max(axis=0) <= COPY * np.median(np.abs(run))).any())
