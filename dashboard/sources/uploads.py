"""Uploaded files: kept by their content under runs/.shared/uploads/, read by one thread, corrected and undone."""

import hashlib
import io
import math
import re
import threading
import time
from collections.abc import Hashable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from dashboard.sources import corrections_json, earlier_uploads, reading
from dashboard.sources.imported import NO_CORRECTIONS, Corrections, Imported, SourceError
from dashboard.sources.upload_store import About, Damaged, Store, Undo
from dashboard.sources.worker import Worker
from training.record.schema import SHARED, History, Run

LARGEST = 256 * 2**20
"""Bytes of one file."""

PATIENCE = 1.0
"""Seconds that a look waits for files which are being read."""

_CHUNK = 1 << 20
_RETRY = 5.0
"""Seconds after which a database that could not be read, such as one in use, is looked at again."""


@dataclass(frozen=True)
class Upload:
    """One uploaded file: `id` is its SHA-256, `problem` says why it cannot be read, `reading` that it is not yet.

    `size` is in bytes, `added` in seconds since 1970.
    """

    id: str
    name: str
    runs: tuple[Run, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None
    histories: Mapping[str, History] = field(default_factory=dict)
    size: int = 0
    added: float = 0.0
    corrections: Corrections = NO_CORRECTIONS
    named: frozenset[str] = frozenset()
    keys: Mapping[str, str] = field(default_factory=dict)
    formats: tuple[str, ...] = ()
    reading: bool = False

    @property
    def imported(self) -> Imported:
        """The same as a reader gives it."""
        return Imported(self.runs, self.notes, self.histories, named=self.named, keys=self.keys, formats=self.formats)


def safe_name(name: str) -> str:
    """A file name with no folder, no control or shell character, no leading dot, at most 100 characters."""
    base = re.split(r"[\\/]", name)[-1]
    return re.sub(r"[^\w .()+-]", "_", base).lstrip(". ").rstrip()[:100] or "upload.csv"


def content_id(content: bytes) -> str:
    """The content's SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


class _Job(NamedTuple):
    """A file that is being read, and until when (monotonic seconds) a look waits for it."""

    corrections: Corrections
    result: Future[Upload]
    until: float


class Uploads:
    """The uploaded files of one runs/ folder. Safe to share between threads and programs; `version` grows with every
    change. `problem` says why they cannot be looked at, if so; `damaged` that `start_anew` would help."""

    def __init__(self, root: Path) -> None:
        self.version = 0
        self.problem: str | None = None
        self.damaged = False
        self._store = Store(root / SHARED / "uploads")
        self._lock = threading.RLock()
        self._worker = Worker()
        self._seen: Hashable = ()
        self._retry = math.inf
        self._known: dict[str, Upload] = {}
        self._done: dict[str, Upload] = {}
        self._jobs: dict[str, _Job] = {}
        self._tried: Upload | None = None

    def all(self, patience: float = PATIENCE) -> Mapping[str, Upload]:
        """Upload id -> upload, by time of upload; a change by another program is noticed.

        A file that is not read yet is waited for, `patience` seconds from when it was first seen. One that takes longer
        comes without runs, or with what it had before; `version` grows when it is there.
        """
        with self._lock:
            self._look()
            jobs = list(self._jobs.values())
        left = max((job.until - PATIENCE + patience for job in jobs), default=0.0) - time.monotonic()
        if left > 0:
            wait([job.result for job in jobs], timeout=min(left, threading.TIMEOUT_MAX))
        with self._lock:
            self._collect()
            return self._known

    def add(self, name: str, content: bytes) -> Upload:
        """`receive` of bytes."""
        return self.receive(name, io.BytesIO(content))

    def receive(self, name: str, file: IO[bytes], drop: str = "") -> Upload:
        """Keeps a file if it can be read, and reads it. The same content twice is one upload.

        Files of one `drop` (any word) are undone together. Raises SourceError, a sentence for the user, if the file
        cannot be read, is too large or cannot be stored; nothing of it is kept then.
        """
        digest, size = _digest(file)
        known = self.all().get(digest)
        if known is not None:
            return known
        file.seek(0)
        about = {"name": safe_name(name), "added": time.time(), "size": size}
        self._store.add(digest, file, about)
        with self._lock:
            self._look()
            job = self._jobs.get(digest)
        upload = job.result.result() if job else self.all()[digest]
        if upload.problem is not None:
            self._store.drop(digest)
            raise SourceError(upload.problem)
        self._store.added(digest, f"{upload.name} added.", drop)
        return self.all(math.inf).get(digest, upload)

    def preview(self, upload_id: str, corrections: Corrections) -> Upload:
        """What the upload would be with these corrections. Raises SourceError if it would be none."""
        about = self._store.entries().get(upload_id)
        if about is None:
            raise SourceError("This file has been removed.")
        tried = self._tried
        if tried is None or (tried.id, tried.corrections) != (upload_id, corrections):
            tried = self._worker.submit(partial(self._read, upload_id, about, corrections)).result()
        if tried.problem is not None:
            raise SourceError(tried.problem)
        self._tried = tried
        return tried

    def correct(self, upload_id: str, corrections: Corrections) -> Upload:
        """Keeps corrections with the upload. Raises SourceError, and keeps none, if it would be no upload any more."""
        upload = self.preview(upload_id, corrections)
        about = {**self._store.entries().get(upload_id, {}), "corrections": corrections_json.dump(corrections)}
        done: Future[Upload] = Future()
        done.set_result(upload)
        with self._lock:
            self._jobs[upload_id] = _Job(corrections, done, 0.0)
            self._store.change(upload_id, about, f"Columns of {upload.name} changed.")
        return self.all().get(upload_id, upload)

    def remove(self, upload_id: str) -> None:
        """Forgets an upload, which can be undone for a while; an id that is not known is passed over."""
        about = self._store.entries().get(upload_id)
        if about is not None:
            self._store.change(upload_id, None, f"{_name(about)} removed.")

    def last(self) -> Undo | None:
        """The last change, as long as it can be undone. Raises SourceError."""
        return self._store.last()

    def undo(self) -> str:
        """Undoes the last change; its words, or "" if there was none. Raises SourceError."""
        return self._store.undo()

    def start_anew(self) -> tuple[Path, int]:
        """Sets a damaged database aside and takes back the files in it that can be read, without their names.

        Gives where it lies now, and how many files were taken back. Raises SourceError if that cannot be done.
        """
        with self._lock:
            aside = self._store.set_aside()
            self._seen = ()
        found = 0
        for path in sorted(aside.glob("*/*/*.val")):
            with suppress(OSError, SourceError), path.open("rb") as file:
                found += not self.receive(f"recovered-{path.stem[:8]}", file, aside.name).problem
        return aside, found

    def _look(self) -> None:
        """Notices what changed in the database, and has read what is not."""
        stamp = self._store.stamp()
        if stamp == self._seen and time.monotonic() < self._retry:
            return
        first, self._seen, self._retry = self._seen == (), stamp, math.inf
        before = (self.problem, self._known)
        try:
            if first:
                earlier_uploads.take_over(self._store)
                self._store.clean()
            entries = self._store.entries()
            self._seen = self._store.stamp()
            self._known = {digest: self._upload(digest, about) for digest, about in entries.items()}
            self._jobs = {digest: job for digest, job in self._jobs.items() if digest in self._known}
            self._done = {digest: upload for digest, upload in self._done.items() if digest in self._known}
            self.problem, self.damaged = None, False
        except SourceError as problem:
            self.problem, self.damaged = str(problem), isinstance(problem, Damaged)
            self._retry = time.monotonic() + _RETRY
        self.version += before != (self.problem, self._known)

    def _upload(self, digest: str, about: About) -> Upload:
        """The upload as it is known; what is not known, or has other corrections now, begins to be read."""
        corrections = corrections_json.kept(about.get("corrections"))
        known, job = self._done.get(digest), self._jobs.get(digest)
        if known is not None and known.corrections == corrections:
            self._jobs.pop(digest, None)
            return known
        if job is None or job.corrections != corrections:
            result = self._worker.submit(partial(self._read, digest, about, corrections))
            self._jobs[digest] = _Job(corrections, result, time.monotonic() + PATIENCE)
        return replace(known or _unread(digest, about), reading=True)

    def _collect(self) -> None:
        """Takes what has been read meanwhile."""
        done = {digest: job.result.result() for digest, job in self._jobs.items() if job.result.done()}
        if done:
            self._done |= done
            self._known = {digest: done.get(digest, upload) for digest, upload in self._known.items()}
            self._jobs = {digest: job for digest, job in self._jobs.items() if digest not in done}
            self.version += 1

    def _read(self, digest: str, about: About, corrections: Corrections) -> Upload:
        """The upload. Whatever goes wrong is its problem: no file may take a page down."""
        upload = replace(_unread(digest, about), corrections=corrections)
        try:
            found = reading.read_bytes(upload.name, self._store.content(digest), digest[:16], corrections)
        except SourceError as problem:
            return replace(upload, problem=str(problem))
        except Exception as error:
            return replace(upload, problem=reading.fault(upload.name, error))
        return replace(
            upload,
            runs=found.runs,
            notes=found.notes,
            histories=found.histories,
            named=found.named,
            keys=found.keys,
            formats=found.formats,
        )


def _unread(digest: str, about: About) -> Upload:
    size, added = (about.get(name) for name in ("size", "added"))
    numbers = [float(value) if isinstance(value, int | float) else 0.0 for value in (size, added)]
    return Upload(digest, _name(about), size=int(numbers[0]), added=numbers[1])


def _name(about: About) -> str:
    return safe_name(str(about.get("name", "")))


def _digest(file: IO[bytes]) -> tuple[str, int]:
    """SHA-256 and size of a file. Raises SourceError if it is larger than LARGEST."""
    found, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        found.update(chunk)
        size += len(chunk)
        if size > LARGEST:
            raise SourceError(f"The file has more than {LARGEST // 2**20} MB, the limit.")
    return found.hexdigest(), size
