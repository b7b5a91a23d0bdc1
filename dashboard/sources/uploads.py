"""Uploaded files, kept as they are under runs/.shared/uploads/<content hash>/, so that they survive a restart."""

import hashlib
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from dashboard.sources import reading
from dashboard.sources.imported import SourceError
from training.record.schema import SHARED, History, Run

LARGEST = 24 * 2**20
"""Bytes of one file."""

_HASH = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Upload:
    """One uploaded file: `id` is the start of its content's SHA-256, `problem` says why it cannot be read."""

    id: str
    name: str
    runs: tuple[Run, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None
    histories: Mapping[str, History] = field(default_factory=dict)


def safe_name(name: str) -> str:
    """A file name with no folder, no control or shell character, no leading dot, at most 100 characters."""
    base = re.split(r"[\\/]", name)[-1]
    return re.sub(r"[^\w .()+-]", "_", base).lstrip(". ").rstrip()[:100] or "upload.csv"


def content_id(content: bytes) -> str:
    """The first 16 hexadecimal digits of the content's SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def _parse(content: bytes, name: str) -> Upload:
    """The upload. Raises SourceError whatever goes wrong: no file may take a page down."""
    digest = content_id(content)
    try:
        found = reading.read_bytes(name, content, digest)
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(reading.fault(name, error)) from error
    return Upload(digest, name, found.runs, found.notes, histories=found.histories)


class Uploads:
    """The uploaded files of one runs/ folder. Safe to share between threads; `version` grows with every change."""

    def __init__(self, root: Path) -> None:
        self.version = 0
        self._folder = root / SHARED / "uploads"
        self._lock = threading.Lock()
        self._known: dict[str, Upload] = {}

    def all(self) -> Mapping[str, Upload]:
        """Upload id -> upload, by time of upload; a file that appeared or vanished on disk is noticed."""
        with self._lock:
            paths = self._paths()
            if paths.keys() != self._known.keys():
                self._known = {key: self._known.get(key) or self._load(key, path) for key, path in paths.items()}
                self.version += 1
            return self._known

    def add(self, name: str, content: bytes) -> Upload:
        """Keeps the file if it can be read. The same content twice is one upload.

        Raises SourceError with a sentence for the user if it cannot be read, is too large or cannot be stored.
        """
        if len(content) > LARGEST:
            raise SourceError(f"The file has {len(content) / 2**20:.0f} MB, the limit is {LARGEST / 2**20:.0f} MB.")
        upload = _parse(content, safe_name(name))
        try:
            self._store(upload, content)
        except OSError as error:
            raise SourceError(f"The file could not be kept in {self._folder}: {error.strerror}.") from error
        return self.all().get(upload.id, upload)

    def remove(self, upload_id: str) -> None:
        """Forgets an upload and deletes its file; an id that is not known is passed over."""
        with self._lock:
            path = self._paths().get(upload_id)
            if path is not None:
                shutil.rmtree(path.parent, ignore_errors=True)

    def _paths(self) -> dict[str, Path]:
        """Upload id -> its file, by time of upload; what is no file or cannot be looked at is passed over."""
        try:
            folders = [path for path in self._folder.iterdir() if _HASH.fullmatch(path.name)]
        except OSError:
            return {}
        found = []
        for folder in folders:
            try:
                found += [(path.stat().st_mtime_ns, folder.name, path) for path in islice(folder.iterdir(), 1)]
            except OSError:
                continue
        return {key: path for _, key, path in sorted(found)}

    def _load(self, upload_id: str, path: Path) -> Upload:
        name = path.name.encode(errors="replace").decode()
        try:
            if path.stat().st_size > LARGEST:
                raise SourceError("The file is too large.")
            return replace(_parse(path.read_bytes(), name), id=upload_id)
        except OSError as problem:
            return Upload(upload_id, name, problem=f"The file cannot be read: {problem.strerror}.")
        except SourceError as problem:
            return Upload(upload_id, name, problem=str(problem))

    def _store(self, upload: Upload, content: bytes) -> None:
        """The folder appears by rename with its file already inside."""
        target = self._folder / upload.id
        if target.exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
        try:
            (temporary / upload.name).write_bytes(content)
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
