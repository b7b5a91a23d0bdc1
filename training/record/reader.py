"""Reads what runs leave behind, also while they are still writing it: all but the curves."""

import difflib
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from training.record import schema
from training.record.history import Tail, number, whole
from training.record.schema import RecordError, Run, Status

_STATUSES: tuple[Status, ...] = ("finished", "pruned", "failed", "stopped")


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


def read_progress(directory: Path) -> tuple[dict[str, Any], bool]:
    """The run's one small file, and whether the run has ended. Raises RecordError if it is not JSON."""
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
    progress, ended = read_progress(directory)
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
        best_step=whole(progress.get("best_step")),
        best_metric=str(progress["best_metric"]) if progress.get("best_metric") else None,
        step=whole(progress.get("step")),
        max_steps=whole(progress.get("max_steps")),
        epoch=number(progress.get("epoch")),
        n_eval=whole(data.get("n_eval")),
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


def find_run(name: str, runs: Path) -> Path:
    """The folder of the run `name`, in `runs` or a path. Raises RecordError, with near names, if there is none."""
    for path in (runs / name, Path(name)):
        if (path / schema.CONFIG).is_file():
            return path.resolve()
    here = sorted(path.parent.name for path in runs.glob(f"[!.]*/{schema.CONFIG}"))
    near = difflib.get_close_matches(Path(name).name, here, n=3, cutoff=0.5) or here[:5]
    known = f"runs there: {', '.join(near)}" if near else "no run is there"
    raise RecordError(f"no run {name!r} in {runs}; {known}")


def read_samples(directory: Path) -> list[dict[str, Any]]:
    """The answers of base and policy to the recipe's fixed prompts, by step; of a step drawn twice, the later ones.

    A row whose step is no whole number is passed over.
    """
    by_step: dict[int, dict[str, dict[str, Any]]] = {}
    for row in Tail(directory / schema.SAMPLES).read():
        if isinstance(step := row.get("step"), int):
            by_step.setdefault(step, {})[repr(row.get("prompt"))] = row
    return [row for rows in by_step.values() for row in rows.values()]


def read_notices(directory: Path) -> list[dict[str, Any]]:
    """What was remarked on the run while it trained: step, time, kind, message; each kind and step once."""
    rows = Tail(directory / schema.NOTICES).read()
    return list({repr((row.get("kind"), row.get("step"))): row for row in rows}.values())


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
        # Arrow takes no path that is not UTF-8; read_table would import pyarrow.dataset, which is slow.
        with path.open("rb") as opened, pq.ParquetFile(opened) as file:
            return file.read(use_threads=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise RecordError(f"{path} cannot be read ({error}); scored steps: {score_steps(directory)}") from error
