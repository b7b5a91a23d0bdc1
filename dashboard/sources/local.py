"""The runs in runs/, read again only where a file changed."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from training.record import schema
from training.record.history import HistoryReader
from training.record.metrics import LOSS
from training.record.reader import read_run
from training.record.schema import History, RecordError, Run

_WATCHED = (schema.CONFIG, schema.LATEST, schema.SUMMARY, schema.METRICS)

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass
class _Entry:
    stamp: Stamp
    run: Run
    history: HistoryReader = field(repr=False)


def _stamp(directory: Path) -> Stamp:
    """Inode, size and time of change of the files that a run's row is made of."""
    found: list[tuple[int, int, int] | None] = []
    for name in _WATCHED:
        try:
            status = (directory / name).stat()
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)


def _is_run(path: Path) -> bool:
    """Whether the folder holds a config.json. Dot-folders are no runs, nor are names that are no text (not UTF-8)."""
    try:
        path.name.encode()
        return not path.name.startswith(".") and (path / schema.CONFIG).is_file()
    except (OSError, UnicodeEncodeError):
        return False


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
        run = read_run(directory)
        pairs = run.n_eval if run.n_eval is not None and run.n_eval > 0 else None
        return replace(run, n_eval=pairs, step=_evaluated_at(run, history))
    except (RecordError, OSError, ValueError) as problem:
        return Run(id=directory.name, name=directory.name, source="runs", status="failed", error=str(problem))


class LocalRuns:
    """The run folders under `root`. Safe to share between threads; `version` grows when something changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.version = 0
        self.problem: str | None = None
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._runs: dict[str, Run] = {}

    def runs(self) -> Mapping[str, Run]:
        """Run id -> run, oldest first; the same object for as long as nothing changed on disk."""
        with self._lock:
            self._refresh()
            return self._runs

    def history(self, run_id: str) -> History | None:
        """The curves of a run that `runs` has listed, with all that is on disk now; None for any other id."""
        entry = self._entries.get(run_id)
        return entry.history.read() if entry else None

    def _folders(self) -> dict[str, Path]:
        """Folder name -> folder, for those that are runs; no root is no run."""
        try:
            self.problem = None
            return {path.name: path for path in self.root.iterdir() if _is_run(path)}
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.problem = f"{self.root} cannot be read: {error.strerror}"
            return {}

    def _refresh(self) -> None:
        folders = self._folders()
        changed = self._entries.keys() - folders.keys()
        for gone in changed:
            del self._entries[gone]
        for name, path in folders.items():
            stamp, known = _stamp(path), self._entries.get(name)
            if known and known.stamp == stamp:
                continue
            history = known.history if known else HistoryReader(path)
            self._entries[name] = _Entry(stamp, read_folder(path, history.read), history)
            changed = changed | {name}
        if changed:
            self.version += 1
            runs = sorted((entry.run for entry in self._entries.values()), key=lambda run: (run.created or 0, run.id))
            self._runs = {run.id: run for run in runs}
