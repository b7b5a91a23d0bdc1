"""Runs in our own format among the files of a source: folders as they are, those in an archive laid out on disk."""

import atexit
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from dashboard.sources import cache, local
from dashboard.sources.files import File
from dashboard.sources.imported import Imported, SourceError
from training.record import schema
from training.record.schema import History, Run

_BESIDE = frozenset({schema.METRICS, schema.LATEST, schema.SUMMARY})
_PARTS = re.compile(
    rf"({re.escape(schema.CONFIG)}|{re.escape(schema.METRICS)}|{re.escape(schema.SAMPLES)}|{re.escape(schema.NOTICES)}"
    rf"|{re.escape(schema.LATEST)}|{re.escape(schema.SUMMARY)}|{schema.SCORES}/step-\d+\.parquet)",
    re.ASCII,
)

Folders = Mapping[PurePosixPath, Sequence[File]]


def folders(found: Iterable[File]) -> dict[PurePosixPath, list[File]]:
    """The run directories among the files (runs/README.md): folder -> the files that make the run."""
    by_folder: dict[PurePosixPath, dict[str, File]] = defaultdict(dict)
    listed = list(found)
    for file in listed:
        by_folder[file.path.parent][file.path.name] = file
    ours = [
        folder
        for folder, inside in by_folder.items()
        if schema.CONFIG in inside and (_BESIDE & inside.keys() or b'"format"' in inside[schema.CONFIG].head(256))
    ]
    return {folder: [*by_folder[folder].values(), *by_folder[folder / schema.SCORES].values()] for folder in ours}


def read(ours: Folders) -> Imported:
    """The runs of these folders, oldest first, with their curves. A run that cannot be read is listed as failed."""
    placed = {folder: _place(folder, files) for folder, files in ours.items()}
    runs: list[Run] = []
    histories: dict[str, History] = {}
    where: dict[str, Path] = {}
    taken: set[str] = set()
    for folder, directory in placed.items():
        history = cache.history(directory)
        run = local.read_folder(directory, lambda curves=history: curves)  # type: ignore[misc]
        run = replace(run, id=_unique(run.id, folder, taken))
        taken.add(run.id)
        runs.append(run)
        histories[run.id], where[run.id] = history, directory
    ordered = sorted(runs, key=lambda run: (run.created or 0, run.id))
    return Imported(tuple(ordered), (), histories, where)


def _unique(name: str, folder: PurePosixPath, taken: set[str]) -> str:
    """The run's name, or its folder's whole path where another run has that name."""
    return name if name not in taken else str(folder)


def _place(folder: PurePosixPath, files: Sequence[File]) -> Path:
    """The run's directory on disk: where it lies, or a copy of its small files for as long as this process lives."""
    config = next(file for file in files if file.path.name == schema.CONFIG)
    if config.origin is not None:
        return config.origin.parent
    target = _temporary() / (re.sub(r"[^\w.()+-]", "_", folder.name).lstrip(".")[:100] or "run")
    target.mkdir()
    for file in files:
        inside = file.path.relative_to(folder).as_posix()
        if _PARTS.fullmatch(inside):
            path = target / inside
            path.parent.mkdir(exist_ok=True)
            try:
                path.write_bytes(file.content())
            except OSError as error:
                raise SourceError(f"{folder} could not be laid out in {target}: {error.strerror}.") from error
    return target


def _temporary() -> Path:
    path = Path(tempfile.mkdtemp(prefix="prefscope-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path
