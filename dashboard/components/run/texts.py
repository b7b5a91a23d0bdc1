"""Answers of a model as text, with what differs from another answer marked."""

import re
from difflib import SequenceMatcher
from typing import Any

from dash import html

from dashboard.analysis import degeneration

MOST_WORDS = 800
"""Words of a text that is compared: the time grows with the square."""

LEAST_ALIKE = 0.2
"""Below this share of common words, marking would colour nearly everything and say nothing."""

REPEATS = 0.2
"""Share of repeated 3-grams from which a single answer is called repetitive: our own choice."""

LONGEST = 20_000


def as_text(value: Any) -> str:
    """Any recorded value as the text that is shown, cut where it is very long."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    text = text.encode("utf-8", errors="replace").decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST:,} more characters)"


def marked(text: str, other: str, class_name: str) -> list[Any]:
    """The text in pieces; those that `other` has not stand in spans of this class."""
    mine, theirs = _pieces(text), _pieces(other)
    if not text or not other or text == other or max(len(mine), len(theirs)) > MOST_WORDS:
        return [text]
    matcher = SequenceMatcher(None, theirs, mine, autojunk=False)
    if matcher.ratio() < LEAST_ALIKE:
        return [text]
    found: list[Any] = []
    for kind, _, _, start, end in matcher.get_opcodes():
        piece = "".join(mine[start:end])
        if piece:
            found.append(piece if kind == "equal" else html.Span(piece, className=class_name))
    return found


def _pieces(text: str) -> list[str]:
    return re.findall(r"\s*\w+|\s*[^\w\s]|\s+", text)


def faults(prompt: str, answer: str) -> list[str]:
    """What is degenerate about an answer: empty, repetitive, or only the prompt again."""
    words = degeneration.units(answer)
    if not words:
        return ["empty"]
    repeated = degeneration.repetition(words)
    found = [f"repeats itself ({repeated:.0%} of 3-grams)"] if repeated >= REPEATS else []
    return [*found, "begins with the whole prompt"] if degeneration.echoes(degeneration.units(prompt), words) else found
