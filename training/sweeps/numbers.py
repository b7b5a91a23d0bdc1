"""Numbers as people write them in a sweep file: as text, in decimals, in steps."""

import json
import re
import reprlib
import sys
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from training.sweeps.trial import SweepError

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_PARTS = 10_000
_GREATEST = sys.float_info.max
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxdict, _REPR.maxstring, _REPR.maxother = 2, 4, 4, 60, 60


def as_number(value: Any) -> Any:
    """Text that looks like a number as one: YAML 1.1 reads 1e-7 as text. Anything else as it is."""
    if not isinstance(value, str) or len(value) > 64 or not _NUMBER.fullmatch(value):
        return value
    return int(value) if value.lstrip("+-").isdecimal() else float(value)


def finite(where: str, key: str, value: Any) -> float:
    """`value` as a float. Raises SweepError if it is no number, or not a finite one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _GREATEST:
        raise SweepError(f"{where}: {key} must be a number, got {short(value)}")
    return float(value)


def as_json(where: str, value: Any) -> str:
    """`value` as JSON. Raises SweepError for what JSON lacks, and for what YAML's aliases make huge or endless."""
    parts, count = [value], 0
    while parts and count <= _PARTS:
        part, count = parts.pop(), count + 1
        parts += part if isinstance(part, list) else part.values() if isinstance(part, dict) else []
    try:
        if parts:
            raise ValueError
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise SweepError(f"{where}: {short(value)} is neither number, text, true, false nor a list of these") from None


def exact(value: float) -> Decimal:
    """The number as it is written: 0.1 is a tenth."""
    return Decimal(repr(float(value)))


def shortest(value: Decimal) -> int | float:
    """A whole number as an int, any other as a float."""
    return int(value) if value == value.to_integral_value() else float(value)


def multiples(low: float, high: float, step: Decimal) -> tuple[Decimal, Decimal]:
    """How many steps make the least and the greatest multiple of `step` between `low` and `high`."""
    least = (exact(low) / step).to_integral_value(ROUND_CEILING)
    return least, (exact(high) / step).to_integral_value(ROUND_FLOOR)


def short(value: Any) -> str:
    """A value for a message, cut where it is long."""
    return _REPR.repr(value)
