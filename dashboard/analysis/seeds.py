"""Runs that differ by their seed alone, and how far apart chance sets them."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from dashboard.analysis import ranking
from dashboard.analysis.hyperparameters import SEEDS, Design, text, varying
from dashboard.analysis.ranking import At
from training.record.intervals import Interval
from training.record.schema import Run

_ALL = 1_000_000
"""More parameters than any configuration has."""

_SEED_IN_NAME = re.compile(r"[-_ .]*seed[-_ .=:]*\d+", re.IGNORECASE)


@dataclass(frozen=True)
class SeedGroup:
    """At least two runs of one configuration.

    `proven` is False where no configuration is known and the runs but share a name. `same_pairs` tells whether all were
    evaluated on the same pairs, None where that is not known: a seed may also choose which pairs are held out, and then
    the spread holds the chance of that draw too.
    """

    runs: tuple[Run, ...]
    proven: bool
    same_pairs: bool | None


@dataclass(frozen=True)
class SeedMean:
    """A metric over the `n` seeds of one group: mean, standard deviation between seeds, interval of the mean."""

    n: int
    mean: float
    sd: float
    interval: Interval


@dataclass(frozen=True)
class Spread:
    """The standard deviation between seeds, pooled over `groups` groups, with its interval and degrees of freedom."""

    sd: float
    freedom: int
    groups: int
    interval: Interval

    @property
    def of_difference(self) -> float:
        """The standard error that chance between seeds adds to the difference of two single runs: sqrt(2) sd."""
        return math.sqrt(2) * self.sd

    def least_difference(self, confidence: float = 0.95) -> float:
        """How far apart two single runs must be for their difference to be more than chance between seeds."""
        return _t(confidence, self.freedom) * self.of_difference


def groups(runs: Iterable[Run]) -> tuple[SeedGroup, ...]:
    """The groups of runs that agree in all of their configuration but seeds, names and paths, in order of appearance.

    Runs without a configuration are grouped by source and name, a seed in the name left out ("dpo-seed1"). Of runs with
    the same known seed only the last counts: a repeat of a seed says nothing about other seeds.
    """
    known = list(runs)
    parameters = [key for key in varying(known, most=_ALL) if key not in SEEDS]
    found: dict[tuple[Any, ...], dict[tuple[str, ...], Run]] = {}
    for run in known:
        members = found.setdefault(_configuration(run, parameters), {})
        members[_seed(run) or ("unknown", run.id)] = run
    return tuple(_group(tuple(members.values())) for members in found.values() if len(members) > 1)


def _configuration(run: Run, parameters: Sequence[str]) -> tuple[Any, ...]:
    if not run.config:
        return ("name", run.source, _SEED_IN_NAME.sub("", run.name))
    nested = sorted((key, repr(value)) for key, value in run.config.items() if isinstance(value, dict))
    values = (run.config.get(key) for key in parameters)
    return ("config", *(None if value is None else text(value) for value in values), *nested)


def _seed(run: Run) -> tuple[str, ...] | None:
    seeds = tuple(text(run.config.get(key)) for key in SEEDS)
    return seeds if any(run.config.get(key) is not None for key in SEEDS) else None


def known(run: Run) -> bool:
    """Whether the run's source tells its seed."""
    return _seed(run) is not None


def _group(runs: tuple[Run, ...]) -> SeedGroup:
    digests = [run.data.get("eval") for run in runs]
    same = len(set(map(str, digests))) == 1 if all(digests) else None
    return SeedGroup(runs, bool(runs[0].config), same)


def tried(rows: Design) -> int:
    """The most seeds that any one configuration was run with; a repeat whose seed is not known may have another."""
    return max((len({_seed(run) or (run.id,) for run in runs}) for runs in rows.runs), default=0)


def measured(group: SeedGroup, key: str, at: At) -> SeedMean | None:
    """The metric `key` over the seeds of a group; None unless two settled runs have a finite value.

    The interval is Student's: mean +- t(n - 1) sd / sqrt(n) (Student 1908, Biometrika 6, 1-25). It speaks of other
    seeds on the same pairs, not of other pairs.
    """
    values = _values(group, key, at)
    n = len(values)
    if n < 2:
        return None
    mean, sd = fmean(values), math.sqrt(_squares(values) / (n - 1))
    half = _t(0.95, n - 1) * sd / math.sqrt(n)
    return SeedMean(n, mean, sd, Interval(mean - half, mean + half))


def spread(groups: Iterable[SeedGroup], key: str, at: At, confidence: float = 0.95) -> Spread | None:
    """The standard deviation of `key` between seeds of one configuration; None where no group has two values.

    Pooled: sqrt(sum of squares within groups / sum of (n - 1)), which takes it to be the same for all configurations;
    its interval by chi-square (Snedecor and Cochran 1989, Statistical Methods, sections 5.11 and 6.7). It is a second
    error beside that of the pairs (Miller 2024, arXiv:2411.00640): two runs further apart than the pairs explain may
    yet differ by their seeds alone. The two overlap where seeds answer single pairs differently, so that to add their
    squares errs on the safe side.
    """
    from scipy.special import chdtri

    samples = [values for group in groups if len(values := _values(group, key, at)) > 1]
    freedom = sum(len(values) - 1 for values in samples)
    if not freedom:
        return None
    squares = sum(map(_squares, samples))
    tail = (1 - confidence) / 2
    low, high = (math.sqrt(squares / float(chdtri(freedom, p))) for p in (tail, 1 - tail))
    return Spread(math.sqrt(squares / freedom), freedom, len(samples), Interval(low, high))


def _values(group: SeedGroup, key: str, at: At) -> list[float]:
    found = (ranking.finite(ranking.evaluation(run, at).get(key)) for run in group.runs if ranking.eligible(run, at))
    return [value for value in found if value is not None]


def _squares(values: Sequence[float]) -> float:
    mean = fmean(values)
    return sum((value - mean) ** 2 for value in values)


def _t(confidence: float, freedom: int) -> float:
    """The two-sided quantile of Student's t, right also for 1 to 3 degrees, which a few seeds are."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))
