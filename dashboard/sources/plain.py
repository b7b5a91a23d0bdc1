"""A disk cache's disk for what strangers may have written: bytes and texts only, in files of its own folder only."""

import re
from typing import Any

import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW, MODE_TEXT

_FILE = re.compile(r"[0-9a-f]{2}[\\/][0-9a-f]{2}[\\/][0-9a-f]{28}\.val")


class Plain(diskcache.Disk):  # type: ignore[misc]
    """Nothing that lies in the database is ever unpickled, and no path in it leads elsewhere."""

    def get(self, key: Any, raw: Any) -> Any:
        """The key, or None for one that was pickled."""
        return super().get(key, True) if raw else None

    def fetch(self, mode: int, filename: Any, value: Any, read: bool) -> Any:
        """The value, or None for one that was pickled or lies elsewhere."""
        in_file = mode in (MODE_BINARY, MODE_TEXT) and _is_own(filename)
        return super().fetch(mode, filename, value, read) if mode == MODE_RAW or in_file else None

    def remove(self, file_path: Any) -> None:
        """Removes a file of the cache; another one is left alone."""
        if _is_own(file_path):
            super().remove(file_path)


def _is_own(filename: Any) -> bool:
    return isinstance(filename, str) and _FILE.fullmatch(filename) is not None
