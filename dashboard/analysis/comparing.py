"""A few runs against one of them: where they differ in configuration, in metrics, and in single pairs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from dashboard.analysis import common_beta, comparability, hyperparameters, logged, paired, ranking, significance
from dashboard.analysis.common_scale import EVAL_COMMON
from dashboard.analysis.comparability import Group
from dashboard.analysis.paired import Comparison
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.significance import Proportion
from dashboard.analysis.study import Evidence, Floats, Scores, Study
from training.record.intervals import Interval, z_value
from training.record.metrics import MARGIN
from training.record.schema import Run

FEWEST, MOST = 2, 6
LEVEL = 0.05

UNPAIRED = "z test on means"
EVAL_MARGIN = f"eval/{MARGIN}"


class Comparable(NamedTuple):
    """What may be compared: `comparability.accuracy_groups` and `comparability.loss_groups` of all runs."""

    accuracy: tuple[Group, ...]
    loss: tuple[Group, ...]


@dataclass(frozen=True)
class Setting:
    """One argument that differs: its value in each run, in their order; None where the source does not state it."""

    key: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Difference:
    """A metric of `run` against the baseline's, and how sure it is that they differ.

    `comparison` is run minus baseline, None where only the values are known or they must not be compared: `why` says
    it. `p` is adjusted by Holm over the runs compared with this baseline by this metric. `assumed` tells that nothing
    shows that both were evaluated on the same pairs with the same reference.
    """

    run: str
    key: str
    value: float | None
    baseline: float | None
    comparison: Comparison | None
    p: float | None
    why: str = ""
    assumed: bool = False

    @property
    def proven(self) -> bool:
        """Whether the two differ, at 95% with all runs of the table."""
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True, eq=False)
class Contested:
    """The pairs that some of the runs get right and others wrong: ids, and margins in nats of shape (pairs, runs).

    `of` is how many pairs all runs have in common.
    """

    pairs: tuple[str, ...]
    h: Floats
    of: int


def settings(runs: Sequence[Run]) -> tuple[list[Setting], int]:
    """The arguments that differ between the runs, and how many are stated by all of them and equal.

    Names, paths and identifiers are left out, as `hyperparameters.varying` does; an argument that only some sources
    state comes after those that are known to differ.
    """
    differing = hyperparameters.varying(runs, most=10_000)
    keys = {
        key for run in runs for key, value in run.config.items() if value is not None and not isinstance(value, dict)
    }
    partly = sorted(
        key
        for key in keys - set(differing)
        if any(run.config.get(key) is None for run in runs) and hyperparameters.is_parameter(key)
    )
    rows = [Setting(key, tuple(run.config.get(key) for run in runs)) for key in (*differing, *partly)]
    return rows, len(keys) - len(rows)


def differences(
    study: Study, runs: Sequence[str], baseline: str, at: At, b: float | None, comparable: Comparable
) -> list[Difference]:
    """Accuracy, loss, common-beta loss at `b` and margin of log-ratios of each other run against the baseline."""
    others = [run for run in runs if run != baseline]
    base = study[baseline]
    together = _group_of(comparable.accuracy, baseline)
    same_loss = _group_of(comparable.loss, baseline)
    found: list[Difference] = []
    for key in (EVAL_ACCURACY, EVAL_LOSS, EVAL_COMMON, EVAL_MARGIN):
        if key == EVAL_COMMON and b is None:
            continue
        allowed, proven = same_loss if key == EVAL_LOSS else together
        refused = {run: "pairs" if run not in together[0] else "loss" for run in others if run not in allowed}
        row = [_difference(study[run], base, key, at, b, refused.get(run, "")) for run in others]
        found += [replace(one, assumed=not proven) for one in _adjusted(row)]
    return found


def _group_of(groups: Iterable[Group], baseline: str) -> tuple[frozenset[str], bool]:
    """The ids of the runs that may be compared with the baseline, and whether that is proven."""
    found = ((frozenset(run.id for run in group.runs), group.proven) for group in groups)
    return next((ids, proven) for ids, proven in found if baseline in ids)


def _adjusted(row: Sequence[Difference]) -> list[Difference]:
    p = np.array([np.nan if one.comparison is None else one.comparison.p for one in row], dtype=np.float64)
    adjusted = paired.holm(p)
    return [replace(one, p=None if np.isnan(q) else float(q)) for one, q in zip(row, adjusted, strict=True)]


def _difference(one: Evidence, base: Evidence, key: str, at: At, b: float | None, refused: str) -> Difference:
    value, other = _value(one, key, at, b), _value(base, key, at, b)
    blank = Difference(one.run.id, key, value, other, None, None)
    if refused:
        return replace(blank, why=_REFUSED[refused])
    if key == EVAL_MARGIN:
        scale = {comparability.beta(run.run.config) for run in (one, base)}
        if len(scale) > 1:
            return replace(blank, why="beta differs: the margin has its scale")
    mine, theirs = logged.scored(one, at), logged.scored(base, at)
    if mine is not None and theirs is not None and paired.aligned(mine, theirs) is not None:
        tested = _paired(mine, theirs, one, base, key, at, b)
        return replace(blank, comparison=tested, why="" if tested else _NO_MEAN)
    if key == EVAL_ACCURACY:
        return from_means(blank, one.run, base.run, at)
    return replace(blank, why="no per-pair scores: a difference cannot be tested")


_NO_MEAN = "the scores of each pair do not give this metric: a difference cannot be tested"
_REFUSED = {
    "loss": "beta or loss type differs or is not stated: the losses are not on one scale",
    "pairs": "evaluated on other pairs, or against another reference",
}


def _value(one: Evidence, key: str, at: At, b: float | None) -> float | None:
    if key == EVAL_COMMON:
        scores = logged.scored(one, at)
        return None if scores is None or b is None else common_beta.loss(scores.h, b)
    return ranking.finite(ranking.evaluation(one.run, at).get(key))


def _paired(
    mine: Scores, theirs: Scores, one: Evidence, base: Evidence, key: str, at: At, b: float | None
) -> Comparison | None:
    """The paired test on what was measured on each pair; None where the metric is no mean over pairs."""
    if key == EVAL_ACCURACY:
        return paired.accuracy(mine, theirs)
    rows = paired.aligned(mine, theirs)
    x, y = (_per_pair(evidence, scores, key, at, b) for evidence, scores in ((one, mine), (base, theirs)))
    if rows is None or x is None or y is None:
        return None
    return paired.mean(x[rows[0]], y[rows[1]], mine.prompts[rows[0]])


def _per_pair(one: Evidence, scores: Scores, key: str, at: At, b: float | None) -> Floats | None:
    if key == EVAL_COMMON:
        return None if b is None else common_beta.losses(scores.h, b)
    if key == EVAL_LOSS:
        return logged.pair_losses(one.run, scores, logged.judged(one, EVAL_LOSS, at))
    return _margins(one, scores, at)


def _margins(one: Evidence, scores: Scores, at: At) -> Floats | None:
    """Per pair beta h; None where beta is unknown, or their mean is not the margin that was logged."""
    beta, known = comparability.beta(one.run.config), logged.judged(one, EVAL_MARGIN, at)
    if beta is None:
        return None
    found = beta * scores.h
    agrees = known is None or abs(float(found.mean()) - known) <= logged.LOSS_ERROR * max(1.0, abs(known))
    return found if agrees else None


def from_means(blank: Difference, one: Run, base: Run, at: At) -> Difference:
    """What two accuracies and numbers of pairs tell: an unpaired test, conservative on the same pairs.

    The interval is Agresti and Caffo's (2000, The American Statistician 54, 280-288): one right and one wrong pair are
    added to each run.
    """
    shares = ranking.proportions([one, base], at)
    if len(shares) < 2:
        return replace(blank, why=f"{_why_untested(one, base, at)}: a difference is not tested")
    a, c = shares[one.id], shares[base.id]
    z = significance.z_unpaired(a, c)
    centre, error = _caffo(a, c)
    half = z_value(1 - LEVEL) * error
    p = math.erfc(abs(z) / math.sqrt(2))
    spread = Interval(max(-1.0, centre - half), min(1.0, centre + half))
    return replace(blank, comparison=Comparison(min(a.n, c.n), 0, a.value - c.value, spread, p, 0, 0, 0, UNPAIRED))


def _why_untested(one: Run, base: Run, at: At) -> str:
    """What the first of the two lacks for a test of means."""
    for run, whose in ((one, "it"), (base, "the run that it is set against")):
        if not ranking.settled(run):
            return f"{whose} {'is still running' if run.status == 'running' else f'is {run.status}'}"
        if not ranking.eligible(run, at):
            return f"{whose} {'was evaluated before training only' if ranking.untrained(run, at) else 'is not ranked'}"
        accuracy = ranking.finite(ranking.evaluation(run, at).get(EVAL_ACCURACY))
        if accuracy is None or not 0 <= accuracy <= 1:
            return f"{whose} has no reward accuracy from 0 to 1"
    return "the number of pairs is not known"


def _caffo(a: Proportion, c: Proportion) -> tuple[float, float]:
    (p, n), (q, m) = (((one.value * one.n + 1) / (one.n + 2), one.n + 2) for one in (a, c))
    return p - q, math.sqrt(p * (1 - p) / n + q * (1 - q) / m)


def contested(scores: Sequence[Scores]) -> Contested | None:
    """The pairs that the runs decide differently, those with the widest spread of margins first.

    Wrong is a margin below 0, right one above; a margin of exactly 0, or one that is not finite, decides nothing. None
    unless all runs have the same pairs.
    """
    rows = [paired.aligned(scores[0], one) for one in scores]
    if any(found is None for found in rows):
        return None
    h = np.stack([one.h[found[1]] for one, found in zip(scores, rows, strict=True) if found is not None], axis=1)
    known = np.where(np.isfinite(h), h, 0.0)
    differ = np.flatnonzero((known > 0).any(axis=1) & (known < 0).any(axis=1))
    spread = known[differ].max(axis=1) - known[differ].min(axis=1)
    order = differ[np.argsort(-spread, kind="stable")]
    return Contested(tuple(scores[0].pairs[row] for row in order), h[order], len(h))


def as_yaml(names: Sequence[str], rows: Iterable[Setting]) -> Mapping[str, Mapping[str, Any]]:
    """Run name -> what differs, as it is to be written as YAML."""
    kept = list(rows)
    return {
        name: {row.key: row.values[place] for row in kept if row.values[place] is not None}
        for place, name in enumerate(names)
    }
