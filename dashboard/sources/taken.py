"""What each column or metric of a source was taken for, told by the runs that came out."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, NamedTuple

from dashboard.sources.imported import Corrections, Imported
from training.record.schema import Run

LOOKED_AT = 5_000
"""Runs in which a name is looked for."""

Role = Literal["metric", "config", "ignored", "other"]


class Taken(NamedTuple):
    """One name: what it is, under which key its values are ("" where there are none), and the first of them.

    "other" is what is neither a setting nor a metric: the run's name or state, the step, a column without a value, or
    one whose key another column gives.
    """

    name: str
    role: Role
    key: str = ""
    values: tuple[object, ...] = ()


def taken(found: Imported, told: Corrections, shown: int = 3) -> list[Taken]:
    """Each name of the source in order of the alphabet, with at most `shown` of its values."""
    runs = list(islice(found.runs, LOOKED_AT))
    return [_taken(name, found, runs, told, shown) for name in sorted(found.named)]


def _taken(name: str, found: Imported, runs: Sequence[Run], told: Corrections, shown: int) -> Taken:
    """What some run has under the name's key."""
    if name in told.ignored:
        return Taken(name, "ignored")
    key = found.keys.get(name, "")
    roles: tuple[Role, ...] = ("config", "metric") if name in told.config else ("metric", "config")
    for role in roles if key else ():
        if values := tuple(islice(_values(found, runs, role, key), shown)):
            return Taken(name, role, key, values)
    return Taken(name, "other")


def _values(found: Imported, runs: Sequence[Run], role: Role, key: str) -> Iterator[object]:
    """The values under a key, run by run; of a curve its last."""
    for run in runs:
        held: Mapping[str, object] = run.metrics if role == "metric" else run.config
        if key in held:
            yield held[key]
        elif role == "metric" and key in found.histories.get(run.id, {}):
            yield found.histories[run.id][key].values[-1]
