"""Several processes of one run (accelerate launch, torchrun): who writes, and what all agree on."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def is_first() -> bool:
    """Whether this process speaks for the run: the only one, or the first of those a launcher has started."""
    return os.environ.get("RANK", "0") == "0"


def shared(value: T) -> T:
    """What the first process has for `value`, in every process. Needs the process group, which DPOConfig opens."""
    from accelerate.utils import broadcast_object_list

    values: list[Any] = [value]
    broadcast_object_list(values)
    found: T = values[0]
    return found


def agreed(make: Callable[[], T]) -> T:
    """What `make`, called in the first process alone, returns there; what it raises is raised in every process."""
    found: tuple[T | None, Exception | None] = (None, None)
    if is_first():
        try:
            found = make(), None
        except Exception as error:
            found = None, error
    value, problem = shared(found)
    if problem is not None:
        raise problem
    return value  # type: ignore[return-value]
