"""The runs of a table put into groups: each a line of its own with mean and spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.analysis import grouping, ranking
from dashboard.analysis.comparability import EvaluationSet
from dashboard.analysis.grouping import Group, Spread
from dashboard.analysis.ranking import At
from dashboard.components.leaderboard.run_table import METRICS
from training.record.metrics import describe


@dataclass(frozen=True)
class Line:
    """A group of one evaluation set: its rank by the mean, its best run, and mean and spread of each metric.

    `single` has the values of a group in which but one run has any, `refused` why there is no mean of a metric.
    """

    name: str
    set: str
    runs: tuple[str, ...]
    rank: int | None
    best: str
    measured: dict[str, Spread]
    single: dict[str, float]
    refused: dict[str, str]

    @property
    def id(self) -> str:
        """What no run is called: run ids are names of folders, which have no such character."""
        return f"\x00{self.set}\x00{self.name}"

    def sent(self) -> dict[str, Any]:
        """The line as JSON values: a mean is [n, mean, standard deviation], with low and high where it has an interval;
        a single value is [1, value], the reason for none a text.
        """
        found: dict[str, list[float] | str] = {field: [1, value] for field, value in self.single.items()}
        for field, mean in self.measured.items():
            found[field] = [mean.n, mean.mean, mean.sd, *(mean.interval or ())]
        found |= self.refused
        return {
            "id": self.id, "name": self.name, "set": self.set, "runs": self.runs, "rank": self.rank, "best": self.best,
            "stats": found,
        }  # fmt: skip


def lines(sets: Sequence[EvaluationSet], keys: Sequence[str], by: str, at: At) -> tuple[Line, ...]:
    """The groups of each evaluation set in the order of their rank: the mean of other pairs is another mean."""
    return tuple(line for group, key in zip(sets, keys, strict=True) for line in _of_set(group, key, by, at))


def _of_set(among: EvaluationSet, key: str, by: str, at: At) -> list[Line]:
    made = [_line(group, among.name, key, at) for group in grouping.groups(among.runs, by)]
    ranked = next((field for field, metric in METRICS.items() if metric == key), "")
    way = describe(key).better or "higher"
    ranks = ranking.rank_values({line.id: value for line in made if (value := _value(line, ranked)) is not None}, way)
    placed = [Line(**{**vars(line), "rank": ranks.get(line.id)}) for line in made]
    return sorted(placed, key=lambda line: line.rank or len(placed) + 1)


def _value(line: Line, field: str) -> float | None:
    return line.measured[field].mean if field in line.measured else line.single.get(field)


def _line(group: Group, among: str, key: str, at: At) -> Line:
    measured = {field: found for field, metric in METRICS.items() if (found := grouping.measured(group, metric, at))}
    refused = {field: why for field, metric in METRICS.items() if (why := grouping.refusal(group, metric))}
    single = {
        field: value
        for field, metric in METRICS.items()
        if field not in (*measured, *refused) and (value := _only(group, metric, at)) is not None
    }
    best = grouping.best(group, key, at)
    runs = tuple(run.id for run in group.runs)
    return Line(group.name, among, runs, None, best.name if best else "", measured, single, refused)


def _only(group: Group, metric: str, at: At) -> float | None:
    """The value of the one run of the group that has one and may be ranked."""
    known = [ranking.finite(ranking.evaluation(run, at).get(metric)) for run in group.runs if ranking.eligible(run, at)]
    return next((value for value in known if value is not None), None)
