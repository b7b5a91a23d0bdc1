"""The files of a source, on disk or in an archive, opened so that no file can cost more than it is worth."""

import io
import os
import stat
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from dashboard.sources import archives
from dashboard.sources.archives import DAMAGE, Open, Refused, inside, megabytes, notes, passed_over, shown
from dashboard.sources.imported import SourceError

LARGEST = 256 * 2**20
"""Bytes of one file that are read."""

MOST_FILES = 100_000
"""Entries of a folder, with its folders, that are looked at."""

_HERE = PurePosixPath()
_SHOWN = 10

_UNREADABLE = "cannot be read (not permitted, nested too deep, or gone)"


@dataclass(frozen=True)
class File:
    """One file of a source. `path` is relative to the source; `origin` its place on disk (None in an archive).

    `size` is what the disk or the archive's list says; of a .gz file, the bytes before unpacking.
    """

    path: PurePosixPath
    size: int
    origin: Path | None
    load: Callable[[int], bytes] = field(repr=False)

    def head(self, count: int = 4096) -> bytes:
        """The first `count` bytes, or fewer where the file is shorter. Raises SourceError if it cannot be read."""
        return self._load(count)

    def content(self) -> bytes:
        """The whole file. Raises SourceError if it is larger than LARGEST or cannot be read."""
        if self.size > LARGEST:
            raise SourceError(f"{self.path} has {megabytes(self.size)}, the limit is {megabytes(LARGEST)}.")
        found = self._load(LARGEST + 1)
        if len(found) > LARGEST:
            raise SourceError(f"{self.path} has more than {megabytes(LARGEST)}, the limit.")
        return found

    def _load(self, count: int) -> bytes:
        try:
            return self.load(count)
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read: {error.strerror or error}.") from error
        except DAMAGE as error:
            raise SourceError(f"{self.path} is damaged ({error}): pack or download it again.") from error


def walk(path: Path) -> tuple[list[File], list[str]]:
    """The files of a source (a file, a folder with all its folders, a .zip or .gz archive), sorted, and notes.

    Hidden files and model weights in a folder or archive are passed over, links are not followed, pipes and devices
    never opened. Raises SourceError, one sentence, if there is nothing, it cannot be read, or is no archive of logs.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SourceError(f"{shown(str(path))} cannot be read: {reason}.") from error
    if stat.S_ISDIR(status.st_mode):
        return _folder(path)
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{shown(str(path))} is a pipe, a socket or a device: give a file or a folder.")
    return _unpacked(_on_disk(path, PurePosixPath(shown(path.name))), lambda: path.open("rb"))


def of_bytes(name: str, content: bytes) -> tuple[list[File], list[str]]:
    """The same as `walk` for a file that was uploaded: the file itself, or the members of an archive."""
    file = File(inside(name) or PurePosixPath("upload"), len(content), None, lambda count: content[:count])
    return _unpacked(file, lambda: io.BytesIO(content))


def _folder(root: Path) -> tuple[list[File], list[str]]:
    """Depth first, a folder's files before its folders, with no recursion: a tree may be as deep as it likes."""
    found: list[File] = []
    problems: list[str] = []
    refused: Refused = defaultdict(list)
    top, waiting, looked = root.resolve(), [(root, _HERE)], 0
    while waiting and looked < MOST_FILES:
        folder, place = waiting.pop()
        try:
            with os.scandir(folder) as listed:
                entries = sorted(islice(listed, MOST_FILES - looked), key=lambda entry: entry.name)
        except OSError as error:
            if folder == root:
                raise SourceError(f"{shown(str(root))} cannot be read: {error.strerror}.") from error
            refused[_UNREADABLE].append(str(place))
            continue
        looked += len(entries)
        folders = []
        for entry in (entry for entry in entries if not passed_over(entry.name)):
            path = place / shown(entry.name)
            if entry.is_symlink():
                if not Path(os.path.realpath(entry.path)).is_relative_to(top):
                    refused["a link that leads out of the folder, which is not followed"].append(str(path))
            elif entry.is_dir(follow_symlinks=False):
                folders.append((Path(entry.path), path))
            elif entry.is_file(follow_symlinks=False):
                found += _entry(Path(entry.path), path, refused, problems)
        waiting += reversed(folders)
    more = [f"{len(problems) - _SHOWN:,} more archives cannot be used."] if len(problems) > _SHOWN else []
    if looked >= MOST_FILES:
        more.append(f"{shown(str(root))} has more than {MOST_FILES:,} entries: the rest was not looked at.")
    return found, [*problems[:_SHOWN], *notes(refused), *more]


def _entry(origin: Path, path: PurePosixPath, refused: Refused, problems: list[str]) -> list[File]:
    """A file of a folder; of an archive its members, as if the archive were a folder."""
    file = _on_disk(origin, path)
    try:
        file.head(1)
        files, remarks = _unpacked(file, lambda: origin.open("rb"), path)
        problems += remarks
        return files
    except SourceError as problem:
        if isinstance(problem.__cause__, OSError):
            refused[_UNREADABLE].append(str(path))
        else:
            problems.append(str(problem))
        return []


def _on_disk(origin: Path, path: PurePosixPath) -> File:
    def load(count: int) -> bytes:
        with origin.open("rb", buffering=0) as file:
            return file.read(min(count, os.fstat(file.fileno()).st_size)) or b""

    try:
        return File(path, origin.stat().st_size, origin, load)
    except OSError:
        return File(path, 0, origin, load)


def _unpacked(file: File, reopen: Open, folder: PurePosixPath = _HERE) -> tuple[list[File], list[str]]:
    """The file itself or, of an archive, the files in it, with paths that begin with `folder`."""
    packed = archives.members(file.path, file.size, file.head(archives.HEAD), reopen, folder, LARGEST)
    if packed is None:
        return [file], []
    return [File(path, size, None, load) for path, size, load in packed[0]], packed[1]
