"""A preference pair, what it says, and the error for preference data that cannot be used."""

from collections.abc import Mapping
from typing import Any

Turn = dict[str, str]  # role (system, user or assistant) and content
Side = str | list[Turn]
Pair = dict[str, Any]  # pair_id, prompt, chosen, rejected: all strings, or all lists of turns

EMPTY, EQUAL = "empty answer", "equal answers"


class PreferenceError(Exception):
    """Preference data that cannot be used; the message says what is wrong, where, and what to do."""


def said(side: Side) -> str:
    """What a prompt or an answer says, whatever its shape."""
    return side if isinstance(side, str) else "\n".join(turn["content"] for turn in side)


def same(prompt: Side) -> str:
    """What two prompts have in common that differ in white space only."""
    return " ".join(said(prompt).split())


def checked(pair: Pair) -> Pair | str:
    """The pair, or why nothing can be learned from it."""
    prompt, chosen, rejected = (said(pair[side]).strip() for side in ("prompt", "chosen", "rejected"))
    if not chosen or not rejected:
        return EMPTY
    if chosen == rejected:
        return EQUAL
    if not prompt:
        return "empty prompt"
    return pair if _encodes(prompt) and _encodes(chosen) and _encodes(rejected) else "not text"


def shown(row: Mapping[str, Any], length: int = 200) -> str:
    """A row in about `length` characters: of each column's text the start and the end."""
    half = max(8, length // max(1, len(row)) // 2)
    texts = {column: value if isinstance(value, str) else str(value) for column, value in row.items()}
    short = {k: t if len(t) <= 2 * half else f"{t[:half]} … {t[-half:]}" for k, t in texts.items()}
    return " ".join(f"{column}: {text!r}" for column, text in short.items())


def _encodes(text: str) -> bool:
    """JSON can hold half a character (a lone surrogate), which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
