"""What a process keeps of one run for the next: tokenised data, the base model, what was found out about them."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Kept:
    """Values by kind and key. Without `lasting` nothing is kept: no other run follows in this process.

    Of a kind the `most` that were used last are kept, so that a worker does not grow with its runs.
    """

    def __init__(self, lasting: bool = False) -> None:
        self.lasting = lasting
        self._values: dict[str, OrderedDict[Hashable, Any]] = {}

    def get(self, kind: str, key: Hashable, make: Callable[[], T], most: int = 4) -> T:
        """The value of `key`, made by `make` if it is not there."""
        found: T | None = self.find(kind, key)
        if found is None:
            found = make()
            self.keep(kind, key, found, most)
        return found

    def find(self, kind: str, key: Hashable) -> Any:
        """The value of `key`, or None."""
        values = self._values.get(kind, OrderedDict())
        if key in values:
            values.move_to_end(key)
        return values.get(key)

    def keep(self, kind: str, key: Hashable, value: Any, most: int = 4) -> None:
        """Keeps a value for the runs that follow, if any do."""
        if not self.lasting:
            return
        values = self._values.setdefault(kind, OrderedDict())
        values[key] = value
        while len(values) > most:
            values.popitem(last=False)
