"""The database of uploaded files: their bytes by SHA-256, what is said about each, and how to undo the last change."""

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import diskcache
import orjson

from dashboard.sources.imported import SourceError
from dashboard.sources.plain import Plain

OFFERED = 600.0
"""Seconds for which the last change can be undone; until then the bytes of a removed file are kept."""

_CONTENT, _ABOUT, _UNDO = "content ", "about ", "undo"
_SETTINGS = {
    "eviction_policy": "none",
    "cull_limit": 0,
    "size_limit": 2**40,
    "disk_min_file_size": 2**15,
    "sqlite_journal_mode": "delete",
    "sqlite_mmap_size": 0,
    "sqlite_synchronous": 2,
}
"""Nothing is ever evicted. A rollback journal is in one file, whose header counts changes; memory maps of a file that
another program cuts would end the process."""
_KNOWN = {*diskcache.DEFAULT_SETTINGS, "count", "size", "hits", "misses"}
_COUNTER = 24
_PATIENCE = 10

About = Mapping[str, Any]
"""What is kept of an upload beside its bytes: plain JSON, of which a reader believes nothing."""


class Damaged(SourceError):
    """The database cannot be read; `Store.set_aside` is the way out."""


@dataclass(frozen=True)
class Undo:
    """The last change: its words, when and in which drop it was made, and what was said before of each upload (None:
    it was not there)."""

    words: str
    when: float
    drop: str = ""
    before: Mapping[str, About | None] = field(default_factory=dict)


class Store:
    """One database in `folder`, which is made with the first file. Safe to share between threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._open: tuple[int, Any] | None = None
        self._watching = threading.Lock()
        self._watched: tuple[int, int] | None = None

    def stamp(self) -> Hashable:
        """Another value after every change by any process; None where there is no database."""
        path = self.folder / diskcache.core.DBNAME
        with self._watching:
            try:
                inode = path.stat().st_ino
                if self._watched is None or self._watched[0] != inode:
                    self._unwatch()
                    descriptor = os.open(path, os.O_RDONLY)
                    self._watched = (os.fstat(descriptor).st_ino, descriptor)
                return (self._watched[0], os.pread(self._watched[1], 4, _COUNTER))
            except OSError:
                return None

    def entries(self) -> dict[str, About]:
        """SHA-256 -> what is said of the upload, by time. Raises SourceError, one sentence, if that cannot be read."""
        if self.stamp() is None:
            return {}
        with self._database() as database:
            texts = {key: database.get(key) for key in database.iterkeys() if _is(key, _ABOUT)}
        found = {key.removeprefix(_ABOUT): about for key, text in texts.items() if (about := _json(text)) is not None}
        return dict(sorted(found.items(), key=lambda item: (_number(item[1].get("added")), item[0])))

    def content(self, digest: str) -> bytes:
        """The bytes of an upload. Raises SourceError, one sentence, if they are not what they were."""
        with self._database() as database:
            found = database.get(_CONTENT + digest)
        if not isinstance(found, bytes) or hashlib.sha256(found).hexdigest() != digest:
            raise SourceError("The file that was kept is damaged: remove it and import it again.")
        return found

    def add(self, digest: str, file: IO[bytes], about: About) -> None:
        """Keeps a file whose SHA-256 is `digest`; what is known is left as it is. Raises SourceError if it cannot."""
        with self._changing() as database:
            if _ABOUT + digest in database:
                return
            if _CONTENT + digest not in database:
                database.set(_CONTENT + digest, file, read=True)
            database.set(_ABOUT + digest, _text(about))

    def change(self, digest: str, about: About | None, words: str) -> None:
        """Says something else about an upload, None to remove it; this can be undone. Raises SourceError."""
        with self._changing() as database:
            before = _json(database.get(_ABOUT + digest))
            if before is not None:
                self._say(database, digest, about)
                _remember(database, Undo(words, time.time(), before={digest: before}))

    def added(self, digest: str, words: str, drop: str) -> None:
        """Lets the addition of a file be undone, together with the others of its drop. Raises SourceError."""
        with self._changing() as database:
            last = _undo(database)
            together = drop and last is not None and last.drop == drop
            before = {**(last.before if together and last else {}), digest: None}
            told = words if len(before) == 1 else f"{len(before)} files added."
            _remember(database, Undo(told, time.time(), drop, before))

    def drop(self, digest: str) -> None:
        """Forgets an upload that turned out to be none; this cannot be undone. Raises SourceError."""
        with self._changing() as database:
            self._say(database, digest, None)

    def last(self) -> Undo | None:
        """What can be undone now. Raises SourceError."""
        if self.stamp() is None:
            return None
        with self._database() as database:
            return _undo(database)

    def undo(self) -> str:
        """Undoes the last change and gives its words, "" if there is none. Raises SourceError."""
        if self.stamp() is None:
            return ""
        with self._changing() as database:
            last = _undo(database)
            database.delete(_UNDO)
            for digest, about in (last.before if last else {}).items():
                self._say(database, digest, about)
        return last.words if last else ""

    def clean(self) -> None:
        """Deletes the bytes of removed files once that can no longer be undone. Raises SourceError."""
        if self.stamp() is not None:
            with self._changing():
                pass

    def set_aside(self) -> Path:
        """Renames the folder, so that the next file begins a new one; gives the new name. Raises SourceError."""
        with self._lock:
            self._close()
            aside = self.folder.with_name(f"{self.folder.name}.damaged-{time.time_ns():x}")
            try:
                return self.folder.rename(aside)
            except OSError as error:
                raise SourceError(f"{self.folder} cannot be renamed: {error.strerror}.") from error

    @staticmethod
    def _say(database: Any, digest: str, about: About | None) -> None:
        if about is None:
            database.delete(_ABOUT + digest)
        elif _CONTENT + digest in database:
            database.set(_ABOUT + digest, _text(about))

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        """One transaction, at whose end bytes that nothing leads to are gone."""
        with self._database() as database, database.transact():
            yield database
            last = _undo(database)
            if last is None:
                database.delete(_UNDO)
            wanted = {digest for digest, about in (last.before if last else {}).items() if about is not None}
            for key in [key for key in database.iterkeys() if _is(key, _CONTENT)]:
                digest = key.removeprefix(_CONTENT)
                if digest not in wanted and _ABOUT + digest not in database:
                    database.delete(key)

    @contextmanager
    def _database(self) -> Iterator[Any]:
        with self._lock:
            try:
                yield self._opened()
            except (sqlite3.OperationalError, diskcache.Timeout, OSError) as error:
                self._close()
                reason = getattr(error, "strerror", None) or str(error) or "another program is using it"
                raise SourceError(f"Uploads cannot be kept in {self.folder}: {reason}.") from error
            except (sqlite3.DatabaseError, TypeError, ValueError, AttributeError, KeyError, AssertionError) as error:
                self._close()
                raise Damaged(f"The database of uploads in {self.folder} is damaged ({error}).") from error

    def _opened(self) -> Any:
        """The database, opened again if another file stands in its place."""
        path = self.folder / diskcache.core.DBNAME
        if self._open is None or not path.exists() or path.stat().st_ino != self._open[0]:
            self._close()
            if path.exists():
                _check(path)
            database = diskcache.Cache(str(self.folder.absolute()), timeout=_PATIENCE, disk=Plain, **_SETTINGS)
            self._open = (path.stat().st_ino, database)
        return self._open[1]

    def _unwatch(self) -> None:
        """Closes the descriptor of a file that has been replaced. One of the file itself stays open: to close any of
        its descriptors takes SQLite's locks from it, in every thread (sqlite.org/howtocorrupt.html, 2.2)."""
        if self._watched is not None:
            os.close(self._watched[1])
            self._watched = None

    def _close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


def _check(path: Path) -> None:
    """Raises sqlite3.DatabaseError for a file that diskcache must not open: damaged, or with settings of a stranger."""
    connection = sqlite3.connect(path, timeout=_PATIENCE)
    try:
        (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        named = connection.execute("SELECT key FROM Settings").fetchall() if "Settings" in tables else []
    finally:
        connection.close()
    if result != "ok" or not {key for (key,) in named} <= _KNOWN:
        raise sqlite3.DatabaseError(str(result) if result != "ok" else "its settings are unknown")


def _remember(database: Any, undo: Undo) -> None:
    said = {"words": undo.words, "when": undo.when, "drop": undo.drop, "before": dict(undo.before)}
    database.set(_UNDO, _text(said))


def _undo(database: Any) -> Undo | None:
    """The last change, as long as it can be undone."""
    found = _json(database.get(_UNDO)) or {}
    words, when, before = found.get("words"), _number(found.get("when")), found.get("before")
    if not isinstance(words, str) or not isinstance(before, dict) or not 0 <= time.time() - when < OFFERED:
        return None
    plain = {digest: about for digest, about in before.items() if about is None or isinstance(about, dict)}
    return Undo(words, when, str(found.get("drop", "")), plain)


def _is(key: Any, prefix: str) -> bool:
    return isinstance(key, str) and key.startswith(prefix)


def _text(found: Mapping[str, Any]) -> str:
    return orjson.dumps(found).decode()


def _json(text: Any) -> dict[str, Any] | None:
    try:
        found = orjson.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
