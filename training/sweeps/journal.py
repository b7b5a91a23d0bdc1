"""The storage of a sweep's study that many processes and machines use at once: a journal file, or a database."""

import json
import os
import threading
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.exc import SQLAlchemyError

from training.sweeps.trial import SweepError

GRACE = 30  # seconds after which others break the lock of a killed process


class Lock:
    """Held by one thread of one process of one machine at a time, by it more than once.

    The lock is a file that only one can create (O_EXCL, which NFS since version 3 keeps to). Not a symbolic link:
    others see its age through its target, so that where the folder is mounted elsewhere, a stale one is never broken.
    Not fcntl: some shared file systems grant that to everybody.
    """

    def __init__(self, path: Path, grace: int = GRACE) -> None:
        self._path = Path(f"{path}.lock")
        self._file = JournalFileOpenLock(os.fspath(path), grace)
        self._thread = threading.RLock()
        self._depth = 0
        self._taken: tuple[int, int] | None = None

    def __enter__(self) -> "Lock":
        self._thread.acquire()
        try:
            if self._depth == 0:
                self._file.acquire()
                self._taken = self._found()
            self._depth += 1
        except BaseException:
            self._thread.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._depth -= 1
            if self._depth == 0 and self.held():
                with suppress(RuntimeError):  # broken just now
                    self._file.release()
        finally:
            self._thread.release()

    def held(self) -> bool:
        """Whether the lock is still ours: a process that was suspended for longer than GRACE seconds has lost it."""
        return self._taken is not None and self._found() == self._taken

    def _found(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


class Journal(JournalFileBackend):
    """Optuna's journal file, where a line that a kill cut short is dropped before the next one is written."""

    def __init__(self, path: Path, lock: Lock) -> None:
        super().__init__(os.fspath(path))
        self._path, self._lock_held = path, lock

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        with self._lock_held, self._path.open("ab+", buffering=0) as file:
            file.truncate(_end_of_last_line(file))
            while lines:
                lines = lines[file.write(lines) :]
            os.fsync(file.fileno())

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Raises SweepError at a whole line that is damaged: without it all later ones would mean other trials."""
        try:
            yield from super().read_logs(log_number_from)
        except ValueError as error:
            raise SweepError(
                f"{self._path} is damaged ({error}); restore it, or start the sweep anew from the sweep.yaml beside it"
            ) from error


def _end_of_last_line(file: RawIOBase) -> int:
    end = file.seek(0, os.SEEK_END)
    while end and (file.seek(end - 1), file.read(1))[1] != b"\n":
        end -= 1
    return end


def open_storage(path: Path, url: str | None, lock: Lock) -> BaseStorage:
    """The journal file at `path`, or the database at `url`, in which $NAME is an environment variable."""
    if url is None:
        return JournalStorage(Journal(path, lock))
    return RDBStorage(os.path.expandvars(url))


@contextmanager
def careful(place: str) -> Iterator[None]:
    """Keeps Optuna's log and warnings from the terminal; what goes wrong there is a SweepError that names `place`."""
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (OptunaError, SQLAlchemyError, ImportError, OSError) as error:
            reason = " ".join(str(error.__cause__ or error).split())
            raise SweepError(f"the study in {place} cannot be used: {reason}") from error
