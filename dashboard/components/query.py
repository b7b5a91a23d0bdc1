"""What a browser sends is hostile: values from links and callbacks, brought to what a page can use."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import unquote

MOST_IDS = 200
_LONGEST = 32_000

Choice = TypeVar("Choice", bound=str)


def one(value: Any) -> str:
    """The last text of a parameter that may be repeated, missing or of any other type; empty if there is none."""
    if isinstance(value, list) and value:
        value = value[-1]
    return value[:_LONGEST] if isinstance(value, str) else ""


def choice(value: Any, allowed: Sequence[Choice]) -> Choice:
    """`value` if it is one of `allowed`, else the first of them."""
    found = one(value)
    return next((option for option in allowed if option == found), allowed[0])


def fraction(value: Any, most: float) -> float:
    """A number in [0, most]; 0 for anything else."""
    try:
        number = float(value if isinstance(value, int | float) else one(value))
    except (ValueError, OverflowError):
        return 0.0
    return min(max(number, 0.0), most) if number == number else 0.0


def number(value: Any, low: float, high: float) -> float | None:
    """A finite number, brought into [low, high]; None for anything else."""
    try:
        found = float(value if isinstance(value, int | float) else one(value))
    except (ValueError, OverflowError):
        return None
    return min(max(found, low), high) if math.isfinite(found) else None


def ids(value: Any, most: int = MOST_IDS) -> list[str]:
    """The texts of a list that can be run ids, without repeats, `most` at most; empty for anything else."""
    if not isinstance(value, list):
        return []
    texts = [part for part in value if isinstance(part, str) and part and len(part) <= 255]
    return list(dict.fromkeys(texts))[:most]


def linked_ids(value: Any) -> list[str]:
    """Run ids of a link: separated by commas, each percent-encoded."""
    return ids([unquote(part) for part in one(value).split(",")])
