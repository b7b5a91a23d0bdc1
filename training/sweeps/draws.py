"""The next point of a sweep's search: by grid, by chance, or by what the trials before it have found."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from training.sweeps.file import Method
from training.sweeps.parameters import Parameter

_STARTUP = 10  # finished trials that TPE begins with, where the sweep is long enough
_REDRAWS, _CHANCES = 10, 200  # draws by TPE, and then by chance, until one is a point that was not tried

Key = tuple[str, ...]
Drawn = dict[str, Any]


class Draws:
    """The points of a sweep, each one once, as a function of seed, number and the trials before.

    `random` is scrambled Sobol points (Owen 1998, J. Complexity 14, 466-489; Optuna's QMCSampler) where every searched
    parameter is numeric, independent draws otherwise. `bayes` begins the same way, and goes on by multivariate TPE
    (Falkner et al. 2018, arXiv:1807.01774; Watanabe 2023, arXiv:2304.11127), which takes running trials for bad ones,
    so that parallel workers spread out. Its `group` is for conditional parameters, which a W&B sweep does not have.
    """

    def __init__(
        self, method: Method, parameters: Sequence[Parameter], maximize: bool, seed: int, limit: int | None
    ) -> None:
        self._method, self._seed = method, seed
        self._direction = StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE
        self._parameters = parameters
        self._searched = [parameter for parameter in parameters if not parameter.constant]
        self.distributions = {parameter.name: self._distribution(parameter) for parameter in self._searched}
        self._startup = _STARTUP if limit is None else min(_STARTUP, max(4, limit // 3))
        self._numeric = not any(isinstance(one, CategoricalDistribution) for one in self.distributions.values())
        self._sobol = self._study(QMCSampler(scramble=True, seed=seed))
        self._points: list[Drawn] = []

    def draw(self, number: int, trials: Sequence[FrozenTrial], tried: Sequence[Mapping[str, Any]]) -> Drawn | None:
        """What Optuna is told of the next point; None if all are tried. `tried` has the `values` of `trials`."""
        keys = {self._key(values) for values in tried}
        if self._method != "grid":
            for drawn in self._candidates(number, trials):
                if self._key(self.values(drawn)) not in keys:
                    return drawn
        return self._untried(keys)

    def values(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The values of all parameters, constants too, in the file's order."""
        return {one.name: self._value(one, drawn) for one in self._parameters}

    def _value(self, parameter: Parameter, drawn: Mapping[str, Any]) -> Any:
        if self._method == "grid" and not parameter.constant:
            return json.loads(drawn[parameter.name])
        return parameter.value(drawn.get(parameter.name))

    def _distribution(self, parameter: Parameter) -> BaseDistribution:
        if self._method == "grid":
            return CategoricalDistribution([json.dumps(value) for value in parameter.grid()])
        return parameter.distribution()

    def _candidates(self, number: int, trials: Sequence[FrozenTrial]) -> Iterator[Drawn]:
        """Points as the method draws them, then by chance."""
        seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
        if self._method == "bayes" and sum(trial.state.is_finished() for trial in trials) >= self._startup:
            study = self._study(TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=0))
            study.add_trials([_learned(trial) for trial in trials])
            yield from (self._ask(study) for _ in range(_REDRAWS))
        elif self._numeric:
            yield self._sobol_point(number)
        study = self._study(RandomSampler(seed=seed))
        yield from (self._ask(study) for _ in range(_CHANCES))

    def _sobol_point(self, number: int) -> Drawn:
        """Optuna takes its first point by chance, and only then begins the sequence."""
        while len(self._points) <= number + 1:
            self._points.append(self._ask(self._sobol))
        return self._points[number + 1]

    def _ask(self, study: optuna.Study) -> Drawn:
        return study.ask(self.distributions).params

    def _study(self, sampler: BaseSampler) -> optuna.Study:
        return optuna.create_study(sampler=sampler, direction=self._direction)

    def _untried(self, keys: set[Key]) -> Drawn | None:
        """The first combination, in the file's order, that is not tried; None too if they cannot be listed."""
        lists = [_listed(distribution) for distribution in self.distributions.values()]
        if not all(lists):
            return None
        found = next((point for point in itertools.product(*lists) if point not in keys), None)
        if found is None:
            return None
        return {
            name: json.loads(text) if isinstance(distribution, IntDistribution) else text
            for (name, distribution), text in zip(self.distributions.items(), found, strict=True)
        }

    def _key(self, values: Mapping[str, Any]) -> Key:
        return tuple(json.dumps(values[one.name]) for one in self._searched)


def _listed(distribution: BaseDistribution) -> Sequence[str]:
    """The values of a distribution as JSON; none if there is no end to them."""
    if isinstance(distribution, CategoricalDistribution):
        return [str(choice) for choice in distribution.choices]
    if isinstance(distribution, IntDistribution):
        return list(map(str, range(distribution.low, distribution.high + 1)))
    return []


def _learned(trial: FrozenTrial) -> FrozenTrial:
    """A trial as TPE learns from it: one that failed is the worst, or TPE would go there again."""
    if trial.state != TrialState.FAIL:
        return trial
    return create_trial(state=TrialState.PRUNED, params=trial.params, distributions=trial.distributions)
