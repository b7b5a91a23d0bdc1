"""The report for a terminal: a table of the runs, the findings, the verdict."""

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dashboard.analysis.numbers import one_line, visible
from dashboard.reports import columns
from dashboard.reports.content import Content

WIDTH = 120
_NAME = 36
_STYLES = {"bad": "bold red", "warning": "yellow", "info": "cyan"}
_WORDS = {"bad": "bad", "warning": "warning", "info": "info"}


def render(content: Content, width: int | None = None, colour: bool = False) -> str:
    """The report in lines of at most `width` characters (the terminal's, or 120)."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    console.print(Group(*_parts(content, console.width)))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _parts(content: Content, width: int) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(columns.heading(content), style="bold"), ""]
    parts += [Padding(Text(visible(sentence)), (0, 0, 0, 2)) for sentence in content.verdict.sentences]
    parts += ["", _table(content, width), Text(columns.legend(content), style="dim")]
    if content.findings:
        parts += ["", Text("Findings", style="bold"), _findings(content)]
    if content.suggestions:
        parts += ["", Text("Worth trying next", style="bold"), _list([item.reason for item in content.suggestions])]
    if content.importance:
        parts += ["", Text("Hyper-parameters", style="bold"), _list(content.importance)]
    if content.notes:
        parts += ["", Text("Notes on what was read", style="bold"), _list(content.notes)]
    return parts


def _table(content: Content, width: int) -> Table:
    """As many columns as fit, the least telling left out first; names are shortened, never wrapped."""
    shown = columns.columns(content)
    rows = [[one_line(cell, _NAME) for cell in columns.cells(line, shown, content)] for line in content.lines]
    while len(shown) > columns.FEWEST and _needed(shown, rows) > width:
        least = max(range(len(shown)), key=lambda place: shown[place].order)
        shown = [column for place, column in enumerate(shown) if place != least]
        rows = [[cell for place, cell in enumerate(row) if place != least] for row in rows]
    widths = _widths(shown, rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for column, needed in zip(shown, widths, strict=True):
        table.add_column(
            Text(column.title),
            justify="right" if column.number else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=8 if column.id == "name" else needed,
        )
    for line, row in zip(content.lines, rows, strict=True):
        table.add_row(*map(Text, row), style="bold" if line.run.id == content.verdict.best else None)
    return table


def _widths(shown: Sequence[columns.Column], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max([len(column.title), *(len(row[place]) for row in rows)]) for place, column in enumerate(shown)]


def _needed(shown: Sequence[columns.Column], rows: Sequence[Sequence[str]]) -> int:
    return sum(_widths(shown, rows)) + 3 * len(shown)


def _findings(content: Content) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for found in content.findings:
        grid.add_row(
            Text(_WORDS[found.severity], style=_STYLES[found.severity]),
            Text(visible(found.sentence)).append(f"\n{visible(found.source)}", style="dim"),
        )
    return grid


def _list(lines: Sequence[str]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for line in lines:
        grid.add_row(Text("-"), Text(visible(line)))
    return grid
