"""A separated-values file as people really have it: encoding, separator and decimal comma are found together."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.sources.imported import SourceError

MOST_COLUMNS = 2_000
MOST_ROWS = 200_000
LONGEST_CELL = 20_000

_SEPARATORS = ",;\t"
_COMMA_NUMBER = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_SPECIAL = frozenset({"nan", "inf", "-inf", "+inf", "infinity", "-infinity", "+infinity"})


@dataclass(frozen=True)
class Table:
    """Header and rows, every row as long as the header. `decimal_comma`: numbers are written 0,66."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    decimal_comma: bool

    def number(self, cell: str) -> float | None:
        """The cell as a float (NaN and infinity are numbers), or None if it is empty or text."""
        cell = cell.strip()
        if self.decimal_comma and _COMMA_NUMBER.fullmatch(cell):
            cell = cell.replace(",", ".")
        if _NUMBER.fullmatch(cell) or cell.lower() in _SPECIAL:
            return float(cell)
        return None


def decode(content: bytes) -> str:
    """The text: UTF-8 or UTF-16 by byte order mark, else UTF-8, else Windows-1252. Raises SourceError for binary."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in content:
        raise SourceError("This is a binary file, not a CSV: export the runs table as CSV.")
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise SourceError("The file's text encoding is not known: save it as UTF-8.")


def parse(content: bytes) -> Table:
    """The table in `content`. Raises SourceError if there is none or it is larger than the limits of this module."""
    text = decode(content)
    if not text.strip():
        raise SourceError("The file is empty.")
    separator = _separator(text)
    try:
        lines = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if any(row)]
    except csv.Error as error:
        raise SourceError(f"The file is no readable CSV: {error}.") from error
    if not lines:
        raise SourceError("The file is empty: it has separators, but nothing between them.")
    header = tuple(name.strip() for name in lines[0])
    _check_size(header, lines)
    rows = tuple(tuple((row + [""] * len(header))[: len(header)]) for row in lines[1:])
    comma = separator != "," and _decimal_comma(rows)
    return Table(header, rows, comma)


def _separator(text: str) -> str:
    """The separator that occurs most often in the header, outside quotes."""
    first = re.sub(r'"(?:[^"]|"")*"', "", text[:LONGEST_CELL].lstrip().splitlines()[0])
    counts = Counter(char for char in first if char in _SEPARATORS)
    return counts.most_common(1)[0][0] if counts else ","


def _decimal_comma(rows: Sequence[Sequence[str]]) -> bool:
    commas = points = 0
    for row in rows[:200]:
        for cell in row:
            commas += bool(_COMMA_NUMBER.fullmatch(cell.strip()))
            points += "." in cell and bool(_NUMBER.fullmatch(cell.strip()))
    return commas > points


def _check_size(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    if len(header) > MOST_COLUMNS:
        raise SourceError(f"The file has {len(header):,} columns, the limit is {MOST_COLUMNS:,}: export fewer.")
    if len(lines) - 1 > MOST_ROWS:
        raise SourceError(f"The file has {len(lines) - 1:,} rows, the limit is {MOST_ROWS:,}: export fewer runs.")
    longest = max((len(cell) for row in lines for cell in row), default=0)
    if longest > LONGEST_CELL:
        raise SourceError(f"One cell has {longest:,} characters, the limit is {LONGEST_CELL:,}: this is no runs table.")
