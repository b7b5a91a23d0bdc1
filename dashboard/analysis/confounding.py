"""Which hyper-parameters move together among the runs, so that their effects cannot be told apart."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dashboard.analysis.hyperparameters import Column, Design, Floats, text, upper, value_of, words

STRENGTH = 0.5
"""Association from which two hyper-parameters are called confounded; "large" in Cohen 1988, section 3.2."""

LEVEL = 0.05
"""Share of random searches in which any pair may be named wrongly."""

PRIMARY = frozenset({"beta", "learning_rate"})
_PRIMARY_SHARE = 2 / 3
"""Share of LEVEL for the pair that nearly every DPO sweep varies; all other pairs share the rest."""

_EXACT, _DRAWN, _LARGE = 8, 19_999, 50
_FEW = 4


@dataclass(frozen=True)
class Association:
    """How far two hyper-parameters move together over `n` configurations.

    `strength` is Spearman's rho of two numbers, the square root of epsilon squared for a number and a category,
    Cramer's V of two categories, the last two corrected for chance; `p` is corrected for all pairs (`weighted_holm`).
    `aliased` says that each value of `a`, though tried more than once, was tried with one value of `b` only.
    """

    a: str
    b: str
    measure: str
    strength: float
    p: float
    n: int
    aliased: bool

    @property
    def confounded(self) -> bool:
        """Whether the effects of the two cannot be told apart: aliased, or both significant and large."""
        return self.aliased or (self.p <= LEVEL and abs(self.strength) >= STRENGTH)

    @property
    def sentence(self) -> str:
        """The association in words, for a confounded pair."""
        first, second = words(self.a), words(self.b)
        if self.aliased:
            return f"Each {first} was tried with only one {second}: their effects cannot be told apart."
        how = f"{self.measure} {self.strength:.2f} over {self.n} configurations, p = {self.p:.2g}"
        return f"{upper(first)} and {second} move together here ({how}): their effects cannot be told apart."


def ranks(values: Floats) -> Floats:
    """Ranks from 1, shape (n,), equal values sharing their mean rank (Kendall and Gibbons 1990, section 3.1)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def basis(column: Column, rows: npt.NDArray[np.bool_]) -> Floats:
    """Orthonormal columns, shape (n, d), that span the ranks of a number or the levels of a category, means removed."""
    if column.numbers is not None:
        return orthonormal(ranks(column.numbers[rows])[:, None])
    labels = [label for label, kept in zip(column.labels, rows.tolist(), strict=True) if kept]
    levels = sorted({str(label) for label in labels})
    return orthonormal(np.array([[label == level for level in levels] for label in labels], dtype=np.float64))


def orthonormal(columns: Floats) -> Floats:
    """An orthonormal basis, shape (n, d), of the columns, shape (n, k), after their means are removed; d may be 0."""
    left, sizes, _ = np.linalg.svd(columns - columns.mean(axis=0), full_matrices=False)
    return np.ascontiguousarray(left[:, sizes > 1e-9 * max(1.0, float(sizes.max(initial=0.0)))])


@lru_cache(maxsize=8)
def _orders(n: int) -> npt.NDArray[np.intp]:
    """All orders of n things up to 8, else 19,999 drawn with a fixed seed: shape (m, n)."""
    if n <= _EXACT:
        return np.array(list(itertools.permutations(range(n))), dtype=np.intp)
    drawn = np.random.default_rng(0).permuted(np.tile(np.arange(n), (_DRAWN, 1)), axis=1)
    return drawn.astype(np.intp)


def dependence(a: Floats, b: Floats) -> tuple[float, float]:
    """(statistic, p) for the association of two bases, shapes (n, d) and (n, e).

    The statistic is the sum of squared canonical correlations: rho^2 of two ranks, eta^2 of ranks and levels (Kruskal
    and Wallis 1952), chi^2 / n of two categories. p is its share of permutations at least as large (exact up to 8
    rows, else (1 + count) / (1 + drawn): Phipson and Smyth 2010); beyond 50 rows (n - 1) times it is chi^2 with d e
    degrees.
    """
    n, degrees = len(a), a.shape[1] * b.shape[1]
    found = float(np.sum((a.T @ b) ** 2))
    if not degrees:
        return 0.0, 1.0
    if n > _LARGE:
        from scipy.special import chdtrc

        return found, float(chdtrc(degrees, (n - 1) * found))
    orders = _orders(n)
    statistics = np.zeros(len(orders))
    for column in a.T:
        statistics += ((column[orders] @ b) ** 2).sum(axis=1)
    count = int(np.sum(statistics >= found - 1e-9))
    return found, count / len(orders) if n <= _EXACT else (1 + count) / (1 + len(orders))


def weighted_holm(p: Sequence[float], weights: Sequence[float]) -> list[float]:
    """p values corrected for their number, at most 1, each with its share of the error (`weights`: their ratio counts).

    Holm 1979, Scandinavian J. of Statistics 6, 65-70, section 4; with equal weights it is `paired.holm`.
    """
    values, shares = np.asarray(p, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    order = np.argsort(values / shares, kind="stable")
    left = np.cumsum(shares[order][::-1])[::-1]
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * left / shares[order]))
    return [float(value) for value in corrected]


def associations(design: Design) -> list[Association]:
    """Every pair of hyper-parameters that at least four configurations state, in the order of the columns.

    Under a random search the chance that any pair gets p <= LEVEL is at most LEVEL. Beta and learning rate, which
    nearly every sweep varies, hold two thirds of it: in a sweep of a dozen runs equal shares would find nothing.
    """
    found = []
    for a, b in itertools.combinations(design.columns, 2):
        rows = a.known & b.known
        if rows.sum() >= _FEW:
            found.append((a, b, *_measured(a, b, rows), int(rows.sum())))
    primary = [{a.key, b.key} == PRIMARY for a, b, *_ in found]
    share = _PRIMARY_SHARE / (1 - _PRIMARY_SHARE) * (len(found) - 1) if len(found) > 1 else 1.0
    corrected = weighted_holm([p for *_, p, _ in found], [share if first else 1.0 for first in primary])
    return [
        Association(*_direction(a.key, b.key, design), measure, strength, p, n, _aliased(a.key, b.key, design))
        for (a, b, measure, strength, _, n), p in zip(found, corrected, strict=True)
    ]


def confounded(design: Design) -> list[Association]:
    """The pairs whose effects cannot be told apart, the strongest first."""
    named = [found for found in associations(design) if found.confounded]
    return sorted(named, key=lambda found: (not found.aliased, -abs(found.strength)))


def _measured(a: Column, b: Column, rows: npt.NDArray[np.bool_]) -> tuple[str, float, float]:
    """(measure, strength, p) of two columns over some rows."""
    left, right = basis(a, rows), basis(b, rows)
    statistic, p = dependence(left, right)
    n, r, k = len(left), left.shape[1] + 1, right.shape[1] + 1
    if a.numbers is not None and b.numbers is not None:
        x, y = ranks(a.numbers[rows]), ranks(b.numbers[rows])
        sign = float(np.sign((x - x.mean()) @ (y - y.mean())))
        return "Spearman", sign * statistic**0.5, p
    if a.numbers is None and b.numbers is None:
        return "Cramer's V", _cramers_v(statistic, n, r, k), p
    groups = r if a.numbers is None else k
    spread = 1 - (1 - min(1.0, statistic)) * (n - 1) / (n - groups) if n > groups else 0.0
    return "correlation ratio", max(0.0, spread) ** 0.5, p


def _cramers_v(phi2: float, n: int, r: int, k: int) -> float:
    """Cramer's V of an r x k table without the bias of small samples (Bergsma 2013, J. Korean Stat. Soc. 42, 323)."""
    unbiased = max(0.0, phi2 - (r - 1) * (k - 1) / (n - 1))
    smaller = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1))
    return float(min(1.0, unbiased / (smaller - 1)) ** 0.5) if smaller > 1 else 0.0


def _determines(a: str, b: str, design: Design) -> bool:
    """Whether each value of `a`, every one of them tried more than once, was tried with one value of `b` only."""
    pairs = [(value_of(run, a), value_of(run, b)) for group in design.runs for run in group]
    known = [(text(x), text(y)) for x, y in pairs if x is not None and y is not None]
    tried = Counter(x for x, _ in known)
    return len(set(known)) == len(tried) > 1 and min(tried.values()) > 1 and len({y for _, y in known}) > 1


def _aliased(a: str, b: str, design: Design) -> bool:
    return _determines(a, b, design) or _determines(b, a, design)


def _direction(a: str, b: str, design: Design) -> tuple[str, str]:
    """The two keys, the one first whose values fix those of the other, if one does."""
    return (b, a) if _determines(b, a, design) and not _determines(a, b, design) else (a, b)
