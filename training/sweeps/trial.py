"""A trial of a sweep on its way: what is to be run, how it ended, and who runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

End = Literal["finished", "pruned", "stopped", "failed", "refused", "died"]


class SweepError(Exception):
    """A sweep that cannot be made or go on; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Trial:
    """One point of the search: `params` has the sweep file's names (dotted where nested); `name` is its run's."""

    number: int
    name: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A trial as a worker gets it, plain data: `argv` for training.run, and the rules by which it may be pruned."""

    number: int
    name: str
    argv: tuple[str, ...]
    rules: Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a worker's task ended: "refused" before it began, "died" with its worker; `error` says why, in one line.

    "stopped" with an `error`: nothing can be written where the runs are. The trial is to be gone on with.
    """

    number: int
    status: End
    error: str | None = None


class Engine(Protocol):
    """Warm workers that run tasks."""

    workers: int

    def free(self) -> int:
        """How many tasks may be started now."""

    def start(self, task: Task) -> None:
        """Gives a task to a free worker."""

    def ended(self, timeout: float) -> list[Ended]:
        """What ended since the last call; waits up to `timeout` seconds for the first."""

    def stop(self) -> None:
        """Asks every task that is running to end after its current step, with a checkpoint."""

    def close(self) -> None:
        """Ends the workers; a task that still runs is killed."""
