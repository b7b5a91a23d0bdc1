"""Reads the curves of runs, also while they are still being written: only new bytes, whole columns at a time."""

from __future__ import annotations

import math
import threading
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

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


class Tail:
    """Follows a growing .jsonl file: each `read` returns only the objects whose newline has arrived since the last.

    A half-written line waits for its newline, a broken one is passed over and counted in `broken`. A file that became
    shorter or was replaced is read again from its start, told by `restarted`. Not locked: its owner locks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broken = 0
        self.restarted = False
        self._offset = 0
        self._inode = 0

    def read(self) -> list[dict[str, Any]]:
        self.restarted = False
        try:
            status = self.path.stat()
        except OSError:
            return []
        if status.st_ino != self._inode or status.st_size < self._offset:
            self.restarted = self._offset > 0
            self._offset, self._inode, self.broken = 0, status.st_ino, 0
        if status.st_size == self._offset:
            return []
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read()
        except OSError:
            return []
        whole = chunk[: chunk.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [row for line in whole.splitlines() if (row := self._parse(line)) is not None]

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


class HistoryReader:
    """The curves of one run, kept up to date by reading only new bytes. Safe to share between threads.

    `read` returns an immutable snapshot, the same object for as long as nothing is new. A repeated step (a resumed
    run) replaces the earlier value.
    """

    def __init__(self, directory: Path) -> None:
        self._tail = Tail(directory / schema.METRICS)
        self._lock = threading.Lock()
        self._columns: dict[str, Series] = {}
        self._snapshot: History = {}

    def read(self) -> History:
        with self._lock:
            rows = self._tail.read()
            if self._tail.restarted:
                self._columns = {}
            self._add(rows)
            if rows or self._tail.restarted:
                self._snapshot = {
                    key: Series(s.steps[:], s.epochs[:], s.times[:], s.values[:]) for key, s in self._columns.items()
                }
            return self._snapshot

    def _add(self, rows: list[dict[str, Any]]) -> None:
        """Adds rows in their order. Those with the same keys go in by whole columns, as long as steps only grow."""
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row in rows:
            groups.setdefault(tuple(row), []).append(row)
        shared = Counter(key for keys in groups for key in keys)
        one_by_one = set()
        for keys, group in groups.items():
            columns = dict(zip(keys, zip(*(row.values() for row in group), strict=True), strict=True))
            points = _points(columns)
            for key in set(keys) - schema.NOT_METRICS:
                series = self._columns.get(key)
                last = series.steps[-1] if series and series.steps else -(2**63)
                values = _floats(columns[key]) if points and points.steps[0] > last and shared[key] == 1 else None
                if points is None or values is None:
                    one_by_one.add(key)
                else:
                    _extend(self._columns.setdefault(key, Series()), points, values)
        if one_by_one:
            for row in rows:
                self._add_row(row, one_by_one)

    def _add_row(self, row: dict[str, Any], keys: set[str]) -> None:
        step = whole(row.get("step"))
        if step is None:
            return
        epoch, time = (number(row.get(key)) for key in ("epoch", "time"))
        for key in keys & row.keys():
            if (value := number(row[key])) is not None:
                series = self._columns.setdefault(key, Series())
                _put(series, step, math.nan if epoch is None else epoch, math.nan if time is None else time, value)


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


def _extend(series: Series, points: Series, values: array[float]) -> None:
    series.steps.extend(points.steps)
    series.epochs.extend(points.epochs)
    series.times.extend(points.times)
    series.values.extend(values)


def _put(series: Series, step: int, epoch: float, time: float, value: float) -> None:
    """Adds a point, in place; one that is already there under this step is replaced."""
    columns: tuple[tuple[array[Any], float], ...] = (
        (series.steps, step),
        (series.epochs, epoch),
        (series.times, time),
        (series.values, value),
    )
    at = len(series) if not series.steps or step > series.steps[-1] else bisect_left(series.steps, step)
    repeated = at < len(series) and series.steps[at] == step
    for column, item in columns:
        if repeated:
            column[at] = item
        else:
            column.insert(at, item)


def read_history(directory: Path) -> History:
    """The curves of a run, once."""
    return HistoryReader(directory).read()
