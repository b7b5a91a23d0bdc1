"""Reads whatever people have: every file is told by its content and given to its reader; the rest is said."""

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
    headers,
    joining,
    markdown_tables,
    own_runs,
    run_tables,
    tensorboard,
    tensorboard_csv,
    trainer_state,
    wandb_history,
    wandb_offline,
    wandb_runs,
)
from dashboard.sources.columns import is_metric
from dashboard.sources.files import File
from dashboard.sources.imported import NO_CORRECTIONS, Corrections, Imported, SourceError
from dashboard.sources.table import header
from training.record.schema import Run

Kind = Literal["events", "wandb log", "trainer state", "runs table", "panel", "scalars", "table", "prose", "other"]

_LOG = logging.getLogger(__name__)
_TABLES = (".csv", ".tsv")
_PROSE = (".md", ".txt")
_MOST_PROSE = 100
_KNOWN = (
    "a W&B export or offline run, TensorBoard events or scalars, a trainer_state.json, a table of runs, or a folder of "
    "python -m training.run"
)
_HEAD = 1 << 16
_SHOWN = 10

_Call = Callable[[], Imported]


@dataclass(frozen=True)
class _Source:
    """One thing that the user named: a file, a folder or an archive, with its files and what was said of others."""

    name: str
    key: str
    files: Sequence[File]
    remarks: Sequence[str]
    is_file: bool

    @property
    def alone(self) -> bool:
        """Whether it is a single file that the user named."""
        return self.is_file and len(self.files) == 1


def read(paths: Sequence[Path], corrections: Corrections = NO_CORRECTIONS) -> Imported:
    """All runs in some files, folders and archives, each run once, with notes on everything that was not obvious.

    Raises SourceError, one sentence, if none of them holds a run.
    """
    parts, notes = [], []
    for path in dict.fromkeys(paths):
        try:
            source = _Source(str(path), str(path.absolute()), *files.walk(path), path.is_file())
            parts.append(_read(source, corrections))
        except SourceError as problem:
            notes.append(str(problem))
        except Exception as error:
            notes.append(fault(str(path), error))
    if not parts:
        raise SourceError(" ".join(notes[:_SHOWN]))
    found = joining.joined(parts)
    named = frozenset[str]().union(*(part.named for part in parts))
    return replace(found, notes=(*notes, *found.notes, *corrections.missed(named)), named=named)


def read_bytes(name: str, content: bytes, key: str, corrections: Corrections = NO_CORRECTIONS) -> Imported:
    """The runs in an uploaded file; `key` makes their ids. Raises SourceError, one sentence, if there is none."""
    found = _read(_Source(name, key, *files.of_bytes(name, content), True), corrections)
    return replace(found, notes=(*found.notes, *corrections.missed(found.named), *corrections.no_run(found.runs)))


def kind(file: File, alone: bool = False) -> Kind:
    """What the file is, by its first bytes.

    A table that neither W&B nor TensorBoard wrote is told by its name too where the file is not `alone`: among other
    files there may be program code and prose that look like one. Raises SourceError if the file cannot be read.
    """
    head, suffix = file.head(_HEAD), file.path.suffix.lower()
    for name, is_one in _BY_HEAD.items():
        if is_one(head):
            return name
    try:
        columns = header(head)
    except SourceError:
        return "table" if (alone or suffix in _TABLES) and b"\0" not in head else "other"
    for name, is_header in _BY_HEADER.items():
        if is_header(columns):
            return name
    if suffix in _TABLES or (alone and (suffix in _PROSE or any(map(is_metric, columns)))):
        return "table"
    return "prose" if suffix in _PROSE else "other"


_BY_HEAD: Mapping[Kind, Callable[[bytes], bool]] = {
    "wandb log": wandb_offline.is_wandb_log,
    "events": tensorboard.is_event_file,
    "trainer state": trainer_state.is_trainer_state,
}
_BY_HEADER: Mapping[Kind, Callable[[Sequence[str]], bool]] = {
    "panel": headers.is_panel,
    "scalars": headers.is_scalars,
    "runs table": headers.is_runs_table,
}


def _read(source: _Source, corrections: Corrections) -> Imported:
    """The runs of one source. Raises SourceError if it holds none."""
    ours = own_runs.folders(source.files)
    inside = frozenset(ours)
    kinds: dict[Kind, list[File]] = defaultdict(list)
    problems: list[str] = []
    for file in source.files:
        if not inside & {file.path.parent, *file.path.parents}:
            try:
                kinds[kind(file, source.alone)].append(file)
            except SourceError as problem:
                problems.append(str(problem))
            except Exception as error:
                problems.append(fault(str(file.path), error))
    calls = _calls(source, ours, kinds, corrections)
    parts = [part for file, call in calls for part in _attempt(file, call, problems)]
    formats = _formats(ours, kinds)
    if not any(part.runs for part in parts):
        parts += _in_prose(source, kinds["prose"], corrections)
        formats = ("tables in text",)
    if not any(part.runs for part in parts):
        told = [*problems, *(note for part in parts for note in part.notes), *source.remarks]
        raise SourceError(_nothing(source, told))
    found = joining.joined([replace(part, runs=tuple(map(corrections.with_beta, part.runs))) for part in parts])
    notes = (*source.remarks, *found.notes, *_few(problems))
    named = frozenset[str]().union(*(part.named for part in parts))
    keys = {name: key for part in parts for name, key in part.keys.items()}
    runs = _of_source(found.runs, source)
    return replace(found, runs=runs, notes=notes, named=named, keys=keys, formats=formats)


def _formats(ours: own_runs.Folders, kinds: Mapping[Kind, Sequence[File]]) -> tuple[str, ...]:
    """What the files were taken for, in words: `W&B runs table`, `3 trainer states`."""
    counted = [(len(ours), _OURS), *((len(kinds.get(kind, ())), words) for kind, words in _WORDS.items())]
    return tuple(one if count == 1 else f"{count:,} {several}" for count, (one, several) in counted if count)


_OURS = ("run folder of training.run", "run folders of training.run")
_WORDS: Mapping[Kind, tuple[str, str]] = {
    "runs table": ("W&B runs table", "W&B runs tables"),
    "table": ("table of runs", "tables of runs"),
    "panel": ("W&B chart", "W&B charts"),
    "scalars": ("TensorBoard scalar export", "TensorBoard scalar exports"),
    "trainer state": ("Trainer log", "Trainer logs"),
    "events": ("TensorBoard event file", "TensorBoard event files"),
    "wandb log": ("W&B offline run", "W&B offline runs"),
}


def _in_prose(source: _Source, prose: Sequence[File], told: Corrections) -> list[Imported]:
    """The tables of evaluations in texts, such as the model cards of a folder that has no other log of its runs."""
    small = [file for file in prose if file.size <= markdown_tables.LARGEST][:_MOST_PROSE]
    parts = [part for file in small for part in _attempt(file, partial(_one, run_tables.read, file, source, told), [])]
    found = [part for part in parts if any(key.startswith("eval/") for run in part.runs for key in run.metrics)]
    names = list(dict.fromkeys(run.source for part in found for run in part.runs))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    note = f"There is no log of a run: what is shown is from tables in {', '.join(names[:3])}{more}."
    return [Imported((), (note,)), *found] if found else []


def _of_source(runs: tuple[Run, ...], source: _Source) -> tuple[Run, ...]:
    """The runs as those of the folder or archive that the user named, not of one file in it: a table keeps its name."""
    if source.alone:
        return runs
    names = {run.source for run in runs}
    tables = {name for name in names if PurePosixPath(name).suffix.lower() in (*_TABLES, *_PROSE)}
    own = PurePath(source.name).name
    return tuple(run if run.source in tables or run.source == "runs" else replace(run, source=own) for run in runs)


_Reader = Callable[[bytes, str, str, Corrections], Imported]
_ONE_BY_ONE: Mapping[Kind, _Reader] = {
    "runs table": wandb_runs.read,
    "table": run_tables.read,
    "panel": wandb_history.read,
}


def _calls(
    source: _Source, ours: own_runs.Folders, kinds: Mapping[Kind, list[File]], told: Corrections
) -> Iterator[tuple[File, _Call]]:
    """What is to be read, in the order in which it is shown: the first file concerned, and the call."""
    if ours:
        yield next(iter(ours.values()))[0], partial(own_runs.read, ours)
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
    except Exception as error:  # no file may take the others down
        problems.append(fault(str(file.path), error))
    return []


def fault(name: str, error: Exception) -> str:
    """What the user is told where a reader fails; how it came to that is for a log at level DEBUG only."""
    _LOG.debug("%s cannot be read", name, exc_info=error)
    if isinstance(error, MemoryError):
        return f"{name} needs more memory than there is."
    return f"{name} cannot be read ({type(error).__name__})."


def _prefix(source: _Source, part: str) -> str:
    """Eight hexadecimal digits that make the ids of these runs, the same every time."""
    return hashlib.sha256(f"{source.key}\0{part}".encode(errors="surrogateescape")).hexdigest()[:8]


def _nothing(source: _Source, told: Sequence[str]) -> str:
    """Why no run was found, in one sentence where one file was named."""
    if source.alone and told:
        return " ".join(told[:2])
    if source.alone:
        kind = "a binary file, but " if b"\0" in source.files[0].head() else ""
        return f"{source.name} is {kind}no log of runs that this code knows: {_KNOWN}."
    why = f" {' '.join(told[:3])}" if told else ""
    if not source.files:
        return f"{source.name} has nothing to read.{why}"
    none = f"none of its {len(source.files):,} files is a" if len(source.files) > 1 else "its only file is no"
    return f"{source.name} holds no run: {none} log that this code knows ({_KNOWN}).{why}"


def _few(problems: Sequence[str]) -> list[str]:
    more = [f"{len(problems) - _SHOWN} more files could not be read."] if len(problems) > _SHOWN else []
    return [*problems[:_SHOWN], *more]
