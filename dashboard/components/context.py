"""The catalog that the running app shows, and the study of its runs."""

import threading
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from flask import current_app

from dashboard.analysis import comparability, grouping
from dashboard.analysis import references as of_references
from dashboard.analysis.comparability import Group
from dashboard.analysis.ranking import At
from dashboard.analysis.references import References
from dashboard.analysis.study import Study
from dashboard.components.evidence import Studies
from dashboard.components.judging import Findings as Findings
from dashboard.components.judging import Judging
from dashboard.components.memory import Memory
from dashboard.sources.catalog import Catalog, Snapshot

KEY, STUDIES, MEMORY = "PREFSCOPE_CATALOG", "PREFSCOPE_STUDIES", "PREFSCOPE_MEMORY"
JUDGING = "PREFSCOPE_JUDGING"

_LOCK = threading.Lock()

T = TypeVar("T")


def catalog() -> Catalog:
    """The catalog of the app that answers the current request."""
    return cast(Catalog, current_app.config[KEY])


def study(snapshot: Snapshot) -> Study:
    """What the analysis knows of the runs of a snapshot."""
    return cast(Studies, current_app.config[STUDIES]).of(snapshot, catalog())


def references(snapshot: Snapshot) -> References:
    """What the log-probabilities prove of all runs, worked out once for the same runs."""
    return _of_state(snapshot, lambda: of_references.references(study(snapshot)), "references")


def accuracy_groups(snapshot: Snapshot) -> tuple[Group, ...]:
    """All runs by what their accuracies may be compared with."""

    def make() -> tuple[Group, ...]:
        return comparability.accuracy_groups(study(snapshot), references(snapshot))

    return _of_state(snapshot, make, "accuracy groups")


def groupings(snapshot: Snapshot) -> dict[str, str]:
    """What all runs can be put together by, in words."""
    return _of_state(snapshot, lambda: grouping.choices(list(snapshot.runs.values())), "groupings")


def loss_groups(snapshot: Snapshot) -> tuple[Group, ...]:
    """All runs by what their losses may be compared with."""

    def make() -> tuple[Group, ...]:
        return comparability.loss_groups(study(snapshot), references(snapshot))

    return _of_state(snapshot, make, "loss groups")


def findings(snapshot: Snapshot, at: At) -> Findings:
    """The findings on all runs of the snapshot, as far as they are known: nobody waits for them."""
    return _judging().findings(snapshot, at)


def _judging() -> Judging:
    """The judging of the catalog that the app shows."""
    config = current_app.config
    with _LOCK:
        known = cast(Judging | None, config.get(JUDGING))
        if known is None or known.catalog is not catalog():
            known = config[JUDGING] = Judging(catalog(), cast(Studies, config[STUDIES]))
        return known


def _of_state(snapshot: Snapshot, make: Callable[[], T], key: str) -> T:
    """What depends on the runs and their files alone, not on how old they look."""
    return cast(Memory, current_app.config[MEMORY]).of(snapshot.state, key, make)


def cached(snapshot: Snapshot, make: Callable[[], T], *key: Hashable) -> T:
    """What `make` gives for this state of the runs, made once for all browsers; `key` tells apart what is made."""
    return cast(Memory, current_app.config[MEMORY]).of(snapshot.version, key, make)
