"""A process that answers JSON lines with JSON lines: whatever it does, those who ask it get an answer or an error."""

import itertools
import logging
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, cast

import orjson

Answer = Mapping[str, Any]

_ROOT = Path(__file__).resolve().parent.parent
_LONGEST = 2**24
"""Bytes of a line: what goes on longer is no answer."""

_LAST_LINES, _LINE = 20, 1000
_SOON = 5.0
_log = logging.getLogger(__name__)


class GenerationError(Exception):
    """What the models were asked for cannot be had; the message is one sentence for a person."""


class EndedIdle(Exception):
    """The process ended by itself, with nothing to do, just before it was asked."""


class Process:
    """Many threads may ask at once; answers come in any order. What it prints on stderr is logged if it fails."""

    def __init__(self, command: Sequence[str]) -> None:
        """Raises GenerationError if it cannot be started."""
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=_ROOT,
                env=_environment(),
                start_new_session=True,  # out of reach of the terminal's Ctrl-C
            )
        except OSError as error:
            raise GenerationError(f"The model process cannot be started: {error.strerror}.") from error
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Answer]] = {}
        self._ids = itertools.count(1)
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._tail: deque[str] = deque(maxlen=_LAST_LINES)
        self._heard = time.monotonic()
        self._reason: str | None = None
        self.is_over = False
        tasks = self._write, self._keep_log, self._read
        self._writer, self._logger, self._reader = (threading.Thread(target=task, daemon=True) for task in tasks)
        for thread in (self._writer, self._logger, self._reader):
            thread.start()

    def ask(self, content: Mapping[str, Any], patience: float) -> Answer:
        """The answer. Raises GenerationError if there is none, or none in `patience` seconds, or EndedIdle."""
        begun = time.monotonic()
        future: Future[Answer] = Future()
        with self._lock:
            if self.is_over:
                raise EndedIdle
            id = next(self._ids)
            self._waiting[id] = future
        self._outbox.put(orjson.dumps({"id": id, **content}) + b"\n")
        try:
            return future.result(patience)
        except TimeoutError:
            self._give_up(id, begun)
            raise GenerationError(f"The model process gave no answer within {patience:g} seconds.") from None

    def end(self, reason: str) -> None:
        """Kills the process; those who wait are told the reason."""
        self._reason = self._reason or reason
        self._process.kill()
        self._reader.join(_SOON)
        self._dismiss(GenerationError(self._reason))

    def _give_up(self, id: int, begun: float) -> None:
        """Takes a request back; a process that has said nothing at all since it was asked hangs, and is ended."""
        with self._lock:
            self._waiting.pop(id, None)
            hangs = self._heard < begun
        if hangs:
            self.end("The model process hung and was ended.")
        else:
            self._outbox.put(orjson.dumps({"id": id, "do": "cancel"}) + b"\n")

    def _write(self) -> None:
        """In a thread of its own: a process that does not read must block nobody who has a limit of time."""
        sink = cast(IO[bytes], self._process.stdin)
        with suppress(OSError):
            while (line := self._outbox.get()) is not None:
                sink.write(line)
                sink.flush()
        with suppress(OSError):
            sink.close()

    def _keep_log(self) -> None:
        with cast(IO[bytes], self._process.stderr) as source:
            while line := source.readline(_LONGEST):
                self._tail.append(line.decode(errors="replace").strip()[:_LINE])

    def _read(self) -> None:
        with cast(IO[bytes], self._process.stdout) as source:
            while line := source.readline(_LONGEST):
                self._take(line)
        self._bury()

    def _take(self, line: bytes) -> None:
        try:
            content = orjson.loads(line)
            with self._lock:
                future = self._waiting.pop(content["id"], None)
                self._heard = time.monotonic()
        except (ValueError, TypeError, KeyError):
            _log.warning("the model process printed what is no answer: %.200r", line)
            return
        if future is not None and "error" in content:
            future.set_exception(GenerationError(f"{str(content['error']).rstrip('.')}."))
        elif future is not None:
            future.set_result(content)

    def _bury(self) -> None:
        """Nothing more will be heard of the process: takes its exit status, and tells those who wait."""
        try:
            status = self._process.wait(_SOON)
        except subprocess.TimeoutExpired:
            self._reason = self._reason or "The model process closed its output and was ended."
            self._process.kill()
            status = self._process.wait()
        self._outbox.put(None)
        for thread in (self._logger, self._writer):
            thread.join(_SOON)
        if status and self._reason is None:
            _log.error("the model process ended with status %s; its last lines:\n%s", status, "\n".join(self._last()))
        self._dismiss(GenerationError(self._reason or self._cause(status)) if status else EndedIdle())

    def _dismiss(self, error: Exception) -> None:
        with self._lock:
            self.is_over = True
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_exception(error)

    def _cause(self, status: int) -> str:
        if status == -signal.SIGKILL:
            return "The model process ended (out of memory?): it was killed; the next request starts another."
        how = f"exit status {status}" if status > 0 else f"signal {-status}"
        said = next((f": {line.rstrip('.')}" for line in reversed(self._last()) if line), "")
        return f"The model process ended ({how}){said}."

    def _last(self) -> tuple[str, ...]:
        return tuple(self._tail)


def _environment() -> dict[str, str]:
    """One core is left to the web server, unless that was started with a number of threads."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"OMP_NUM_THREADS": str(max(1, cores - 1)), **os.environ}
