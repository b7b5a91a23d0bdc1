"""Numbers as people read them."""

import math
from typing import Any

MISSING = "–"


def metric(value: float | None, digits: int = 4) -> str:
    """A metric with `digits` after the point; very small or large ones in powers of ten; NaN and infinity by name."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value and not 1e-3 <= abs(value) < 1e5:
        return short(value)
    return f"{value:.{digits}f}".replace("-", "−")


def short(value: float) -> str:
    """Three significant digits: 3.03e-6, 0.1, 200."""
    if not math.isfinite(value) or value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.4g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def percent(value: float | None) -> str:
    """A share in [0, 1] with one digit after the point."""
    return MISSING if value is None else f"{value:.1%}" if math.isfinite(value) else metric(value)


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
    """The text in one line, with nothing that a terminal or a browser obeys: control and direction characters shown."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(text.split()))
