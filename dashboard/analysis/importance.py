"""Which hyper-parameters decide whether a run gets among the best, and from how many runs on that can be said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dashboard.analysis.confounding import ranks
from dashboard.analysis.effects import loss_scale, outcomes
from dashboard.analysis.hyperparameters import Column, Floats, design, upper, words
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At, eligible
from training.record.intervals import Interval
from training.record.metrics import describe
from training.record.schema import Run

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

RUNS_PER_PARAMETER = 10
"""Configurations needed per hyper-parameter, PED-ANOVA to name the first one right.

Simulated (200 sets of runs; standardised effects 0.8, 0.4, 0.2, the rest none, noise 0.4): with 10 per parameter the
most important one comes first in 100, 94, 98 and 99 of 100 sets for 2, 3, 4 and 6 parameters; with 7 in 98, 92, 92 and
98; with 5 in 93, 82, 84 and 94. The second is right in fewer, 57 of 100 for 4 parameters: the intervals say it.
"""

FEWEST = 20
"""Configurations needed at least: the best 30% of them are then six."""

BEST_SHARE = 0.3
"""The share of runs that counts as best. Optuna's 10% leaves PED-ANOVA one to four runs in a sweep of usual size: in
the simulation above it names the first right in 78 of 100 sets of 40 runs, 30% in 98."""

_RESAMPLES, _PERMUTATIONS = 99, 59


@dataclass(frozen=True)
class Importance:
    """How much one hyper-parameter decides whether a run is among the best.

    `share` of the sum over the hyper-parameters, in [0, 1], with a 95% bootstrap interval over configurations of what
    sweeps of this size find; `p` that it is this high by chance although the metric has nothing to do with any of them.
    """

    key: str
    share: float
    interval: Interval
    p: float

    @property
    def important(self) -> bool:
        """Whether chance is no explanation."""
        return self.p <= 0.05


@dataclass(frozen=True)
class Importances:
    """The hyper-parameters, the most important first; or none, and in `refused` one sentence that says why."""

    metric: str
    n: int
    found: tuple[Importance, ...] = ()
    refused: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What can be said, one sentence per hyper-parameter, or why nothing."""
        if self.refused:
            return (self.refused,)
        return tuple(
            f"{upper(words(one.key))} has {one.share:.1%} of the importance for being among the best {BEST_SHARE:.0%} "
            f"by {describe(self.metric).label} (95% interval {one.interval.low:.1%} to {one.interval.high:.1%})"
            f"{'' if one.important else ', not shown to be more than chance'}."
            for one in self.found
        )


def importances(runs: Sequence[Run], at: At, key: str = EVAL_ACCURACY) -> Importances:
    """PED-ANOVA of the hyper-parameters that vary (Watanabe et al. 2023, arXiv:2304.10255, as Optuna computes it).

    The share is the Pearson divergence between a parameter's values in the best 30% of the configurations and in all
    of them, over the sum for all parameters. `p` compares it with the largest one of any parameter in 59 permutations
    of the metric (Westfall and Young 1993). `runs` are those of one evaluation set, for the loss of one loss scale.
    """
    if (better := describe(key).better) is None:
        raise ValueError(f"{key} has no better direction: no run of it is among the best")
    rows = design([run for run in runs if eligible(run, at)])
    outcome = outcomes(rows, key, at) * (-1 if better == "lower" else 1)
    kept = np.isfinite(outcome)
    for column in rows.columns:
        kept &= column.known
    columns = [column for column in rows.columns if len(set(np.array(column.labels, dtype=object)[kept])) > 1]
    n = int(kept.sum())
    scales = {loss_scale(runs[0]) for runs in rows.runs} if key == EVAL_LOSS else {()}
    refused = _refusal(columns, outcome[kept], len(scales), key)
    if refused:
        return Importances(key, n, (), refused)
    return Importances(key, n, _measured(columns, kept, outcome[kept]))


def _refusal(columns: Sequence[Column], outcome: Floats, scales: int, key: str) -> str:
    """Why no importance is computed, or nothing."""
    n, needed = len(outcome), max(FEWEST, RUNS_PER_PARAMETER * len(columns))
    if scales > 1:
        return (
            "Importance for the loss is not computed: beta or the loss type differs, so the losses have no one scale."
        )
    if len(columns) < 2:
        return "Importance is not computed: it compares hyper-parameters, and fewer than two vary."
    if n < needed:
        return (
            f"Importance is not computed: {len(columns)} hyper-parameters need {needed} configurations, and there are "
            f"{n}; with fewer, chance decides too often which comes first."
        )
    return f"All configurations have the same {describe(key).label}." if np.ptp(outcome) == 0 else ""


def _measured(columns: Sequence[Column], kept: npt.NDArray[np.bool_], outcome: Floats) -> tuple[Importance, ...]:
    """Each column's importance over the `kept` configurations; `outcome`, shape (n,), is better where higher."""
    rng = np.random.default_rng(0)
    n = len(outcome)
    place = np.empty(n)
    place[np.lexsort((rng.random(n), outcome))] = np.arange(n)
    trials = _trials(columns, kept, place)
    names = [column.key for column in columns]
    found = _divergences(trials, names)
    draws = [_divergences([trials[row] for row in rng.integers(n, size=n)], names) for _ in range(_RESAMPLES)]
    highest = []
    for _ in range(_PERMUTATIONS):
        for trial, value in zip(trials, rng.permutation(place).tolist(), strict=True):
            trial.value = value
        highest.append(_divergences(trials, names).max())
    share = _shares(found)
    low, high = _interval(share, np.array([_shares(draw) for draw in draws]))
    above = (np.array(highest)[:, None] >= found).sum(axis=0)
    whole = [
        Importance(*row[:2], Interval(*row[2:4]), (1 + row[4]) / (1 + _PERMUTATIONS))
        for row in zip(names, share.tolist(), low.tolist(), high.tolist(), above.tolist(), strict=True)
    ]
    return tuple(sorted(whole, key=lambda importance: -importance.share))


def _interval(share: Floats, draws: Floats) -> tuple[Floats, Floats]:
    """The percentile interval of `draws`, shape (resamples, k), and the same moved to have its median at the share.

    Resamples have doubles, which spread the shares of parameters that matter little: by itself the first misses what
    was found in up to 8% of sweeps, the second what sweeps find on average in up to 18%. Both together hold that in 93
    to 100% (simulated, 60 sweeps each of 20 to 100 configurations, 2 to 4 parameters).
    """
    low, middle, high = np.quantile(draws, (0.025, 0.5, 0.975), axis=0)
    return np.minimum(low, (share + low - middle).clip(0)), np.maximum(high, (share + high - middle).clip(None, 1))


def _shares(divergences: Floats) -> Floats:
    total = divergences.sum()
    return divergences / total if total > 0 else np.full(len(divergences), 1 / len(divergences))


def _trials(columns: Sequence[Column], kept: npt.NDArray[np.bool_], place: Floats) -> list["FrozenTrial"]:
    """One finished trial per configuration; its value is its place among them, so that no two are equal.

    Numbers are taken by rank: where few values lie, in the tail of a wrong scale, a ratio of densities is noise.
    """
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.trial import FrozenTrial, TrialState

    distributions: dict[str, BaseDistribution] = {}
    values: list[list[Any]] = []
    for column in columns:
        if column.numbers is None:
            values.append([label for label, known in zip(column.labels, kept.tolist(), strict=True) if known])
            distributions[column.key] = CategoricalDistribution(sorted(set(values[-1])))
        else:
            values.append(ranks(column.numbers[kept]).tolist())
            distributions[column.key] = FloatDistribution(min(values[-1]), max(values[-1]))
    return [
        FrozenTrial(
            number=number,
            trial_id=number,
            state=TrialState.COMPLETE,
            value=value,
            datetime_start=None,
            datetime_complete=None,
            params=dict(zip(distributions, row, strict=True)),
            distributions=distributions,
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )
        for number, (value, *row) in enumerate(zip(place.tolist(), *values, strict=True))
    ]


def _divergences(trials: list["FrozenTrial"], names: list[str]) -> Floats:
    """Optuna's PED-ANOVA, not normalised, shape (k,) in the order of `names`."""
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.study import Study, StudyDirection

    class Trials(Study):
        """A study that is only its trials: no storage, no copies, nothing written to the log."""

        def __init__(self) -> None:
            pass

        @property
        def directions(self) -> list[StudyDirection]:
            return [StudyDirection.MAXIMIZE]

        def get_trials(self, *_: Any, **__: Any) -> list["FrozenTrial"]:
            return trials

    # Not through get_param_importances: it warns that its `normalize` is an experiment.
    found = PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE).evaluate(Trials(), params=names)
    return np.array([found[name] for name in names])
