"""Runs from the folders that W&B keeps on disk (offline-run-*, run-*), read with wandb's own reader of its log."""

import importlib.util
import subprocess
import tempfile
import threading
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from dashboard.sources.curves import EPOCHS, Column, joined, plain
from dashboard.sources.curves import history as curves
from dashboard.sources.evaluated import pairs
from dashboard.sources.files import File
from dashboard.sources.imported import NO_CORRECTIONS, Corrections, Imported, SourceError, with_evaluations
from dashboard.sources.vocabulary import key
from training.record.history import number
from training.record.schema import History, Run

LARGEST = 2 * 2**30
"""Bytes of one log that are given to the reader."""

SECONDS = 60.0
"""How long the reader may take over one log."""

_MAGIC = b":W&B"
_LONGEST_LINE = 32 * 2**20
_MOST_VALUES = 20_000_000
_AT_ONCE = 2
_STEPS = ("train/global_step", "trainer/global_step")
_OWN_STEP = "_step"
_WANTED = (b'"type":"run"', b'"type":"config"', b'"type":"history"', b'"type":"summary"', b'"type":"exit"')


@dataclass
class _Log:
    """What a log says. `rows` has a column per metric: numbers of history rows, values."""

    run: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    exit: dict[str, Any] | None = None
    rows: dict[str, tuple["array[int]", "array[float]"]] = field(
        default_factory=lambda: defaultdict(lambda: (array("q"), array("d")))
    )
    count: int = 0
    values: int = 0
    problem: str | None = None


def is_wandb_log(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a W&B log."""
    return head.startswith(_MAGIC)


def read(files: Sequence[File], prefix: str, corrections: Corrections = NO_CORRECTIONS) -> Imported:
    """The runs in W&B's logs (run-*.wandb), one per file.

    Raises SourceError if wandb's reader is not installed here, or no log holds a run.
    """
    reader = _reader()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        logs = list(pool.map(partial(_read, reader), files))
    runs: list[Run] = []
    notes: list[str] = []
    histories: dict[str, History] = {}
    for file, log in zip(files, logs, strict=True):
        notes += [f"{_shown(file)}: {log.problem}"] if log.problem else []
        if not log.run and not log.count:
            notes.append(f"{_shown(file)} holds no run: it was cut before its first record.")
            continue
        run, history, remarks = _run(file, log, f"{prefix}-{len(runs) + 1}", corrections)
        runs.append(run)
        histories[run.id] = history
        notes += [f"{_shown(file)}: {remark}" for remark in remarks]
    if not runs:
        raise SourceError(" ".join(notes[:3]) or "There is no W&B log.")
    named = frozenset(name for log in logs for name in (*log.rows, *log.summary))
    return Imported(tuple(runs), tuple(notes), histories, named=named, keys=corrections.keys(named, key))


def _shown(file: File) -> str:
    text = str(file.path)
    return text if len(text) <= 80 else f"...{text[-77:]}"


def _reader() -> Path:
    """The program inside the wandb package that reads its logs; the package itself is not imported."""
    found = importlib.util.find_spec("wandb")
    folder = Path(found.origin).parent / "bin" if found and found.origin else None
    if folder is not None:
        for name in ("wandb-core", "wandb-core.exe"):
            if (folder / name).is_file():
                return folder / name
    raise SourceError(
        "A W&B log is read with wandb's own reader, which is not here: install wandb 0.31 or newer "
        "(pip install wandb), or export the run from W&B as CSV."
    )


def _read(reader: Path, file: File) -> _Log:
    """The log, streamed through wandb's reader. What goes wrong is its `problem`; what came until then is kept."""
    log = _Log()
    if file.size > LARGEST:
        log.problem = f"has {file.size / 2**30:.1f} GB, the limit is {LARGEST / 2**30:.0f} GB; it is left out."
        return log
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = file.origin.absolute() if file.origin else Path(folder) / "run-archived.wandb"
            if file.origin is None:
                path.write_bytes(file.content())
            for line in _records(reader, path, Path(folder), log):
                _add(log, line)
                if log.values > _MOST_VALUES:
                    log.problem = f"has more than {_MOST_VALUES:,} values: the first of them are used."
                    break
    except SourceError as problem:
        log.problem = str(problem)
    except OSError as error:
        log.problem = f"wandb's reader cannot be started ({error.strerror or error}); the log is left out."
    return log


def _records(reader: Path, path: Path, home: Path, log: _Log) -> Iterator[bytes]:
    """The records that are used, as JSON; the reader has an empty home, sends nothing, and ends within SECONDS."""
    command = [str(reader), "leet", "inspect", "--json", "--no-observability", f"--run-file={path}", str(path.parent)]
    quiet = {
        "HOME": str(home),
        "WANDB_CONFIG_DIR": str(home),
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_MODE": "offline",
    }
    with subprocess.Popen(
        command, env=quiet, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(SECONDS, stop)
        timer.start()
        try:
            assert process.stdout is not None
            while line := process.stdout.readline(_LONGEST_LINE):
                if line.endswith(b"\n") and any(kind in line[:60] for kind in _WANTED):
                    yield line
        finally:
            timer.cancel()
            process.kill()
    if late.is_set():
        log.problem = f"took wandb's reader longer than {SECONDS:.0f} s: what came until then is used."


def _add(log: _Log, line: bytes) -> None:
    """Adds one record to the log; one that is no JSON object is passed over."""
    try:
        record = orjson.loads(line)
    except ValueError:
        return
    content = _mapping(record, record["type"])
    match record["type"]:
        case "run":
            log.run |= {name: value for name, value in content.items() if isinstance(value, str)}
            log.config |= _mapping(_mapping(content, "config"), "update")
        case "config":
            log.config |= _mapping(content, "update")
        case "summary":
            log.summary |= _numbers(_mapping(content, "update"))
        case "history":
            for name, value in _numbers(_mapping(content, "item")).items():
                rows, values = log.rows[name]
                rows.append(log.count)
                values.append(value)
                log.values += 1
            log.count += 1
        case "exit":
            log.exit = content


def _mapping(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    return value if isinstance(value, dict) else {}


_SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}


def _numbers(item: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among logged values; texts, tables, pictures and histograms are no metrics."""
    return {
        name: float(_SPECIAL.get(value, value) if isinstance(value, str) else value)
        for name, value in item.items()
        if (value in _SPECIAL if isinstance(value, str) else type(value) in (int, float))
    }


def _row(log: _Log, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The metric at each history row: shape (rows,), NaN where it was not logged."""
    column = np.full(log.count, np.nan)
    if name in log.rows:
        rows, values = log.rows[name]
        column[np.frombuffer(rows, np.int64)] = np.frombuffer(values)
    return column


def _steps(log: _Log) -> tuple[np.ndarray[Any, np.dtype[np.int64]], str | None]:
    """The step of each history row, and a note: the optimizer's where it is logged, else W&B's own count.

    A row without the optimizer's step belongs to the last one known before it, as in W&B's own charts.
    """
    logged = next((name for name in _STEPS if name in log.rows), _OWN_STEP)
    steps = _row(log, logged)
    known = np.isfinite(steps) & (np.abs(steps) < 2**53)
    last = np.maximum.accumulate(np.where(known, np.arange(len(steps)), -1)) if len(steps) else np.zeros(0, np.int64)
    filled = np.where(last >= 0, steps[last], 0.0).astype(np.int64)
    note = "steps are W&B's own count of log calls: train/global_step is not logged." if logged == _OWN_STEP else None
    return filled, note


def _run(file: File, log: _Log, run_id: str, corrections: Corrections) -> tuple[Run, History, list[str]]:
    steps, note = _steps(log)
    times = _row(log, "_timestamp")
    columns: dict[str, Column] = {}
    for name, (rows, values) in log.rows.items():
        if not _is_axis(name) and name not in corrections.config | corrections.ignored:
            at = np.frombuffer(rows, np.int64)
            named = corrections.renamed.get(name) or key(name)
            columns.setdefault(named, joined([Column(steps[at], times[at], np.frombuffer(values))]))
    history = curves(columns)
    kept = {name: value for name, value in log.summary.items() if name not in corrections.ignored}
    summary = {corrections.renamed.get(name) or key(name): value for name, value in kept.items()}
    metrics = {name: value for name, value in summary.items() if not _is_axis(name) and name not in columns}
    config = plain({name: value for name, value in log.config.items() if not name.startswith("_")})
    config |= {name: log.summary[name] for name in corrections.config & kept.keys()}
    if isinstance(model := log.config.get("_name_or_path"), str) and model:
        config.setdefault("model_name_or_path", model)
    code = None if log.exit is None else log.exit.get("exit_code", 0)
    limit = config.get("max_steps")
    epochs = [columns[name].values[-1] for name in EPOCHS if name in columns]
    run = Run(
        id=run_id,
        name=(log.run.get("display_name") or log.run.get("run_id") or file.path.parent.name or file.path.name)[:200],
        source=str(file.path.parent) if file.path.parent.name else str(file.path),
        status="unknown" if code is None else "finished" if code == 0 else "failed",
        config=config,
        metrics={name: value for name, value in metrics.items() if name not in corrections.config},
        max_steps=limit if isinstance(limit, int) and limit > 0 else None,
        epoch=float(epochs[0]) if epochs else None,
        sweep=log.run.get("sweep_id"),
        created=_seconds(log.run.get("start_time", "")),
        updated=float(np.nanmax(times)) if np.isfinite(times).any() else None,
        seconds=_duration(log),
        error=f"The program ended with exit code {code}, as W&B says." if code else None,
        environment={name: log.run[name] for name in ("project", "run_id") if name in log.run},
    )
    run = with_evaluations(run, history)
    ended = "the log has no end: the run goes on, was killed, or the file was cut." if log.exit is None else None
    remarks = [remark for remark in (note if columns else "there are no metrics in it.", ended) if remark]
    return replace(run, n_eval=pairs(run.metrics)), history, remarks


def _is_axis(name: str) -> bool:
    """Whether a logged number says where a row lies, or is W&B's own."""
    return name in _STEPS or name.startswith("_")


def _seconds(moment: str) -> float | None:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return None


def _duration(log: _Log) -> float | None:
    """How long the run took: what W&B says at its end, else the time of the last row."""
    told = number((log.exit or {}).get("runtime")) or log.summary.get("_runtime")
    return float(told) if told else None
