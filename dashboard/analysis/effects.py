"""What each hyper-parameter does to a metric, with its uncertainty."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dashboard.analysis import losses, ranking
from dashboard.analysis.confounding import STRENGTH, Association, associations, basis, dependence, orthonormal, ranks
from dashboard.analysis.hyperparameters import Column, Design, Floats, design, text, upper, words
from dashboard.analysis.paired import holm
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from training.record.intervals import Interval, t_value
from training.record.metrics import describe
from training.record.schema import Run

LEVEL = 0.05
FEW = 4
"""Configurations below which no rank test can reach p = 0.05: of 3! orders one in three is as extreme."""

FREEDOM = 4
"""Degrees of freedom below which no interval is given and nothing else is held fixed."""

TOLERANCE = 0.2
"""Share of a parameter's spread that the others must leave unexplained (a variance inflation of 5 at most:
Menard 1995, Applied Logistic Regression Analysis, section 4.3): below it holding them fixed leaves no contrast."""


_SCALE = frozenset({"beta", "loss_type", *losses.DEFAULTS})
"""What sets the scale of the raw loss."""

_UNITS = {True: "for ten times the value", False: "for one more"}


@dataclass(frozen=True)
class Effect:
    """What one hyper-parameter does to `metric` over `n` configurations (the mean of its seeds is one configuration).

    `strength` is Spearman's rho (a number) or the correlation ratio of ranks, eta (a category); `p` of a permutation
    test, `p_corrected` Holm's over the hyper-parameters. `slope` is the metric's change for `unit`: ten times the
    value, one more, or from the worst level to the best (both named in `levels`). `adjusted` is the partial rank
    correlation with the others held fixed, with `adjusted_p`. `untold` says why the effect is not this parameter's
    alone, or is empty; `of_levels` that the parameter is a category.
    """

    key: str
    metric: str
    n: int
    strength: float
    p: float
    p_corrected: float
    unit: str
    slope: float | None
    interval: Interval | None
    levels: tuple[str, ...] = ()
    adjusted: float | None = None
    adjusted_p: float | None = None
    untold: str = ""
    of_levels: bool = False

    @property
    def proven(self) -> bool:
        """Whether there is an effect, and it is this hyper-parameter's own."""
        return self.p_corrected <= LEVEL and not self.untold and not self._may_be_nothing

    @property
    def _may_be_nothing(self) -> bool:
        """Whether the interval of its size holds 0, or the others explain it."""
        no_size = self.interval is not None and self.interval.low <= 0 <= self.interval.high
        return no_size or self.explained

    @property
    def explained(self) -> bool:
        """Whether the other hyper-parameters, held fixed, leave nothing of it that is more than chance."""
        return self.adjusted_p is not None and self.adjusted_p > LEVEL

    @property
    def sentence(self) -> str:
        """The effect in plain words, with its numbers."""
        name, metric = words(self.key), describe(self.metric).label
        how = "correlation ratio" if self.of_levels else "Spearman"
        numbers = f"{how} {self.strength:{'' if self.of_levels else '+'}.2f}, {probability(self.p)}"
        numbers += f", {probability(self.p_corrected)} corrected, {self.n} configurations"
        held = "" if self.adjusted is None else f"; with the others held fixed {self.adjusted:+.2f}"
        if self.untold:
            return f"{upper(name)} and {metric} ({numbers}{held}): its own effect cannot be told, for {self.untold}."
        if self.p_corrected <= LEVEL and self.explained:
            left = "with the others held fixed little of it is left"
            return f"No effect of {name} on {metric} is proven: {left} ({numbers}{held})."
        if self.p_corrected > LEVEL or self._may_be_nothing:
            size, held = (self._size and f": {self._size}", held) if self.p_corrected <= LEVEL else ("", "")
            return f"No effect of {name} on {metric} is proven{size} ({numbers}{held})."
        return f"{upper(name)} changes {metric}{self._size and f': {self._size}'} ({numbers})."

    @property
    def _size(self) -> str:
        """The slope with its interval: in percentage points where the metric is a share."""
        if self.slope is None:
            return ""
        share = self.metric == EVAL_ACCURACY
        parts = [self.slope] if self.interval is None else [self.slope, *self.interval]
        shown = [f"{100 * part:+.1f}" if share else f"{part:+.4f}" for part in parts]
        between = "" if self.interval is None else f", 95% interval {shown[1]} to {shown[2]}"
        return f"{shown[0]}{' points' if share else ''} {self.unit}{between}"


def probability(p: float) -> str:
    """A p-value for a sentence, never rounded onto LEVEL from above."""
    shown = f"{p:.2g}"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3g}" if float(shown) == LEVEL else f"p = {shown}"


_UNKNOWN = Effect("", "", 0, 0.0, 1.0, 1.0, "", None, None)


def outcomes(rows: Design, key: str, at: At) -> Floats:
    """Per configuration the metric, the mean over its ranked runs; shape (n,), NaN where none has a finite value."""
    means = []
    for runs in rows.runs:
        logged = [ranking.evaluation(run, at).get(key) for run in runs if ranking.eligible(run, at)]
        values = [value for value in map(ranking.finite, logged) if value is not None]
        means.append(math.fsum(values) / len(values) if values else math.nan)
    return np.array(means, dtype=np.float64)


def effects(runs: Sequence[Run], at: At, key: str = EVAL_ACCURACY) -> list[Effect]:
    """The effect of each hyper-parameter that varies, the smallest p first; none below FEW configurations.

    `runs` are those of one evaluation set. The raw loss is on one scale only at one beta and loss type: of what sets
    the scale no effect on it is told, and for the others what counts is the rank correlation at a fixed scale. Where
    nothing can be held fixed, for there are few configurations, no effect is told of two that move together in them.
    """
    rows = design([run for run in runs if ranking.eligible(run, at)])
    outcome = outcomes(rows, key, at)
    scales = _scales(rows) if key == EVAL_LOSS else np.zeros((len(outcome), 0))
    pairs = associations(rows)
    entangled, close = _partners(filter(_confounded, pairs)), _partners(filter(_close, pairs))
    found = []
    for column in rows.columns:
        kept = column.known & np.isfinite(outcome)
        if kept.sum() >= FEW and basis(column, kept).shape[1]:
            untold = entangled.get(column.key, "")
            effect = _effect(column, rows, outcome, kept, scales, replace(_UNKNOWN, metric=key, untold=untold))
            if effect.adjusted is None and not effect.untold:
                effect = replace(effect, untold=close.get(column.key, ""))
            found.append(effect)
    corrected = holm(np.array([effect.p for effect in found])).tolist()
    whole = [replace(effect, p_corrected=p) for effect, p in zip(found, corrected, strict=True)]
    return sorted(whole, key=lambda effect: effect.p)


def _effect(
    column: Column, rows: Design, outcome: Floats, kept: npt.NDArray[np.bool_], scales: Floats, empty: Effect
) -> Effect:
    """The effect of one column over the configurations that are `kept`; `scales` are the loss's, shape (all, k)."""
    y = outcome[kept]
    x, target = basis(column, kept), orthonormal(ranks(y)[:, None])
    statistic, p = dependence(x, target)
    effect = replace(empty, key=column.key, n=len(y), strength=min(1.0, statistic**0.5), p=p)
    if scales.shape[1] and column.key in _SCALE:
        effect = replace(effect, untold=f"the loss itself is another function at each {words(column.key)}")
    if column.numbers is None:
        effect = replace(effect, of_levels=True)
        return effect if scales.shape[1] else _between_levels(effect, column, y, kept)
    numbers = column.numbers[kept]
    sign = float(np.sign((ranks(numbers) - (len(y) + 1) / 2) @ ranks(y)))
    effect = replace(effect, strength=sign * effect.strength, unit=_UNITS[column.log])
    if not scales.shape[1]:
        slope, interval = _slope(numbers, y)
        effect = replace(effect, slope=slope, interval=interval)
    others = [basis(other, kept) for other in rows.columns if other.key != column.key and other.known[kept].all()]
    return _adjusted(effect, x, target, orthonormal(np.hstack([*others, scales[kept]])), sign)


def _adjusted(effect: Effect, x: Floats, target: Floats, others: Floats, sign: float) -> Effect:
    """The effect with its partial rank correlation, the other columns held fixed, where the design allows it.

    Student's t of n - 2 - k degrees for k columns held (Kendall and Gibbons 1990, chapter 8).
    """
    from scipy.special import stdtr

    freedom = effect.n - 2 - others.shape[1]
    if freedom < FREEDOM or not target.shape[1]:
        return effect
    left, right = (column - others @ (others.T @ column) for column in (x[:, 0], target[:, 0]))
    free, spread = float(left @ left), float(right @ right)
    if free < TOLERANCE:
        return replace(effect, untold=effect.untold or "the other hyper-parameters nearly fix it")
    if spread < 1e-9:
        return replace(effect, adjusted=0.0, adjusted_p=1.0)
    same = 1.0 if (x[:, 0] @ target[:, 0]) * sign >= 0 else -1.0
    r = min(1.0, max(-1.0, float(left @ right) / math.sqrt(free * spread)))
    t = abs(r) * math.sqrt(freedom / max(1e-12, 1 - r * r))
    return replace(effect, adjusted=same * r, adjusted_p=float(2 * stdtr(freedom, -t)))


def _slope(x: Floats, y: Floats) -> tuple[float, Interval | None]:
    """Least squares: the change of y for one more of x, its 95% interval by Student's t of n - 2 degrees.

    (Draper and Smith 1998, section 1.4; errors taken to be normal and equal.) No interval below FREEDOM degrees.
    """
    centred = x - x.mean()
    size = float(centred @ centred)
    slope = float(centred @ y) / size
    freedom = len(x) - 2
    if freedom < FREEDOM:
        return slope, None
    residual = y - y.mean() - slope * centred
    half = t_value(0.95, freedom) * math.sqrt(float(residual @ residual) / freedom / size)
    return slope, Interval(slope - half, slope + half)


def _between_levels(effect: Effect, column: Column, y: Floats, kept: npt.NDArray[np.bool_]) -> Effect:
    """The effect with the difference of mean between its worst and its best level, and that difference's interval.

    Pooled variance, Student's t of n - k degrees, simultaneous for all k (k - 1) / 2 pairs of levels, for the two were
    chosen by their means (Dunn 1961, JASA 56, 52-64). No interval below FREEDOM degrees.
    """
    labels = np.array([label for label, known in zip(column.labels, kept.tolist(), strict=True) if known])
    groups = {str(level): y[labels == level] for level in np.unique(labels)}
    sign = -1 if describe(effect.metric).better == "lower" else 1
    low, *_, high = sorted(groups, key=lambda level: sign * float(groups[level].mean()))
    difference = float(groups[high].mean() - groups[low].mean())
    effect = replace(effect, slope=difference, levels=(low, high), unit=f"from {low[:40]} to {high[:40]}")
    freedom, pairs = len(y) - len(groups), math.comb(len(groups), 2)
    if freedom < FREEDOM:
        return effect
    variance = sum(float(((group - group.mean()) ** 2).sum()) for group in groups.values()) / freedom
    error = math.sqrt(variance * (1 / len(groups[low]) + 1 / len(groups[high])))
    half = t_value(1 - 0.05 / pairs, freedom) * error
    return replace(effect, interval=Interval(difference - half, difference + half))


def _confounded(pair: Association) -> bool:
    return pair.confounded


def _close(pair: Association) -> bool:
    """Whether two hyper-parameters are near to each other in these runs, chance or not: it matters where neither can
    be held fixed.
    """
    return abs(pair.strength) >= STRENGTH


def _partners(pairs: Iterable[Association]) -> dict[str, str]:
    """Hyper-parameter -> why its effect cannot be told: what it moves together with."""
    partners: dict[str, list[str]] = {}
    for pair in pairs:
        partners.setdefault(pair.a, []).append(words(pair.b))
        partners.setdefault(pair.b, []).append(words(pair.a))
    return {key: f"it moves together with {' and '.join(found)}" for key, found in partners.items()}


def loss_scale(run: Run) -> tuple[str, ...]:
    """What sets the scale of the run's loss: beta, loss type and TRL's other arguments of the loss."""
    own = (text(losses.beta(run.config)), losses.loss_type(run.config) or "sigmoid")
    return (*own, *(losses.loss_argument(run.config, key) for key in losses.DEFAULTS))


def _scales(rows: Design) -> Floats:
    """Indicators, shape (n, k), of the loss scale of each configuration; k = 0 if all have the same."""
    labels = [loss_scale(runs[0]) for runs in rows.runs]
    known = sorted(set(labels))
    if len(known) < 2:
        return np.zeros((len(labels), 0))
    return np.array([[label == one for one in known] for label in labels], dtype=np.float64)
