"""The curves of run folders: those used last in memory, the others on disk as columns, running ones as they grow."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dashboard.sources import cache, stamps
from dashboard.sources.held import Held
from dashboard.sources.stamps import Stamp
from training.record import schema
from training.record.history import EVALUATIONS, HistoryReader
from training.record.schema import History

_ALIVE = 600.0
"""Seconds: a running run that has written nothing for so long is read like one that has ended."""

_AT_ONCE = 0.02
"""Seconds."""


class _Part(NamedTuple):
    """All curves or some: which lines are parsed, which metrics these are, and where they are kept."""

    naming: bytes
    prefix: str
    kept: Callable[[Path], History]


_ALL = _Part(b"", "", cache.history)
_EVALUATIONS = _Part(EVALUATIONS, "eval/", cache.evaluations)


def size(curves: History) -> int:
    """Bytes of the columns, each counted once where several metrics share it."""
    columns = {id(c): c for s in curves.values() for c in (s.steps, s.epochs, s.times, s.values)}
    return sum(column.itemsize * len(column) for column in columns.values())


class Histories:
    """The curves of runs in our own format. Safe to share between threads; what was handed out never changes."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._looked: tuple[Path, float, Stamp] | None = None

    def of(self, directory: Path, running: bool) -> History:
        """All curves of a run, as they are on disk now. Of a `running` one only new bytes are read."""
        return self._part(directory, running, _ALL)

    def evaluations(self, directory: Path, running: bool) -> History:
        """The curves of evaluations (`eval/...`) alone, which are found without parsing the others."""
        return self._part(directory, running, _EVALUATIONS)

    def _part(self, directory: Path, running: bool, part: _Part) -> History:
        growing = (directory, part.prefix)
        stamp = self._stamp(directory)
        if stamp is None:
            return {}
        if stamp.recent() or (running and time.time() - stamp.changed / 1e9 < _ALIVE):
            reader = self._held.of(growing, lambda: HistoryReader(directory, part.naming), lambda _: 0)
            found = reader.read()
            self._held.resize(growing, size(found))
            return {key: curve for key, curve in found.items() if key.startswith(part.prefix)} if part.prefix else found
        return self._held.of((directory, part.prefix, stamp), lambda: self._whole(directory, part), size)

    def _stamp(self, directory: Path) -> Stamp | None:
        """A file that has not changed for a while is looked at once for all metrics that are asked for in one go."""
        last, now = self._looked, time.monotonic()
        if last is not None and last[0] is directory and now - last[1] < _AT_ONCE:
            return last[2]
        stamp = stamps.stamp(f"{directory}/{schema.METRICS}")
        self._looked = None if stamp is None or stamp.recent() else (directory, now, stamp)
        return stamp

    def _whole(self, directory: Path, part: _Part) -> History:
        """The curves of a run that is no longer followed."""
        self._held.forget((directory, part.prefix))
        return part.kept(directory)
