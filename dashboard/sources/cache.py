"""What was parsed once is kept on disk: the same file, by place, size and time of change, is not parsed again."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
from array import array
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import orjson

from training.record import schema
from training.record.history import read_history
from training.record.schema import History, Series

FOLDER = "PREFSCOPE_CACHE"
"""Environment variable: where the cache lies; set to nothing it is off. Otherwise the user's own cache folder."""

LARGEST = 4 * 2**30
_WORTH = 64 * 2**10
"""Bytes: a smaller file is parsed faster than it is looked up."""

_VERSION = 1
_HEAD = struct.Struct("<Q")


class _Store(Protocol):
    def get(self, key: str) -> object: ...
    def set(self, key: str, value: bytes) -> bool: ...


def history(directory: Path) -> History:
    """The curves of a run in our own format."""
    return parsed(directory / schema.METRICS, lambda: read_history(directory))


def parsed(path: Path, parse: Callable[[], History]) -> History:
    """What `parse` makes of the file, from the cache if the file is as it was. A cache that fails is no cache."""
    try:
        status = path.stat()
    except OSError:
        return parse()
    store = _store(os.environ.get(FOLDER)) if status.st_size >= _WORTH else None
    if store is None:
        return parse()
    key = f"{_VERSION} {path.absolute()} {status.st_ino} {status.st_size} {status.st_mtime_ns}"
    known = _get(store, key)
    if known is not None:
        return known
    found = parse()
    with contextlib.suppress(OSError, sqlite3.Error, UnicodeEncodeError):
        store.set(key, encode(found))
    return found


def _get(store: _Store, key: str) -> History | None:
    try:
        content = store.get(key)
        return decode(content) if isinstance(content, bytes) else None
    except (OSError, sqlite3.Error, ValueError, UnicodeEncodeError):
        return None


@cache
def _store(folder: str | None) -> _Store | None:
    """The cache on disk, or None where it is switched off or cannot be opened."""
    if folder == "":
        return None
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    try:
        import diskcache

        class Plain(diskcache.Disk):  # type: ignore[misc]
            """Bytes and texts only: nothing that lies in the cache is ever unpickled."""

            def fetch(self, mode: int, filename: Any, value: Any, read: bool) -> Any:
                return None if mode == diskcache.core.MODE_PICKLE else super().fetch(mode, filename, value, read)

        path = Path(folder or f"{home}/prefscope")
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        store: _Store = diskcache.Cache(str(path), disk=Plain, size_limit=LARGEST, timeout=5)
        return store
    except Exception:  # a foreign library over a foreign disk: without a cache everything works
        return None


def encode(found: History) -> bytes:
    """The curves as bytes; columns that several share (the steps of all train metrics) are there once."""
    blocks: dict[bytes, int] = {}
    rows = [
        [
            key,
            *(
                blocks.setdefault(column.tobytes(), len(blocks))
                for column in (series.steps, series.epochs, series.times, series.values)
            ),
        ]
        for key, series in found.items()
    ]
    head = orjson.dumps({"series": rows, "sizes": [len(block) for block in blocks]})
    return b"".join([_HEAD.pack(len(head)), head, *blocks])


def decode(content: bytes) -> History:
    """The curves in `encode`'s bytes. Raises ValueError if they are none."""
    try:
        start = _HEAD.size + _HEAD.unpack_from(content)[0]
        head: Mapping[str, Any] = orjson.loads(content[_HEAD.size : start])
        view, blocks = memoryview(content), []
        for size in head["sizes"]:
            blocks.append(view[start : start + size])
            start += size
        if start != len(content):
            raise ValueError("the cached curves are cut")
        columns: dict[tuple[str, int], array[Any]] = {}
        return {
            key: Series(*(_column(columns, code, blocks, number) for code, number in zip("qddd", numbers, strict=True)))
            for key, *numbers in head["series"]
        }
    except (struct.error, KeyError, IndexError, TypeError) as error:
        raise ValueError("no cached curves") from error


def _column(known: dict[tuple[str, int], array[Any]], code: str, blocks: list[memoryview], number: int) -> array[Any]:
    """The block as an array, the same object for all that share it: curves are never changed in place."""
    if (code, number) not in known:
        column: array[Any] = array(code)
        column.frombytes(blocks[number])
        known[code, number] = column
    return known[code, number]
