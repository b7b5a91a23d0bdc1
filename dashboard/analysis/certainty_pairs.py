"""How sure it is that a run is the best, from what each run did on the same pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from dashboard.analysis import best_of, common_beta, comparability, logged, numbers, paired, power, ranking, ties
from dashboard.analysis.common_scale import EVAL_CALIBRATED, EVAL_COMMON
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.study import Bools, Floats, Ints, Scores, Study
from dashboard.analysis.ties import Measure
from training.record.intervals import z_value
from training.record.schema import Run

HOPELESS = 50
"""Times as many pairs as there are: to ask for more is to say that two runs may as well be equal."""

LEVEL, POWER = 0.05, 0.8
"""How often equal runs may be called different; how often the pairs that are asked for show the difference seen."""

_ROUNDING = 1e-12

_Scaled = tuple[tuple[str, str, Scores | None, float], ...]
"""Runs in their order: id, name, scores, and the factor that brings their margins on one scale."""


@dataclass(frozen=True)
class Certainty:
    """One sentence, what is secondary beside it, the runs that cannot be told apart from the best, itself included.

    `proven` only if the best is shown to be better than each other ranked run. `compared` are the runs tested.
    """

    sentence: str
    tied: frozenset[str]
    proven: bool
    notes: tuple[str, ...] = ()
    compared: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Compared:
    """The best run and those with scores on the same pairs; by a loss, margins are scaled so that it is that at b = 1.

    `lead` is by how much the best is better than each run. `p` are p-values against the best, adjusted by Holm over the
    comparisons of any two runs: with these, no run that is as good as the best is left out of those alike (`ties`).
    `p_best` are adjusted over the comparisons with the best alone, which is enough to prove it the best.
    """

    best: str
    best_name: str
    key: str
    scores: Mapping[str, Scores]
    test: str
    lead: Mapping[str, float]
    p: Mapping[str, float]
    p_best: Mapping[str, float]

    @property
    def others(self) -> list[str]:
        return [run for run in self.p if run != self.best]

    @cached_property
    def alike(self) -> frozenset[str]:
        """The runs that cannot be told apart from the best, itself included."""
        return frozenset({self.best, *(run for run in self.others if max(self.p[run], self.p_best[run]) > LEVEL)})

    @cached_property
    def known(self) -> Bools:
        """Which pairs of the best run have a finite margin, and so were compared, shape (n,)."""
        return np.isfinite(self.scores[self.best].h)

    @property
    def prompts(self) -> Ints:
        """The prompt of each pair that was compared."""
        return self.scores[self.best].prompts[self.known]

    def values(self, run: str) -> Floats:
        """What the run got on each pair that was compared, in the order of the best run's; more is better."""
        rows = paired.aligned(self.scores[self.best], self.scores[run])
        scores = self.scores[run]
        got = scores.right if self.key == EVAL_ACCURACY else -common_beta.losses(scores.h, 1.0)
        return got[rows[1]][self.known] if rows else got


def from_pairs(best: Run, ranked: Sequence[Run], key: str, at: At, study: Study, b: float | None) -> Certainty | None:
    """The paired tests of the best run against each other ranked run; None where fewer than two have such scores.

    It is proven the best if it beats each other run, p adjusted by Holm over these comparisons. That it was picked by
    the same data needs no more: it must beat the runner-up too, and a two-sided test against that one holds the level
    however many runs there are (Gutmann and Maymin 1987, Annals of Statistics 15, 456-461; Hung and Fithian 2019,
    Annals of Statistics 47, 758-782, for independent runs; simulated here for runs on the same pairs).
    """
    scaled = _on_one_scale(ranked, key, at, study, b)
    return _judged(best.id, tuple((run.id, run.name, *scaled.get(run.id, (None, 1.0))) for run in ranked), key)


@lru_cache(maxsize=4)
def _judged(best_id: str, ranked: _Scaled, key: str) -> Certainty | None:
    """The answer from these scores: kept, for it takes a second of 1,000 runs, and pages ask again and again."""
    found = _compared(best_id, ranked, key)
    if found is None:
        return None
    names, others, compared = {run: name for run, name, *_ in ranked}, len(found.others), frozenset(found.p)
    apart = len(ranked) - len(found.p)
    beside = f"; {apart} more not compared, without scores on these pairs" if apart else ""
    test = f"{found.test} on the same {found.known.sum():,} pairs, 95%"
    ahead = [run for run in found.others if found.p[run] <= LEVEL and found.lead[run] < 0]
    if ahead:
        sentence = f"By the scores of each pair it is not the best: {names[ahead[0]]} is better ({test}{beside})."
        return Certainty(sentence, found.alike, False, (), compared)
    test += f", corrected for {others} comparisons" if others > 1 else ""
    if max(found.p_best[run] for run in found.others) > LEVEL:
        alike = [run for run in found.others if run in found.alike]
        sentence = not_proven(cannot(len(alike), others), f"{test}{beside}") + _needed(found, alike, names)
        return Certainty(
            f"{sentence}.", found.alike, False, (*_detectable(found, alike, names), *_luck(found)), compared
        )
    alone = frozenset({best_id})
    if apart:
        sentence = not_proven(f"it is better than {each(others)}", f"{test}{beside}")
        return Certainty(f"{sentence}.", alone, False, _luck(found), compared)
    return Certainty(f"It is better than {each(others)} ({test}).", alone, True, _luck(found), compared)


def _compared(best: str, ranked: _Scaled, key: str) -> _Compared | None:
    """The runs whose scores can be compared with the best run's by `key`, tested against it."""
    scores = {
        run: replace(own, chosen=scale * own.chosen, rejected=scale * own.rejected)
        for run, _, own, scale in ranked
        if own is not None
    }
    if best not in scores:
        return None
    same = {run: own for run, own in scores.items() if paired.aligned(scores[best], own) is not None}
    measure: Measure = "accuracy" if key == EVAL_ACCURACY else "loss"
    b_of = None if measure == "accuracy" else 1.0
    matrix = ties.pairwise(same, measure, b_of)
    if matrix is None or best not in matrix.ids or len(matrix.ids) < 2:
        return None
    row = matrix.ids.index(best)
    sign = 1 if key == EVAL_ACCURACY else -1
    lead = dict(zip(matrix.ids, (sign * matrix.difference[row]).tolist(), strict=True))
    p = dict(zip(matrix.ids, matrix.p[row].tolist(), strict=True))
    others = [run for run in matrix.ids if run != best]
    adjusted = paired.holm(np.delete(matrix.alone[row], row))
    name = next(name for run, name, *_ in ranked if run == best)
    p_best = dict(zip(others, adjusted.tolist(), strict=True))
    return _Compared(best, name, key, same, matrix.test, lead, p, p_best)


def _on_one_scale(
    ranked: Sequence[Run], key: str, at: At, study: Study, b: float | None
) -> dict[str, tuple[Scores, float]]:
    """The runs' scores, and by what to scale margins so that what ranks runs is their accuracy, or loss at b = 1."""
    if key == EVAL_LOSS and not comparability.loss_scale(ranked).comparable:
        return {}
    found = {}
    for run in ranked:
        scores = study[run.id].judged(at) if run.id in study else None
        scale = None if scores is None else _scale(run, scores, key, at, b)
        if scores is not None and scale is not None:
            found[run.id] = (scores, scale)
    return found


def _scale(run: Run, scores: Scores, key: str, at: At, b: float | None) -> float | None:
    """The beta of the metric `key`; None where the scores do not give that metric.

    The calibrated loss is taken at the run's own best b: there its slope is 0, so that the choice of b moves the mean
    by less than 1 / sqrt(n), and the test is that of given margins.
    """
    if key == EVAL_ACCURACY:
        return 1.0
    if key == EVAL_COMMON:
        return b
    if key == EVAL_CALIBRATED:
        own = common_beta.calibrated(scores.h).b
        return own if np.isfinite(own) else None
    if key == EVAL_LOSS and logged.pair_losses(run, scores, ranking.evaluation(run, at).get(key)) is not None:
        return comparability.beta(run.config)
    return None


def _needed(found: _Compared, alike: Sequence[str], names: Mapping[str, str]) -> str:
    """How many more pairs would decide between the best and the nearest of those it is not told apart from.

    As many as show the difference seen here with a power of 80%.
    """
    nearest = _nearest(found, alike)
    off, n = found.values(found.best) - found.values(nearest), int(found.known.sum())
    if abs(found.lead[nearest]) < _ROUNDING:
        return f"; on these pairs {names[nearest]} is exactly as good"
    need = _pairs_for_accuracy if found.key == EVAL_ACCURACY else _pairs_for_mean
    more = need(off, found.prompts) - n
    if more > HOPELESS * n:
        return f"; between it and {names[nearest]} not even {HOPELESS} times as many pairs would decide"
    return f"; about {rounded(more)} more pairs would decide between it and {names[nearest]}" if more > 0 else ""


def _nearest(found: _Compared, alike: Sequence[str]) -> str:
    return min(alike, key=lambda run: abs(found.lead[run]))


def _pairs_for_accuracy(off: Floats, prompts: Ints) -> float:
    """`power.pairs_needed`, times the design effect."""
    return power.pairs_needed(float(off.mean()), float((off != 0).mean()), POWER, LEVEL) * _design(off, prompts)


def _design(off: Floats, prompts: Ints) -> float:
    """The design effect of prompts with several pairs, at least 1 (Kish 1965, Survey Sampling)."""
    return max(1.0, float((paired.prompt_sums(off, prompts) ** 2).sum() / (off**2).sum()))


def _pairs_for_mean(off: Floats, prompts: Ints) -> float:
    """n ((z_alpha + z_power) error / difference)^2 with the clustered error (Miller 2024, arXiv:2411.00640, sec. 5)."""
    return len(off) * (_least_mean(off, prompts) / float(off.mean())) ** 2


def _least_mean(off: Floats, prompts: Ints) -> float:
    """(z_alpha + z_power) error: the smallest mean difference that is shown with a power of 80% (as above)."""
    sums, sizes = paired.prompt_sums(off, prompts), paired.prompt_sums(np.ones_like(off), prompts)
    error = float(paired.clustered_mean(sums[None], sizes[None])[1][0])
    return (z_value(1 - LEVEL) + z_value(2 * POWER - 1)) * error


def _detectable(found: _Compared, alike: Sequence[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """The smallest difference that these pairs show between the best and the nearest of those alike."""
    nearest = _nearest(found, alike)
    off, n = found.values(found.best) - found.values(nearest), int(found.known.sum())
    if not off.any():
        return ()
    beside = f"between {found.best_name} and {names[nearest]}, on these {n:,} pairs"
    if found.key != EVAL_ACCURACY:
        return (_shown(beside, f"a true difference of {numbers.metric(_least_mean(off, found.prompts))} or more"),)
    pairs = round(n / _design(off, found.prompts))
    return (detectable(beside, power.smallest_detectable(pairs, float((off != 0).mean()), POWER, LEVEL)),)


def _luck(found: _Compared) -> tuple[str, ...]:
    """What the best owes to having been picked by these very pairs."""
    runs = [found.best, *found.others]
    picked = best_of.best_of({run: found.values(run) for run in runs}, found.prompts)
    if picked is None or picked.best != found.best or picked.optimism <= 0:
        return ()
    label = numbers.label(found.key)
    value = numbers.percent(picked.corrected) if found.key == EVAL_ACCURACY else numbers.metric(-picked.corrected)
    return (
        f"{found.best_name} was picked as the best of {len(runs)} by these very pairs, which flatters it: on new pairs "
        f"its {label} is to be expected near {value}, and it would be picked again with a chance of "
        f"{picked.chance[found.best]:.0%}.",
    )


def not_proven(why: str, test: str) -> str:
    """A sentence on a run that is not proven to be the best, without its full stop."""
    return f"It is not proven to be the best: {why} ({test})"


def each(others: int) -> str:
    """All other runs that were compared, in words."""
    return "the other run" if others == 1 else f"each of the other {others} runs"


def detectable(where: str, least: float) -> str:
    """The smallest difference in accuracy that is shown, in words."""
    return _shown(where, f"a true difference of {100 * least:.1f} points or more" if np.isfinite(least) else "none")


def _shown(where: str, what: str) -> str:
    return f"Smallest detectable difference {where}: {what} is shown four times in five (power {POWER:.0%})."


def cannot(alike: int, others: int) -> str:
    """How many of the other runs cannot be told apart from the best, in words."""
    if alike == others:
        return (
            f"{'the other run cannot' if others == 1 else f'none of the other {others} runs can'} be told apart from it"
        )
    return f"{alike} of the other {others} runs cannot be told apart from it"


def rounded(count: float) -> str:
    """A number of pairs to two significant digits, upwards."""
    whole = int(np.ceil(count))
    unit: int = 10 ** max(0, len(str(whole)) - 2)
    return f"{-(-whole // unit) * unit:,}"
