"""Whether a file is as it was: by place, size and times, as far as these can tell."""

import os
import stat
import time
from pathlib import Path
from typing import NamedTuple

TICK = 2.0
"""Seconds that a file system's clock may stand still (FAT): what changed so recently may change again unseen."""


class Stamp(NamedTuple):
    """A file's inode, size in bytes, times of change of its content and of its inode in ns, and kind."""

    inode: int
    size: int
    changed: int
    inode_changed: int
    kind: int

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file: opening a pipe would wait for ever."""
        return self.kind == stat.S_IFREG

    def recent(self, now: float | None = None) -> bool:
        """Whether it changed within a tick of the clock, so that its next change may leave the same stamp."""
        return abs((time.time() if now is None else now) - self.changed / 1e9) < TICK


def of(status: os.stat_result) -> Stamp:
    """The stamp of a file by what `os.stat` says of it."""
    kind = stat.S_IFMT(status.st_mode)
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, kind)


def stamp(path: Path | str) -> Stamp | None:
    """The stamp of a file; None if it is not there or cannot be looked at."""
    try:
        return of(os.stat(path))  # noqa: PTH116 - to make a Path takes longer than to look
    except (OSError, ValueError):
        return None
