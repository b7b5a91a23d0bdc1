"""Which runs are on screen: the local ones and the uploaded ones, as one, each run once."""

import threading
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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
    """All runs at one moment; equal `version` means equal runs, equal ages, and nothing new worked out on them.

    `files` has for each local run the stamps of the files that its row is made of.
    """

    version: str
    runs: Mapping[str, Run]
    uploads: Mapping[str, Upload]
    problem: str | None
    notes: tuple[str, ...] = ()
    """Which uploads hold the same run."""
    files: Mapping[str, Hashable] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The part of `version` that tells the runs and their files apart."""
        return self.version.partition("+")[0]


def quiet_minutes(run: Run, now: float) -> int | None:
    """Whole minutes since a running run wrote its last line, or None if it is not running or wrote just now.

    From an hour on it counts by the hour: a run that was killed is no news each minute.
    """
    if run.status != "running" or run.updated is None or now - run.updated < QUIET:
        return None
    minutes = int((now - run.updated) / 60)
    return minutes if minutes < 60 else minutes // 60 * 60


class _Curves(Mapping[str, History]):
    """The curves of local runs by id, read when they are looked at."""

    def __init__(self, local: LocalRuns, run_ids: Iterable[str]) -> None:
        self._local, self._ids = local, dict.fromkeys(run_ids)

    def __getitem__(self, run_id: str) -> History:
        if run_id not in self._ids:
            raise KeyError(run_id)
        return self._local.history(run_id) or {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


class Catalog:
    """The runs under one runs/ folder and the files uploaded to it. Safe to share between threads.

    Looks at the folder that begin within `share` seconds are one.
    """

    def __init__(self, root: Path, share: float = 0.0) -> None:
        self.root = root
        self.local = LocalRuns(root, share)
        self.uploads = Uploads(root)
        self._started = f"{time.time_ns():x}"
        self._lock = threading.Lock()
        self._joining = threading.Lock()
        self._colours: dict[str, int] = {}
        self._told = 0
        self._uploaded: tuple[int, Imported] = (-1, Imported(()))
        self._others: tuple[Hashable, Imported] = (None, Imported(()))

    def snapshot(self, now: float | None = None) -> Snapshot:
        """What is there now. `now` is seconds since 1970, for the ages of running runs."""
        told = self._told
        look = self.local.look()
        version, uploads = self._uploads()
        others = self._not_local(version, uploads, look.runs)
        runs = {**look.runs, **{run.id: run for run in others.runs if run.id not in look.runs}}
        moment = time.time() if now is None else now
        running = [run for run in look.runs.values() if run.status == "running"]
        ages = [quiet for run in running if (quiet := quiet_minutes(run, moment)) is not None]
        state = f"{self._started}.{look.version}.{version}"
        return Snapshot(f"{state}+{sum(ages)}.{told}", runs, uploads, look.problem, others.notes, look.files)

    def tell(self) -> None:
        """Lets the version change: something that the pages show has been worked out."""
        with self._lock:
            self._told += 1

    def _uploads(self) -> tuple[int, Mapping[str, Upload]]:
        """The uploads and their version; one that changed meanwhile is taken again."""
        while True:
            version, found = self.uploads.version, self.uploads.all()
            if version == self.uploads.version:
                return version, found

    def _not_local(self, version: int, uploads: Mapping[str, Upload], local: Mapping[str, Run]) -> Imported:
        """The uploaded runs that are not in the runs folder, one that several uploads hold once, with notes on that.

        A run that goes on to run stays who it is: it is compared again when it has ended.
        """
        if not uploads:
            return Imported(())
        whole = [run for run in local.values() if run.config or run.metrics]
        key = version, frozenset((run.id, run.created, run.status == "running") for run in whole)
        with self._joining:
            if self._others[0] != key:
                self._others = key, self._joined(version, uploads, whole)
            return self._others[1]

    def _joined(self, version: int, uploads: Mapping[str, Upload], local: list[Run]) -> Imported:
        if self._uploaded[0] != version:
            parts = [Imported(upload.runs, (), upload.histories) for upload in uploads.values()]
            self._uploaded = version, joining.joined(parts)
        uploaded = self._uploaded[1]
        if not local or not uploaded.runs:
            return uploaded
        names = {run.name for run in uploaded.runs}
        compared = [run.id for run in local if uploaded.histories or run.name in names]
        ours = Imported(tuple(local), (), _Curves(self.local, compared), {run.id: self.root / run.id for run in local})
        both = joining.joined([ours, uploaded])
        left = [run for run in both.runs if run.id not in both.folders]
        return Imported(tuple(left), both.notes, {run.id: both.histories.get(run.id, {}) for run in left})

    def history(self, run_id: str) -> History:
        """The curves of a run; empty for a run whose source has none, and for an id that is not known."""
        local = self.local.history(run_id)
        if local is not None:
            return local
        known = self._others[1].histories
        if run_id not in known:
            known = self._not_local(*self._uploads(), self.local.runs()).histories
        return known.get(run_id, {})

    def colours(self, run_ids: Iterable[str]) -> dict[str, int]:
        """Run id -> position in the palette: given once, on first sight, and kept for as long as the server runs."""
        with self._lock:
            return {run_id: self._colours.setdefault(run_id, len(self._colours)) for run_id in run_ids}
