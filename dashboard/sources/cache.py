"""What was parsed once is kept on disk: the same file, by place, size and time of change, is not parsed again."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import orjson

from dashboard.sources import stamps
from training.record import schema
from training.record.history import read_evaluations, read_history
from training.record.schema import History, Series

FOLDER = "PREFSCOPE_CACHE"
"""Environment variable: where the cache lies; set to nothing it is off. Otherwise the user's own cache folder."""

LARGEST = 4 * 2**30
WORTH = 64 * 2**10
"""Bytes: a smaller file is parsed faster than it is looked up."""

_VERSION = 2
_HEAD = struct.Struct("<Q")

T = TypeVar("T")


class _Store(Protocol):
    def get(self, key: str) -> object: ...
    def set(self, key: str, value: bytes) -> bool: ...
    def __contains__(self, key: str) -> bool: ...


def history(directory: Path) -> History:
    """The curves of a run in our own format."""
    return kept(directory / schema.METRICS, "history", lambda: read_history(directory), encode, decode)


def evaluations(directory: Path) -> History:
    """The curves of a run's evaluations alone."""
    return kept(directory / schema.METRICS, "evaluations", lambda: read_evaluations(directory), encode, decode)


def keep_history(directory: Path) -> bool:
    """Parses a run's curves if that is worth keeping and they are not kept yet; whether it did."""
    key = _key(directory / schema.METRICS, "history", WORTH)
    if key is None or _holds(key):
        return False
    put(key, encode(read_history(directory)))
    return True


def kept(
    path: Path | None,
    kind: str,
    parse: Callable[[], T],
    encode: Callable[[T], bytes],
    decode: Callable[[bytes], T],
    worth: int = WORTH,
) -> T:
    """What `parse` makes of the file, from the cache if the file is as it was; `kind` tells apart what is made of it.

    `decode` raises ValueError for bytes that `encode` has not made. A cache that fails is no cache. A file of fewer
    than `worth` bytes, or one that changed just now, is not kept.
    """
    key = _key(path, kind, worth) if path is not None else None
    if key is None:
        return parse()
    known = get(key)
    if known is not None:
        with contextlib.suppress(ValueError):
            return decode(known)
    found = parse()
    put(key, encode(found))
    return found


def _key(path: Path, kind: str, worth: int) -> str | None:
    stamp = stamps.stamp(path)
    if stamp is None or not stamp.is_file or stamp.size < worth or stamp.recent():
        return None
    return f"{kind} {path.absolute()} {stamp.inode} {stamp.size} {stamp.changed} {stamp.inode_changed}"


def get(key: str) -> bytes | None:
    """What was put under the key; None where nothing was, or the cache is off or fails."""
    store = _store(os.environ.get(FOLDER))
    if store is not None:
        with contextlib.suppress(OSError, sqlite3.Error, ValueError):
            known = store.get(f"{_VERSION} {key}")
            return known if isinstance(known, bytes) else None
    return None


def put(key: str, content: bytes) -> None:
    """Keeps the bytes under the key, if the cache works."""
    store = _store(os.environ.get(FOLDER))
    if store is not None:
        with contextlib.suppress(OSError, sqlite3.Error, UnicodeEncodeError):
            store.set(f"{_VERSION} {key}", content)


def _holds(key: str) -> bool:
    """Whether something lies under the key; where the cache is off or fails, nothing is to be laid there."""
    store = _store(os.environ.get(FOLDER))
    if store is None:
        return True
    try:
        return f"{_VERSION} {key}" in store
    except (OSError, sqlite3.Error, ValueError):
        return True


@cache
def _store(folder: str | None) -> _Store | None:
    """The cache on disk, or None where it is switched off or cannot be opened."""
    if folder == "":
        return None
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    try:
        import diskcache

        from dashboard.sources.plain import Plain

        path = Path(folder or f"{home}/prefscope")
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        store: _Store = diskcache.Cache(str(path), disk=Plain, size_limit=LARGEST, timeout=5)
        return store
    except Exception:  # a foreign library over a foreign disk: without a cache everything works
        return None


def pack(columns: Iterable[tuple[str, Sequence[bytes]]], about: Mapping[str, Any] | None = None) -> bytes:
    """Named rows of columns as bytes; columns that several share (the steps of all train metrics) are there once."""
    blocks: dict[bytes, int] = {}
    rows = [[name, *(blocks.setdefault(part, len(blocks)) for part in parts)] for name, parts in columns]
    head = orjson.dumps({"rows": rows, "sizes": [len(block) for block in blocks], "about": about or {}})
    return b"".join([_HEAD.pack(len(head)), head, *blocks])


def unpack(content: bytes) -> tuple[list[tuple[str, list[int]]], list[memoryview], dict[str, Any]]:
    """What `pack` was given: names with the numbers of their columns, the columns, and what was said about them.

    Raises ValueError if the bytes are not its.
    """
    try:
        start = _HEAD.size + _HEAD.unpack_from(content)[0]
        head: dict[str, Any] = orjson.loads(content[_HEAD.size : start])
        view, blocks = memoryview(content), []
        for size in head["sizes"]:
            blocks.append(view[start : start + size])
            start += size
        if start != len(content):
            raise ValueError("what was kept is cut")
        return [(name, numbers) for name, *numbers in head["rows"]], blocks, head["about"]
    except (struct.error, KeyError, IndexError, TypeError) as error:
        raise ValueError("these bytes were not kept by this code") from error


def encode(found: History) -> bytes:
    """The curves as bytes."""
    parts = ((key, (s.steps, s.epochs, s.times, s.values)) for key, s in found.items())
    return pack((key, [column.tobytes() for column in columns]) for key, columns in parts)


def decode(content: bytes) -> History:
    """The curves in `encode`'s bytes. Raises ValueError if they are none."""
    rows, blocks, _ = unpack(content)
    columns: dict[tuple[str, int], array[Any]] = {}
    try:
        return {
            key: Series(*(_column(columns, code, blocks, number) for code, number in zip("qddd", numbers, strict=True)))
            for key, numbers in rows
        }
    except (IndexError, TypeError) as error:
        raise ValueError("no cached curves") from error


def _column(known: dict[tuple[str, int], array[Any]], code: str, blocks: list[memoryview], number: int) -> array[Any]:
    """The block as an array, the same object for all that share it: curves are never changed in place."""
    if (code, number) not in known:
        column: array[Any] = array(code)
        column.frombytes(blocks[number])
        known[code, number] = column
    return known[code, number]
