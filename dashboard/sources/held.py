"""What was read or worked out last is held in memory, up to a limit; of several that ask at once, one works it out."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Held:
    """Results by key, the ones used last, of a summed size up to `limit`. Safe to share between threads.

    The newest one stays even where it alone is larger.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._making: dict[Hashable, Future[Any]] = {}

    def of(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int] = lambda _: 1) -> T:
        """The result under `key`, made by `make` if there is none; its error is the error of all who wait for it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]  # type: ignore[no-any-return]
            under_way = self._making.get(key)
            if under_way is None:
                made: Future[T] = Future()
                self._making[key] = made
        if under_way is not None:
            return under_way.result()  # type: ignore[no-any-return]
        try:
            result = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            made.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            self._keep(key, result, size(result))
        made.set_result(result)
        return result

    def resize(self, key: Hashable, size: int) -> None:
        """Says how large a result has become; nothing if it is no longer held."""
        with self._lock:
            if key in self._kept:
                self._keep(key, self._kept[key][0], size)

    def forget(self, *keys: Hashable) -> None:
        """Lets go of the results under these keys."""
        with self._lock:
            for key in keys:
                self.size -= self._kept.pop(key, (None, 0))[1]

    def _keep(self, key: Hashable, result: Any, size: int) -> None:
        self.size += size - self._kept.pop(key, (None, 0))[1]
        self._kept[key] = (result, size)
        while self.size > self.limit and len(self._kept) > 1:
            self.size -= self._kept.popitem(last=False)[1][1]
