"""The folder of a sweep, runs/.shared/sweeps/<id>: its file as read, how it was started, its study; and its runs."""

import contextlib
import difflib
import itertools
import math
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import orjson
import psutil

from training.alive import trains
from training.record import reader, schema, writer
from training.record.schema import RecordError
from training.sweeps import file
from training.sweeps.plan import Objective
from training.sweeps.trial import SweepError

FORMAT = 1
STALE = 600.0  # seconds without a sign of life after which a process of another machine counts as dead

_SWEEPS, _FILE, _HEAD, _DRIVERS = "sweeps", "sweep.yaml", "sweep.json", "drivers"
_NAME_BYTES = 100

RunState = Literal["finished", "pruned", "stopped", "failed", "running", "dead"]


@dataclass(frozen=True)
class Sweep:
    """A sweep as it was started. `argv`: recipe and fixed flags for training.run; `storage`: a database URL instead of
    the journal file, in which $NAME stands for an environment variable; `created`: seconds since 1970; `home`: the
    folder it was started in, from which relative paths among the searched values are seen.
    """

    id: str
    runs: Path
    argv: tuple[str, ...]
    count: int | None
    seed: int
    storage: str | None
    objective: Objective
    rules: Mapping[str, Any]
    created: float
    home: str = ""

    @property
    def folder(self) -> Path:
        return _folder(self.runs) / self.id

    def file(self) -> file.SweepFile:
        """The sweep file, read again from the folder. Raises SweepError."""
        return file.read(self.folder / _FILE)


@dataclass(frozen=True)
class SweepRun:
    """What a trial left in `runs`: "stopped" by Ctrl-C, "running" in a live process, "dead" if that was killed."""

    number: int
    directory: Path
    state: RunState


def new_id(runs: Path, name: str) -> str:
    """An id that no other sweep of `runs` gets, from the file's `name` and today's date; makes its folder.

    It is a folder's name and the start of its runs' names. Raises SweepError if `runs` cannot be written.
    """
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "sweep"
    stem = stem.encode()[:_NAME_BYTES].decode(errors="ignore")
    base = f"{stem}-{datetime.now():%Y-%m-%d}"
    for turn in itertools.count(1):
        found = base if turn == 1 else f"{base}.{turn}"
        if (runs / found).exists() or any(runs.glob(f"{found}-*")):
            continue  # runs of a sweep whose folder was deleted
        try:
            (_folder(runs) / found).mkdir(parents=True)
            return found
        except FileExistsError:
            continue
        except OSError as error:
            raise SweepError(f"{_folder(runs)} cannot be written: {error.strerror}") from error
    raise AssertionError("counting has no end")


def create(sweep: Sweep, text: str) -> None:
    """Fills the sweep's folder, once; `text` is the sweep file's. Raises SweepError if it cannot."""
    head = {key: value for key, value in asdict(sweep).items() if key not in ("id", "runs")}
    password = urlsplit(sweep.storage or "").password
    if password and "$" not in password:
        raise SweepError(
            f"the storage URL holds a password, and {_HEAD} would keep it; write it as $NAME and set that "
            "environment variable"
        )
    if (sweep.folder / _HEAD).exists():
        raise SweepError(f"{sweep.folder} already holds a sweep; go on with it by --resume {sweep.id}")
    try:
        sweep.folder.mkdir(parents=True, exist_ok=True)
        writer.write_whole(sweep.folder / _FILE, text.encode())
        content = orjson.dumps({"format": FORMAT, **head}, option=orjson.OPT_INDENT_2)
        writer.write_whole(sweep.folder / _HEAD, content + b"\n")
    except OSError as error:
        raise SweepError(f"{sweep.folder} cannot be written: {error.strerror}") from error


def load(runs: Path, id: str) -> Sweep:
    """The sweep `id` of `runs`. Raises SweepError: there is none (it names those there are), damaged, or newer."""
    path = _folder(runs) / id / _HEAD
    known = ids(runs)
    if id not in known:
        near = difflib.get_close_matches(id, known, n=3, cutoff=0.5) or known[-5:]
        raise SweepError(f"no sweep {id!r} in {runs}; " + (f"there: {', '.join(near)}" if near else "none is there"))
    try:
        content = orjson.loads(path.read_bytes())
        if not isinstance(content["format"], int):
            raise TypeError(f"format is {content['format']!r}")
        if content["format"] > FORMAT:
            raise SweepError(f"{path} has format {content['format']}, this code reads up to {FORMAT}; update the code")
        return _sweep(runs, id, content)
    except OSError as error:
        raise SweepError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise SweepError(
            f"{path} is damaged ({type(error).__name__}: {error}); restore it, or start the sweep anew from "
            f"{path.with_name(_FILE)}"
        ) from error


def ids(runs: Path) -> list[str]:
    """The sweeps of `runs`, oldest first."""
    found = [(path.stat().st_mtime, path.parent.name) for path in _folder(runs).glob(f"*/{_HEAD}")]
    return [name for _, name in sorted(found)]


def runs_of(sweep: Sweep) -> list[SweepRun]:
    """The runs of a sweep, by number. A directory that cannot be read as a run is left out."""
    found = []
    for path in sweep.runs.glob(f"{sweep.id}-*/{schema.CONFIG}"):
        number = path.parent.name.removeprefix(f"{sweep.id}-")
        with contextlib.suppress(RecordError):
            if number.isdecimal() and reader.read_run(path.parent).sweep == sweep.id:
                found.append(SweepRun(int(number), path.parent, run_state(path.parent)))
    return sorted(found, key=lambda run: run.number)


def run_state(directory: Path) -> RunState:
    """How a run stands, by its files alone; a missing one is "dead".

    A run of this machine is running if its process is; one of another, if latest.json is younger than STALE.
    """
    try:
        progress, ended = reader.read_progress(directory)
    except RecordError:
        return "dead"
    if ended:
        return next((state for state in get_args(RunState) if state == progress.get("status")), "dead")
    if progress.get("host") == socket.gethostname():
        return "running" if trains(progress.get("pid")) else "dead"
    return "running" if _age(directory / schema.LATEST) < STALE else "dead"


def driver() -> str:
    """This process, as no other one is called: machine, process number, and when it began."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.2f}"


def beat(sweep: Sweep) -> None:
    """A sign of life of this process, for drivers on other machines."""
    path = sweep.folder / _DRIVERS / driver()
    path.parent.mkdir(exist_ok=True)
    path.touch()


def lives(sweep: Sweep, name: str) -> bool:
    """Whether the process lives that `driver` called `name`; of one elsewhere, a sign of life younger than STALE."""
    host, pid, began = name.rsplit(" ", 2)
    if host != socket.gethostname():
        return _age(sweep.folder / _DRIVERS / name) < STALE
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(began)) < 1
    except psutil.Error:
        return False


def _folder(runs: Path) -> Path:
    return runs / schema.SHARED / _SWEEPS


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return math.inf


def _sweep(runs: Path, id: str, content: Mapping[str, Any]) -> Sweep:
    """Raises KeyError or TypeError for what is missing or of the wrong type."""
    kinds = {"argv": list, "seed": int, "objective": dict, "rules": dict, "created": float}
    optional = {"count": int, "storage": str}
    for key, kind in {**kinds, **optional}.items():
        if not isinstance(content[key], kind) and not (key in optional and content[key] is None):
            raise TypeError(f"{key} is {content[key]!r}")
    told = {key: content[key] for key in (*kinds, *optional)}
    told |= {"argv": tuple(map(str, told["argv"])), "objective": Objective(**told["objective"])}
    return Sweep(id=id, runs=runs, home=str(content.get("home", "")), **told)
