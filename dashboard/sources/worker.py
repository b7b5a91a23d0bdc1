"""One thread that does long work in turn, so that no page has to wait for more than one piece of it at a time."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """Calls what it is given, one after the other. Its thread lives while there is something to do, and ends with the
    program whatever it is doing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._busy = False

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """The call's result, as soon as it is there."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting.append((future, call))
            if not self._busy:
                self._busy = True
                threading.Thread(target=self._work, daemon=True, name="uploads").start()
        return future

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy = False
                    return
                future, call = self._waiting.popleft()
            try:
                future.set_result(call())
            except BaseException as error:  # whoever waits is told
                future.set_exception(error)
