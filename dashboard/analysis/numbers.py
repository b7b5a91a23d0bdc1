"""Numbers and names as people read them."""

import math
from typing import Any

from training.record.metrics import LOSS, describe, split_key

MISSING = "–"

_UNSEEN, _JOINERS = "\N{REPLACEMENT CHARACTER}", "\u200c\u200d"


def metric(value: float | None, digits: int = 4) -> str:
    """A metric with `digits` after the point; very small or large ones in powers of ten; NaN and infinity by name."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value < 0:
        return f"−{metric(-value, digits)}"
    return short(value) if value and not 1e-3 <= value < 1e5 else f"{abs(value):.{digits}f}"


def short(value: float) -> str:
    """Three digits of a very small or large number, four of others, whole ones to the last: 3.03e-6, 0.1, 20000."""
    if not math.isfinite(value) or value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def percent(value: float | None) -> str:
    """A share in [0, 1] with one digit after the point; what is no share, as it is."""
    return f"{value:.1%}" if value is not None and 0 <= value <= 1 else metric(value)


def count(value: int | None) -> str:
    """A whole number with thousands separators."""
    return MISSING if value is None else f"{value:,}"


def setting(value: Any) -> str:
    """A hyper-parameter: numbers short, lists joined, texts cut at 60 characters."""
    if value is None:
        return MISSING
    if isinstance(value, float):
        return short(value)
    text = "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def duration(minutes: int) -> str:
    """Minutes as the largest unit that says enough: 5 min, 3 h, 4 days."""
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days"


def one_line(text: str, longest: int = 80) -> str:
    """A name as one line of at most `longest` characters."""
    line = visible(text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def visible(text: str) -> str:
    """The text in one line, with nothing that a terminal or a browser obeys: control and direction characters shown.

    What joins letters and emoji stays: Persian is not written without it.
    """
    if text.isprintable() and " " not in text:
        return text
    shown = (char if char.isprintable() or char in _JOINERS else _UNSEEN for char in " ".join(text.split()))
    return "".join(shown)


def label(key: str) -> str:
    """A metric in words, with its split where that is not the evaluation: reward accuracy, eval loss, train loss."""
    split, name = split_key(key)
    words = describe(key).label
    return words if split == "" or (split == "eval" and name != LOSS) else f"{split} {words}"
