"""One thing that the built-in data asks about, and how texts are taken apart into words."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One fact, instruction or open question.

    `helpful`, `terse` and `wrong` are whole answers. An answer is right if it has `enough` of the phrases `keys`
    and, outside the words of its prompt, none of `others` (lower case).
    """

    key: str
    kind: str
    about: str
    prompts: tuple[str, ...]
    helpful: tuple[str, ...]
    terse: tuple[str, ...]
    wrong: tuple[str, ...]
    keys: tuple[str, ...]
    enough: int = 1
    others: tuple[str, ...] = ()


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", text.lower())


COMMON = frozenset(
    words(
        "a an and any are as at be can could do does for from give has have how i if in is it me my most no not of "
        "on one or our please should so some that the their them then there they this to up use used us we what "
        "when where which who why will with would write you your word words name tell say called people "
    )
)


def content(text: str) -> tuple[str, ...]:
    """The different words of a text that carry meaning, in order."""
    return tuple(dict.fromkeys(word for word in words(text) if word not in COMMON))
