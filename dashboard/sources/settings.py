"""Reads hyper-parameters from a text in which people wrote them, such as the name of a run."""

import re
from collections.abc import Callable
from typing import Any

from dashboard.sources.columns import argument

_PAIR = re.compile(r"""\s*([A-Za-z_][\w.]*)\s*=\s*("[^"]*"|'[^']*'|[^,()\[\]{}"'=]+)\s*(?:,|$)""", re.ASCII)
_WORDS = re.compile(
    r"\s*(beta|β|lr|learning[ _]rate|seed|epochs?|batch[ _]size|lora_r|rank)\s*[ :=]\s*([-+.\de]+)\s*(?:,|;|$)",
    re.IGNORECASE,
)


def settings_in(text: str, value: Callable[[str], Any]) -> dict[str, Any]:
    """The configuration in a text such as `(beta=0.1, lr_scheduler_type="linear")` or `beta 0.1, lr 1e-6`.

    `value` reads an unquoted cell. {} if anything else stands in the text: it is a name then.
    """
    inside = text.strip()
    if inside.startswith("(") and inside.endswith(")"):
        inside = inside[1:-1].strip()
    for pair in (_PAIR, _WORDS):
        found, place = {}, 0
        while match := pair.match(inside, place):
            cell = match[2].strip()
            found[match[1]] = cell[1:-1] if cell.startswith(("'", '"')) else value(cell)
            place = match.end()
        if place == len(inside):
            return {argument(name): known for name, known in found.items() if known is not None}
    return {}
