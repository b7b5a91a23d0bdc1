"""Runs in our own format among the files of a source: folders as they are, those in an archive laid out on disk."""

import atexit
import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path, PurePosixPath

from dashboard.sources import cache, local
from dashboard.sources.archives import is_shared
from dashboard.sources.files import File
from dashboard.sources.imported import Imported, SourceError
from dashboard.sources.points import few
from training.record import schema
from training.record.schema import History, Run

_BESIDE = frozenset({schema.METRICS, schema.LATEST, schema.SUMMARY})
_PARTS = re.compile(
    rf"({re.escape(schema.CONFIG)}|{re.escape(schema.METRICS)}|{re.escape(schema.SAMPLES)}|{re.escape(schema.NOTICES)}"
    rf"|{re.escape(schema.LATEST)}|{re.escape(schema.SUMMARY)}|{schema.SCORES}/step-\d+\.parquet)",
    re.ASCII,
)

_OF_A_MODEL = (b'"model_type"', b'"architectures"')
_HEAD = 1 << 16

Folders = Mapping[PurePosixPath, Sequence[File]]


def folders(found: Iterable[File]) -> dict[PurePosixPath, list[File]]:
    """The run directories among the files (runs/README.md): folder -> the files that make the run.

    They are its own, and the evaluation pairs that it shares with the runs beside it where those are among the files.
    """
    by_folder: dict[PurePosixPath, dict[str, File]] = defaultdict(dict)
    shared: dict[PurePosixPath, list[File]] = defaultdict(list)
    for file in found:
        by_folder[file.path.parent][file.path.name] = file
        if is_shared(file.path):
            shared[file.path.parents[2]].append(file)
    ours = [folder for folder, inside in by_folder.items() if schema.CONFIG in inside and _is_run(inside)]
    return {
        folder: [*by_folder[folder].values(), *by_folder[folder / schema.SCORES].values(), *shared[folder.parent]]
        for folder in ours
    }


def _is_run(inside: Mapping[str, File]) -> bool:
    """Whether a folder with these files is a run: its config.json says so, or may be a damaged one, but no model's."""
    try:
        head = inside[schema.CONFIG].head(_HEAD)
    except SourceError:
        return bool(_BESIDE & inside.keys())
    return b'"format"' in head[:256] or bool(_BESIDE & inside.keys() and not any(name in head for name in _OF_A_MODEL))


def read(ours: Folders) -> Imported:
    """The runs of these folders, oldest first, with their curves. A run that cannot be read is listed as failed.

    Raises SourceError if those in an archive cannot be laid out on disk.
    """
    problems: list[str] = []
    roots: dict[PurePosixPath, Path] = {}
    placed = {folder: _place(folder, files, roots, problems) for folder, files in ours.items()}
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
    return Imported(tuple(ordered), tuple(few(problems, "files cannot be read")), histories, where)


def _unique(name: str, folder: PurePosixPath, taken: set[str]) -> str:
    """The run's name, or its folder's whole path where another run has that name."""
    return name if name not in taken else str(folder)


def _place(folder: PurePosixPath, files: Sequence[File], roots: dict[PurePosixPath, Path], problems: list[str]) -> Path:
    """The run's directory on disk: where it lies, or a copy of its small files for as long as this process lives.

    Copied is what lies in an archive, or beside links and pipes, which nobody may open. `roots` are where the runs of
    each folder are laid out: their shared pairs lie between them, as in runs/. A file that cannot be read is left out
    and told in `problems`.
    """
    config = next(file for file in files if file.path.name == schema.CONFIG)
    if config.origin is not None and _is_plain(config.origin.parent):
        return config.origin.parent
    root = roots[folder.parent] = roots.get(folder.parent) or _temporary()
    target = root / _unused(re.sub(r"[^\w.()+-]", "_", folder.name).lstrip(".")[:60] or "run", root)
    try:
        for file in files:
            if is_shared(file.path):
                _copy(file, root.joinpath(*file.path.parts[-3:]), problems)
            elif _PARTS.fullmatch(inside := file.path.relative_to(folder).as_posix()):
                _copy(file, target / inside, problems)
    except OSError as error:
        raise SourceError(f"{folder} could not be laid out in {target}: {error.strerror}.") from error
    return target


def _is_plain(directory: Path) -> bool:
    """Whether all that makes the run in this directory are plain files."""
    scores = directory / schema.SCORES
    try:
        with os.scandir(directory) as inside:
            plain = all(entry.is_file(follow_symlinks=False) for entry in inside if _PARTS.fullmatch(entry.name))
        if not scores.is_dir():
            return plain
        with os.scandir(scores) as inside:
            return plain and not scores.is_symlink() and all(entry.is_file(follow_symlinks=False) for entry in inside)
    except OSError:
        return False


def _unused(name: str, root: Path) -> str:
    names = (f"{name}-{number}" if number > 1 else name for number in count(1))
    return next(free for free in names if not (root / free).exists())


def _copy(file: File, target: Path, problems: list[str]) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.write_bytes(file.content())
    except SourceError as problem:
        problems.append(str(problem))


def _temporary() -> Path:
    path = Path(tempfile.mkdtemp(prefix="prefscope-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path
