"""The files of a source, on disk or in an archive, opened so that no file can cost more than it is worth."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dashboard.sources.imported import SourceError

LARGEST = 256 * 2**20
"""Bytes of one file that are read."""


@dataclass(frozen=True)
class File:
    """One file of a source. `path` is relative to the source; `origin` its place on disk (None in an archive)."""

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
            raise SourceError(f"{self.path} has {self.size / 2**20:,.0f} MB, the limit is {LARGEST / 2**20:,.0f} MB.")
        return self._load(LARGEST)

    def _load(self, count: int) -> bytes:
        try:
            return self.load(count)
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read: {error.strerror or error}.") from error
