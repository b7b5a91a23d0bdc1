"""The next runs worth trying, each with its reason from the data and what it would decide."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dashboard.analysis import comparability, ranking, seeds, significance
from dashboard.analysis.confounding import Association, confounded
from dashboard.analysis.effects import LEVEL, Effect, effects, outcomes
from dashboard.analysis.hyperparameters import (
    BATCH,
    EFFECTIVE_BATCH,
    Column,
    Design,
    design,
    text,
    upper,
    value_of,
    words,
)
from dashboard.analysis.numbers import setting
from dashboard.analysis.power import pairs_needed_unpaired
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.references import References, as_trained, references
from dashboard.analysis.study import Evidence, Study
from training.record.metrics import describe
from training.record.schema import Run

MOST = 5
EDGE = 0.1
"""Share of the explored range, on the parameter's scale, that counts as its edge."""

FALLING = 5
"""Evaluations in a row, each better than the one before, that say the run was not done: by chance 1 in 5! = 120."""

RISE, TURN_NEEDS = 0.1, 4
"""Rise of the evaluation loss above its lowest, and evaluations needed: as the check of over-fitting has it."""

MANY = 50
"""Times as many pairs as there are: a difference that needs more than that hardly matters."""
DEFAULT_SEED = 42
"""TRL's seed where none is set."""


_UNBOUNDED = frozenset({"beta", "learning_rate"})
"""Parameters below 1 that need not stay there; ratios, dropout and smoothing must."""


@dataclass(frozen=True)
class Suggestion:
    """One run to try: its hyper-parameters, those that vary and those that change; why; and the formula behind it."""

    config: Mapping[str, Any]
    reason: str
    source: str


@dataclass(frozen=True)
class Edge:
    """The best configuration lies at one end of the explored range, and the metric gets better towards that end."""

    column: Column
    effect: Effect
    run: Run
    upward: bool

    @property
    def beyond(self) -> float | int:
        """The value to try: three times further on a logarithmic scale, half the range further on a linear one."""
        end = max(v for v in self.column.values if v is not None)
        start = min(v for v in self.column.values if v is not None)
        if self.column.log:
            value = end * 3 if self.upward else start / 3
        else:
            value = end + (end - start) / 2 if self.upward else start - (end - start) / 2
            value = start / 2 if start >= 0 > value else value
        if self.upward and end < 1 and self.column.key not in _UNBOUNDED:
            value = min(value, (1 + end) / 2)
        return max(1, round(value)) if isinstance(start, int) and isinstance(end, int) else float(f"{value:.3g}")


@dataclass(frozen=True, eq=False)
class Field:
    """What suggestions look at: the runs of one evaluation set, their design, the best run by `key`."""

    runs: tuple[Run, ...]
    rows: Design
    best: Run
    key: str
    at: At
    evidence: Evidence
    effects: Sequence[Effect] = field(default_factory=tuple)


def suggestions(study: Study, at: At, key: str | None = None, known: References | None = None) -> list[Suggestion]:
    """At most five runs that have not been tried, the most telling first; none where nothing can be said.

    For the largest group of comparable runs, by `key`, or by what the runs are ranked by where none is given.
    `known` are the study's references, if they are at hand.
    """
    known = known or references(study)
    study = as_trained(study, known)
    groups = comparability.accuracy_groups(study, known)
    seen = survey(study, groups[0].runs, at, key) if groups else None
    if seen is None:
        return []
    rules = (_untangle, _past_the_edge, _stop_early, _train_longer, _second_seed, _more_pairs)
    found = [suggestion for rule in rules for suggestion in rule(seen)]
    return [suggestion for suggestion in found if not tried(suggestion.config, seen.runs)][:MOST]


def survey(study: Study, runs: Sequence[Run], at: At, key: str | None = None) -> Field | None:
    """The runs of one group made ready; None if none of them can be ranked."""
    key = key or comparability.natural_metric(runs)
    best = ranking.winner(runs, key, at)
    if best is None:
        return None
    rows = design([run for run in runs if ranking.eligible(run, at)])
    return Field(tuple(runs), rows, best, key, at, study[best.id], effects(runs, at, key))


def tried(config: Mapping[str, Any], runs: Sequence[Run]) -> bool:
    """Whether a run, also one that failed or is still running, has these values already."""
    return any(all(text(value_of(run, key)) == text(value) for key, value in config.items()) for run in runs)


def edges(seen: Field) -> list[Edge]:
    """The numeric hyper-parameters at whose explored end the best configuration lies, the surest first.

    Only where the metric gets better towards that end over all configurations (rank test, p <= 0.05 by itself, and with
    the others held fixed where that can be told): among few values one of the ends is often best by chance.
    """
    better = 1 if describe(seen.key).better == "higher" else -1
    outcome = outcomes(seen.rows, seen.key, seen.at) * better
    found = []
    for effect in seen.effects:
        column = seen.rows.column(effect.key)
        shown = effect.p <= LEVEL and not effect.explained
        if column is None or column.numbers is None or not shown or not np.isfinite(outcome).any():
            continue
        values, place = column.numbers, column.numbers[int(np.nanargmax(outcome))]
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        upward = effect.strength * better > 0
        distance = (high - place if upward else place - low) / (high - low)
        if distance <= EDGE and len(set(column.labels) - {None}) > 2:
            found.append(Edge(column, effect, seen.best, upward))
    return found


def _base(seen: Field, **changed: Any) -> dict[str, Any]:
    """The hyper-parameters of the best run with some of them changed, under TRL's names."""
    own = {column.key: value_of(seen.best, column.key) for column in seen.rows.columns}
    config = {key: value for key, value in {**own, **changed}.items() if value is not None}
    if (pairs := config.pop(EFFECTIVE_BATCH, None)) is not None:
        size = int(value_of(seen.best, BATCH[0]) or 1)
        config |= {BATCH[0]: min(size, pairs), BATCH[1]: max(1, round(pairs / size))}
    return config


def _untangle(seen: Field) -> Iterator[Suggestion]:
    """The best run's value of one of a confounded pair with the value of the other that it has not met."""
    for pair in confounded(seen.rows):
        value = _opposite(seen, pair)
        if value is not None:
            a, b = words(pair.a), words(pair.b)
            yield Suggestion(
                _base(seen, **{pair.a: value}),
                f"{seen.best.name} with {a} {setting(value)} and the same {b}: {a} and {b} move together in these runs "
                f"({pair.measure} {pair.strength:.2f}); this one would show which of the two makes the difference.",
                "breaks a confounding: one factor changed, the other kept (Montgomery 2017, chapter 5)",
            )


def _opposite(seen: Field, pair: Association) -> Any:
    """The tried value of `pair.a` farthest from what goes with the best run's value of `pair.b`; None if unknown."""
    a, b = seen.rows.column(pair.a), seen.rows.column(pair.b)
    own = value_of(seen.best, pair.a)
    if a is None or b is None or own is None or value_of(seen.best, pair.b) is None:
        return None
    if a.numbers is None or b.numbers is None:
        return next((v for v in a.values if v is not None and text(v) != text(own)), None)
    row = next(n for n, runs in enumerate(seen.rows.runs) if any(run.id == seen.best.id for run in runs))
    above = (b.numbers[row] - np.nanmedian(b.numbers)) * pair.strength > 0
    value = a.values[int(np.nanargmin(a.numbers) if above else np.nanargmax(a.numbers))]
    return None if text(value) == text(own) else value


def _past_the_edge(seen: Field) -> Iterator[Suggestion]:
    """Beyond the explored range, where the best run lies at its end."""
    for edge in edges(seen):
        name, value = words(edge.column.key), edge.beyond
        if value_of(edge.run, edge.column.key) == 0 or text(value) in edge.column.labels:
            continue
        ends = "highest" if edge.upward else "lowest"
        yield Suggestion(
            _base(seen, **{edge.column.key: value}),
            f"{upper(name)} {setting(value)}: {edge.run.name} is best near the {ends} {name} tried, and "
            f"{describe(seen.key).label} gets better that way (Spearman {edge.effect.strength:+.2f}, "
            f"p = {edge.effect.p:.2g}); this one would show whether the best lies beyond.",
            "rank correlation with a permutation test (Kendall and Gibbons 1990)",
        )


def _evaluations(seen: Field, key: str) -> tuple[list[int], list[float]]:
    """Steps after 0 and finite values of the best run's curve; empty where one is not finite."""
    curve = seen.evidence.history.get(key)
    points = [] if curve is None else [p for p in zip(curve.steps, curve.values, strict=True) if p[0] > 0]
    if not all(math.isfinite(value) for _, value in points):
        return [], []
    return [step for step, _ in points], [value for _, value in points]


def _turned(losses: Sequence[float]) -> bool:
    """Whether the evaluation loss has risen since its lowest."""
    low = losses.index(min(losses)) if losses else 0
    return len(losses) >= TURN_NEEDS and low <= len(losses) - 3 and min(losses[-2:]) > (1 + RISE) * losses[low]


def _stop_early(seen: Field) -> Iterator[Suggestion]:
    """Not where pairs are ranked worse than by chance: a shorter run would not mend that."""
    steps, losses = _evaluations(seen, EVAL_LOSS)
    accuracy = ranking.finite(ranking.evaluation(seen.best, seen.at).get(EVAL_ACCURACY))
    if _turned(losses) and (accuracy is None or accuracy >= 0.5):
        low = losses.index(min(losses))
        yield Suggestion(
            _base(seen, max_steps=steps[low]),
            f"{seen.best.name} again with max steps {steps[low]}: its evaluation loss was lowest there "
            f"({losses[low]:.4f}) and rose to {losses[-1]:.4f}; with the learning rate decayed by then it would show "
            "whether the rest of training does harm.",
            "early stopping at the lowest evaluation loss (Prechelt 1998)",
        )


def _train_longer(seen: Field) -> Iterator[Suggestion]:
    steps, values = _evaluations(seen, seen.key)
    sign = 1 if describe(seen.key).better == "higher" else -1
    gains = np.diff(np.array(values[-FALLING:])) * sign
    if len(values) >= FALLING and bool((gains > 0).all()) and not _turned(_evaluations(seen, EVAL_LOSS)[1]):
        yield Suggestion(
            _base(seen, max_steps=2 * steps[-1]),
            f"{seen.best.name} with max steps {2 * steps[-1]}: its {describe(seen.key).label} still got better at each "
            f"of the last {FALLING - 1} evaluations (from {values[-FALLING]:.4f} to {values[-1]:.4f} at step "
            f"{steps[-1]}); this one would show where that ends.",
            "all of 5 values in order: by chance 1 in 120 (Mann 1945)",
        )


def _second_seed(seen: Field) -> Iterator[Suggestion]:
    if len(seen.rows.runs) > 1 and seeds.tried(seen.rows) < 2:
        own = seen.best.config.get("seed")
        seed = (own if isinstance(own, int) else DEFAULT_SEED) + 1
        again = f"seed {seed}" if isinstance(own, int) else "another seed"
        yield Suggestion(
            _base(seen, seed=seed),
            f"{seen.best.name} again with {again}: no configuration was run with two seeds, so how much of the "
            "differences is chance of training is unknown; two or more would tell.",
            "variance between seeds as a second source of error (Bouthillier et al. 2021, arXiv:2103.03098)",
        )


def _more_pairs(seen: Field) -> Iterator[Suggestion]:
    """As many pairs as tell the two most accurate configurations apart, where those at hand do not.

    Not where the best run's pairs were scored: the verdict tells then how many more a paired test needs.
    """
    shares = ranking.proportions(seen.runs, seen.at)
    first = significance.best_of(shares)
    alike = [runs for runs in seen.rows.runs if first in {run.id for run in runs}]
    tied = significance.tie_group(shares) - {run.id for runs in alike for run in runs} - {first}
    if first is None or not tied or seen.evidence.judged(seen.at) is not None:
        return
    second = max(sorted(tied), key=lambda run: shares[run].value)
    a, b = shares[first], shares[second]
    if a.value == b.value:
        return
    needed = _two_digits(pairs_needed_unpaired(a.value - b.value, a.value))
    names = {run.id: run.name for run in seen.runs}
    if a.n < needed <= MANY * a.n:
        yield Suggestion(
            _base(seen, max_eval_samples=needed),
            f"{names[first]} and {names[second]} on {needed:,} evaluation pairs: {a.n:,} do not tell their accuracies "
            f"apart ({a.value:.1%} and {b.value:.1%}); so many would, with a chance of 80%, if the difference is real; "
            "fewer are enough where the scores of each pair allow a paired test.",
            "sample size of the unpaired z test (Fleiss, Levin and Paik 2003, chapter 4)",
        )


def _two_digits(count: int) -> int:
    """A number rounded up to two significant digits: more of them would claim to know it."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit
