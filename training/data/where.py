"""Conditions on the columns of a data set, such as `status != tie` or `chosen_score >= 8`."""

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.data.pairs import PreferenceError

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_CONDITION = re.compile(r"\s*(?P<column>[^=!<>]*[^=!<>\s])\s*(?P<sign>[=!<>]+)\s*(?P<value>.*?)\s*", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_WORDS = {"true": True, "false": False, "none": None, "null": None}
_FORM = "write column, operator (== != >= <= > <) and value, such as \"status != tie\" or 'chosen_score >= 8'"


@dataclass(frozen=True)
class Condition:
    """One condition on one column. `value` is a number, True, False, None or a text."""

    column: str
    sign: str
    value: float | bool | str | None

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether the row meets it. A value of another kind than asked for is unequal, neither above nor below."""
        found = row.get(self.column)
        if isinstance(found, str) and not isinstance(self.value, str):
            found = _literal(found)  # a .csv file knows text only
        alike = isinstance(found, str) == isinstance(self.value, str) and (found is None) == (self.value is None)
        if not alike or not isinstance(found, str | int | float | None):
            return self.sign == "!="
        return _OPERATORS[self.sign](found, self.value)


def parse(text: str) -> Condition:
    """A condition from its text: a value in quotes is text, without quotes text, a number, true, false or none.

    Raises PreferenceError if it is none.
    """
    found = _CONDITION.fullmatch(text)
    if not found or found["sign"] not in _OPERATORS or not found["value"]:
        raise PreferenceError(f"--where {text!r} is no condition; {_FORM}")
    written = found["value"]
    quoted = len(written) > 1 and written[0] == written[-1] and written[0] in "'\""
    value = written[1:-1] if quoted else _literal(written)
    if (value is None or isinstance(value, bool)) and found["sign"] not in ("==", "!="):
        raise PreferenceError(f"--where {text!r}: {written} is neither above nor below anything; use == or !=")
    return Condition(found["column"], found["sign"], value)


def conditions(texts: Iterable[str], columns: Sequence[str], name: str) -> list[Condition]:
    """The conditions, all on columns that the data set `name` has.

    Raises PreferenceError if one is malformed or its column unknown.
    """
    parsed = [parse(text) for text in texts]
    for condition in parsed:
        known(condition.column, columns, "--where", name)
    return parsed


def known(column: str, columns: Sequence[str], flag: str, name: str) -> str:
    """`column` itself; raises PreferenceError with the nearest name if the data set has no such column."""
    if column in columns:
        return column
    near = difflib.get_close_matches(column, columns, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise PreferenceError(f"{flag}: {name} has no column {column!r}{hint}; found: {', '.join(columns)}")


def _literal(text: str) -> float | bool | str | None:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return float(text) if _NUMBER.fullmatch(text) else text
