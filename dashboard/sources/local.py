"""The runs in runs/, read again only where a file changed."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from dashboard.sources import cache, stamps
from dashboard.sources.held import Held
from dashboard.sources.histories import Histories
from dashboard.sources.stamps import Stamp
from training.record import schema
from training.record.metrics import LOSS
from training.record.reader import read_run
from training.record.schema import History, RecordError, Run

HELD = 256 * 2**20
"""Bytes of curves and scores that are held in memory."""

LARGEST = 4 * 2**20
"""Bytes of a config.json, summary.json or latest.json; the writer's have some thousand."""

_WATCHED = (schema.CONFIG, schema.LATEST, schema.SUMMARY, schema.METRICS)
_SUMMARY = _WATCHED.index(schema.SUMMARY)
_SLICE = 64

Files = tuple[Stamp | None, ...]


class Look(NamedTuple):
    """What one look at the folder has found; equal `version` means that all is the same."""

    version: int
    runs: Mapping[str, Run]
    """Run id -> run, oldest first."""
    files: Mapping[str, Files]
    """Run id -> the stamps of what its row is made of."""
    problem: str | None


@dataclass
class _Entry:
    """A folder as it was read; `run` is None where it is none. `fresh`: it may have changed since, unseen."""

    folder: Stamp
    files: Files
    run: Run | None
    fresh: bool

    @property
    def at_rest(self) -> bool:
        """Whether a change would change the folder: the files of an ended run are only ever replaced, by rename."""
        return not self.fresh and (self.run is None or self.files[_SUMMARY] is not None)


def _evaluated_at(run: Run, history: Callable[[], History]) -> int | None:
    """The step of an ended run's last evaluation where no best one is recorded: one stopped early has that of step 0.

    Otherwise the run's last step, at which a run is evaluated before it ends.
    """
    if run.best or run.status == "running":
        return run.step
    series = history().get(f"eval/{LOSS}")
    return series.steps[-1] if series else run.step


def read_folder(directory: Path, history: Callable[[], History]) -> Run:
    """The run; one that cannot be read is listed with its problem as error, a number of pairs below 1 is unknown."""
    try:
        _check(directory)
        run = read_run(directory)
        pairs = run.n_eval if run.n_eval is not None and run.n_eval > 0 else None
        return replace(run, n_eval=pairs, step=_evaluated_at(run, history))
    except (RecordError, OSError, ValueError) as problem:
        return _failed(directory, str(problem))
    except Exception as error:  # a foreign file may hold anything, and one run must not take a page down
        logging.getLogger(__name__).exception("%s cannot be read", directory)
        return _failed(directory, f"{directory} cannot be read ({type(error).__name__}); move it elsewhere")


def _check(directory: Path) -> None:
    """Raises RecordError unless the run's small files are plain files, and small."""
    for name in (schema.CONFIG, schema.SUMMARY, schema.LATEST):
        found = stamps.stamp(directory / name)
        if found and not found.is_file:
            raise RecordError(f"{directory / name} is no plain file; delete or move it")
        if found and found.size > LARGEST:
            size = f"{found.size / 2**20:.0f} MB, {LARGEST / 2**20:.0f} MB"
            raise RecordError(f"{directory / name} has {size} is the most that is read; delete or move it")


def _failed(directory: Path, problem: str) -> Run:
    return Run(id=directory.name, name=directory.name, source="runs", status="failed", error=problem)


class LocalRuns:
    """The run folders under `root`. Safe to share between threads; `version` grows when something changed.

    Looks of several threads that begin within `share` seconds are one. The folder of an ended run is looked at by one
    call; so that what somebody edited in place is seen too, the files of some ended runs are looked at each time, all
    of them in turn.
    """

    def __init__(self, root: Path, share: float = 0.0) -> None:
        self.root = root
        self.held = Held(HELD)
        self.histories = Histories(self.held)
        self._share = share
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._looked = -math.inf
        self._turn = 0
        self._last = Look(0, {}, {}, None)

    @property
    def version(self) -> int:
        return self._last.version

    @property
    def problem(self) -> str | None:
        """Why the folder cannot be read, if it cannot."""
        return self._last.problem

    def runs(self) -> Mapping[str, Run]:
        """Run id -> run, oldest first; the same object for as long as nothing changed on disk."""
        return self.look().runs

    def look(self) -> Look:
        """The runs as they are now: one look is made for all who wait for it."""
        asked = time.monotonic() - self._share
        with self._lock:
            if self._looked <= asked:
                begun = time.monotonic()
                self._last = self._refreshed()
                self._looked = begun
            return self._last

    def history(self, run_id: str) -> History | None:
        """The curves of a run that `runs` has listed, with all that is on disk now; None for any other id."""
        run = self._last.runs.get(run_id)
        return None if run is None else self.histories.of(self.root / run_id, run.status == "running")

    def evaluations(self, run_id: str) -> History | None:
        """Those of `history` that are of evaluations, sooner."""
        run = self._last.runs.get(run_id)
        return None if run is None else self.histories.evaluations(self.root / run_id, run.status == "running")

    def keep_history(self, run_id: str) -> bool:
        """Parses the curves of an ended run for the cache on disk, unless they lie there; whether it did."""
        run = self._last.runs.get(run_id)
        return run is not None and run.status != "running" and cache.keep_history(self.root / run_id)

    def _refreshed(self) -> Look:
        folders, problem = self._folders()
        gone = self._entries.keys() - folders.keys()
        changed = any(self._entries.pop(name).run is not None for name in gone)
        due = self._due(list(folders))
        for name, folder in folders.items():
            known = self._entries.get(name)
            if known is None or known.folder != folder or not known.at_rest or name in due:
                changed |= self._changed(name, folder, known)
        last = self._last
        if not changed:
            return last._replace(problem=problem)
        found = [(entry.run, entry.files) for entry in self._entries.values() if entry.run is not None]
        found.sort(key=lambda item: (item[0].created or 0, item[0].id))
        runs = {run.id: run for run, _ in found}
        return Look(last.version + 1, runs, {run.id: files for run, files in found}, problem)

    def _folders(self) -> tuple[dict[str, Stamp], str | None]:
        """Folder name -> its stamp, and why there are none; no root is no run."""
        try:
            with os.scandir(self.root) as inside:
                return dict(_subfolders(inside)), None
        except FileNotFoundError:
            return {}, None
        except OSError as error:
            return {}, f"{self.root} cannot be read: {error.strerror}"

    def _due(self, names: list[str]) -> set[str]:
        start, self._turn = self._turn, self._turn + _SLICE
        if self._turn >= len(names):
            self._turn = 0
        return set(names[start : start + _SLICE])

    def _changed(self, name: str, folder: Stamp, known: _Entry | None) -> bool:
        """Reads a folder again if its files are not as they were; whether its run is another one now."""
        path = f"{self.root}{os.sep}{name}{os.sep}"
        files = tuple(stamps.stamp(path + file) for file in _WATCHED)
        same = known is not None and known.files == files
        now = time.time()
        fresh = any(stamp.recent(now) for stamp in (folder, *files) if stamp)
        if known and same and not known.fresh:
            known.folder, known.fresh = folder, folder.recent(now)
            return False
        run = self._read(name, files[0])
        if known and same and repr(known.run) == repr(run):
            run = known.run
        self._entries[name] = _Entry(folder, files, run, fresh)
        before = known.run if known else None
        return run is not before

    def _read(self, name: str, config: Stamp | None) -> Run | None:
        """The run in a folder; None if it is none, or has vanished just now."""
        directory = self.root / name
        if config is None:
            return _barred(directory)
        if not config.is_file:
            return None
        run = read_folder(directory, lambda: self.histories.evaluations(directory, running=False))
        return None if run.error and stamps.stamp(directory / schema.CONFIG) is None else run


def _subfolders(inside: Iterator[os.DirEntry[str]]) -> Iterator[tuple[str, Stamp]]:
    """Dot-folders are no runs, nor are names that are no text (not UTF-8)."""
    for entry in inside:
        try:
            entry.name.encode()
            if not entry.name.startswith(".") and entry.is_dir():
                yield entry.name, stamps.of(entry.stat())
        except (OSError, UnicodeEncodeError):
            continue


def _barred(directory: Path) -> Run | None:
    """A folder without a config.json is no run, unless nobody may look into it: it may be one."""
    try:
        (directory / schema.CONFIG).stat()
    except PermissionError as error:
        return _failed(directory, f"{directory} cannot be entered: {error.strerror}; change its permissions or move it")
    except OSError:
        pass
    return None
