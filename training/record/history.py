"""Reads the curves of runs, also while they are still being written: only new bytes, whole columns at a time."""

from __future__ import annotations

import math
import os
import stat
import threading
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from training.record import schema
from training.record.schema import History, Series

_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def number(value: object) -> float | None:
    """A recorded metric as a float: numbers, and "nan", "inf", "-inf" as written by the writer; otherwise None."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        return float(value)
    return _SPECIAL.get(value) if isinstance(value, str) else None


def whole(value: object) -> int | None:
    """A recorded count as an int of 64 bits; None if it is none."""
    found = number(value)
    return int(found) if found is not None and abs(found) < 2**63 else None


BLOCK = 8 * 2**20
"""Bytes read at once; a longer line is none of ours (the writer's have some hundred) and is passed over."""

EVALUATIONS = b'"eval/'
"""What every line that logs an evaluation contains."""

_KNOWN_AGAIN = 256


class Tail:
    """Follows a growing .jsonl file: each `read` returns only the objects whose newline has arrived since the last.

    A half-written line waits for its newline, a broken one is passed over and counted in `broken`. A file that became
    shorter, was replaced or removed is read again from its start, told by `restarted`; what is no plain file is empty.
    With `naming`, only lines that contain these bytes are parsed. Not locked: its owner locks.
    """

    def __init__(self, path: Path, naming: bytes = b"") -> None:
        self.path = path
        self.broken = 0
        self.restarted = False
        self._naming = naming
        self._offset = 0
        self._inode = 0
        self._before = b""  # the last bytes before the offset: a new file may get the inode of the old one
        self._overlong = False

    def read(self) -> list[dict[str, Any]]:
        return [row for rows in self.batches() for row in rows]

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """What `read` returns, a block's rows at a time. `restarted` is known with the first."""
        self.restarted = False
        try:
            status = self.path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError
            with self.path.open("rb") as file:
                self._find(file, status)
                while block := file.read(BLOCK):
                    end, lines = self._taken(block)
                    if not end:
                        return
                    self._offset += end
                    self._before = block[max(0, end - _KNOWN_AGAIN) : end]
                    parts = _containing(lines, self._naming) if self._naming else lines.splitlines()
                    yield [row for line in parts if (row := self._parse(line)) is not None]
                    file.seek(self._offset)
        except FileNotFoundError:
            self._restart(0)
        except OSError:
            return

    def _find(self, file: BinaryIO, status: os.stat_result) -> None:
        """Goes to where the last `read` ended, or to the start if this is not the file that was read."""
        file.seek(self._offset - len(self._before))
        known = file.read(len(self._before)) == self._before
        if not known or status.st_ino != self._inode or status.st_size < self._offset:
            self._restart(status.st_ino)
            file.seek(0)

    def _restart(self, inode: int) -> None:
        self.restarted = self._offset > 0
        self._offset, self._inode, self.broken, self._before, self._overlong = 0, inode, 0, b"", False

    def _taken(self, block: bytes) -> tuple[int, bytes]:
        """How many bytes of the block count as read, and the whole lines in them."""
        if self._overlong:
            end = block.find(b"\n") + 1
            self._overlong = not end
            return end or len(block), b""
        end = block.rfind(b"\n") + 1
        if not end and len(block) == BLOCK:
            self._overlong = True
            self.broken += 1
            return BLOCK, b""
        return end, block[:end]

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        if not line.strip():
            return None
        try:
            row = orjson.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict):
            return row
        self.broken += 1
        return None


def _containing(lines: bytes, words: bytes) -> Iterator[bytes]:
    """The lines that contain the words: most others are not even told apart."""
    at = lines.find(words)
    while at >= 0:
        start, end = lines.rfind(b"\n", 0, at) + 1, lines.find(b"\n", at)
        yield from (line for line in lines[start:end].splitlines() if words in line)
        at = lines.find(words, end)


class HistoryReader:
    """The curves of one run, kept up to date by reading only new bytes. Safe to share between threads.

    `read` returns an immutable snapshot, the same object for as long as nothing is new. A repeated step (a resumed
    run) replaces the earlier value. Metrics that are logged together share their columns of steps, epochs and times.
    """

    def __init__(self, directory: Path, naming: bytes = b"") -> None:
        self._tail = Tail(directory / schema.METRICS, naming)
        self._lock = threading.Lock()
        self._history: History = {}

    def read(self) -> History:
        with self._lock:
            batches = self._tail.batches()
            first = next(batches, [])
            if self._tail.restarted:
                self._history = {}
            for rows in chain([first], batches):
                if rows:
                    self._history = _added(self._history, rows)
            return self._history


def _added(history: History, rows: list[dict[str, Any]]) -> History:
    """The curves with rows added in their order; the given ones stay as they are.

    Rows with the same keys go in by whole columns, as long as steps only grow.
    """
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row), []).append(row)
    shared = Counter(key for keys in groups for key in keys)
    found, join, one_by_one = dict(history), _Join(), set()
    for keys, group in groups.items():
        columns = dict(zip(keys, zip(*(row.values() for row in group), strict=True), strict=True))
        points = _points(columns)
        for key in (key for key in keys if key not in schema.NOT_METRICS):
            series = found.get(key, Series())
            last = series.steps[-1] if series else -(2**63)
            values = _floats(columns[key]) if points and points.steps[0] > last and shared[key] == 1 else None
            if points is None or values is None:
                one_by_one.add(key)
            else:
                tails: tuple[array[Any], ...] = (points.steps, points.epochs, points.times, values)
                found[key] = Series(*map(join, _columns(series), tails))
    return found | _one_by_one(found, rows, one_by_one) if one_by_one else found


class _Join:
    """Puts columns one after the other: the same two give the same one, so that what was shared stays shared."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], tuple[array[Any], array[Any], array[Any]]] = {}

    def __call__(self, head: array[Any], tail: array[Any]) -> array[Any]:
        if not head:
            return tail
        # Both are kept beside what they make: an id is one object's for as long as that lives.
        return self._made.setdefault((id(head), id(tail)), (head, tail, head + tail))[2]


def _one_by_one(history: History, rows: list[dict[str, Any]], keys: set[str]) -> dict[str, Series]:
    """The curves of `keys` with their points of the rows, each at its place."""
    found = {key: _copy(history[key]) if key in history else Series() for key in keys}
    for row in rows:
        _add_row(found, row)
    made: dict[bytes, array[Any]] = {}
    return {key: Series(*(_same(made, column) for column in _columns(s))) for key, s in found.items() if s}


def _columns(series: Series) -> tuple[array[Any], ...]:
    return series.steps, series.epochs, series.times, series.values


def _copy(series: Series) -> Series:
    return Series(*(column[:] for column in _columns(series)))


def _same(made: dict[bytes, array[Any]], column: array[Any]) -> array[Any]:
    """The column, or the equal one that is there already."""
    return made.setdefault(column.typecode.encode() + column.tobytes(), column)


def _add_row(found: Mapping[str, Series], row: dict[str, Any]) -> None:
    step = whole(row.get("step"))
    if step is None:
        return
    epoch, time = (number(row.get(key)) for key in ("epoch", "time"))
    for key in found.keys() & row.keys():
        if (value := number(row[key])) is not None:
            _put(found[key], step, math.nan if epoch is None else epoch, math.nan if time is None else time, value)


def _points(columns: Mapping[str, tuple[Any, ...]]) -> Series | None:
    """Where rows lie, without values; None unless their steps are whole and grow."""
    steps = columns.get("step", ())
    if not steps or not all(type(step) is int and -(2**63) <= step < 2**63 for step in steps):
        return None
    if any(after <= before for before, after in pairwise(steps)):
        return None
    epochs, times = (_floats(columns.get(key, (math.nan,) * len(steps))) for key in ("epoch", "time"))
    return None if epochs is None or times is None else Series(array("q", steps), epochs, times)


def _floats(column: tuple[Any, ...]) -> array[float] | None:
    """A column of recorded metrics; None if something in it is no metric."""
    try:
        return array("d", column)
    except (TypeError, OverflowError):
        values = [number(raw) for raw in column]
    return None if None in values else array("d", [value for value in values if value is not None])


def _put(series: Series, step: int, epoch: float, time: float, value: float) -> None:
    """Adds a point, in place; one that is already there under this step is replaced."""
    at = len(series) if not series.steps or step > series.steps[-1] else bisect_left(series.steps, step)
    repeated = at < len(series) and series.steps[at] == step
    for column, item in zip(_columns(series), (step, epoch, time, value), strict=True):
        if repeated:
            column[at] = item
        else:
            column.insert(at, item)


def read_history(directory: Path) -> History:
    """The curves of a run, once."""
    return HistoryReader(directory).read()


def read_evaluations(directory: Path) -> History:
    """The curves of evaluations (`eval/...`), once: lines without any are not parsed, which is many times faster."""
    found = HistoryReader(directory, EVALUATIONS).read()
    return {key: series for key, series in found.items() if key.startswith("eval/")}
