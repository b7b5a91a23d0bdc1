"""Tables to take elsewhere: CSV, Markdown and LaTeX, in which no text of a run is more than text."""

import csv
import io
import re
from collections.abc import Container, Sequence
from typing import Any

from dashboard.analysis import numbers
from training.record import markdown

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "–": "--",
    "−": "$-$",
    "…": r"\ldots{}",
}
_SPECIAL = re.compile("|".join(map(re.escape, _LATEX)))
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#!~$&]")


def csv_text(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Comma-separated values (RFC 4180) at full precision; a text that a spreadsheet would compute gets a ' in front.

    Source: OWASP, CSV injection.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_harmless(name) for name in head])
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return out.getvalue()


def _harmless(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return "" if value is None else value


def markdown_text(head: Sequence[str], rows: Sequence[Sequence[str]], names: Container[int] = ()) -> str:
    """A Markdown table of shown texts; those of the columns numbered in `names` are code spans."""
    body = [
        [markdown.code(cell) if cell and place in names else _cell(cell) for place, cell in enumerate(row)]
        for row in rows
    ]
    return markdown.table([_cell(name) for name in head], body) + "\n"


def _cell(text: str) -> str:
    return _MARKDOWN.sub(r"\\\g<0>", numbers.visible(text)).replace("|", "¦")


def latex_text(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    """A LaTeX tabular (booktabs) of shown texts; columns of numbers stand on the right."""
    places = "".join("r" if right else "l" for right in numeric)
    lines = [
        rf"\begin{{tabular}}{{{places}}}", r"\toprule", _latex_row(head), r"\midrule",
        *map(_latex_row, rows), r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(latex, cells)) + r" \\"


def latex(text: str) -> str:
    """The text with everything escaped that LaTeX would obey."""
    return _SPECIAL.sub(lambda found: _LATEX[found.group()], numbers.visible(text))
