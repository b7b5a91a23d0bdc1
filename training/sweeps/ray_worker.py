"""The part of the Ray engine that runs on a node: an actor that runs many trials, one after another."""

import _thread
import fcntl
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.record import schema
from training.sweeps.mirror import Mirror
from training.sweeps.trial import Ended, Task

Run = Callable[[Task], Ended]

PULSE = 2.0  # seconds between two looks at the store
_FOLDER = "prefscope-ray-worker-"


def warm() -> Run:
    """What an actor runs its tasks with: libraries, data and base model are loaded once."""
    from training.kept import Kept
    from training.sweeps import worker

    worker.load_libraries()
    kept = Kept(lasting=True)
    return lambda task: worker.run(task, kept)


class Sign:
    """One sign for all workers: that they shall stop."""

    def __init__(self) -> None:
        import asyncio

        self._event = asyncio.Event()

    async def wait(self) -> None:
        await self._event.wait()

    async def set(self) -> None:
        self._event.set()


class Worker:
    """The actor. A task has its main thread, as signal handlers need; a second one waits for the sign to stop."""

    def __init__(self, sign: Any, make: Callable[[], Run], store: str | None, folder: str) -> None:
        if Path(folder).is_dir():
            os.chdir(folder)  # where relative paths in the tasks belong
        self._make = make
        self._lock = threading.Lock()
        self._running = self._stopped = False
        self._local = own_folder() if store is not None else None
        self._mirror = Mirror(store, self._local) if store is not None and self._local is not None else None
        threading.Thread(target=self._wait_for, args=(sign,), daemon=True).start()

    def begin(self) -> None:
        """Loads what every run needs; raises what goes wrong."""
        self._run = self._make()

    def hello(self) -> None:
        """That it lives."""

    def run(self, task: Task) -> Ended:
        ended = Ended(task.number, "stopped")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            with self._lock:
                self._running = True
            if not self._stopped:
                ended = self._trained(task)
        with self._lock:
            self._running = False
        return ended

    def leave(self) -> None:
        """Takes this worker's own folder away."""
        if self._local is not None:
            shutil.rmtree(self._local, ignore_errors=True)

    def _trained(self, task: Task) -> Ended:
        if self._mirror is None or self._local is None:
            return self._run(task)
        try:
            self._mirror.pull_shared()
            self._mirror.pull(task.name)
            sweep = task.name.rpartition("-")[0]
            with _Pushing(self._mirror, task.name, sweep):
                ended = self._run(replace(task, argv=at_home(task, self._local)))
            shutil.rmtree(self._local / task.name / schema.CHECKPOINTS, ignore_errors=True)  # the store has them
            return ended
        except OSError as error:
            return Ended(task.number, "died", f"the store cannot be used: {' '.join(str(error).split())}")

    def _wait_for(self, sign: Any) -> None:
        import ray

        with suppress(ray.exceptions.RayError):
            ray.get(sign.wait.remote())
            with self._lock:
                self._stopped = True
                if self._running:
                    _thread.interrupt_main()


class _Pushing:
    """Sends what a run records to the store while it trains and at its end, and gets what its siblings record."""

    def __init__(self, mirror: Mirror, name: str, sweep: str) -> None:
        self._mirror, self._name, self._sweep = mirror, name, sweep
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> None:
        self._mirror.pull_sweep(self._sweep, but=self._name)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._mirror.push_shared()
        self._mirror.push(self._name)

    def _loop(self) -> None:
        while not self._over.wait(PULSE):
            with suppress(Exception):  # whatever a store raises that is away for a moment; at the end it must be there
                self._mirror.push_shared()
                self._mirror.push(self._name)
                self._mirror.pull_sweep(self._sweep, but=self._name)


def own_folder() -> Path:
    """A new folder for temporary files, locked as long as this process lives. Those that killed workers left on this
    node, with all their checkpoints, are removed.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        with suppress(OSError):  # its worker lives, or another user's did
            os.close(_lock(path))
            shutil.rmtree(path, ignore_errors=True)
    hidden = Path(tempfile.mkdtemp(prefix=f".{_FOLDER}"))  # until it is locked, lest another worker removes it
    _lock(hidden)
    return hidden.rename(hidden.with_name(hidden.name[1:]))


def _lock(folder: Path) -> int:
    """The descriptor that holds the lock. Raises OSError if another process has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def at_home(task: Task, local: Path) -> tuple[str, ...]:
    """The task's words with this node's folder of runs. What that folder has of the run is gone on with, whether the
    driver has seen it or not: it may have been killed before.
    """
    resumes = any(word.split("=")[0] == "--resume" for word in task.argv)
    if resumes or (local / task.name / schema.CONFIG).is_file():
        return (f"--resume={task.name}", f"--runs={local}")
    return (*task.argv, f"--runs={local}")  # the last one counts
