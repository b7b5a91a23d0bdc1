"""Two runs on the same pairs: how far apart they are, and how sure that is."""

import math
from dataclasses import dataclass

import numpy as np

from dashboard.analysis.study import Floats, Ints, Scores
from training.record.intervals import MIN_CLUSTERS, Interval, mcnemar, t_value

EXACT = "exact McNemar test"
CLUSTERED = "McNemar's test clustered by prompt"
BOOTSTRAP = "bootstrap-t over prompts"

_CHUNK = 4_000_000
"""Random numbers drawn at a time: 32 MB."""

_ROUNDING = 1e-12
"""Part of a difference below which two differences are one."""


@dataclass(frozen=True)
class Comparison:
    """Run a minus run b on `n` pairs of `prompts` prompts: `difference`, its interval and a two-sided p-value.

    `only_a` and `only_b` count the pairs on which one has more than the other. `missing` pairs have no finite value in
    one of the runs and are left out. `interval` is None where too few prompts differ for one. `p` decides whether the
    runs differ: it is the stricter of the two where the interval ends near 0.
    """

    n: int
    prompts: int
    difference: float
    interval: Interval | None
    p: float
    only_a: int
    only_b: int
    missing: int
    test: str

    @property
    def discordance(self) -> float:
        """The share of pairs on which the runs differ: what power rests on (`power.pairs_needed`)."""
        return (self.only_a + self.only_b) / self.n if self.n else math.nan


def aligned(a: Scores, b: Scores) -> tuple[Ints, Ints] | None:
    """Row numbers, shape (n,) each, that bring the pairs of both into one order; None unless both have the same pairs.

    Runs that share only some of their pairs are not compared: on the shared part alone neither would have the accuracy
    that is shown for it.
    """
    if a.pairs == b.pairs:
        rows = np.arange(len(a))
        return rows, rows
    where = {pair: row for row, pair in enumerate(b.pairs)}
    if len(a) != len(b) or not where.keys() >= set(a.pairs):
        return None
    return np.arange(len(a)), np.array([where[pair] for pair in a.pairs], dtype=np.int64)


def prompt_sums(values: Floats, prompts: Ints) -> Floats:
    """The sums over each prompt's pairs: (..., n) becomes (..., prompts)."""
    order = np.argsort(prompts, kind="stable")
    starts = np.flatnonzero(np.diff(prompts[order], prepend=-1))
    sums: Floats = np.add.reduceat(values[..., order], starts, axis=-1)
    return sums


def accuracy(a: Scores, b: Scores, confidence: float = 0.95) -> Comparison:
    """The difference in reward accuracy, on [-1, 1]; raises ValueError unless both were scored on the same pairs.

    p is the exact McNemar test's where each prompt has one pair and no margin is exactly 0. Several pairs of one prompt
    are no independent evidence, and a tie makes half a difference; then the sums over each prompt, D, are tested:
    z = (|sum D| - c) / sqrt(sum D^2) (Obuchowski 1998, Statistics in Medicine 17, 1495-1507, in the form of Yang, Sun
    and Hardin 2010, Biometrical Journal 52, 638-652, without its factor (K - 1) / K of z^2 for K prompts: it is
    McNemar's z where each prompt has one pair), with the continuity correction c = 1, half as much with ties (Edwards
    1948, Psychometrika 13, 185-187). Below 5 prompts such a p is 1. For the interval see `_interval`.
    """
    rows = aligned(a, b)
    if rows is None:
        raise ValueError("the two runs were not scored on the same pairs")
    x, y = a.right[rows[0]], b.right[rows[1]]
    known = np.isfinite(x) & np.isfinite(y)
    x, y, prompts = x[known], y[known], a.prompts[rows[0]][known]
    if not len(x):
        return Comparison(0, 0, math.nan, None, 1.0, 0, 0, len(known), EXACT)
    d = x - y
    sums, sizes = prompt_sums(d, prompts), prompt_sums(np.ones_like(d), prompts)
    only_a, only_b = int((d > 0).sum()), int((d < 0).sum())
    tied = bool((x == 0.5).any() or (y == 0.5).any())
    if len(sums) == len(d) and not tied:
        p, test = mcnemar(only_a, only_b), EXACT
    else:
        p, test = _clustered(sums, 0.5 if tied else 1.0), CLUSTERED
    interval = _interval(sums, sizes, confidence)
    return Comparison(len(d), len(sums), float(d.mean()), interval, p, only_a, only_b, int((~known).sum()), test)


def _clustered(sums: Floats, unit: float) -> float:
    squares = float((sums**2).sum())
    if len(sums) < MIN_CLUSTERS or squares == 0:
        return 1.0
    return math.erfc(max(0.0, abs(float(sums.sum())) - unit) / math.sqrt(2 * squares))


def _interval(sums: Floats, sizes: Floats, confidence: float) -> Interval | None:
    """The interval of a difference of paired proportions from each prompt's sum of differences and number of pairs.

    Two pairs are added, half a pair to each cell of the 2 x 2 table (Agresti and Min 2005, Statistics in Medicine 24,
    729-740): without them the interval is too short where few pairs differ. The variance is clustered, with Student's t
    (see `training.record.intervals.mean_interval`). None below 5 prompts.
    """
    groups = len(sums)
    if groups < MIN_CLUSTERS:
        return None
    n = float(sizes.sum()) + 2
    centre = float(sums.sum()) / n
    spread = float(((sums - sizes * centre) ** 2).sum()) * groups / (groups - 1) + 1
    half = t_value(confidence, groups - 1) * math.sqrt(spread) / n
    return Interval(max(-1.0, centre - half), min(1.0, centre + half))


def mean(
    x: Floats, y: Floats, prompts: Ints, confidence: float = 0.95, seed: int = 0, resamples: int = 2000
) -> Comparison:
    """The difference of means, x - y, of what was measured on the same pairs, shape (n,) each: margins or losses.

    Prompts, not pairs, are drawn anew; each draw's difference is divided by its own clustered standard error, and the
    limit is the quantile of its absolute value: the symmetric bootstrap-t (Hall 1988, J. Royal Statistical Society B
    50, 35-45; by clusters: Cameron, Gelbach and Miller 2008, Review of Economics and Statistics 90, 414-427). p is
    (1 + draws at least as extreme) / (1 + draws) (Davison and Hinkley 1997, section 4.2). The same seed gives the same
    numbers. Simulated, it covers 94-96% from 30 prompts on, also with heavy tails (Student's t of 3 degrees) and with
    several pairs per prompt; differences as skewed as a lognormal are covered 92% of the time at 30 and 100 prompts, by
    Student's t 86% and 91%.
    """
    known = np.isfinite(x) & np.isfinite(y)
    d, kept = (x - y)[known], prompts[known]
    missing, only_a, only_b = int((~known).sum()), int((d > 0).sum()), int((d < 0).sum())
    if not len(d):
        return Comparison(0, 0, math.nan, None, 1.0, 0, 0, missing, BOOTSTRAP)
    sums, sizes = prompt_sums(d, kept), prompt_sums(np.ones_like(d), kept)
    difference, error = (float(part[0]) for part in clustered_mean(sums[None], sizes[None]))
    interval, p = None, 1.0
    if len(sums) >= MIN_CLUSTERS:
        size = _studentised(sums, sizes, difference, np.random.default_rng(seed), resamples)
        own = abs(difference) / error if error else math.inf
        p = float((1 + (size >= own).sum()) / (1 + resamples)) if difference else 1.0
        half = float(np.quantile(size, confidence, method="higher")) * error if error else 0.0
        interval = Interval(difference - half, difference + half) if math.isfinite(half) else None
    return Comparison(len(d), len(sums), difference, interval, p, only_a, only_b, missing, BOOTSTRAP)


def clustered_mean(sums: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Per row the mean of pairs and its clustered standard error; (rows, prompts) becomes (rows,) twice."""
    groups = sums.shape[-1]
    n = sizes.sum(axis=-1)
    mean = sums.sum(axis=-1) / n
    squares = ((sums - sizes * mean[:, None]) ** 2).sum(axis=-1)
    return mean, np.sqrt(squares * groups / max(1, groups - 1)) / n


def _studentised(sums: Floats, sizes: Floats, difference: float, rng: np.random.Generator, resamples: int) -> Floats:
    """|t| of each resample; infinite where all drawn prompts are equal and yet off the difference."""
    found = []
    rows = max(1, _CHUNK // len(sums))
    for start in range(0, resamples, rows):
        drawn = rng.integers(0, len(sums), (min(rows, resamples - start), len(sums)))
        means, errors = clustered_mean(sums[drawn], sizes[drawn])
        off = np.abs(means - difference)
        off[off <= _ROUNDING * abs(difference)] = 0.0
        found.append(np.divide(off, errors, out=np.where(off > 0, np.inf, 0.0), where=errors > 0))
    return np.concatenate(found)


def holm(p: Floats) -> Floats:
    """Holm's adjusted p-values, shape of `p`: reject where one is <= alpha, and no true hypothesis is rejected with
    probability above alpha, however the tests depend on each other (Holm 1979, Scandinavian J. of Statistics 6, 65-70).

    NaN stays NaN and does not count as a test.
    """
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p.flat[known], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted.flat[order] = np.minimum(1.0, np.maximum.accumulate(steps * p.flat[order]))
    return adjusted
