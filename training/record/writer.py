"""Writes a run directory so that it can be read at any moment, and so that a kill at any moment tears nothing.

A .json or .parquet file appears whole, by rename; a .jsonl file only grows, by whole lines. One writer per run.
"""

import math
import os
import shutil
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from training.record import schema
from training.record.schema import RecordError

SCORE_COLUMNS = pa.schema(
    {
        "pair_id": pa.string(),
        "chosen_logp": pa.float64(),
        "rejected_logp": pa.float64(),
        "ref_chosen_logp": pa.float64(),
        "ref_rejected_logp": pa.float64(),
        "chosen_tokens": pa.int32(),
        "rejected_tokens": pa.int32(),
        "chosen_truncated": pa.bool_(),
        "rejected_truncated": pa.bool_(),
    }
)


def plain(value: Any) -> Any:
    """`value` with NaN and infinities as the strings "nan", "inf", "-inf", and anything unknown to JSON as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    fits_json = not isinstance(value, int) or -(2**63) <= value < 2**64
    return value if fits_json and isinstance(value, bool | int | float | str | None) else str(value)


def write_whole(path: Path, content: bytes) -> None:
    """Puts `content` at `path` by rename: a reader sees the old file or the new one, never a part."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_whole(path, orjson.dumps(plain(content), option=orjson.OPT_INDENT_2) + b"\n")


def _write_table(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_whole(path, sink.getvalue().to_pybytes())


def _append_lines(path: Path, rows: Iterable[Mapping[str, Any]], closing: bool) -> None:
    """Adds whole lines, in one write; with `closing`, ends a half line that a crash left first."""
    content = b"".join(orjson.dumps(plain(row)) + b"\n" for row in rows)
    with path.open("ab+", buffering=0) as file:
        if closing and file.tell():
            file.seek(-1, os.SEEK_END)
            content = content if file.read(1) == b"\n" else b"\n" + content
        while content:
            content = content[file.write(content) :]


def check_name(runs: Path, name: str) -> None:
    """Raises RecordError if `name` is no file name for a run, or already taken in `runs`."""
    plain = name.isprintable() and not name.startswith(".") and not any(c in name for c in "/\\")
    if not name or not plain or len(name.encode()) > 200:
        raise RecordError(f"--name {name!r} cannot be a folder's name; use letters, digits, '-', '_' and '.'")
    if (runs / name).exists():
        raise RecordError(f"{runs / name} already exists; pick another --name or delete it")


class RunWriter:
    """One run directory being written, by one process.

    It is prepared under a hidden name and appears, by one rename, with `publish`. `latest.json` is the one small file
    that is replaced while the run goes on: it lets a reader see the last values without reading the curves. With
    `writes=False`, as in all but the main process of a distributed run, nothing is touched.
    """

    def __init__(self, runs: Path, name: str, writes: bool = True) -> None:
        """Raises RecordError if the name is taken or not usable, OSError if `runs` cannot be written."""
        self.runs = runs
        self.name = name
        self.writes = writes
        self.directory = runs / f".{name}.{os.getpid()}"
        self._started = time.monotonic()
        self._opened: set[str] = set()
        self._progress: dict[str, Any] = {"metrics": {}}
        if writes:
            check_name(runs, name)
            shutil.rmtree(self.directory, ignore_errors=True)  # left by a killed process of the same number
            (self.directory / schema.CHECKPOINTS).mkdir(parents=True)

    @classmethod
    def reopen(cls, directory: Path, progress: Mapping[str, Any], writes: bool = True) -> "RunWriter":
        """A run that goes on: its files grow further. `progress` is what `reader.read_progress` says of it."""
        run = cls(directory.parent, directory.name, writes=False)
        run.directory, run.writes = directory, writes
        run._started -= progress.get("seconds") or 0.0
        kept = ("step", "epoch", "time", "max_steps", "metrics", "best", "best_step", "best_metric")
        run._progress |= {key: progress[key] for key in kept if key in progress}
        run._announce()
        if writes:
            (directory / schema.SUMMARY).unlink(missing_ok=True)
            run._remove_parts()
        return run

    @property
    def checkpoints(self) -> Path:
        return self.directory / schema.CHECKPOINTS

    @property
    def seconds(self) -> float:
        """How long the run has taken so far, with what it took before it was resumed."""
        return time.monotonic() - self._started

    def publish(self, head: Mapping[str, Any]) -> None:
        """Writes config.json and lets the run appear in `runs`. Raises RecordError if somebody took the name."""
        final = self.runs / self.name
        if self.writes:
            _write_json(self.directory / schema.CONFIG, {"format": schema.FORMAT, "created": time.time(), **head})
            self._announce()
            try:
                self.directory.rename(final)
            except OSError as error:
                check_name(self.runs, self.name)
                raise error
        self.directory = final

    def discard(self) -> None:
        """Removes a run that was never published."""
        if self.writes and self.directory.name.startswith("."):
            shutil.rmtree(self.directory, ignore_errors=True)

    def log(self, step: int, epoch: float | None, metrics: Mapping[str, float]) -> None:
        """Appends one line to metrics.jsonl and renews latest.json. `metrics` has W&B keys."""
        now = time.time()
        self._append(schema.METRICS, [{"step": step, "epoch": epoch, "time": now, **metrics}])
        self._progress.update(step=step, epoch=epoch, time=now)
        self._progress["metrics"].update(metrics)
        self._announce()

    def expect(self, max_steps: int) -> None:
        """Says how many steps the run is going to take."""
        self._progress["max_steps"] = max_steps

    def best(self, step: int, metric: str, metrics: Mapping[str, float]) -> None:
        """Says which step has the best evaluation so far, by `metric` (a W&B key)."""
        self._progress.update(best=dict(metrics), best_step=step, best_metric=metric)
        self._announce()

    def notice(self, step: int, kind: str, message: str) -> None:
        """Appends one remark on the run to notices.jsonl: what went wrong, or looks as if it did."""
        self._append(schema.NOTICES, [{"step": step, "time": time.time(), "kind": kind, "message": message}])

    def samples(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Appends answers to samples.jsonl: step, prompt, base, dpo, sampling."""
        self._append(schema.SAMPLES, rows)

    def scores(self, step: int, table: pa.Table) -> None:
        """Writes one row per evaluation pair; `table` has the columns SCORE_COLUMNS (log-probabilities in nats)."""
        if self.writes:
            _write_table(self.directory / schema.SCORES / f"step-{step}.parquet", table.cast(SCORE_COLUMNS))

    def finish(self, status: schema.Status, error: str | None = None) -> None:
        """Writes summary.json, which takes the place of latest.json: the run has ended."""
        if self.writes:
            self._remove_parts()  # on a full disk they make the room for it
            content = {**self._progress, "status": status, "seconds": self.seconds, "error": error}
            _write_json(self.directory / schema.SUMMARY, content)
            (self.directory / schema.LATEST).unlink(missing_ok=True)

    def _remove_parts(self) -> None:
        """Deletes what is half written, by a process that was killed or that met a full disk."""
        for part in list(self.directory.rglob(".*.*")):
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)

    def _announce(self) -> None:
        """Renews latest.json, with the process that trains: a run must not be resumed while it lives."""
        if self.writes:
            about = {"seconds": self.seconds, "host": socket.gethostname(), "pid": os.getpid()}
            _write_json(self.directory / schema.LATEST, {**self._progress, **about})

    def _append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        if self.writes:
            _append_lines(self.directory / name, rows, closing=name not in self._opened)
            self._opened.add(name)


def share_pairs(runs: Path, digest: str, pairs: pa.Table) -> Path:
    """Keeps evaluation pairs, with their texts, once for all runs of `runs`: .shared/<digest>/pairs.parquet."""
    path = runs / schema.SHARED / digest / schema.PAIRS
    if not path.exists():
        _write_table(path, pairs)
    return path


def share_audit(runs: Path, digest: str, audit: Mapping[str, Any]) -> Path:
    """Keeps what was found in the data, with examples, once for all runs alike: .shared/<digest>/audit.json."""
    path = runs / schema.SHARED / digest / schema.AUDIT
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_json(path, audit)
    return path
