"""Takes over files that earlier versions kept as runs/.shared/uploads/<16 digits of the hash>/<name>."""

import hashlib
import re
import shutil
from itertools import islice
from pathlib import Path

from dashboard.sources.upload_store import Store

LARGEST = 24 * 2**20
"""Bytes that an earlier version took."""

_HASH = re.compile(r"[0-9a-f]{16}")


def take_over(store: Store) -> None:
    """Moves each such file into the database; what is no file, or cannot be read, is left as it lies.

    Raises SourceError if the database cannot be written.
    """
    try:
        folders = [path for path in store.folder.iterdir() if _HASH.fullmatch(path.name)]
    except OSError:
        return
    for folder in folders:
        try:
            (path,) = islice(folder.iterdir(), 1)
            _take(path, store)
            shutil.rmtree(folder)
        except (OSError, ValueError):
            continue


def _take(path: Path, store: Store) -> None:
    """Raises OSError or ValueError if it is no file of an earlier version."""
    status = path.stat()
    if path.is_symlink() or not path.is_file() or status.st_size > LARGEST:
        raise ValueError("no file of an earlier version")
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
        file.seek(0)
        name = path.name.encode(errors="replace").decode()
        store.add(digest, file, {"name": name, "added": status.st_mtime, "size": status.st_size})
