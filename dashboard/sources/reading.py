"""Reads whatever people have: every file is told by its content and given to its reader; the rest is said."""

import csv
import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal

from dashboard.sources import (
    files,
    joining,
    own_runs,
    run_tables,
    tensorboard,
    tensorboard_csv,
    trainer_state,
    wandb_history,
    wandb_offline,
    wandb_runs,
)
from dashboard.sources.files import File
from dashboard.sources.imported import NO_CORRECTIONS, Corrections, Imported, SourceError
from dashboard.sources.table import decode
from training.record.schema import Run

Kind = Literal["events", "wandb log", "trainer state", "runs table", "panel", "scalars", "table", "other"]

_LOG = logging.getLogger(__name__)
_TABLES = (".csv", ".tsv", ".md", ".txt")
_PROSE = (".md", ".txt")
_KNOWN = (
    "a W&B export or offline run, TensorBoard events or scalars, a trainer_state.json, a table of runs, or a folder of "
    "python -m training.run"
)
_HEAD = 1 << 16
_SHOWN = 10

_Call = Callable[[], Imported]


@dataclass(frozen=True)
class _Source:
    """One thing that the user named: a file, a folder or an archive, with its files."""

    name: str
    key: str
    files: tuple[File, ...]
    alone: bool


def read(paths: Sequence[Path], corrections: Corrections = NO_CORRECTIONS) -> Imported:
    """All runs in some files, folders and archives, each run once, with notes on everything that was not obvious.

    Raises SourceError, one sentence, if none of them holds a run.
    """
    parts, notes = [], []
    for path in paths:
        try:
            found, remarks = files.walk(path)
            part = _read(_Source(str(path), str(path.absolute()), tuple(found), path.is_file()), corrections)
            parts.append(Imported(part.runs, (*remarks, *part.notes), part.histories, part.folders))
        except SourceError as problem:
            notes.append(str(problem))
    if not any(part.runs for part in parts):
        raise SourceError(" ".join([*notes, *(note for part in parts for note in part.notes)][:_SHOWN]))
    found_all = joining.joined(parts)
    return Imported(found_all.runs, (*notes, *found_all.notes), found_all.histories, found_all.folders)


def read_bytes(name: str, content: bytes, key: str, corrections: Corrections = NO_CORRECTIONS) -> Imported:
    """The runs in an uploaded file; `key` makes their ids. Raises SourceError, one sentence, if there is none."""
    found, remarks = files.of_bytes(name, content)
    part = _read(_Source(name, key, tuple(found), True), corrections)
    return Imported(part.runs, (*remarks, *part.notes), part.histories, part.folders)


def kind(file: File) -> Kind:
    """What the file is, by its first bytes; a table that is not W&B's or TensorBoard's is told by its name too."""
    head = file.head(_HEAD)
    if wandb_offline.is_wandb_log(head):
        return "wandb log"
    if tensorboard.is_event_file(head):
        return "events"
    if trainer_state.is_trainer_state(head):
        return "trainer state"
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "other"
    header = _header(head)
    if wandb_runs.is_panel(header):
        return "panel"
    if wandb_runs.is_scalars(header):
        return "scalars"
    if wandb_runs.is_runs_table(header):
        return "runs table"
    return "table" if file.path.suffix.lower() in _TABLES else "other"


def _header(head: bytes) -> list[str]:
    """The cells of the first line, whatever separates them."""
    try:
        lines = decode(head[: len(head) // 2 * 2]).lstrip().splitlines()[:1]
    except (SourceError, UnicodeError):
        return []
    cut = [next(csv.reader(lines, delimiter=separator), []) for separator in ",;\t"]
    return [cell.strip() for cell in max(cut, key=len)]


def _read(source: _Source, corrections: Corrections) -> Imported:
    """The runs of one source. Raises SourceError if it is a single file that cannot be read, or holds no run."""
    ours = own_runs.folders(source.files)
    inside = frozenset(ours)
    rest = [file for file in source.files if not inside & {file.path.parent, *file.path.parents}]
    kinds: dict[Kind, list[File]] = defaultdict(list)
    problems: list[str] = []
    for file in rest:
        try:
            kinds[kind(file) if source.alone or file.path.suffix.lower() not in _PROSE else "other"].append(file)
        except SourceError as problem:
            problems.append(str(problem))
    parts = [own_runs.read(ours)] if ours else []
    for file, call in _calls(source, kinds, corrections):
        parts += _attempt(file, call, problems)
    if not any(part.runs for part in parts):
        raise SourceError(_nothing(source, kinds, problems, [note for part in parts for note in part.notes]))
    joined = joining.joined(parts)
    return Imported(_of_source(joined.runs, source), (*joined.notes, *_few(problems)), joined.histories, joined.folders)


def _of_source(runs: tuple[Run, ...], source: _Source) -> tuple[Run, ...]:
    """The runs as those of the folder or archive that the user named, not of one file in it: a table keeps its name."""
    if source.alone and len(source.files) == 1:
        return runs
    tables = {name for name in {run.source for run in runs} if PurePosixPath(name).suffix.lower() in _TABLES}
    own = PurePath(source.name).name
    return tuple(run if run.source in tables or run.source == "runs" else replace(run, source=own) for run in runs)


_Reader = Callable[[bytes, str, str, Corrections], Imported]
_ONE_BY_ONE: Mapping[Kind, _Reader] = {
    "runs table": wandb_runs.read,
    "table": run_tables.read,
    "panel": wandb_history.read,
}


def _calls(source: _Source, kinds: Mapping[Kind, list[File]], told: Corrections) -> Iterator[tuple[File, _Call]]:
    """What is to be read, in the order in which it is shown: the first file concerned, and the call."""
    for name, read in _ONE_BY_ONE.items():
        for file in kinds.get(name, ()):
            yield file, partial(_one, read, file, source, told)
    siblings = {file.path: file for found in kinds.values() for file in found}
    for name, several in (
        ("scalars", tensorboard_csv.read),
        ("trainer state", lambda found, prefix, told: trainer_state.read(found, siblings, prefix, told)),
        ("events", tensorboard.read),
        ("wandb log", wandb_offline.read),
    ):
        if found := kinds.get(name):
            yield found[0], partial(several, found, _prefix(source, name), told)


def _one(read: _Reader, file: File, source: _Source, told: Corrections) -> Imported:
    return read(file.content(), str(file.path), _prefix(source, str(file.path)), told)


def _attempt(file: File, call: _Call, problems: list[str]) -> list[Imported]:
    """What the call gives; what it refuses is a problem to be told, never an end."""
    try:
        return [call()]
    except SourceError as problem:
        named = file.path.name in str(problem)
        problems.append(str(problem) if named else f"{file.path}: {problem}")
    except Exception as error:  # a reader's own fault: no file may take the others down
        _LOG.exception("a source cannot be read")
        problems.append(f"{file.path} cannot be read ({type(error).__name__}).")
    return []


def _prefix(source: _Source, part: str) -> str:
    """Eight hexadecimal digits that make the ids of these runs, the same every time."""
    return hashlib.sha256(f"{source.key}\0{part}".encode(errors="surrogateescape")).hexdigest()[:8]


def _nothing(source: _Source, kinds: Mapping[Kind, list[File]], problems: Sequence[str], notes: Sequence[str]) -> str:
    """Why no run was found, in one sentence where one file was named."""
    told = [*problems, *notes]
    if source.alone and len(source.files) == 1 and told:
        return " ".join(told[:2])
    count = len(source.files)
    if not count:
        return f"{source.name} is empty: there is nothing to read."
    if source.alone and count == 1:
        kind = "a binary file, but " if b"\0" in source.files[0].head() else ""
        return f"{source.name} is {kind}no log of runs that this code knows: {_KNOWN}."
    why = f" {' '.join(told[:3])}" if told else ""
    return f"{source.name} holds no run: none of its {count:,} files is a log that this code knows ({_KNOWN}).{why}"


def _few(problems: Sequence[str]) -> list[str]:
    more = [f"{len(problems) - _SHOWN} more files could not be read."] if len(problems) > _SHOWN else []
    return [*problems[:_SHOWN], *more]
