"""Which runs are on screen: the local ones and the uploaded ones, as one."""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dashboard.sources import joining
from dashboard.sources.imported import Imported
from dashboard.sources.local import LocalRuns
from dashboard.sources.uploads import Upload, Uploads
from training.record.schema import History, Run

QUIET = 60.0
"""Seconds without a new line after which a running run is said to be quiet."""


@dataclass(frozen=True)
class Snapshot:
    """All runs at one moment; equal `version` means equal runs and equal ages (which count by the minute)."""

    version: str
    runs: Mapping[str, Run]
    uploads: Mapping[str, Upload]
    problem: str | None
    notes: tuple[str, ...] = ()
    """Which uploads hold the same run."""


def quiet_minutes(run: Run, now: float) -> int | None:
    """Whole minutes since a running run wrote its last line, or None if it is not running or wrote just now."""
    if run.status != "running" or run.updated is None or now - run.updated < QUIET:
        return None
    return int((now - run.updated) / 60)


class Catalog:
    """The runs under one runs/ folder and the files uploaded to it. Safe to share between threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.local = LocalRuns(root)
        self.uploads = Uploads(root)
        self._started = f"{time.time_ns():x}"
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}
        self._joined = (-1, Imported(()))

    def snapshot(self, now: float | None = None) -> Snapshot:
        """What is there now. `now` is seconds since 1970, for the ages of running runs."""
        local, uploads = self.local.runs(), self.uploads.all()
        uploaded = self._uploaded(uploads)
        runs = {**local, **{run.id: run for run in uploaded.runs if run.id not in local}}
        moment = time.time() if now is None else now
        ages = [quiet for run in local.values() if (quiet := quiet_minutes(run, moment)) is not None]
        version = f"{self._started}.{self.local.version}.{self.uploads.version}.{sum(ages)}"
        return Snapshot(version, runs, uploads, self.local.problem, uploaded.notes)

    def _uploaded(self, uploads: Mapping[str, Upload]) -> Imported:
        """The runs of all uploads, one that several hold once: a runs table gets the curves of a chart beside it."""
        with self._lock:
            if self._joined[0] != self.uploads.version:
                parts = [Imported(upload.runs, (), upload.histories) for upload in uploads.values()]
                self._joined = (self.uploads.version, joining.joined(parts))
            return self._joined[1]

    def history(self, run_id: str) -> History:
        """The curves of a run; empty for a run whose source has none, and for an id that is not known."""
        local = self.local.history(run_id)
        if local is not None:
            return local
        return self._uploaded(self.uploads.all()).histories.get(run_id, {})

    def colours(self, run_ids: Iterable[str]) -> dict[str, int]:
        """Run id -> position in the palette: given once, on first sight, and kept for as long as the server runs."""
        with self._lock:
            return {run_id: self._colours.setdefault(run_id, len(self._colours)) for run_id in run_ids}
