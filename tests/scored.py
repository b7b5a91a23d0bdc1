"""Made evaluations with a known truth: shared by the tests of what compares runs."""

from functools import cache
from statistics import NormalDist

import numpy as np

from dashboard.analysis.study import Scores


@cache
def _names(n: int) -> tuple[str, ...]:
    return tuple(f"pair-{i}" for i in range(n))


def scored(h, prompts=None, pairs=None) -> Scores:
    """Scores whose margins are `h`, each pair of its own prompt unless `prompts` says otherwise."""
    h = np.asarray(h, dtype=np.float64)
    n, nothing = len(h), np.zeros(len(h))
    ones = np.ones(n, dtype=np.int64)
    names = _names(n) if pairs is None else tuple(pairs)
    of = np.arange(n) if prompts is None else np.asarray(prompts, dtype=np.int64)
    return Scores(1, names, of, h, nothing, nothing, nothing, ones, ones, nothing.astype(bool))


def margins(rng, n, truths, correlation=0.5, per_prompt=1):
    """Margins of K runs on n pairs, (K, n), that are right with probability `truths`, (K,); and each pair's prompt.

    A margin is normal with variance 1: `correlation` of it is the pair's own difficulty, the same for all runs, of
    which the pairs of one prompt share half.
    """
    prompts = np.arange(n) // per_prompt
    shared = rng.standard_normal(n)
    if per_prompt > 1:
        shared = np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.standard_normal(prompts[-1] + 1)[prompts]
    means = np.array([NormalDist().inv_cdf(truth) for truth in truths])
    own = rng.standard_normal((len(means), n))
    return means[:, None] + np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own, prompts
