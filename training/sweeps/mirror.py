"""Keeps a node's runs and a store that other nodes reach alike: any folder or bucket that fsspec opens."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from training.record import reader, schema
from training.record.schema import RecordError
from training.sweeps.trial import SweepError

_PRIVATE = frozenset({"sweeps", "uploads"})  # parts of .shared that stay where they are
_ORDER = (schema.CONFIG, schema.CHECKPOINTS, schema.LATEST, schema.SUMMARY)  # after all else: they tell of it
_LAST = ("config.json", "trainer_state.json")  # without them nobody takes a folder for a checkpoint
_MARKS = ("size", "ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created", "ino")
_ENDED = ("finished", "pruned", "failed")
_ATTEMPTS = 100
_HEAD = "sweep.json"  # of a sweep's folder, written once

Mark = tuple[Any, ...]


class Mirror:
    """The runs in the folder `local`, and the same runs in `store`, a folder or fsspec URL.

    A run has one writer: the node that trains it pushes, all others pull. Only what has changed is copied, by size and
    time or etag. A file appears whole, by a move. So does a checkpoint where the store can move folders; where it can
    only copy objects, the files without which it is none come last. A .jsonl file is sent whole each time it has grown.
    """

    def __init__(self, store: str, local: Path) -> None:
        """Raises SweepError if the store cannot be opened, or is `local`."""
        try:
            self._fs, root = fsspec.url_to_fs(store, use_listings_cache=False)
            self._fs.makedirs(root, exist_ok=True)
        except (OSError, ValueError, ImportError) as error:
            raise SweepError(f"the store {store} cannot be opened: {' '.join(str(error).split())}") from error
        if isinstance(self._fs, LocalFileSystem) and Path(root).resolve() == local.resolve():
            raise SweepError(f"the store {store} is the folder of runs itself; leave out --store")
        self._store, self._root = store, str(root).rstrip("/")
        self._local = local
        self._pushed: dict[str, Mark] = {}
        self._pulled: dict[str, tuple[Mark, Mark]] = {}  # as it was there, and then here

    def claim(self, sweep: str) -> None:
        """Says in the store that the sweep is the one here. Raises SweepError if another one has its name there."""
        key = f"{schema.SHARED}/sweeps/{sweep}/{_HEAD}"
        if not (self._local / key).is_file():
            return
        try:
            if self._fs.cat_file(self._at(key)) != (self._local / key).read_bytes():
                raise SweepError(
                    f"the store {self._store} has another sweep called {sweep}; give this one another `name` in its "
                    "file, or another --store"
                )
        except FileNotFoundError:
            self._put({key: self._local / key}, key)

    def offer(self, name: str) -> None:
        """Sends a run that the store does not have: it was begun without one."""
        config = f"{name}/{schema.CONFIG}"
        self._fs.invalidate_cache()
        if (self._local / config).is_file() and not self._fs.exists(self._at(config)):
            self.push(name)

    def push(self, name: str) -> None:
        """Sends what has changed in a run; what `latest.json` and `summary.json` tell of is there before they are."""
        if not (self._local / name / schema.CONFIG).is_file():
            return
        with _snapshot(self._local / name) as copy:
            found = {f"{name}/{path}": _mark(copy / path) for path in _files(copy)}
            changed = [path for path in found if self._pushed.get(path) != found[path]]
            for unit in sorted({_unit(path) for path in changed}, key=_rank):
                paths = [path for path in found if _unit(path) == unit]
                self._put({path: copy / PurePosixPath(path).relative_to(name) for path in paths}, unit)
        gone = {path for path in self._pushed if path.startswith(f"{name}/")} - found.keys()
        self._remove(gone, {_unit(path) for path in found})
        self._pushed |= found

    def push_shared(self) -> None:
        """Sends pairs, audits and reference scores that the store lacks: their names are their contents."""
        shared = self._local / schema.SHARED
        for path in _files(shared):
            key = f"{schema.SHARED}/{path}"
            if path.parts[0] not in _PRIVATE and key not in self._pushed:
                with suppress(FileNotFoundError):  # joined with others meanwhile
                    self._put({key: shared / path}, key)
                    self._pushed[key] = ()

    def pull(self, name: str, checkpoints: bool = True) -> None:
        """Makes the run here what it is in the store, or takes it away if it is not there."""
        found = self._listing(name, checkpoints)
        if f"{name}/{schema.CONFIG}" not in found:
            shutil.rmtree(self._local / name, ignore_errors=True)
            found = {}
        for path, mark in found.items():
            if self._pulled.get(path) != (mark, _mark(self._local / path)):
                self._get(path, mark)
        for path in [f"{name}/{path}" for path in _files(self._local / name)]:
            if path in found:
                self._pushed[path] = _mark(self._local / path)
            elif checkpoints or schema.CHECKPOINTS not in path:
                (self._local / path).unlink()

    def pull_sweep(self, sweep: str, but: str | None = None) -> None:
        """Gets the records, without checkpoints, of a sweep's runs that had not ended here; `but` is our own."""
        for folder in self._ls(""):
            name = PurePosixPath(folder["name"]).name
            ours = folder["type"] == "directory" and name.startswith(f"{sweep}-") and name != but
            if ours and not _has_ended(self._local / name):
                self.pull(name, checkpoints=False)

    def pull_shared(self) -> None:
        """Gets the pairs, audits and reference scores that others have brought."""
        for path, mark in self._find(schema.SHARED).items():
            if path.split("/")[1] not in _PRIVATE and path not in self._pulled and path not in self._pushed:
                self._get(path, mark)
                self._pushed[path] = ()

    def _put(self, sources: dict[str, Path], unit: str) -> None:
        """Uploads the files of one unit (a file, or all of a checkpoint) under hidden names, then moves them."""
        hidden, is_folder = _hidden(unit), unit not in sources
        if is_folder:
            self._clear(hidden)  # left by a push that broke off
        for path, source in sources.items():
            target = self._at(hidden + path.removeprefix(unit))
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(os.fspath(source), target)
        if is_folder:
            self._drop(unit)
        if is_folder and isinstance(self._fs, LocalFileSystem):
            self._fs.mv(self._at(hidden), self._at(unit))
            return
        for path in sorted(sources, key=lambda path: PurePosixPath(path).name in _LAST):
            self._fs.mv(self._at(hidden + path.removeprefix(unit)), self._at(path))
        if is_folder:
            self._clear(hidden)

    def _remove(self, gone: Iterable[str], units: set[str]) -> None:
        for unit in {_unit(path) for path in gone} - units:
            self._drop(unit)
        for path in gone:
            if _unit(path) in units:
                self._clear(path)
            del self._pushed[path]

    def _drop(self, unit: str) -> None:
        """Removes a file or a checkpoint; of that, first what makes it one."""
        if unit.split("/")[1] == schema.CHECKPOINTS:
            for name in _LAST:
                self._clear(f"{unit}/{name}")
        self._clear(unit)

    def _clear(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.rm(self._at(path), recursive=True)

    def _get(self, path: str, mark: Mark) -> None:
        target = self._local / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        with suppress(FileNotFoundError):  # replaced or removed since it was listed: the next pull has it
            self._fs.get_file(self._at(path), os.fspath(partial))
            partial.replace(target)
            self._pulled[path] = (mark, _mark(target))

    def _listing(self, name: str, checkpoints: bool) -> dict[str, Mark]:
        files = [info for info in self._ls(name) if info["type"] == "file"]
        found = {self._path(info["name"]): _remote_mark(info) for info in files}
        found.pop(name, None)  # how some object stores mark a folder
        for folder in (schema.SCORES, *((schema.CHECKPOINTS,) if checkpoints else ())):
            found |= self._find(f"{name}/{folder}")
        return {path: mark for path, mark in found.items() if not _is_hidden(path.removeprefix(name))}

    def _find(self, folder: str) -> dict[str, Mark]:
        self._fs.invalidate_cache()
        found = self._fs.find(self._at(folder), detail=True)
        paths = {self._path(name): _remote_mark(info) for name, info in found.items()}
        return {path: mark for path, mark in paths.items() if not _is_hidden(path.removeprefix(folder))}

    def _ls(self, folder: str) -> list[dict[str, Any]]:
        self._fs.invalidate_cache()
        try:
            found: list[dict[str, Any]] = self._fs.ls(self._at(folder), detail=True)
        except FileNotFoundError:
            return []
        return found

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _path(self, name: str) -> str:
        return name.removeprefix(self._root).strip("/")


@contextmanager
def _snapshot(folder: Path) -> Iterator[Path]:
    """The run as it is at one moment, in hard links: its writer goes on while it is sent."""
    copy = folder.with_name(f".{folder.name}.sent")
    try:
        for _ in range(_ATTEMPTS):
            if _link(folder, copy):
                break
        else:
            raise OSError(f"{folder} changes faster than it can be read")
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _link(folder: Path, copy: Path) -> bool:
    """Whether nothing in the folder was replaced or removed while its files were linked."""
    shutil.rmtree(copy, ignore_errors=True)
    try:
        before = {path: _mark(folder / path) for path in _files(folder)}
        shutil.copytree(folder, copy, copy_function=os.link, ignore=shutil.ignore_patterns(".*"))
        return before == {path: _mark(folder / path) for path in _files(folder)}
    except (FileNotFoundError, shutil.Error):
        return False


def _files(folder: Path) -> list[PurePosixPath]:
    """The files in a folder, without those under a hidden name."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(PurePosixPath(path.as_posix()) for path in found if not _is_hidden(path.as_posix()))


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _mark(path: Path) -> Mark:
    """Size and time of a file here, () if there is none."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return ()
    return (state.st_size, state.st_mtime_ns)


def _remote_mark(info: dict[str, Any]) -> Mark:
    return tuple(info.get(key) for key in _MARKS)


def _unit(path: str) -> str:
    """What appears at once: a checkpoint's folder, or the file itself."""
    parts = path.split("/")
    return "/".join(parts[:3]) if len(parts) > 3 and parts[1] == schema.CHECKPOINTS else path


def _rank(unit: str) -> tuple[int, str]:
    part = unit.split("/")[1]
    return (_ORDER.index(part) if part in _ORDER else -1, unit)


def _hidden(unit: str) -> str:
    folder, _, name = unit.rpartition("/")
    return f"{folder}/.{name}.part"


def _has_ended(directory: Path) -> bool:
    try:
        progress, ended = reader.read_progress(directory)
    except RecordError:
        return False
    return ended and progress.get("status") in _ENDED
