"""Separated values as people have them are read at once; what cannot be a table costs nearly nothing."""

import csv
import io
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources import table
from dashboard.sources.imported import SourceError

ROOT = Path(__file__).resolve().parent.parent


def rows(content: bytes) -> list[tuple[str, ...]]:
    found = table.parse(content)
    return [found.header, *found.rows]


def plain(found: table.Table, position: int) -> list[int | float | None] | None:
    numbers = found.plain_numbers(position)
    return None if numbers is None else numbers.to_pylist()


def written(lines: list[list[str]], **options: str | int) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, **options).writerows(lines)  # type: ignore[arg-type]
    return stream.getvalue().encode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("last", [True, False])
def test_encoding_line_ends_and_separator_are_found(encoding, end, separator, last):
    text = end.join(separator.join(row) for row in (("näme", "beta"), ("a", "1"), ("b", "2"))) + (end if last else "")
    assert rows(text.encode(encoding)) == [("näme", "beta"), ("a", "1"), ("b", "2")]


def test_a_quoted_cell_may_hold_separators_quotes_and_newlines():
    assert rows(b'a,b\n"1,5","say ""x""\nand go"\n') == [("a", "b"), ("1,5", 'say "x"\nand go')]


def test_lines_with_nothing_in_them_are_no_rows():
    assert rows(b"\n,,\na,b,c\n\n,,\n1,2,3\n,,\n") == [("a", "b", "c"), ("1", "2", "3")]


def test_spaces_around_cells_are_no_part_of_them():
    found = table.parse(b"a , b\n 1 ,2 \n")
    assert (found.header, found.rows) == (("a", "b"), (("1", "2"),))
    assert plain(found, 0) == [1]


def test_short_rows_are_filled_and_long_ones_cut_and_both_are_counted():
    """Three rows of another length: `1` is short, `1,2,3` is long; `1,2,` is long by nothing and not counted."""
    found = table.parse(b"a,b\n1\n1,2,3\n1,2,\n4,5\n")
    assert found.rows == (("1", ""), ("1", "2"), ("1", "2"), ("4", "5"))
    assert found.ragged == 2


@pytest.mark.parametrize("content", [b"a;b\n0,66;x\n1,5;y\n", b"a\tb\n-0,66\tx\n+1,5e3\ty\n"])
def test_decimal_commas_are_found_with_the_separator(content):
    found = table.parse(content)
    assert found.decimal_comma
    assert plain(found, 0) == [found.number(row[0]) for row in found.rows]


def test_a_comma_is_no_decimal_where_it_separates():
    assert not table.parse(b'a,b\n"0,66",1\n').decimal_comma


def test_whole_numbers_are_int_and_a_column_with_a_fraction_is_float():
    found = table.parse(b"a,b,c,d\n1,1,1e-7,x\n-2,0.5,,1\n,,NaN,2\n")
    assert [plain(found, position) for position in (0, 1)] == [[1, -2, None], [1.0, 0.5, None]]
    assert all(isinstance(value, int) for value in plain(found, 0)[:2])
    assert str(plain(found, 2)) == "[1e-07, None, nan]"
    assert plain(found, 3) is None
    assert found.numbers(3) == [None, 1.0, 2.0]


@pytest.mark.parametrize("cell", ["0x10", "1_000", "e5", "1f", "1d5", "-", "٣", "1 2", "nan(1)x"])
def test_what_is_no_number_alone_is_none_in_a_column(cell):
    found = table.from_rows(["a", "b"], [[cell, "x"], ["1", "y"]])
    assert found.numbers(0) == [None, 1.0]
    assert plain(found, 0) is None


_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).map(str.strip)
_NUMBERS = st.floats().map(repr) | st.integers().map(str) | st.sampled_from(["", "+1", ".5", "5.", "1E5", "-inf"])


@st.composite
def tables(draw, cells=_TEXTS):
    width = draw(st.integers(1, 5))
    header = draw(st.lists(st.text("abcXYZ_/ ", min_size=1, max_size=5), min_size=width, max_size=width))
    body = draw(st.lists(st.lists(cells, min_size=width, max_size=width), max_size=6))
    return [["x" + name.strip() for name in header], *body]


@given(tables(), st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]))
def test_any_quoted_table_is_read_back(lines, separator, end):
    """Only rows with nothing in them are left out. A single column has no separator: any is right."""
    content = written(lines, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    assert rows(content) == [tuple(row) for row in lines if any(row)]


@given(tables(), st.data())
def test_one_ragged_row_changes_no_other_row(lines, data):
    whole = [*lines, ["y"] * len(lines[0])]
    assert rows(written([*whole, ["z", *["y"] * len(lines[0])]], quoting=csv.QUOTE_ALL))[:-1] == rows(
        written(whole, quoting=csv.QUOTE_ALL)
    )


@given(tables(_NUMBERS | _TEXTS))
def test_a_column_has_the_numbers_of_its_cells(lines):
    found = table.parse(written(lines, quoting=csv.QUOTE_ALL))
    for position in range(len(found.header)):
        expected = [found.number(row[position]) for row in found.rows]
        assert str(found.numbers(position)) == str(expected)
        numbers = plain(found, position)
        assert numbers is None or str([None if value is None else float(value) for value in numbers]) == str(expected)


@given(st.binary(max_size=300) | st.text('a1,;\t"\n\r -', max_size=60).map(str.encode))
def test_any_bytes_are_a_table_or_refused_and_the_header_alone_is_the_same(content):
    try:
        found = table.parse(content)
    except SourceError as problem:
        assert "\n" not in str(problem)
    else:
        assert table.header(content) == found.header
        assert all(len(row) == len(found.header) for row in found.rows)


def test_the_header_is_read_from_the_start_of_a_file():
    assert table.header("a,b\nä".encode()[:-1]) == ("a", "b")
    assert table.header("a;b\nx;y".encode("utf-16")[:-1]) == ("a", "b")


@pytest.mark.parametrize("content", [b'a,b\n1,"2\n3,4\n5,6\n', b'a,b\n1,2\n"3,4\n5,6\n'])
def test_a_quote_that_never_closes_does_not_swallow_rows_in_silence(content):
    with pytest.raises(SourceError, match="never closed"):
        table.parse(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a,b\n" + b"1,2\n" * (table.MOST_ROWS + 1), "more than 200,000 rows"),
        (b"a,b\n" + b"1\n" * (table.MOST_ROWS + 1), "more than 200,000 rows"),
        (
            b",".join([b"x"] * 2_000) + b"\n" + (b",".join([b"1"] * 2_000) + b"\n") * 10_001,
            "more than 20,000,000 cells",
        ),
        (b",".join([b"x"] * 2_001), "2,001 columns, the limit is 2,000"),
        (b"a,b\n" + b"x" * 20_001 + b",1\n", "One cell has 20,001 characters"),
        (b"a,b\n1\n" + b"\n" * (table.MOST_LINES + 1), "more than 2,000,000 lines"),
    ],
)
def test_limits(content, reason):
    with pytest.raises(SourceError, match=reason):
        table.parse(content)


HOSTILE = {
    "100,000 columns": "b'Name,' + b','.join(b'c%d' % n for n in range(100_000)) + b'\\n' + b'1,' * 100_000 + b'1\\n'",
    "a cell of 50 MB": "START + b'a,0.1,\"' + b'x' * (50 * MB) + b'\"\\n'",
    "a line of 200 MB": "b'x' * (200 * MB)",
    "a second line of 200 MB": "START + b'x' * (200 * MB)",
    "200 MB of commas": "START + b',' * (200 * MB)",
    "a quote that never closes": "START + b'a,0.1,\"1\\n' + b'b,0.2,0.5\\n' * (10 * MB)",
    "a quote in the header that never closes": "b'Name,\"beta\\n' + b'b,0.2,0.5\\n' * (10 * MB)",
    "binary noise": "os.urandom(50 * MB)",
    "noise without a zero byte": "START + os.urandom(50 * MB).replace(b'\\0', b'x')",
    "10 million empty lines": "b'\\n' * 10_000_000",
    "10 million empty lines under a header": "START + b'\\n' * 10_000_000",
    "10 million lines of separators": "START + b',,\\n' * 10_000_000",
    "10 million short rows": "START + b'a,1\\n' * 10_000_000",
    "10 million rows of pipes": "b'|-|\\n' * 10_000_000",
    "a million tables": "b'|a|\\n|-|\\n' * 1_000_000",
    "2,000 columns of 50,000 rows": "b','.join([b'Name'] * 2000) + b'\\n' + (b'1,' * 1999 + b'1\\n') * 50_000",
}
_CHILD = """
import os, resource
MB = 2**20
START = b"Name,beta,eval/loss\\n"
content = {content}
from dashboard.sources import run_tables, wandb_runs
from dashboard.sources.imported import SourceError
by_hand = content.replace(b"Name", b"run", 1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for reader, given in ((wandb_runs, content), (run_tables, by_hand)):
    try:
        reader.read(given, "x.csv", "p")
        print("read")
    except SourceError as problem:
        print(problem)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_table_is_refused_in_one_sentence_and_costs_little(name):
    """Each reader refuses in under a second of processor time here; the limits of the process catch an explosion."""
    child = subprocess.run(
        [sys.executable, "-c", _CHILD.format(content=HOSTILE[name])],
        cwd=ROOT, capture_output=True, text=True, preexec_fn=_limit, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr[-2_000:]
    *told, megabytes = child.stdout.splitlines()
    assert len(told) == 2
    assert "read" not in told
    assert int(megabytes) < 500
