"""A separated-values file as people really have it: encoding, separator and decimal comma are found together."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count, islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from dashboard.sources.imported import SourceError

MOST_COLUMNS = 2_000
MOST_ROWS = 200_000
MOST_CELLS = 20_000_000
MOST_LINES = 10 * MOST_ROWS
"""Lines of a file: a row may have cells of several lines."""

_TOO_MANY_LINES = f"The file has more than {MOST_LINES:,} lines: this is no table of runs."

LONGEST_CELL = 20_000
LONGEST_LINE = 4 * 2**20
"""Bytes of one line: MOST_COLUMNS cells of 2,000 characters."""

MOST_DECODED = 64 * 2**20
"""Bytes of a file in another encoding than UTF-8, which is decoded as a whole."""

_SEPARATORS = ",;\t"
_COMMA_NUMBER = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_SPECIAL = re.compile(r"[-+]?(?:nan|inf|infinity)", re.IGNORECASE)
_BLANK = codecs.BOM_UTF8 + b" \t\r\n"
_COMMA_TO_POINT = (r"^([-+]?[0-9]+),([0-9]+(?:[eE][-+]?[0-9]+)?)$", r"\1.\2")


@dataclass(frozen=True)
class Table:
    """`columns[j][i]` is the cell of row i under `header[j]`: Arrow arrays of text, trimmed, null where empty.

    `decimal_comma`: numbers are written 0,66. `ragged` counts the rows whose cells were fewer or more than the header.
    """

    header: tuple[str, ...]
    columns: tuple[Any, ...]
    decimal_comma: bool = False
    ragged: int = 0

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    @cached_property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The cells row by row, the empty ones "": for a file of few rows."""
        return tuple(zip(*(self.texts(position) for position in range(len(self.columns))), strict=True))

    def texts(self, position: int) -> list[str]:
        """The cells of a column, shape (rows,); the empty ones are ""."""
        return [cell or "" for cell in self.columns[position].to_pylist()]

    def number(self, cell: str) -> float | None:
        """The cell as a float (NaN and infinity are numbers), or None if it is empty or text."""
        cell = cell.strip()
        if self.decimal_comma and _COMMA_NUMBER.fullmatch(cell):
            cell = cell.replace(",", ".")
        return float(cell) if _NUMBER.fullmatch(cell) or _SPECIAL.fullmatch(cell) else None

    def numbers(self, position: int) -> list[float | None]:
        """`number` of every cell of a column, shape (rows,)."""
        found = self.floats(position)
        return self.each(position, self.number) if found is None else found.to_pylist()

    def floats(self, position: int) -> Any:
        """A column as an Arrow array of floats, null where empty; None if it has any other text."""
        return _cast(self._with_points(position), pa.float64())

    def each(self, position: int, read: Callable[[str], Any]) -> list[Any]:
        """`read` of every cell of a column, shape (rows,), called once for all equal cells; None for an empty one."""
        codes = self.columns[position].combine_chunks().dictionary_encode(null_encoding="encode")
        known = [None if cell is None else read(cell) for cell in codes.dictionary.to_pylist()]
        return [known[code] for code in codes.indices.to_pylist()]

    def plain_numbers(self, position: int) -> Any:
        """`floats`, or an Arrow array of whole numbers if all are written so."""
        floats = self.floats(position)
        are_whole = floats is not None and pc.all(pc.equal(pc.floor(floats), floats)).as_py()
        whole = _cast(self._with_points(position), pa.int64()) if are_whole else None
        return floats if whole is None else whole

    def _with_points(self, position: int) -> Any:
        cells = self.columns[position]
        return pc.replace_substring_regex(cells, *_COMMA_TO_POINT) if self.decimal_comma else cells


def _cast(cells: Any, type_: Any) -> Any:
    """The column as Arrow numbers, null where empty; None if a single cell is none."""
    try:
        return cells.cast(type_)
    except pa.ArrowInvalid:
        return None


def from_rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """The table of these rows, cut and filled to the length of the header."""
    content, ragged = _evened(chain([header], rows), len(header), "\t")
    return _table(content, "\t", len(header), ragged)


def header(content: bytes) -> tuple[str, ...]:
    """The names of the columns, from the first lines of a file; `content` may be its start alone.

    Raises SourceError if the file is binary, empty, or has more columns than MOST_COLUMNS.
    """
    start = content[: LONGEST_LINE + 1]
    return _header(start.decode("utf-16", "ignore").encode() if _is_utf16(content) else _utf8(start))[0]


def decode(content: bytes) -> str:
    """The text: UTF-8 or UTF-16 by byte order mark, else UTF-8, else Windows-1252. Raises SourceError for binary."""
    return _utf8(content).removeprefix(codecs.BOM_UTF8).decode(errors="ignore")


def parse(content: bytes) -> Table:
    """The table in `content`. Raises SourceError if there is none or it is larger than the limits of this module."""
    content = _utf8(content)
    names, separator = _header(content)
    if content.count(b"\n") > MOST_LINES:
        raise SourceError(_TOO_MANY_LINES)
    try:
        table = _table(content, separator, len(names), 0)
    except pa.ArrowInvalid:  # a row with fewer or more cells than the header
        even, ragged = _evened((row for row in _rows(content, separator) if any(row)), len(names), separator)
        table = _table(even, separator, len(names), ragged)
    _refuse_open_quote(content, table)
    return table


def _is_utf16(content: bytes) -> bool:
    return content.startswith((b"\xff\xfe", b"\xfe\xff"))


def _utf8(content: bytes) -> bytes:
    """The content as UTF-8: UTF-16 by its byte order mark, what is not UTF-8 read as Windows-1252."""
    if not _is_utf16(content):
        if b"\0" in content:
            raise SourceError("This is a binary file, not a CSV: export the runs table as CSV.")
        if _is_utf8(content):
            return content
    if len(content) > MOST_DECODED:
        raise SourceError(f"The file has {len(content) / 2**20:,.0f} MB and is not UTF-8: save it as UTF-8.")
    try:
        return content.decode("utf-16" if _is_utf16(content) else "cp1252").encode()
    except UnicodeDecodeError as error:
        raise SourceError("The file's text encoding is not known: save it as UTF-8.") from error


def _is_utf8(content: bytes) -> bool:
    """Whether the content is UTF-8, but for a last character cut in two; without a copy of the whole."""
    if content.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), LONGEST_LINE):
            decoder.decode(content[start : start + LONGEST_LINE])
    except UnicodeDecodeError:
        return False
    return True


def _rows(content: bytes, separator: str) -> Iterator[list[str]]:
    """The rows as Python's csv module reads them. Raises SourceError at one that it cannot read."""
    stream = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", errors="ignore", newline="")

    def lines() -> Iterator[str]:
        for number in count():
            line = stream.readline(LONGEST_LINE + 1)
            if not line:
                return
            if number == MOST_LINES:
                raise SourceError(_TOO_MANY_LINES)
            if len(line) > LONGEST_LINE:
                raise SourceError(f"One line has more than {LONGEST_LINE:,} characters: this is no table of runs.")
            yield line

    try:
        yield from csv.reader(lines(), delimiter=separator)
    except csv.Error as error:
        raise SourceError(f"The file is no readable CSV: {error}.") from error


def _header(content: bytes) -> tuple[tuple[str, ...], str]:
    """The names of the columns and what separates them: the first row with a cell that is not empty."""
    if not content[:LONGEST_LINE].strip(_BLANK) and not content.strip(_BLANK):
        raise SourceError("The file is empty.")
    separator = _separator(content)
    first = next((row for row in islice(_rows(content, separator), 1_000) if any(row)), None)
    if first is None:
        raise SourceError("The file is empty: it has separators, but nothing between them.")
    if len(first) > MOST_COLUMNS:
        raise SourceError(f"The file has {len(first):,} columns, the limit is {MOST_COLUMNS:,}: export fewer.")
    return tuple(name.strip() for name in first), separator


def _separator(content: bytes) -> str:
    """The separator that occurs most often in the first line with text, outside quotes."""
    text = content[:LONGEST_LINE].removeprefix(codecs.BOM_UTF8).decode(errors="ignore")
    line = re.split(r"[\r\n]", re.sub(r'"(?:[^"]|"")*"', "", text.lstrip("\r\n ")[:LONGEST_CELL]), maxsplit=1)[0]
    counts = Counter(char for char in line if char in _SEPARATORS)
    return counts.most_common(1)[0][0] if counts else ","


def _table(content: bytes, separator: str, width: int, ragged: int) -> Table:
    """The table whose header is the first row with anything in it. Raises ArrowInvalid if a row is not `width` long."""
    columns = _columns(content, separator, width)
    filled = _any_filled(columns)
    if not pc.all(filled).as_py():
        columns = [column.filter(filled) for column in columns]
    longest = max(pc.max(pc.utf8_length(column)).as_py() or 0 for column in columns)
    if longest > LONGEST_CELL:
        raise SourceError(f"One cell has {longest:,} characters, the limit is {LONGEST_CELL:,}: this is no runs table.")
    header = tuple(column[0].as_py() or "" for column in columns)
    columns = [column[1:] for column in columns]
    return Table(header, tuple(columns), separator != "," and _decimal_comma(columns), ragged)


def _columns(content: bytes, separator: str, width: int) -> list[Any]:
    """All rows, the header's too, by columns, trimmed; by blocks, so that no file is read far beyond the limits."""
    names = [str(position) for position in range(width)]
    reader = arrow_csv.open_csv(
        pa.BufferReader(content),
        arrow_csv.ReadOptions(column_names=names, block_size=LONGEST_LINE),
        arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""], check_utf8=False
        ),
    )
    batches, rows = [], 0
    for batch in reader:
        batches.append(pa.record_batch([pc.utf8_trim_whitespace(cells) for cells in batch.columns], reader.schema))
        rows += len(batch)
        _check_size(rows - 1, width)
    return list(pa.Table.from_batches(batches, reader.schema).columns)


def _evened(rows: Iterable[Sequence[str]], width: int, separator: str) -> tuple[bytes, int]:
    """The rows as a CSV in which each has `width` cells: short ones filled, long ones cut; and how many were either."""
    ragged = 0
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=separator, quoting=csv.QUOTE_ALL)
    for number, row in enumerate(rows):
        _check_size(number, width)
        ragged += len(row) < width or any(row[width:])
        writer.writerow([*row[:width], *[""] * (width - len(row))])
    return stream.getvalue().encode(), ragged


def _check_size(rows: int, width: int) -> None:
    if rows > MOST_ROWS:
        raise SourceError(f"The file has more than {MOST_ROWS:,} rows, the limit: export fewer runs.")
    if rows * width > MOST_CELLS:
        raise SourceError(f"The file has more than {MOST_CELLS:,} cells, the limit: export fewer columns.")


def _refuse_open_quote(content: bytes, table: Table) -> None:
    """A quote that never closes makes one cell of all lines after it: that must not pass for a shorter table."""
    last = next((text for column in reversed(table.columns) if len(table) and (text := column[-1].as_py())), "")
    if "\n" in last and not content[-100:].rstrip().endswith(b'"'):
        raise SourceError(f"A quote in row {len(table):,} is never closed: the lines after it cannot be told apart.")


def _any_filled(columns: Sequence[Any]) -> Any:
    """Which rows have a cell with anything in it."""
    filled = columns[0].is_valid()
    for column in columns[1:]:
        if pc.all(filled).as_py():
            break
        filled = pc.or_(filled, column.is_valid())
    return filled


def _decimal_comma(columns: Sequence[Any]) -> bool:
    commas = points = 0
    for column in columns:
        for cell in column[:200].to_pylist():
            commas += cell is not None and bool(_COMMA_NUMBER.fullmatch(cell))
            points += cell is not None and "." in cell and bool(_NUMBER.fullmatch(cell))
    return commas > points
