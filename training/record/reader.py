"""Reads what runs leave behind, also while they are still writing it."""

import math
import threading
from array import array
from bisect import bisect_left
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from training.record import schema
from training.record.schema import History, RecordError, Run, Series, Status

_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_STATUSES: tuple[Status, ...] = ("finished", "failed", "stopped")


def number(value: object) -> float | None:
    """A recorded metric as a float: numbers, and "nan", "inf", "-inf" as written by the writer; otherwise None."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        return float(value)
    return _SPECIAL.get(value) if isinstance(value, str) else None


def _object(path: Path) -> dict[str, Any]:
    try:
        content = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecordError(f"{path} is not valid JSON ({error}); delete the run or restore the file") from error
    if not isinstance(content, dict):
        raise RecordError(f"{path} holds a {type(content).__name__} where an object belongs")
    return content


def _mapping(content: dict[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def _metrics(content: dict[str, Any], key: str) -> dict[str, float]:
    found = {name: number(value) for name, value in _mapping(content, key).items()}
    return {name: value for name, value in found.items() if value is not None}


def _whole(value: object) -> int | None:
    found = number(value)
    return int(found) if found is not None and abs(found) < 2**63 else None


def _progress(directory: Path) -> tuple[dict[str, Any], bool]:
    """The run's one small file, and whether the run has ended."""
    for name, ended in ((schema.SUMMARY, True), (schema.LATEST, False)):
        try:
            return _object(directory / name), ended
        except FileNotFoundError:
            continue
    return {}, False


def read_run(directory: Path) -> Run:
    """The run in `directory`, from its two small files (config, and summary or latest).

    Raises RecordError if there is no config.json, if a file is not JSON, or if a newer version wrote it.
    """
    try:
        head = _object(directory / schema.CONFIG)
    except FileNotFoundError:
        raise RecordError(f"{directory} has no {schema.CONFIG}: it is not a run; delete or move it") from None
    found = head.get("format")
    if not isinstance(found, int) or found > schema.FORMAT:
        raise RecordError(f"{directory} has format {found!r}, this code reads up to {schema.FORMAT}; update the code")
    progress, ended = _progress(directory)
    status = progress.get("status") if ended else "running"
    data = _mapping(head, "data")
    error = progress.get("error")
    sweep = head.get("sweep")
    return Run(
        id=directory.name,
        name=directory.name,
        source="runs",
        status=status if status in (*_STATUSES, "running") else "unknown",
        config=_mapping(head, "config"),
        metrics=_metrics(progress, "metrics"),
        best=_metrics(progress, "best"),
        best_step=_whole(progress.get("best_step")),
        best_metric=str(progress["best_metric"]) if progress.get("best_metric") else None,
        step=_whole(progress.get("step")),
        max_steps=_whole(progress.get("max_steps")),
        epoch=number(progress.get("epoch")),
        n_eval=_whole(data.get("n_eval")),
        data=data,
        environment=_mapping(head, "environment"),
        sweep=str(sweep) if sweep else None,
        created=number(head.get("created")),
        updated=_updated(directory),
        seconds=number(progress.get("seconds")),
        error=str(error) if error else None,
    )


def _updated(directory: Path) -> float | None:
    for name in (schema.METRICS, schema.CONFIG):
        try:
            return (directory / name).stat().st_mtime
        except OSError:
            continue
    return None


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
        with self.path.open("rb") as file:
            file.seek(self._offset)
            chunk = file.read()
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
            for row in rows:
                self._add(row)
            if rows or self._tail.restarted:
                self._snapshot = {
                    key: Series(s.steps[:], s.epochs[:], s.times[:], s.values[:]) for key, s in self._columns.items()
                }
            return self._snapshot

    def _add(self, row: dict[str, Any]) -> None:
        step = _whole(row.get("step"))
        if step is None:
            self._tail.broken += 1
            return
        epoch, time = (number(row.get(key)) for key in ("epoch", "time"))
        for key, raw in row.items():
            if key not in schema.NOT_METRICS and (value := number(raw)) is not None:
                series = self._columns.setdefault(key, Series())
                _put(series, step, math.nan if epoch is None else epoch, math.nan if time is None else time, value)


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


def read_samples(directory: Path) -> list[dict[str, Any]]:
    """The answers of base and policy to the recipe's fixed prompts, in the order they were written."""
    return Tail(directory / schema.SAMPLES).read()


def score_steps(directory: Path) -> list[int]:
    """The steps at which every evaluation pair was scored, ascending."""
    names = (path.stem.removeprefix("step-") for path in (directory / schema.SCORES).glob("step-*.parquet"))
    return sorted(int(name) for name in names if name.isdecimal())


def read_scores(directory: Path, step: int) -> pa.Table:
    """One row per evaluation pair at `step`: the columns of `writer.SCORE_COLUMNS`; log-probabilities in nats.

    Raises RecordError if the pairs were not scored at that step.
    """
    path = directory / schema.SCORES / f"step-{step}.parquet"
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RecordError(f"{path} cannot be read ({error}); scored steps: {score_steps(directory)}") from error
