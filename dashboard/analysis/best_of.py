"""How often each run would be the best on other prompts, and how much the best owes to luck."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from dashboard.analysis.paired import clustered_mean, prompt_sums
from dashboard.analysis.significance import Proportion
from dashboard.analysis.study import Bools, Floats, Ints
from training.record.intervals import MIN_CLUSTERS, Interval, t_value

HELD_OUT = 0.2
"""Share of the prompts that score the winner of the rest. The less is held out, the more the winner of the rest is that
of all prompts (less bias), and the fewer prompts score it (more variance)."""

_CHUNK = 2_000_000
"""Numbers in one table of resamples: 16 MB, and about eight such tables at a time."""


@dataclass(frozen=True)
class Selection:
    """The run picked as the best by `value`, its mean over all pairs; higher is better.

    `chance` is each run's share of wins on resampled prompts, ties shared: P(best). `corrected` is what the pick is
    worth on new prompts, `optimism` = value - corrected. `interval` is for the true mean of the picked run, None below
    5 prompts. `apart` are runs that have a value that is not finite and take no part.
    """

    best: str
    chance: Mapping[str, float]
    value: float
    corrected: float
    optimism: float
    interval: Interval | None
    apart: tuple[str, ...]


class _Sums(NamedTuple):
    """Sums over each prompt's pairs, (prompts, K), and its number of pairs, (prompts,)."""

    values: Floats
    sizes: Floats

    def means(self, weights: Floats) -> Floats:
        """The mean of each run with each prompt counted so often: (rows, prompts) becomes (rows, K)."""
        means: Floats = (weights @ self.values) / (weights @ self.sizes)[:, None]
        return means


def best_of(
    values: Mapping[str, Floats], prompts: Ints, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Selection | None:
    """The best of K runs scored on the same pairs, with its luck taken off; None if no run has finite values.

    `values` holds per run what it got on each pair, shape (n,), more being better (`Scores.right`, or the negative of a
    loss); `prompts`, shape (n,), which pairs belong together. P(best) is the max-statistic bootstrap: prompts are drawn
    anew, and the best is picked again.

    `corrected` is the mean held-out score of the winner of random splits of the prompts, 80% to pick and 20% to score
    (cross-validated selection: Varma and Simon 2006, BMC Bioinformatics 7, 91; random splits: Picard and Cook 1984,
    JASA 79, 575-583). It is unbiased where all runs are equal. It is too low where one is better by about as much as
    chance moves runs, for less data pick that one less often: by 0.4 points among 20 runs of which one is better by 5
    points, at 50, 100 and 500 pairs; by 1.6 in the worst case tried (10 points, 50 pairs). The bootstrap's corrections
    err more: a resample's score against that on all pairs by 2.8 points upwards (20 equal runs, 50 pairs), out-of-bag
    scores (Tsamardinos et al. 2018, Machine Learning 107, 1895-1922) by 1.2 downwards (better by 5 points, 500 pairs).

    The interval goes from that out-of-bag mean less t standard errors (the pick is luck) to the mean of the resamples'
    winners over all pairs plus t standard errors (the pick is right): in simulations it held the truth 93-99% of the
    time, longer than need be where the runs are equal.
    """
    finite = {run: found for run, found in values.items() if len(found) and np.isfinite(found).all()}
    if not finite:
        return None
    table = np.stack(list(finite.values()))
    sums = _Sums(prompt_sums(table, prompts).T, prompt_sums(np.ones(len(prompts)), prompts))
    rng = np.random.default_rng(seed)
    means = table.mean(axis=1)
    best = int(means.argmax())
    chance, unseen, seen = _bootstrap(sums, means, resamples, rng)
    corrected = _held_out(sums, resamples, rng) if len(sums.sizes) > 1 else float(means[best])
    return Selection(
        list(finite)[best],
        dict(zip(finite, chance.tolist(), strict=True)),
        float(means[best]),
        corrected,
        float(means[best]) - corrected,
        _interval(sums, best, min(unseen, corrected), max(seen, corrected), confidence),
        tuple(run for run in values if run not in finite),
    )


def _bootstrap(sums: _Sums, means: Floats, resamples: int, rng: np.random.Generator) -> tuple[Floats, float, float]:
    """Each run's share of wins; the winners' mean on the prompts that were not drawn, and on all of them."""
    prompts = len(sums.sizes)
    wins, unseen, seen, scored = np.zeros(len(means)), 0.0, 0.0, 0
    for rows in _chunks(resamples, prompts + len(means)):
        drawn = rng.integers(0, prompts, (rows, prompts)) + np.arange(rows)[:, None] * prompts
        counts = np.bincount(drawn.ravel(), minlength=rows * prompts).reshape(rows, prompts)
        winners = _winners(sums.means(counts.astype(np.float64)))
        wins += winners.sum(axis=0)
        seen += float((winners @ means).sum())
        out = (counts == 0).any(axis=1)
        unseen += float((winners[out] * sums.means((counts[out] == 0).astype(np.float64))).sum())
        scored += int(out.sum())
    seen /= resamples
    return wins / resamples, unseen / scored if scored else seen, seen


def _held_out(sums: _Sums, resamples: int, rng: np.random.Generator) -> float:
    """The mean score, on prompts held out, of the run that wins on the others."""
    prompts, runs = sums.values.shape
    total, scored = 0.0, 0
    for rows in _chunks(resamples, prompts + runs):
        held = _split(rng, rows, prompts)
        winners = _winners(sums.means((~held).astype(np.float64)))
        total += float((winners * sums.means(held.astype(np.float64))).sum())
        scored += rows
    return total / scored


def _split(rng: np.random.Generator, rows: int, prompts: int) -> Bools:
    """Which prompts are held out, (rows, prompts): at least one, and never all."""
    count = max(1, round(HELD_OUT * prompts))
    order = rng.random((rows, prompts))
    limit = np.partition(order, count - 1, axis=1)[:, count - 1]
    held: Bools = order <= limit[:, None]
    return held


def _winners(means: Floats) -> Floats:
    """1 for the highest of each row, shared by equals."""
    top = means == means.max(axis=1, keepdims=True)
    winners: Floats = top / top.sum(axis=1, keepdims=True)
    return winners


def _chunks(resamples: int, width: int) -> Iterator[int]:
    """How many rows to draw at a time."""
    rows = max(1, _CHUNK // width)
    for start in range(0, resamples, rows):
        yield min(rows, resamples - start)


def _interval(sums: _Sums, best: int, low: float, high: float, confidence: float) -> Interval | None:
    prompts = len(sums.sizes)
    if prompts < MIN_CLUSTERS:
        return None
    _, error = clustered_mean(sums.values[None, :, best], sums.sizes[None])
    half = t_value(confidence, prompts - 1) * float(error[0])
    return Interval(low - half, high + half)


def most_optimism(shares: Iterable[Proportion]) -> float:
    """The most that the best of these accuracies owes to luck on average, from means alone; 0 for fewer than two.

    The luck of the picked run is at most the greatest luck of all. The mean of the largest of K normal errors grows
    with the variances of their differences (Sudakov and Fernique; Vitale 2000, Proc. AMS 128, 3043-3046), so that for
    runs on the same pairs, whose errors are correlated positively, it is at most that of independent ones: the mean of
    the largest of K standard normals (Tippett 1925, Biometrika 17, 364-387) times the largest standard error
    sqrt(p (1 - p) / n). The true optimism is smaller; it takes per-pair scores.
    """
    errors = [(share.value * (1 - share.value) / share.n) ** 0.5 for share in shares]
    return _largest_normal(len(errors)) * max(errors) if len(errors) > 1 else 0.0


def _largest_normal(k: int) -> float:
    """The mean of the largest of k standard normals: the integral of 1 - F^k - (1 - F)^k over x > 0."""
    x = np.linspace(0, 9, 3001)
    below = np.array([NormalDist().cdf(value) for value in x])
    return float(np.trapezoid(1 - below**k - (1 - below) ** k, x))
