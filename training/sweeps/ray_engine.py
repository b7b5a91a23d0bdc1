"""Runs a sweep's trials on the nodes of a Ray cluster, any of which may die."""

import logging
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from training.sweeps.mirror import Mirror
from training.sweeps.ray_worker import PULSE, Run, Sign, Worker, warm
from training.sweeps.trial import Ended, SweepError, Task

_PACKAGE = Path(__file__).resolve().parents[1]
_OBJECTS = 100 * 2**20  # bytes; nothing large goes through Ray's object store
_REACH = 5.0  # seconds for a cluster to answer
_ROOM = 120.0  # seconds for the cluster to start a first worker, or another one when all have died
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_SILENT: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}


@dataclass
class _Slot:
    """An actor, whether it has room in the cluster yet, and its task."""

    actor: Any
    started: Any  # Ray's reference to its first answer
    ready: bool = False
    task: Task | None = None
    result: Any = None


class RayEngine:
    """Actors with `cpus_per_trial` processors and `gpus_per_trial` GPUs each (0.5: two trials share one).

    `address` is a running cluster's (host:port, or "auto" for the one of this machine); None starts one here, which
    listens on loopback only. `workers` and `gpus_per_trial` default to what the cluster has free, with a whole GPU each
    where there are any. Without `store`, every node must reach the folder that the tasks' --runs names. With it (a
    folder or fsspec URL), each worker trains in a folder of its own, and its runs come to `runs` by way of the store.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        gpus_per_trial: float | None = None,
        cpus_per_trial: float = 1.0,
        store: str | None = None,
        runs: Path | None = None,
        make: Callable[[], Run] = warm,
    ) -> None:
        """Raises SweepError if Ray is missing, the cluster cannot be reached, or it has no room for one worker."""
        self._ray = _connect(address)
        self._slots: list[_Slot] = []
        self._stopping = False
        self._looked = 0.0
        self._sweep: str | None = None
        self._lost: set[str] = set()
        try:
            self._mirror = Mirror(store, runs) if store is not None and runs is not None else None
            self.workers, gpus = self._room(workers, cpus_per_trial, gpus_per_trial)
            self._sign = self._ray.remote(num_cpus=0, max_restarts=0)(Sign).remote()
            actor: Any = self._ray.remote(num_cpus=cpus_per_trial, num_gpus=gpus, max_restarts=0)(Worker)
            self._new: Callable[[], Any] = lambda: actor.remote(self._sign, make, store, str(Path.cwd()))
            self._slots = [self._launch() for _ in range(self.workers)]
            self._wait_for_room()
        except SweepError:
            self._ray.shutdown()
            raise

    def _room(self, workers: int | None, cpus: float, gpus: float | None) -> tuple[int, float]:
        """How many workers there shall be, and the GPUs of each."""
        free = self._ray.available_resources()
        each = gpus if gpus is not None else float(free.get("GPU", 0) >= 1)
        self._needs = f"{cpus:g} CPU and {each:g} GPU"
        room = min(free.get("CPU", 0) / cpus, free.get("GPU", 0) / each if each else float("inf"))
        if room < 1:
            raise SweepError(
                f"a worker needs {self._needs}, the cluster has {_shown(free)} free; ask for less per trial"
            )
        return workers or int(room), each

    def free(self) -> int:
        """How many tasks may be started now. Raises SweepError if all workers have died and no other can be started."""
        if not any(slot.task for slot in self._slots):
            self._wait_for_room()
        return len(self._idle())

    def start(self, task: Task) -> None:
        """Gives a task to a free worker. Raises SweepError if the store has another sweep of that name."""
        slot = next(slot for slot in self._slots if slot.ready and slot.task is None)
        sweep = task.name.rpartition("-")[0]
        if self._mirror is not None:
            if sweep != self._sweep:
                self._mirror.claim(sweep)
            self._mirror.offer(task.name)
        self._sweep = sweep
        run = slot.actor.run.options(name=f"python {task.name}")  # the process's name, by which training.alive knows it
        slot.task, slot.result = task, run.remote(task)

    def ended(self, timeout: float) -> list[Ended]:
        """What ended since the last call; waits up to `timeout` seconds for the first."""
        results = {slot.result: slot for slot in self._slots if slot.task is not None}
        if not results:
            time.sleep(timeout)
        done = self._ray.wait(list(results), timeout=timeout)[0] if results else []
        if done:
            done = self._ray.wait(list(results), num_returns=len(results), timeout=0)[0]
        found = [self._settle(results[result]) for result in done]
        self._look(at_once=bool(found))
        return found

    def stop(self) -> None:
        """Asks every task that is running to end after its current step, with a checkpoint."""
        self._stopping = True
        self._sign.set.remote()

    def close(self) -> None:
        """Ends the workers; a task that still runs is killed."""
        for slot in self._slots:
            if slot.ready and slot.task is None:
                with suppress(self._ray.exceptions.RayError):
                    self._ray.get(slot.actor.leave.remote(), timeout=_REACH)
            self._ray.kill(slot.actor)
        self._ray.shutdown()
        if self._mirror is not None:
            for name in self._lost:  # whose end the driver has written
                self._mirror.push(name)

    def _launch(self) -> _Slot:
        actor = self._new()
        return _Slot(actor, actor.begin.remote())

    def _ready(self) -> list[_Slot]:
        """The workers that have begun; one that could not is replaced."""
        waiting = {slot.started: slot for slot in self._slots if not slot.ready}
        begun = self._ray.wait(list(waiting), num_returns=len(waiting), timeout=0)[0] if waiting else []
        for reference in begun:
            slot = waiting[reference]
            try:
                self._ray.get(reference)
                slot.ready = True
            except self._ray.exceptions.RayTaskError as error:
                raise SweepError(f"a worker cannot begin: {_line(error.cause)}") from error
            except self._ray.exceptions.RayError:
                self._replace(slot)
        return [slot for slot in self._slots if slot.ready]

    def _idle(self) -> list[_Slot]:
        """The workers that have no task and answer; those that do not are replaced, so that no task is lost to them."""
        for slot in [slot for slot in self._ready() if slot.task is None]:
            try:
                self._ray.get(slot.actor.hello.remote(), timeout=_REACH)
            except self._ray.exceptions.RayError:
                self._replace(slot)
        return [slot for slot in self._slots if slot.ready and slot.task is None]

    def _wait_for_room(self) -> None:
        limit = time.monotonic() + _ROOM
        while not self._ready():
            left = limit - time.monotonic()
            if left <= 0:
                raise SweepError(
                    f"no worker of {self._needs} has begun in {_ROOM:g} s, the cluster has {self._resources()}; "
                    "see `ray status` and the nodes' logs"
                )
            self._ray.wait([slot.started for slot in self._slots], timeout=min(left, 1.0))

    def _resources(self) -> str:
        return _shown(self._ray.cluster_resources())

    def _settle(self, slot: _Slot) -> Ended:
        """How a task has ended; a worker that has died, or cannot be reached any more, is replaced."""
        task, slot.task = slot.task, None
        assert task is not None
        try:
            ended: Ended = self._ray.get(slot.result)
            return ended
        except self._ray.exceptions.RayTaskError as error:
            return Ended(task.number, "died", _line(error.cause))
        except self._ray.exceptions.RayError as error:
            self._replace(slot)
            self._lost.add(task.name)
            return Ended(task.number, "stopped" if self._stopping else "died", self._loss(error))

    def _loss(self, error: BaseException) -> str:
        """Why a worker is gone, without the numbers by which Ray knows it."""
        if isinstance(error, self._ray.exceptions.ActorUnavailableError):
            return "its node has died or cannot be reached"
        return _cut(str(error).rpartition("The actor is dead because ")[2]) or type(error).__name__

    def _replace(self, slot: _Slot) -> None:
        """Puts another actor in the place of one; it begins when the cluster has room."""
        self._ray.kill(slot.actor)
        self._slots[self._slots.index(slot)] = self._launch()

    def _look(self, at_once: bool) -> None:
        """Gets from the store what the runs have recorded, now and then and when one has ended."""
        if self._mirror is None or self._sweep is None:
            return
        if at_once or time.monotonic() - self._looked > PULSE:
            with suppress(Exception):  # whatever a store raises that is away for a moment
                self._mirror.pull_shared()
                self._mirror.pull_sweep(self._sweep)
            self._looked = time.monotonic()


def _connect(address: str | None) -> ModuleType:
    """Ray, connected: to a running cluster, or to a new one of this machine alone, quiet and without usage reports."""
    os.environ |= _QUIET
    if address is None:
        # By this name Ray has the switch that makes a cluster of one machine use loopback, on every system.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    try:
        import ray
    except ImportError as error:
        raise SweepError("--engine ray needs Ray, which is not installed: pip install ray") from error
    if address is not None:
        _check_python(address)
        _check_reachable(address)
    # Else it prints to stdout what befalls its nodes and workers; we tell that in a line of our own.
    ray._private.worker._worker_logs_enabled = False
    try:
        if address is not None:
            ray.init(address, runtime_env={"py_modules": [str(_PACKAGE)]}, **_SILENT)
        else:
            _begin(ray)
    except (Exception, SystemExit) as error:
        where = f"the Ray cluster {address}" if address else "a Ray cluster of this machine"
        raise SweepError(f"{where} cannot be used: {_line(error)}") from error
    module: ModuleType = ray
    return module


def _begin(ray: ModuleType) -> None:
    """Starts a cluster. Its server would ask the metadata addresses of three clouds where it is, by HTTP: no proxy is
    there to let it. Python's path goes into a line of bash unquoted: it may have a space.
    """
    proxy = os.environ.get("http_proxy")
    paths = os.pathsep.join(filter(None, (str(_PACKAGE.parent), os.environ.get("PYTHONPATH"))))
    workers = {
        "env_vars": {"PYTHONPATH": paths, "http_proxy": proxy or ""},
        "py_executable": shlex.quote(sys.executable),
    }
    os.environ["http_proxy"] = "http://127.0.0.1:9"
    try:
        ray.init("local", include_dashboard=False, object_store_memory=_OBJECTS, runtime_env=workers, **_SILENT)
    finally:
        del os.environ["http_proxy"]
        os.environ |= {"http_proxy": proxy} if proxy is not None else {}


def _check_python(address: str) -> None:
    """Raises SweepError if this node's Python has a path with a space, for one: Ray gives it to bash unquoted, and no
    worker would ever begin. A client (ray://) is no node.
    """
    if not address.startswith("ray://") and shlex.quote(sys.executable) != sys.executable:
        raise SweepError(
            f"Ray starts no worker with a Python in {Path(sys.executable).parent}: a folder's name there has a "
            "space or another sign that a shell takes apart; install Python's environment in a folder without, and "
            "run `ray start` from there (without --address this works)"
        )


def _check_reachable(address: str) -> None:
    """Raises SweepError if nothing listens there: Ray itself would wait for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_REACH).close()
    except (OSError, ValueError, OverflowError) as error:
        hint = "give the host:port that `ray start` has told, or auto"
        raise SweepError(f"no Ray cluster answers at {address} ({_line(error)}); {hint}") from error


def _shown(resources: dict[str, float]) -> str:
    return f"{resources.get('CPU', 0):g} CPU and {resources.get('GPU', 0):g} GPU"


def _line(error: BaseException) -> str:
    """What went wrong, in one line."""
    return _cut(str(error)) or type(error).__name__


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) < 300 else f"{text[:297]}..."
