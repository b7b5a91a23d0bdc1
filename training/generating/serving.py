"""Requests wait for their turn while one is worked on; those that are not needed any more are taken back."""

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from training.generating.protocol import Answers, ProtocolError, Refused, Request, parse

CANCELLED = "cancelled"


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class Job:
    """A request that is worked on, or will be."""

    request: Request
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """To be called between two steps of the work. Raises Cancelled if it is in vain."""
        if self._cancelled.is_set():
            raise Cancelled

    def cancel(self) -> None:
        self._cancelled.set()


Handler = Callable[[Job], Mapping[str, Any]]


class Server:
    """Answers requests one after another, in the order of their coming.

    One thread listens, another works. {"do": "ping"} is answered at once, also while there is work; {"do": "cancel"}
    takes back the request with its id, which is then answered with the error "cancelled".
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._changed = threading.Condition()
        self._jobs: dict[int, Job] = {}  # the first is the one that is worked on
        self._is_closed = False

    def listen(self, source: Iterable[bytes]) -> None:
        """Takes requests until `source` ends: what was asked until then is still answered."""
        try:
            for line in source:
                if line.strip():
                    self._hear(line)
        finally:
            with self._changed:
                self._is_closed = True
                self._changed.notify()

    def work(self, handlers: Mapping[str, Handler], idle: float | None = None) -> None:
        """Works until there is nothing more to come, or for `idle` seconds nothing has come."""
        while (job := self._next(idle)) is not None:
            try:
                answer = self._answer(job, handlers)
            finally:
                with self._changed:
                    del self._jobs[job.request.id]
            self._answers.send(job.request.id, answer)

    def _hear(self, line: bytes) -> None:
        try:
            request = parse(line)
            if request.do == "ping":
                self._answers.send(request.id, {"pid": os.getpid(), "waiting": len(self._jobs)})
            elif request.do == "cancel":
                with self._changed:
                    job = self._jobs.get(request.id)
                if job is not None:
                    job.cancel()
            else:
                self._add(request)
        except ProtocolError as error:
            self._answers.send(error.id, {"error": str(error)})

    def _add(self, request: Request) -> None:
        with self._changed:
            if request.id in self._jobs:
                raise ProtocolError("its id is that of a request that is not answered yet", request.id)
            self._jobs[request.id] = Job(request)
            self._changed.notify()

    def _next(self, idle: float | None) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._is_closed, idle)
            return next(iter(self._jobs.values()), None)

    def _answer(self, job: Job, handlers: Mapping[str, Handler]) -> Mapping[str, Any]:
        begun = time.monotonic()
        handler = handlers.get(job.request.do)
        if handler is None:
            known = ", ".join(sorted({"ping", "cancel", *handlers}))
            return {"error": f"nothing here does {job.request.do!r}; known: {known}"}
        try:
            job.check()
            return {**handler(job), "seconds": round(time.monotonic() - begun, 3)}
        except Cancelled:
            return {"error": CANCELLED}
        except Refused as reason:
            return {"error": str(reason)}
        except Exception as error:  # of a library, for reasons that are not known: told, and the next one is answered
            traceback.print_exc()
            return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
