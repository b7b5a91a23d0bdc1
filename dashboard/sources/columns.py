"""Tells which columns of a table are configuration and which are metrics, and reads both."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from typing import Any

import orjson

from dashboard.sources import vocabulary
from dashboard.sources.imported import Corrections
from dashboard.sources.table import Table

MOST_NOTES = 20
"""Bad cells that are named one by one."""

_METRIC = re.compile(
    r"(train|eval|val|valid|validation|test|dev|system|perf|objective|samples)/.+"
    r"|(train|eval)_(loss|acc\w*|runtime|samples_per_second|steps_per_second)|(val|valid|validation|test|dev)_\w+"
    r"|(train|eval)_(rewards|logps|logits)/.+|.*[_/.](loss|acc|accuracy|f1|auc|perplexity|grad_norm)|loss/(train|eval)"
    r"|(train|eval|valid|validation|training|evaluation|test)[ _](loss|acc|accuracy|reward.*)"
    r"|(rewards?[ _])?(margins?|accurac(y|ies))|(chosen|rejected)_rewards?|reward_margins?|win[ _-]?rate|score|ppl"
    r"|loss|acc|accuracy|perplexity|kl|epoch|total_flos|global_step|_step|_runtime|_timestamp"
    r"|(rewards|logps|logits)(_train|_eval)?/.+",
    re.IGNORECASE,
)
_PARENTHESIS = re.compile(r"(.*\S)\s*\(([^()]*)\)\s*", re.DOTALL)
_SPLITS = {
    "train": "train", "training": "train", "eval": "eval", "evaluation": "eval", "val": "eval", "validation": "eval",
    "test": "test",
}  # fmt: skip
_AROUND = " \t\n↑↓⬆⬇▲▼*"
_LONGEST = 300
_ALIASES = {
    "β": "beta",
    "beta": "beta",
    "seed": "seed",
    "learning_rate": "learning_rate",
    "lr": "learning_rate",
    "learning rate": "learning_rate",
    "loss.beta": "beta",
    "dpo_beta": "beta",
    "pref_beta": "beta",
    "pref_loss": "loss_type",
    "loss type": "loss_type",
    "max length": "max_length",
    "weight decay": "weight_decay",
}
_UNKNOWN = frozenset({"", "na", "n/a", "null", "none", "-", "–", "—", "no log"})
_NOT_AVAILABLE = re.compile(r"n/?a(\s*\(.*)?", re.IGNORECASE | re.DOTALL)
_CATEGORIES = frozenset({"none", "null", "auto", "default", "-"})
_BOOLEANS = {"true": True, "false": False}


@dataclass
class Columns:
    """A table's columns by what they mean, each of shape (rows,), with None where the source is silent."""

    config: dict[str, Sequence[Any]] = field(default_factory=dict)
    metrics: dict[str, Sequence[float | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    """Column -> the key that its values are under."""


def is_metric(column: str) -> bool:
    """Whether a column is a logged metric rather than configuration, as far as its name tells."""
    return _METRIC.fullmatch(bare(column)) is not None


def bare(column: str) -> str:
    """The name without what people add to it: arrows, or a parenthesis as in `accuracy (640 pairs)`, `loss (↓)`.

    A split in parenthesis is part of the name: `loss (eval)` is `eval loss`.
    """
    plain = column.strip(_AROUND)
    match = _PARENTHESIS.fullmatch(plain[:_LONGEST])
    if match is None:
        return plain
    split = _SPLITS.get(match[2].strip().lower(), "")
    return f"{split} {match[1]}".strip(_AROUND)


def positions(header: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Column name -> position; of a repeated name the first counts, and the notes say so."""
    repeated = sorted(name for name, count in Counter(header).items() if count > 1 and name)
    found = {name: header.index(name) for name in dict.fromkeys(header) if name}
    return found, [f'Column "{name[:80]}" appears more than once: the first is used.' for name in repeated]


def sort(
    table: Table, corrections: Corrections, about: Collection[str] = (), split: vocabulary.Split | None = None
) -> Columns:
    """Configuration and metrics of a table, told apart by name and content; what the user says wins.

    `about` are columns with another meaning. `split` is that of metrics whose name says none. Metrics go under their
    W&B key, where several columns mean one key under the one that is spelt so, else the first.
    """
    where, notes = positions(table.header)
    found, bad, renamed = Columns(notes=notes), _BadCells(), []
    for name in sorted(where, key=lambda name: _precedence(name, corrections, split)):
        if name in corrections.ignored:
            continue
        told = name in corrections.metrics or (name in corrections.renamed and name not in corrections.config)
        if name in about and not told and name not in corrections.config:
            continue
        numbers = _numbers(table, where[name]) if told or (name not in corrections.config and is_metric(name)) else None
        if numbers is not None and (told or _mostly_numbers(table, where[name], numbers)):
            key = corrections.renamed.get(name) or vocabulary.key(bare(name), split)
            column, target = bad.metric(name, numbers, table, where[name]), found.metrics
        else:
            key = corrections.renamed.get(name) or argument(name)
            column, target = bad.config(name, table, where[name]), found.config
        if key in target:
            notes.append(f'Column "{name[:80]}" means "{key[:80]}", which another column gives: it is left out.')
            continue
        target[key], found.keys[name] = column, key
        renamed += [(name, key)] if key != name else []
    notes += [*_renamed(renamed), *bad.notes()]
    return found


def _precedence(name: str, corrections: Corrections, split: vocabulary.Split | None) -> int:
    """What the user names comes first, then what is spelt as W&B does, then the rest in the order of the file."""
    if name in corrections.renamed or name in corrections.config or name in corrections.metrics:
        return 0
    return 1 if vocabulary.key(bare(name), split) == name == argument(name) else 2


def argument(name: str) -> str:
    """The configuration's name as TRL spells it, where people write another one."""
    return _ALIASES.get(bare(name).lower(), name)


def _renamed(pairs: list[tuple[str, str]]) -> list[str]:
    told = ", ".join(f'"{name[:80]}" is "{key[:80]}"' for name, key in pairs[:5])
    more = f", and {len(pairs) - 5} more" if len(pairs) > 5 else ""
    return [f"Columns read under their usual names: {told}{more}."] if pairs else []


class Numbers(Sequence[Any]):
    """A column of nothing but numbers, None where empty, made Python's when one is asked for: few ever are."""

    def __init__(self, cells: Any) -> None:
        self._cells = cells

    @cached_property
    def _values(self) -> list[Any]:
        found: list[Any] = self._cells.to_pylist()
        return found

    def __getitem__(self, row: Any) -> Any:
        return self._values[row]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._cells)

    def count(self, value: Any) -> int:
        return self._cells.null_count if value is None else self._values.count(value)


def _numbers(table: Table, position: int) -> Sequence[float | None]:
    floats = table.floats(position)
    return table.numbers(position) if floats is None else Numbers(floats)


def _mostly_numbers(table: Table, position: int, numbers: Sequence[float | None]) -> bool:
    """Whether at least half of the cells that are not empty are numbers: `classification_loss` may be a switch."""
    count = len(numbers) - numbers.count(None)
    if 2 * count >= len(numbers) - table.columns[position].null_count:
        return True
    return 2 * count >= sum(cell.lower() not in _UNKNOWN for cell in table.texts(position))


def value(table: Table, cell: str) -> Any:
    """A configuration cell: number, truth value, list, text, or None where the source is silent."""
    text = cell.strip()
    if not text or _NOT_AVAILABLE.fullmatch(text):
        return None
    if text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    number = table.number(text)
    if number is None:
        return _list(text) or text
    return int(number) if math.isfinite(number) and number.is_integer() and "." not in text else number


def _list(text: str) -> list[Any] | None:
    """The plain values of a list written as JSON, as W&B writes `["sigmoid"]`; None for any other text."""
    try:
        found = orjson.loads(text) if text.startswith("[") else None
    except ValueError:
        return None
    plain = isinstance(found, list) and not any(isinstance(part, list | dict) for part in found)
    return found if plain else None


class _BadCells:
    """Collects the cells that do not fit their column, and says so in a few notes."""

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._count = 0

    def _add(self, row: int, name: str, cell: str, problem: str) -> None:
        self._count += 1
        if self._count <= MOST_NOTES:
            self._notes.append(f'Row {row + 1}, column "{name[:80]}": "{cell[:40]}" {problem}.')

    def notes(self) -> list[str]:
        more = self._count - MOST_NOTES
        return self._notes + ([f"{more:,} more cells do not fit their columns."] if more > 0 else [])

    def metric(self, name: str, numbers: Sequence[float | None], table: Table, position: int) -> Sequence[float | None]:
        """The numbers as they are, every cell that is none noted: empty = not logged, NaN = diverged."""
        if numbers.count(None) > table.columns[position].null_count:
            for row, (number, cell) in enumerate(zip(numbers, table.texts(position), strict=True)):
                if number is None and cell.lower() not in _UNKNOWN:
                    self._add(row, name, cell, "is no number; it is left out")
        return numbers

    def config(self, name: str, table: Table, position: int) -> Sequence[Any]:
        """The values of a configuration column. In a column of numbers a text that is no usual word is left out."""
        numbers = table.plain_numbers(position)
        if numbers is not None:
            return Numbers(numbers)
        values = table.each(position, lambda cell: value(table, cell))
        kinds = Counter(map(type, values))
        of_numbers = kinds[int] + kinds[float] > kinds[str]
        if not of_numbers and kinds[type(None)] == table.columns[position].null_count:
            return values
        for row, (found, cell) in enumerate(zip(values, table.texts(position), strict=True)):
            if found is None and cell and cell.lower() not in _UNKNOWN:
                self._add(row, name, cell, "is taken as not available")
            elif of_numbers and isinstance(found, str) and found.lower() not in _CATEGORIES:
                values[row] = None
                self._add(row, name, cell, "is no number, as the others are; it is left out")
        return values


class Row(Mapping[str, Any]):
    """One row of some columns, without what is None: it holds nothing itself, so many rows cost little."""

    __slots__ = ("_columns", "_row")

    def __init__(self, columns: Mapping[str, Sequence[Any]], row: int) -> None:
        self._columns, self._row = columns, row

    def __getitem__(self, name: str) -> Any:
        value = self._columns[name][self._row]
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        row = self._row
        return (name for name, column in self._columns.items() if column[row] is not None)

    def __len__(self) -> int:
        return sum(column[self._row] is not None for column in self._columns.values())

    def __repr__(self) -> str:
        return repr(dict(self))


def by_row(columns: Mapping[str, Sequence[Any]], rows: int) -> list[Row]:
    """Per row what it has."""
    return list(map(Row, repeat(columns), range(rows)))
