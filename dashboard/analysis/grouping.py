"""Runs put together by what they have in common, and how far they spread then."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dashboard.analysis import comparability, hyperparameters, numbers, ranking, seeds
from dashboard.analysis.hyperparameters import SEEDS
from dashboard.analysis.ranking import At
from dashboard.analysis.seeds import SeedGroup
from training.record.intervals import Interval
from training.record.schema import Run

SEED = "seed"
"""Groups of runs that are alike but for the seed."""

_MOST = 24
"""Hyper-parameters that are offered."""

_NOT_STATED = "not stated"


@dataclass(frozen=True)
class Group:
    """Some runs under one name, in the order in which they were given.

    `seeds` tells whether they are known to differ by their seed alone.
    """

    name: str
    runs: tuple[Run, ...]
    seeds: bool = False


@dataclass(frozen=True)
class Spread:
    """A metric over the `n` runs of a group: mean and standard deviation; the interval of the mean over seeds alone."""

    n: int
    mean: float
    sd: float
    interval: Interval | None


def _of_sweep(run: Run) -> str | None:
    return run.sweep


def _of_dataset(run: Run) -> str | None:
    found = run.data.get("dataset") or run.config.get("dataset_name")
    return str(found) if found else None


def _of_model(run: Run) -> str | None:
    found = run.config.get("model_name_or_path")
    return str(found) if found else None


_PLACES: dict[str, tuple[str, Callable[[Run], str | None]]] = {
    "sweep": ("Sweep", _of_sweep),
    "model": ("Model", _of_model),
    "dataset": ("Data set", _of_dataset),
}


def choices(runs: Sequence[Run]) -> dict[str, str]:
    """What these runs can be grouped by, in words: sweep, model, seed, data set, and each hyper-parameter that varies.

    Nothing is offered by which there is but one group.
    """
    found = {key: words for key, (words, place) in _PLACES.items() if len({place(run) for run in runs}) > 1}
    if seeds.groups(runs):
        found[SEED] = "Seeds of one configuration"
    varying = hyperparameters.varying(runs, _MOST)
    return found | {f"config.{key}": hyperparameters.upper(hyperparameters.words(key)) for key in varying}


def groups(runs: Sequence[Run], key: str) -> tuple[Group, ...]:
    """The runs by a key of `choices`, in order of appearance; those whose source does not tell are "not stated"."""
    if key == SEED:
        return _by_seed(runs)
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(_place(run, key), []).append(run)
    return tuple(Group(name, tuple(members)) for name, members in found.items())


def _place(run: Run, key: str) -> str:
    if key in _PLACES:
        return _PLACES[key][1](run) or _NOT_STATED
    value = run.config.get(key.removeprefix("config."))
    return _NOT_STATED if value is None else hyperparameters.text(value)


def _by_seed(runs: Sequence[Run]) -> tuple[Group, ...]:
    """Seeds of one configuration, named by what tells it from the others; a run without a sibling is by itself."""
    keys = [key for key in hyperparameters.varying(runs) if key not in SEEDS]
    found = {group.runs[0].id: group.runs for group in seeds.groups(runs)}
    siblings = {run.id: members for members in found.values() for run in members}
    made: dict[str, Group] = {}
    for run in runs:
        members = siblings.get(run.id, (run,))
        name = _configuration(members[0], keys) if len(members) > 1 else run.name
        made.setdefault(members[0].id, Group(name, members, len(members) > 1 and all(map(seeds.known, members))))
    return tuple(made.values())


def _configuration(run: Run, keys: Sequence[str]) -> str:
    known = [(key, run.config[key]) for key in keys if run.config.get(key) is not None]
    return ", ".join(f"{hyperparameters.words(key)} {numbers.setting(value)}" for key, value in known) or run.name


def measured(group: Group, key: str, at: At) -> Spread | None:
    """Mean and standard deviation of a metric over the group's runs, with Student's interval over seeds.

    Seeds of one configuration are draws of one kind, and their mean has an interval (`seeds.measured`). Runs that share
    a hyper-parameter, a model or a sweep are those that somebody chose to train: they have a spread, no interval. None
    unless two runs that can be ranked have a finite value, and where their values have several scales (`refusal`).
    """
    found = None if refusal(group, key) else seeds.measured(SeedGroup(group.runs, True, None), key, at)
    if found is None:
        return None
    return Spread(found.n, found.mean, found.sd, found.interval if group.seeds else None)


def refusal(group: Group, key: str) -> str:
    """Why the metric has no mean over the group's runs, in one sentence; empty if it has."""
    reason = comparability.refusal([run for run in group.runs if ranking.settled(run)], key)
    return f"No mean over several scales. {reason}" if reason else ""


def best(group: Group, key: str, at: At) -> Run | None:
    """The group's run of rank 1 by `key`; None if none can be ranked."""
    return ranking.winner(group.runs, key, at)
