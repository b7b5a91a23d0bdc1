"""What was worked out for one state of the runs is kept until the runs change: many browsers ask for the same."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

from dashboard.sources.held import Held

T = TypeVar("T")

MOST = 48
"""Results kept, the least used go first."""

STATES = 4
"""States of the runs for which one thing is kept: the newest, and those that slower browsers still show."""


class Memory:
    """Results by state of the runs and key. Safe to share between threads; of several at once, one works it out."""

    def __init__(self, most: int = MOST, states: int = STATES) -> None:
        self._most, self._most_states = most, states
        self._held = Held(most)
        self._lock = threading.Lock()
        self._states: OrderedDict[Hashable, OrderedDict[str, None]] = OrderedDict()

    def of(self, state: str, key: Hashable, make: Callable[[], T]) -> T:
        """The result under `key` for a state, made by `make` if there is none; its error is that of all who wait."""
        made = self._held.of((state, key), make)
        with self._lock:
            states = self._states.setdefault(key, OrderedDict())
            self._states.move_to_end(key)
            states[state] = None
            states.move_to_end(state)
            while len(states) > self._most_states:
                self._held.forget((states.popitem(last=False)[0], key))
            while len(self._states) > self._most:
                gone, states = self._states.popitem(last=False)
                self._held.forget(*((state, gone) for state in states))
        return made
