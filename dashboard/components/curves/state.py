"""What the Curves page is asked to show, and the runs that it is about."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboard.analysis import comparability, ranking, seeds
from dashboard.analysis.comparability import Group
from dashboard.analysis.curves import Axis
from dashboard.components import context, query
from dashboard.components.context import catalog
from dashboard.components.link import Parameter
from dashboard.figures.curves import PANELS, Curve, Entry, Split, Unit, View
from dashboard.sources.catalog import Snapshot

SPLITS: dict[Split, str] = {"eval": "Evaluation", "train": "Training", "both": "Both"}
AXES: dict[Axis, str] = {"step": "Step", "epoch": "Epoch", "time": "Time"}
UNITS: dict[Unit, str] = {"reward": "Reward", "nats": "Nats (reward / beta)"}
SHOWN = {"logx": "Log x", "logy": "Log y", "seeds": "Seeds as band", "crowd": "Runs as band"}
MOST_SMOOTHING = 0.99
MOST_PANELS = 24
FIRST_LOOK = 4
"""Runs drawn when none is selected."""

PARAMETERS = (
    Parameter("runs", "curves-runs", default=[]),
    Parameter("panels", "curves-panels", "data", [panel.id for panel in PANELS]),
    Parameter("split", "curves-split", default="eval"),
    Parameter("x", "curves-x", default="step"),
    Parameter("unit", "curves-unit", default="reward"),
    Parameter("smooth", "curves-smoothing", default=0),
    Parameter("show", "curves-show", default=[]),
    Parameter("zoom", "curves-zoom", "data"),
    Parameter("pins", "curves-pinned", "data", []),
    Parameter("hidden", "curves-hidden", "data", []),
)

_SEED = re.compile(r"[-_ .]*seed[-_ .=:]*\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """One state of the page: the ids of its runs, those left out of the charts, the view, and seeds taken together."""

    runs: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    view: View = field(default_factory=View)
    seeds: bool = False


def asked(found: Any) -> Asked:
    """What a browser asks for: an object with the parameters' names, of which nothing is taken on trust."""
    known = found if isinstance(found, dict) else {}
    shown = set(query.ids(known.get("show")))
    view = View(
        query.choice(known.get("split"), list(SPLITS)),
        query.choice(known.get("x"), list(AXES)),
        query.fraction(known.get("smooth"), MOST_SMOOTHING),
        query.choice(known.get("unit"), list(UNITS)),
        "logx" in shown,
        "logy" in shown,
        _window(known.get("zoom")),
        "crowd" in shown,
        frozenset(query.ids(known.get("pins"))),
    )
    hidden = frozenset(query.ids(known.get("hidden")))
    return Asked(tuple(query.ids(known.get("runs"))), hidden, view, "seeds" in shown)


def linked(found: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a link as `asked` takes them: its lists are texts."""
    lists = {name: query.linked_ids(found.get(name)) for name in ("runs", "panels", "show", "zoom", "pins", "hidden")}
    return {**found, **lists}


def _window(found: Any) -> tuple[float, float] | None:
    if not isinstance(found, list) or len(found) != 2:
        return None
    low, high = (query.number(end, -1e15, 1e15) for end in found)
    return (low, high) if low is not None and high is not None and low < high else None


def panels(found: Any) -> list[str]:
    """The names of panels of a link or store, those of the page's own if there are none."""
    return query.ids(found, MOST_PANELS) or [panel.id for panel in PANELS]


def entries(snapshot: Snapshot, state: Asked, hidden: bool = False) -> list[Entry]:
    """What the legend names: the known runs, or their groups by seed; those left out only where `hidden`."""
    slots = catalog().colours(snapshot.runs)
    ids = [run for run in state.runs if run in snapshot.runs]
    curves = {run: Curve(snapshot.runs[run], catalog().history(run), slots[run]) for run in ids}
    first: dict[str, tuple[str, ...]] = {run: (run,) for run in ids}
    for members in _seed_groups(snapshot, tuple(ids)) if state.seeds else ():
        for run in members:
            del first[run]
        first[min(members, key=ids.index)] = members
    order = sorted(first, key=ids.index)
    made = [Entry(_name([snapshot.runs[run].name for run in first[one]]), _curves(first[one], curves)) for one in order]
    return [entry for entry in made if hidden or entry.id not in state.hidden]


def _curves(members: Sequence[str], known: dict[str, Curve]) -> tuple[Curve, ...]:
    """The curves of a group, that of the run which was chosen first in front."""
    return tuple(known[run] for run in sorted(members, key=list(known).index))


def _seed_groups(snapshot: Snapshot, ids: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    def find() -> tuple[tuple[str, ...], ...]:
        found = seeds.groups(snapshot.runs[run] for run in ids)
        return tuple(tuple(run.id for run in group.runs) for group in found)

    return context.cached(snapshot, find, "curves-seeds", ids)


def _name(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{_SEED.sub('', names[0]) or names[0]} ({len(names)} seeds)"


def first_look(snapshot: Snapshot) -> list[str]:
    """The best few runs that have curves, where the user has chosen none: the first of each group of runs."""
    places: dict[str, int] = {}
    for group in accuracy_groups(snapshot):
        places |= ranking.rank(group.runs, comparability.natural_metric(group.runs), "best")
    found: list[str] = []
    for run in sorted(snapshot.runs, key=lambda run: places.get(run, len(snapshot.runs) + 1)):
        if len(found) < FIRST_LOOK and catalog().history(run):
            found.append(run)
    return found


def accuracy_groups(snapshot: Snapshot) -> tuple[Group, ...]:
    """All runs by what their accuracies may be compared with."""
    return context.accuracy_groups(snapshot)


def loss_groups(snapshot: Snapshot) -> tuple[Group, ...]:
    """All runs by what their losses may be compared with."""
    return context.loss_groups(snapshot)
