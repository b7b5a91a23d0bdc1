"""Text as Markdown shows it letter for letter: what comes from a model or a data set never becomes Markdown or HTML."""

import re
from collections.abc import Sequence

LONGEST_NAME = 200
LONGEST_TEXT = 1000

# Control characters, and those that turn the direction of what follows; tab and line break stay.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def code(text: object) -> str:
    """A short text as a code span in one line; `|` is shown as `¦`, for it would end a table's cell."""
    line = " ".join(_visible(str(text)).split()).replace("|", "¦")
    line = line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…"
    marks = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{marks}{pad}{line}{pad}{marks}" if line else "(empty)"


def fenced(text: str, language: str = "text") -> str:
    """A text as a fenced code block: the fence is longer than any row of backticks in it."""
    marks = "`" * max(3, _longest_run(text) + 1)
    return f"{marks}{language}\n{_visible(text)}\n{marks}"


def excerpt(title: str, text: str) -> str:
    """A titled text as a fenced code block; one that is too long is cut, and the title says so."""
    cut = f" (the first {LONGEST_TEXT:,} of {len(text):,} characters)" if len(text) > LONGEST_TEXT else ""
    return f"{title}{cut}:\n\n{fenced(text[:LONGEST_TEXT])}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are Markdown without `|`, as `code` makes them."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _visible(text: str) -> str:
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
