"""What takes long is worked out by one thread beside the pages: the findings on all runs, and curves never read yet."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from dashboard.analysis.findings import checks
from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.ranking import At
from dashboard.analysis.study import Study
from dashboard.components import kept_findings
from dashboard.components.evidence import Studies
from dashboard.sources.catalog import Catalog, Snapshot

AT_ONCE, PAUSE, TIMES = 0.25, 2.0, 10.0
IDLE = 30.0

_log = logging.getLogger(__name__)


class Findings(NamedTuple):
    """What is to be known of the runs, the gravest first; not `ready` while it is of an earlier state of the runs."""

    found: tuple[Finding, ...]
    ready: bool


class _Done(NamedTuple):
    state: str
    found: tuple[Finding, ...]


class Judging:
    """The findings on a catalog's runs. Safe to share between threads; asking never waits for them.

    The first ones are begun a moment after the page that asks has been answered. New runs are judged again when TIMES
    times as long has passed as the last time took, and at least PAUSE seconds. Then the catalog's version changes, so
    that pages ask again. The thread ends where nothing has been asked for IDLE seconds.
    """

    def __init__(
        self, catalog: Catalog, studies: Studies, judge: Callable[[Study, At], Sequence[Finding]] = checks.findings
    ) -> None:
        self.catalog = catalog
        self._studies = studies
        self._judge = judge
        self._changed = threading.Condition()
        self._wanted: dict[At, Snapshot] = {}
        self._done: dict[At, _Done] = {}
        self._recalled: set[At] = set()
        self._not_before: dict[At, float] = {}
        self._thread: threading.Thread | None = None

    def findings(self, snapshot: Snapshot, at: At) -> Findings:
        """The newest findings that there are, of the runs that are still there; newer ones are begun."""
        if at not in self._recalled:
            self._recall(snapshot, at)
        with self._changed:
            done, ready = self._done.get(at), self._knows(at, snapshot)
            if not ready:
                self._wanted[at] = snapshot
                self._not_before.setdefault(at, time.monotonic() + AT_ONCE)
                self._begin()
        return Findings(_still_there(done.found, snapshot) if done else (), ready)

    def _recall(self, snapshot: Snapshot, at: At) -> None:
        """Takes what an earlier server has found of these very runs."""
        found = kept_findings.recall(snapshot, self.catalog.root, at)
        with self._changed:
            self._recalled.add(at)
            if found is not None:
                self._done.setdefault(at, _Done(snapshot.state, found))

    def _begin(self) -> None:
        """Wakes the thread, or starts one. The lock is held."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="judging", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        while (due := self._next()) is not None:
            at, snapshot = due
            begun = time.monotonic()
            self._settle(at, snapshot)
            ended = time.monotonic()
            with self._changed:
                self._not_before[at] = ended + max(PAUSE, TIMES * (ended - begun))

    def _next(self) -> tuple[At, Snapshot] | None:
        """What is to be judged, when its time has come; None where nothing has been asked for some time."""
        with self._changed:
            while True:
                now = time.monotonic()
                # What was asked for again while it was being worked out.
                self._wanted = {at: one for at, one in self._wanted.items() if not self._knows(at, one)}
                at = min(self._wanted, key=self._not_before.__getitem__, default=None)
                if at is not None and self._not_before[at] <= now:
                    return at, self._wanted.pop(at)
                news = self._changed.wait(IDLE if at is None else self._not_before[at] - now)
                if at is None and not news:
                    self._thread = None
                    return None

    def _knows(self, at: At, snapshot: Snapshot) -> bool:
        """Whether the findings on this state are there. The lock is held."""
        return at in self._done and self._done[at].state == snapshot.state

    def _settle(self, at: At, snapshot: Snapshot) -> None:
        """Judges, and keeps the result; an error is logged, and what was known before holds on."""
        try:
            self._read(snapshot)
            found = tuple(self._judge(self._studies.of(snapshot, self.catalog), at))
            kept_findings.keep(snapshot, self.catalog.root, at, found)
        except Exception:
            _log.exception("the findings could not be worked out")
            found = self._done[at].found if at in self._done else ()
        with self._changed:
            self._done[at] = _Done(snapshot.state, found)
        self.catalog.tell()

    def _read(self, snapshot: Snapshot) -> None:
        """Parses curves that were never read, resting as long as each takes: pages go before."""
        for run_id in snapshot.files:
            begun = time.monotonic()
            if self.catalog.local.keep_history(run_id):
                time.sleep(time.monotonic() - begun)


def _still_there(found: Sequence[Finding], snapshot: Snapshot) -> tuple[Finding, ...]:
    """The findings without the runs that are gone; one that is left without any is gone too."""
    there = (tuple(run for run in finding.runs if run in snapshot.runs) for finding in found)
    kept = zip(found, there, strict=True)
    return tuple(f if runs == f.runs else replace(f, runs=runs) for f, runs in kept if runs or not f.runs)
