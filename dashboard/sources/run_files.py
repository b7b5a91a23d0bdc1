"""What lies in a run's folder: files, checkpoints, small texts; nothing outside of it is ever looked at."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from training.record import schema
from training.record.schema import Run

REPOSITORY = Path(__file__).resolve().parents[2]
"""Where `python -m training.run` is called."""

ERROR_LOG = "error.log"
LARGEST_TEXT = 64 * 2**10
"""Bytes of a file that are shown."""

LARGEST_READ = 64 * 2**20
"""Bytes of a record that are read for one page."""

MOST_FILES, DEEPEST = 400, 4
_WHOLE = frozenset({schema.CONFIG, schema.SUMMARY, schema.LATEST})
_GROWING = frozenset({ERROR_LOG, schema.NOTICES})
VIEWABLE = _WHOLE | _GROWING
"""Names of the files that are shown as text: small ones that people read, none of which holds a model."""

_NEEDED = ("trainer_state.json", "optimizer.pt", "scheduler.pt")

Kind = Literal["file", "folder", "link", "other"]


@dataclass(frozen=True)
class Item:
    """One entry of the folder: `path` with `/` below the folder, `size` in bytes, `changed` in seconds since 1970."""

    path: str
    kind: Kind
    size: int
    changed: float


@dataclass(frozen=True)
class Checkpoint:
    """A saved model: `step` if its name tells it, `size` in bytes, what is `missing` for training to go on from it."""

    name: str
    path: Path
    step: int | None
    size: int
    has_weights: bool
    missing: tuple[str, ...]
    adapter: bool
    encoder_decoder: bool
    chat_template: bool


def folder(runs: Mapping[str, Run], root: Path, run_id: object) -> Path | None:
    """The folder of a run that the catalog lists (`runs`) and that lies directly in `root`; None for anything else."""
    run = runs.get(run_id) if isinstance(run_id, str) else None
    if run is None or run.source != "runs" or Path(run.id).name != run.id or run.id.startswith("."):
        return None
    try:
        found = root / run.id
        return found if (found / schema.CONFIG).is_file() else None
    except (OSError, ValueError):
        return None


def shown(path: Path) -> str:
    """The path as it works in a command that is given in the repository: relative to it if it lies below."""
    absolute = path.absolute()
    return os.fspath(absolute.relative_to(REPOSITORY) if absolute.is_relative_to(REPOSITORY) else absolute)


def is_plain(directory: Path, name: str) -> bool:
    """Whether the folder holds a file of this name that is no link, no pipe, and not too large to be read."""
    return any(
        item.path == name and item.kind == "file" and item.size <= LARGEST_READ for item in _scan(directory, Path())
    )


def recorded(directory: Path, name: str, read: Callable[[Path], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What `read` makes of the record `name` in the folder; nothing of a link, a pipe, or rows that it cannot take."""
    try:
        return read(directory) if is_plain(directory, name) else []
    except (OSError, TypeError, ValueError):
        return []


def listing(directory: Path) -> tuple[list[Item], bool]:
    """What lies in the folder, folders before what is in them, and whether that is all. Links are not followed."""
    found: list[Item] = []
    for item in _walk(directory, Path(), DEEPEST):
        if len(found) == MOST_FILES:
            return found, False
        found.append(item)
    return found, True


def _walk(directory: Path, below: Path, depth: int) -> Iterator[Item]:
    for item in _scan(directory, below):
        yield item
        if item.kind == "folder" and depth > 1:
            yield from _walk(directory, Path(item.path), depth - 1)


def _scan(directory: Path, below: Path) -> list[Item]:
    """The entries of one folder, by name; nothing where it cannot be read. Names that are no text are shown so."""
    found = []
    try:
        with os.scandir(directory / below) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                name = (below / entry.name).as_posix()
                found.append(Item(name, _kind(entry), status.st_size, status.st_mtime))
    except OSError:
        return []
    return sorted(found, key=lambda item: (item.kind == "folder", item.path))


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def text(directory: Path, name: object) -> tuple[str, bool] | None:
    """A file of `VIEWABLE` as text, and whether that is all of it: the end of a log, the beginning of others.

    None for any other name, for a link, and for what is not there: `name` may come from a browser.
    """
    known = next((allowed for allowed in VIEWABLE if allowed == name), None)
    found = next((item for item in _scan(directory, Path()) if item.path == known and item.kind == "file"), None)
    if found is None:
        return None
    try:
        with os.fdopen(os.open(directory / found.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            if found.path in _GROWING and found.size > LARGEST_TEXT:
                file.seek(-LARGEST_TEXT, os.SEEK_END)
            content = file.read(LARGEST_TEXT)
    except OSError:
        return None
    return content.decode(errors="replace"), found.size <= LARGEST_TEXT


def checkpoints(directory: Path, best_step: int | None) -> list[Checkpoint]:
    """The saved models of a run: the best one, which was saved at `best_step`, then the others, the newest first."""
    found = []
    for item in _scan(directory, Path(schema.CHECKPOINTS)):
        name = Path(item.path).name
        numbered = re.fullmatch(r"checkpoint-(\d{1,18})", name, re.ASCII)
        if item.kind == "folder" and (numbered or name == "best"):
            found.append(_checkpoint(directory, item.path, int(numbered[1]) if numbered else best_step))
    return sorted(found, key=lambda one: (one.name != "best", -(one.step or 0)))


def _checkpoint(directory: Path, inside: str, step: int | None) -> Checkpoint:
    path = directory / inside
    files = {Path(item.path).name: item for item in _scan(directory, Path(inside)) if item.kind == "file"}
    weights = [name for name in files if name.endswith(".safetensors")]
    whole = bool(weights) and all(_is_whole(path / name, files[name].size) for name in weights)
    missing = [] if whole else ["whole weights"]
    missing += [name for name in _NEEDED if name not in files]
    missing += [] if any(re.fullmatch(r"rng_state.*\.pth", name) for name in files) else ["rng_state.pth"]
    about, adapter, tokenizer = (
        _json(path / name) if name in files else {}
        for name in ("config.json", "adapter_config.json", "tokenizer_config.json")
    )
    return Checkpoint(
        path.name,
        path,
        step,
        sum(item.size for item in files.values()),
        whole,
        tuple(missing),
        bool(adapter),
        bool(about.get("is_encoder_decoder")) or adapter.get("task_type") == "SEQ_2_SEQ_LM",
        "chat_template.jinja" in files or bool(tokenizer.get("chat_template")),
    )


def _is_whole(path: Path, size: int) -> bool:
    """Whether a file of weights is as long as its header says: 8 bytes of length, a JSON header, the tensors' bytes.

    The format of huggingface.co/docs/safetensors; a file cut by a full disk is shorter.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = orjson.loads(file.read(length)) if length <= min(size, LARGEST_READ) else {}
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        return bool(ends) and 8 + length + max(ends) == size
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def _json(path: Path) -> dict[str, Any]:
    """The object in a small file, empty if it is none."""
    try:
        content = orjson.loads(path.read_bytes()) if path.stat().st_size <= LARGEST_READ else {}
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
