"""Which runs cannot be told apart from the best, by paired tests on the same pairs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from dashboard.analysis import paired
from dashboard.analysis.common_beta import losses
from dashboard.analysis.paired import holm, prompt_sums
from dashboard.analysis.study import Floats, Ints, Scores
from training.record.intervals import MIN_CLUSTERS

Measure = Literal["accuracy", "loss"]

STUDENT = "paired t test clustered by prompt"

_ROUNDING = 1e-12
"""Part of a sum of squares below which the difference of two runs is nothing but rounding."""


_Upper = tuple[Ints, Ints]
"""Row and column numbers of all pairs of runs: the p-values below are in this order."""


class Pairwise(NamedTuple):
    """Every run against every other: `ids` of K runs, (K, K) p-values adjusted by Holm over all K (K - 1) / 2 pairs of
    runs and each `alone` (1 on the diagonal), (K, K) differences in the measure, row minus column, the test's name."""

    ids: tuple[str, ...]
    p: Floats
    alone: Floats
    difference: Floats
    test: str


@dataclass(frozen=True)
class Ties:
    """The best run and all that cannot be told apart from it, itself included.

    `p` are adjusted p-values of the runs against the best; `compared` counts the runs that were; `apart` are those that
    were not, for they have other pairs or a value that is not finite.
    """

    best: str
    tied: frozenset[str]
    p: Mapping[str, float]
    compared: int
    apart: tuple[str, ...]
    measure: Measure
    test: str


class _Group(NamedTuple):
    """Runs with the same pairs: a value per run and pair, (K, n), and the prompt of each pair, (n,)."""

    ids: tuple[str, ...]
    values: Floats
    prompts: Ints


def tie_group(
    scores: Mapping[str, Scores], measure: Measure = "accuracy", b: float | None = None, confidence: float = 0.95
) -> Ties | None:
    """The tie group of the run with the highest accuracy or the lowest common-beta loss L*(b); None without pairs.

    The runs compared are the largest number that have finite values on the same pairs, the first such of equals. The
    best of K is picked by the data that then test it: it is also the luckiest, and a test of it against each other run
    by itself finds differences among equals. Any of the K (K - 1) / 2 pairs of runs could have been the one looked at,
    so p is adjusted over all of them (Holm 1979): with probability `confidence` no run is left out of the group that is
    as good as the best. For the tests see `pairwise`. Raises ValueError for the loss without `b`.
    """
    group = _largest(scores, measure, b)
    if group is None:
        return None
    matrix = _compare(group, measure)
    means = group.values.mean(axis=1)
    best = int(means.argmax() if measure == "accuracy" else means.argmin())
    p = dict(zip(group.ids, matrix.p[best].tolist(), strict=True))
    tied = frozenset(run for run, value in p.items() if value > 1 - confidence)
    apart = tuple(run for run in scores if run not in p)
    return Ties(group.ids[best], tied, p, len(p), apart, measure, matrix.test)


def pairwise(scores: Mapping[str, Scores], measure: Measure = "accuracy", b: float | None = None) -> Pairwise | None:
    """Each run against each other, of those that `tie_group` compares; None without pairs.

    Accuracy: as in `paired.accuracy`. Loss: Student's t of the mean difference over its clustered standard error, with
    as many degrees of freedom as prompts less one (Miller 2024, arXiv:2411.00640, section 4), for a bootstrap cannot
    tell the small p-values that many comparisons need. Raises ValueError for the loss without `b`.
    """
    group = _largest(scores, measure, b)
    return None if group is None else _compare(group, measure)


def _largest(scores: Mapping[str, Scores], measure: Measure, b: float | None) -> _Group | None:
    """The most runs that have finite values on the same pairs, their columns in the order of the first one's pairs."""
    if measure == "loss" and b is None:
        raise ValueError("the loss of runs is compared at one beta for all: name it")
    values = {
        run: found.right if b is None or measure == "accuracy" else losses(found.h, b) for run, found in scores.items()
    }
    groups: dict[frozenset[str], list[str]] = {}
    known: dict[tuple[tuple[str, ...], bytes], frozenset[str]] = {}
    for run, found in scores.items():
        finite = np.isfinite(values[run])
        mark = (found.pairs, finite.tobytes())
        if mark not in known:
            known[mark] = frozenset(pair for pair, is_finite in zip(found.pairs, finite, strict=True) if is_finite)
        groups.setdefault(known[mark], []).append(run)
    groups.pop(frozenset(), None)
    if not groups:
        return None
    pairs, runs = max(groups.items(), key=lambda item: len(item[1]))
    first = scores[runs[0]]
    order = [pair for pair in first.pairs if pair in pairs]
    rows = {found: _rows(found, order) for found in {scores[run].pairs for run in runs}}
    table = np.stack([values[run][rows[scores[run].pairs]] for run in runs])
    return _Group(tuple(runs), table, first.prompts[rows[first.pairs]])


def _rows(pairs: tuple[str, ...], order: list[str]) -> Ints:
    where = {pair: row for row, pair in enumerate(pairs)}
    return np.array([where[pair] for pair in order], dtype=np.int64)


def _compare(group: _Group, measure: Measure) -> Pairwise:
    """All pairs of runs at once: counts and sums of squares of differences are matrix products."""
    means = group.values.mean(axis=1)
    upper = np.triu_indices(len(means), 1)
    if measure == "loss":
        p, test = _student(group, means, upper), STUDENT
    elif len(np.unique(group.prompts)) == len(group.prompts) and not (group.values == 0.5).any():
        p, test = _mcnemar(group.values, upper), paired.EXACT
    else:
        p, test = _clustered(group, upper), paired.CLUSTERED
    adjusted, alone = np.ones((2, len(means), len(means)))
    adjusted[upper] = adjusted.T[upper] = holm(p)
    alone[upper] = alone.T[upper] = p
    return Pairwise(group.ids, adjusted, alone, means[:, None] - means, test)


def _mcnemar(right: Floats, upper: _Upper) -> Floats:
    """The exact McNemar p-values: twice the binomial tail of the smaller discordant count, once for each two counts."""
    from scipy.special import bdtr

    only = (right.sum(axis=1)[:, None] - right @ right.T).astype(np.int64)
    counts = np.stack([np.minimum(only, only.T)[upper], (only + only.T)[upper]])
    code, place = np.unique(counts[0] * (right.shape[1] + 1) + counts[1], return_inverse=True)
    smaller, total = np.divmod(code, right.shape[1] + 1)
    tail: Floats = bdtr(smaller.astype(np.float64), total, 0.5)
    p: Floats = np.minimum(1.0, 2 * tail)[place]
    return p


def _clustered(group: _Group, upper: _Upper) -> Floats:
    """The p-values of `paired.accuracy` with several pairs per prompt or with ties."""
    from scipy.special import erfc

    sums = prompt_sums(group.values, group.prompts)
    unit = 0.5 if (group.values == 0.5).any() else 1.0
    total, squares = sums.sum(axis=1), _squares(sums)[upper]
    off = np.maximum(0, np.abs(total[upper[0]] - total[upper[1]]) - unit)
    if sums.shape[1] < MIN_CLUSTERS:
        return np.ones_like(off)
    p: Floats = erfc(np.divide(off, np.sqrt(2 * squares), out=np.zeros_like(off), where=squares > 0))
    return p


def _student(group: _Group, means: Floats, upper: _Upper) -> Floats:
    """The two-sided p-values of Student's t with clustered standard errors."""
    from scipy.special import stdtr

    sums = prompt_sums(group.values - means[:, None], group.prompts)
    groups = sums.shape[1]
    off = np.abs(means[upper[0]] - means[upper[1]])
    if groups < MIN_CLUSTERS:
        return np.ones_like(off)
    errors = np.sqrt(_squares(sums)[upper] * groups / (groups - 1)) / len(group.prompts)
    tail: Floats = stdtr(groups - 1, -np.divide(off, errors, out=np.zeros_like(off), where=errors > 0))
    return np.minimum(1.0, 2 * tail)


def _squares(sums: Floats) -> Floats:
    """The sum over prompts of squared differences, for each two rows of (K, prompts); 0 where it is but rounding."""
    product = sums @ sums.T
    own = np.diag(product)
    scale = own[:, None] + own
    squares = scale - 2 * product
    return np.where(squares > _ROUNDING * scale, squares, 0.0)
