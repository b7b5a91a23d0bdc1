"""Several processes of one run (accelerate launch, torchrun): who writes, and what all agree on."""

import os
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
