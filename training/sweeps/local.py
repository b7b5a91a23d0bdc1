"""Warm worker processes on this machine: each runs many trials of a sweep, and may die without harm to the others."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import orjson

from training.sweeps.trial import Ended, Task

COMMAND = (sys.executable, "-m", "training.sweeps.worker")
_ROOT = Path(__file__).resolve().parents[2]
_PULSE = 0.2  # seconds after which a dead worker is noticed, at most
_PATIENCE = 5.0  # seconds for an idle worker to end by itself


class LocalEngine:
    """`workers` processes of `threads` processor threads each, started with their first task, replaced when they die.

    What the libraries print goes to `log`/worker-<number>.log. With `devices` (GPUs, as CUDA_VISIBLE_DEVICES names
    them) each worker sees one of them.
    """

    def __init__(self, workers: int, threads: int, log: Path, devices: tuple[str, ...] = ()) -> None:
        log.mkdir(parents=True, exist_ok=True)
        self.workers = workers
        self._stopping = False
        self._answers: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._slots = [
            _Worker(
                log / f"worker-{slot}.log", _environment(threads, devices[slot % len(devices)] if devices else None)
            )
            for slot in range(workers)
        ]

    def free(self) -> int:
        """How many tasks may be started now."""
        return sum(slot.task is None for slot in self._slots)

    def start(self, task: Task) -> None:
        """Gives a task to a free worker."""
        idle = [slot for slot in self._slots if slot.task is None]
        slot = next((slot for slot in idle if slot.lives), idle[0])
        if not slot.lives:
            slot.launch(self._answers)
        slot.give(task)

    def ended(self, timeout: float) -> list[Ended]:
        """What ended since the last call; waits up to `timeout` seconds for the first."""
        limit = time.monotonic() + timeout
        found: list[Ended] = []
        while not found:
            left = limit - time.monotonic()
            with suppress(queue.Empty):
                found.append(self._answers.get(timeout=max(0.0, min(_PULSE, left))))
            found += self._deaths_and_answers()
            if left <= 0:
                break
        return found

    def stop(self) -> None:
        """Asks every task that is running to end after its current step, with a checkpoint."""
        self._stopping = True
        for slot in self._slots:
            if slot.task is not None:
                slot.terminate()

    def close(self) -> None:
        """Ends the workers; a task that still runs is killed."""
        for slot in self._slots:
            slot.dismiss()
        limit = time.monotonic() + _PATIENCE
        for slot in self._slots:
            slot.bury(limit - time.monotonic() if slot.task is None else 0.0)

    def _deaths_and_answers(self) -> list[Ended]:
        """A worker that answered before it died has not died with its task: so deaths are looked for first."""
        dead = [slot for slot in self._slots if slot.task is not None and not slot.lives]
        for slot in dead:
            slot.bury(0.0)
        found = []
        while not self._answers.empty():
            found.append(self._answers.get())
        for slot in dead:
            if slot.task is not None:
                found.append(Ended(slot.task.number, "stopped" if self._stopping else "died", slot.cause))
                slot.task = None
        return found


class _Worker:
    """One process at a time, and the task that it has."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        self.task: Task | None = None
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._listener: threading.Thread | None = None
        self._status = 0

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self, answers: queue.SimpleQueue[Ended]) -> None:
        """Starts the process, out of reach of the terminal's Ctrl-C."""
        self.bury(0.0)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        self._listener = threading.Thread(target=self._listen, args=(self._process, answers), daemon=True)
        self._listener.start()

    def _listen(self, process: subprocess.Popen[bytes], answers: queue.SimpleQueue[Ended]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            ended = Ended(**orjson.loads(line))
            self.task = None
            answers.put(ended)

    def give(self, task: Task) -> None:
        self.task = task
        assert self._process is not None and self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has just died, which `ended` will find
            self._process.stdin.write(orjson.dumps(asdict(task)) + b"\n")
            self._process.stdin.flush()

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def dismiss(self) -> None:
        """Closes its stdin: an idle worker ends."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()

    def bury(self, patience: float) -> None:
        """Waits for the process to end, kills what is left of it and its children, and hears its last words."""
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, patience))
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._status = self._process.wait()
        if self._listener is not None:
            self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._process = None

    @property
    def cause(self) -> str:
        """How the process ended, in words."""
        if self._status == -signal.SIGKILL:
            return (
                "its worker was killed by SIGKILL, which looks like the machine running out of memory; "
                "use fewer --workers or a smaller --per_device_train_batch_size"
            )
        if self._status < 0:
            return f"its worker was killed by {signal.Signals(-self._status).name}; see {self._log}"
        return f"its worker ended with exit status {self._status}; see {self._log}"


def _environment(threads: int, device: str | None) -> dict[str, str]:
    paths = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), str(threads))
    shown = {"CUDA_VISIBLE_DEVICES": device} if device is not None else {}
    return {**os.environ, "PYTHONPATH": paths, **limits, **shown}
