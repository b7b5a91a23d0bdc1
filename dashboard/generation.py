"""Asks a training.generate process, which holds the models: the web server itself never loads one."""

import atexit
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson
from flask import current_app

from dashboard.generation_process import Answer, EndedIdle, Process
from dashboard.generation_process import GenerationError as GenerationError
from training.record import schema

KEY = "PREFSCOPE_GENERATION"
IDLE = 600.0
"""Seconds without a request after which the process ends."""

PATIENCE = 180.0
"""Seconds that an answer is waited for: the first one needs the libraries and the model loaded."""

COMMAND = (sys.executable, "-m", "training.generate", "--idle", f"{IDLE:g}")
KEPT = 512
"""Results kept, the least used go first."""

_creating = threading.Lock()

Results = tuple["TokenRewards", ...]


class TokenRewards(NamedTuple):
    """An answer's tokens as texts, the implicit reward of each, in nats x beta, and their sum."""

    tokens: tuple[str, ...]
    rewards: tuple[float, ...]
    total: float


def service() -> "Service":
    """The one of the app that answers the current request."""
    with _creating:
        if KEY not in current_app.config:
            current_app.config[KEY] = Service()
        return cast(Service, current_app.config[KEY])


class Service:
    """One process with models for all threads of a web server: started when it is asked, also after it has ended.

    It ends when nothing was asked for a while, and with this process, however that ends.
    """

    def __init__(self, command: Sequence[str] = COMMAND, patience: float = PATIENCE) -> None:
        self._command = command
        self._patience = patience
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._results: OrderedDict[object, Future[Results]] = OrderedDict()
        atexit.register(self.close)

    def token_rewards(
        self, run_directory: Path, prompt: Any, answers: Sequence[Any], checkpoint: str | int | None = None
    ) -> list[TokenRewards]:
        """Those of a pair's two answers, in their order; prompt and answers are as in pairs.parquet.

        `checkpoint` is "best" or a step; None is the best, or else the newest. While the run's checkpoints are the
        same the models are asked only once. Raises GenerationError.
        """
        content = {
            "do": "token_rewards",
            "run": os.fspath(run_directory.absolute()),
            "checkpoint": checkpoint,
            "prompt": prompt,
            "answers": list(answers),
        }
        try:
            asked = orjson.dumps(content)
        except TypeError as error:
            raise GenerationError(f"This pair is not made of texts: {error}.") from error
        found = self._once((asked, _checkpoints(run_directory)), lambda: _token_rewards(self._ask(content)))
        return list(found)

    def close(self) -> None:
        """Ends the process; what it is working on fails."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.end("The model process was ended, as the dashboard ends.")

    def _once(self, key: object, make: Callable[[], Results]) -> Results:
        """What `make` has found; of many that ask the same at once one works, and all have its result or its error."""
        with self._lock:
            known = self._results.get(key)
            future = self._results.setdefault(key, known or Future())
            self._results.move_to_end(key)
            while len(self._results) > KEPT:
                self._results.popitem(last=False)
        if known is None:
            try:
                future.set_result(make())
            except BaseException as error:
                with self._lock:
                    self._results.pop(key, None)
                future.set_exception(error)
        return future.result()

    def _ask(self, content: Mapping[str, Any]) -> Answer:
        for _ in range(2):
            with suppress(EndedIdle):
                return self._running().ask(content, self._patience)
        raise GenerationError("The model process ends as soon as it is asked.")

    def _running(self) -> Process:
        with self._lock:
            if self._process is None or self._process.is_over:
                self._process = Process(self._command)
            return self._process


def _token_rewards(answer: Answer) -> Results:
    try:
        columns = zip(answer["tokens"], answer["rewards"], answer["totals"], strict=True)
        found = [TokenRewards(tuple(map(str, t)), tuple(map(float, r)), float(total)) for t, r, total in columns]
    except (KeyError, TypeError, ValueError) as error:
        raise GenerationError("The model process gave an answer that cannot be read.") from error
    return tuple(found)


def _checkpoints(run_directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Which checkpoints a run has, and of when: a new one is another folder under the same name."""
    try:
        folders = [(path.name, path.stat()) for path in (run_directory / schema.CHECKPOINTS).iterdir()]
    except OSError:
        return ()
    return tuple(sorted((name, status.st_ino, status.st_mtime_ns) for name, status in folders))
