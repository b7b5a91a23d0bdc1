"""What the pages judge runs by: curves, per-pair scores and samples, each read when it is looked at."""

import threading
from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from dashboard import kept_scores
from dashboard.analysis.study import Evidence, Scores, Study
from dashboard.sources import stamps
from dashboard.sources.catalog import Catalog, Snapshot
from dashboard.sources.held import Held
from dashboard.sources.histories import Histories
from dashboard.studies import pairs_path, scored_steps, scores_at, scores_path
from training.record import reader, schema
from training.record.schema import History, Run, Series

T = TypeVar("T")

_MOST_SAMPLES = 64 * 2**20
"""Bytes of a samples.jsonl that is read; a run's answers have some hundred thousand."""

_PER_SAMPLE = 4096


class Studies:
    """The study of a catalog's runs. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = ""
        self._study: Study = {}

    def of(self, snapshot: Snapshot, catalog: Catalog) -> Study:
        """All runs of the snapshot; a run whose files have not changed is the same object as before."""
        with self._lock:
            if self._state != snapshot.state:
                known = self._study
                self._study = {
                    key: was if (was := known.get(key)) and was.run is run else _evidence(run, snapshot, catalog)
                    for key, run in snapshot.runs.items()
                }
                self._state = snapshot.state
            return self._study


def _evidence(run: Run, snapshot: Snapshot, catalog: Catalog) -> Evidence:
    """Our own runs by all that lies in their folder, while they run without scores; uploaded ones by their curves.

    The small file of a run of our own has the last value of each metric that was logged (RunWriter.log).
    """
    if run.id not in snapshot.files:
        return Evidence(run, catalog.history(run.id))
    local, directory, running = catalog.local, catalog.root / run.id, run.status == "running"
    scores = {} if running else _LazyScores(local.held, directory, run)
    history, samples = _LazyHistory(local.histories, directory, running), _LazySamples(local.held, directory)
    return Evidence(run, history, scores, samples, frozenset(run.metrics) or None)


def _held(held: Held, files: Sequence[Path], make: Callable[[], T], size: Callable[[T], int]) -> T:
    """What `make` reads from the files, again only when they have changed."""
    found = [stamps.stamp(path) for path in files]
    if any(stamp.recent() for stamp in found if stamp):
        return make()
    return held.of((*files, *found), make, size)


class _LazyHistory(Mapping[str, Series]):
    """The curves of a local run, with all that is on disk now. Those of evaluations are had without the others."""

    def __init__(self, histories: Histories, directory: Path, running: bool) -> None:
        self._histories, self._directory, self._running = histories, directory, running

    def _all(self) -> History:
        return self._histories.of(self._directory, self._running)

    def _evaluations(self) -> History:
        return self._histories.evaluations(self._directory, self._running)

    def __getitem__(self, key: str) -> Series:
        return (self._evaluations() if key.startswith("eval/") else self._all())[key]

    def __contains__(self, key: object) -> bool:
        return key in (self._evaluations() if str(key).startswith("eval/") else self._all())

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def items(self) -> ItemsView[str, Series]:
        return self._all().items()

    def __bool__(self) -> bool:
        return bool(self._evaluations() or self._all())


class _LazyScores(Mapping[int, Scores]):
    """The per-pair scores of an ended local run by step; steps whose scores cannot be read are not in it."""

    def __init__(self, held: Held, directory: Path, run: Run) -> None:
        self._held, self._directory, self._run = held, directory, run
        self._pairs = pairs_path(directory, run)
        self._paths: dict[int, str] = {}

    @cached_property
    def _steps(self) -> list[int]:
        return scored_steps(self._directory, self._run)

    def __getitem__(self, step: int) -> Scores:
        if step not in (0, self._run.best_step, self._run.step) and step not in self._steps:
            raise KeyError(step)
        place = self._paths.get(step) or self._paths.setdefault(step, str(scores_path(self._directory, step)))
        if stamps.stamp(place) is None:
            raise KeyError(step)
        path = Path(place)
        files = (path,) if self._pairs is None else (path, self._pairs)
        found = _held(self._held, files, lambda: scores_at(self._directory, self._run, step), kept_scores.size)
        if found is None:
            raise KeyError(step)
        return found

    def __iter__(self) -> Iterator[int]:
        return (step for step in self._steps if step in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return any(True for _ in self)


class _LazySamples(Sequence[Mapping[str, Any]]):
    """The answers that a local run has drawn; none where they cannot be read."""

    def __init__(self, held: Held, directory: Path) -> None:
        self._held, self._directory = held, directory

    def _all(self) -> Sequence[Mapping[str, Any]]:
        path = self._directory / schema.SAMPLES
        return _held(self._held, (path,), self._read, lambda rows: _PER_SAMPLE * len(rows))

    def _read(self) -> Sequence[Mapping[str, Any]]:
        stamp = stamps.stamp(self._directory / schema.SAMPLES)
        if stamp is None or stamp.size > _MOST_SAMPLES:
            return ()
        try:
            return reader.read_samples(self._directory)
        except TypeError:  # a step that is a list
            return ()

    def __getitem__(self, at: Any) -> Any:
        return self._all()[at]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())
