"""Every evaluation pair under every run: margins, who is right, what the reference preferred, and in which order."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from dashboard.analysis.comparability import pairs_hash
from dashboard.analysis.ranking import At
from dashboard.analysis.study import Bools, Floats, Ints, Scores, Study

Cell = Literal["knew", "learned", "forgot", "never"]
Order = Literal["suspicion", "disagreement", "margin", "length", "difference", "data"]

CELLS: tuple[Cell, ...] = ("knew", "learned", "forgot", "never")
ORDERS: tuple[Order, ...] = ("suspicion", "disagreement", "margin", "length", "difference", "data")

MOST_RUNS = 100

_ROUNDING = 1e-9
"""Nats: log-probabilities that differ by less are a tie."""


@dataclass(frozen=True, eq=False)
class PairMatrix:
    """n pairs under K runs, judged at `steps`: columns as in `study.Scores`, of shape (n, K) where runs differ.

    `chosen` and `rejected` are log-ratios, `chosen_logp` and `rejected_logp` the policies' log-probabilities, all in
    nats and summed over the answer's tokens. `other` are the scored runs of other pairs.
    """

    digest: str | None
    runs: tuple[str, ...]
    steps: tuple[int, ...]
    pairs: tuple[str, ...]
    chosen: Floats
    rejected: Floats
    chosen_logp: Floats
    rejected_logp: Floats
    chosen_tokens: Ints
    rejected_tokens: Ints
    truncated: Bools
    other: tuple[str, ...] = ()

    @cached_property
    def h(self) -> Floats:
        """The margins in nats, (n, K)."""
        with np.errstate(invalid="ignore", over="ignore"):
            return self.chosen - self.rejected

    @cached_property
    def right(self) -> Bools:
        """Whether the margin is above 0, (n, K)."""
        return self.h > 0

    @cached_property
    def wrong(self) -> Bools:
        """Whether the margin is below 0, (n, K); a margin of exactly 0, or one that is not finite, is neither."""
        return self.h < 0

    @cached_property
    def scale(self) -> Floats:
        """What is typical of each run, (K,): its median |margin| in nats; 1 where that is 0 or unknown."""
        known = [np.abs(column[np.isfinite(column)]) for column in self.h.T]
        with np.errstate(over="ignore"):
            found = np.array([np.median(sizes) if len(sizes) else 0.0 for sizes in known])
        return np.where(np.isfinite(found) & (found > 0), found, 1.0)

    @property
    def relative(self) -> Floats:
        """Margins in units of what is typical of their run, (n, K)."""
        with np.errstate(over="ignore"):
            relative: Floats = self.h / self.scale
        return relative

    def row(self, pair: str) -> int | None:
        """Where a pair is, None for one that is not known."""
        return self._rows.get(pair)

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        return {pair: row for row, pair in enumerate(self.pairs)}


class Tally(NamedTuple):
    """How many pairs all runs get right, all get wrong, and on how many they differ; ties count as differing."""

    right: int
    wrong: int
    contested: int


def sets(study: Study, at: At) -> list[list[str]]:
    """The runs with per-pair scores, grouped by their evaluation pairs, the largest group first."""
    groups: dict[Hashable, list[str]] = {}
    known: dict[tuple[str, ...], frozenset[str]] = {}
    for run, evidence in study.items():
        scores = evidence.judged(at)
        if scores is not None and len(scores):
            members = known.setdefault(scores.pairs, frozenset(scores.pairs))
            groups.setdefault((pairs_hash(evidence.run), members), []).append(run)
    return sorted(groups.values(), key=lambda group: -len(group))


def matrix(study: Study, at: At, wanted: Sequence[str] = (), most: int = MOST_RUNS) -> PairMatrix | None:
    """The matrix of the wanted runs that share pairs with the first scored one of them; None if none is scored.

    Without wanted runs, of all runs on the pairs that most runs have. `most` runs at most, the first ones.
    """
    groups = sets(study, at)
    member = {run: group for group in groups for run in group}
    scored = [run for run in wanted if run in member]
    if not groups or (wanted and not scored):
        return None
    group = member[scored[0]] if scored else groups[0]
    runs = [run for run in (scored or group) if run in group][:most]
    other = tuple(run for run in (scored or member) if run not in group)
    return _matrix(study, at, runs, other)


def _matrix(study: Study, at: At, runs: Sequence[str], other: tuple[str, ...]) -> PairMatrix:
    found = {run: scores for run in runs if (scores := study[run].judged(at)) is not None}
    first = next(iter(found.values()))
    rows = {scores.pairs: _rows(scores, first.pairs) for scores in found.values()}

    def columns(name: str) -> Any:
        return np.stack([getattr(scores, name)[rows[scores.pairs]] for scores in found.values()], axis=1)

    return PairMatrix(
        pairs_hash(study[runs[0]].run),
        tuple(found),
        tuple(scores.step for scores in found.values()),
        first.pairs,
        columns("chosen"),
        columns("rejected"),
        columns("chosen_logp"),
        columns("rejected_logp"),
        first.chosen_tokens,
        first.rejected_tokens,
        columns("truncated").any(axis=1),
        other,
    )


def _rows(scores: Scores, pairs: tuple[str, ...]) -> Ints:
    """Row numbers that bring the scores into the order of `pairs`."""
    if scores.pairs == pairs:
        return np.arange(len(pairs))
    where = {pair: row for row, pair in enumerate(scores.pairs)}
    return np.array([where[pair] for pair in pairs], dtype=np.int64)


def tally(found: PairMatrix) -> Tally:
    """The pairs by how the runs agree on them."""
    right, wrong = int(found.right.all(axis=1).sum()), int(found.wrong.all(axis=1).sum())
    return Tally(right, wrong, len(found.pairs) - right - wrong)


def contested(found: PairMatrix) -> Bools:
    """Pairs that some runs get right and others wrong, (n,)."""
    return np.logical_and(found.right.any(axis=1), found.wrong.any(axis=1))


def disagreement(found: PairMatrix) -> Floats:
    """Per pair the share of all twos of runs of which one is right and the other wrong, (n,); 0 of one run."""
    runs = len(found.runs)
    twos = max(1, runs * (runs - 1) // 2)
    differing: Floats = found.right.sum(axis=1) * found.wrong.sum(axis=1) / twos
    return differing


def ordered(found: PairMatrix, order: Order, suspicion: Floats) -> Ints:
    """Row numbers in the wanted order, (n,): what the order is called after first.

    `suspicion` is the pooled margin (`label_noise.suspects`): the lower, the more suspect. Equal ones stay in the order
    of the mean margin.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        margin = found.relative.mean(axis=1)
    length = found.chosen_tokens + found.rejected_tokens
    keys: dict[Order, Floats | Ints] = {
        "suspicion": suspicion,
        "disagreement": -disagreement(found),
        "margin": margin,
        "length": -length,
        "difference": found.rejected_tokens - found.chosen_tokens,
        "data": np.arange(len(found.pairs)),
    }
    rows: Ints = np.lexsort((margin, keys[order]))
    return rows


def by_rank(found: PairMatrix) -> list[int]:
    """Columns by reward accuracy on these pairs, the best first, ties counting half."""
    accuracy = (found.right + 0.5 * (found.h == 0)).mean(axis=0)
    return [int(column) for column in np.argsort(-accuracy, kind="stable")]


def by_similarity(found: PairMatrix) -> list[int]:
    """Columns so that neighbours decide alike: average linkage of the share of pairs decided differently.

    The leaves are turned so that the distances of neighbours add up to the least (Bar-Joseph, Gifford and Jaakkola
    2001, Bioinformatics 17, S22-S29).
    """
    if len(found.runs) < 3:
        return by_rank(found)
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import pdist

    distances = pdist(found.right.T.astype(np.float64), "cityblock") / max(1, len(found.pairs))
    return [int(leaf) for leaf in leaves_list(linkage(distances, "average", optimal_ordering=True))]


def preference(chosen: Floats, rejected: Floats, found: PairMatrix, per_token: bool) -> Floats:
    """log p(chosen) - log p(rejected) of a model, (n, K), in nats, from the answers' log-probabilities, (n, K) each.

    `per_token` divides each by its answer's number of tokens: a sum is lower for a longer answer, whatever it says.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        if per_token:
            chosen = chosen / np.maximum(found.chosen_tokens, 1)[:, None]
            rejected = rejected / np.maximum(found.rejected_tokens, 1)[:, None]
        difference: Floats = chosen - rejected
    return np.where(np.abs(difference) <= _ROUNDING, 0.0, difference)


def cells(found: PairMatrix, per_token: bool) -> dict[Cell, Bools]:
    """Reference right or wrong x run right or wrong, each (n, K); ties and what is not finite are in no cell.

    Both are right if they give the chosen answer the higher log-probability: ranking accuracy (Chen et al. 2024,
    arXiv:2405.19534). It is not the reward accuracy, which asks whether the run has raised the chosen answer more than
    the rejected one: from a reference far on the wrong side it may have, and prefer the rejected one still.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        reference = found.chosen_logp - found.chosen, found.rejected_logp - found.rejected
    before = preference(*reference, found, per_token)
    after = preference(found.chosen_logp, found.rejected_logp, found, per_token)
    return {
        "knew": (before > 0) & (after > 0),
        "learned": (before < 0) & (after > 0),
        "forgot": (before > 0) & (after < 0),
        "never": (before < 0) & (after < 0),
    }
