"""The report for a terminal: a table of the runs, the findings, the verdict."""

import io
from collections.abc import Mapping, Sequence

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dashboard.analysis.numbers import visible
from dashboard.reports import columns
from dashboard.reports.columns import Column
from dashboard.reports.content import Content, Line

WIDTH = 120
MOST_ROWS = 500
_LONGEST, _SHORTEST, _GAP = 36, 8, 3
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
    shown = _fitting(content, width)
    parts += ["", _table(content, shown, width)]
    if (more := len(content.lines) - MOST_ROWS) > 0:
        parts += [Text(f"… and {more:,} more runs: --format json, md or html has them all", style="bold")]
    parts += [Text(visible(columns.legend(content, shown)), style="dim")]
    if content.findings:
        parts += ["", Text("Findings", style="bold"), _findings(content)]
    if content.suggestions:
        parts += ["", Text("Worth trying next", style="bold"), _list([item.reason for item in content.suggestions])]
    if content.importance:
        parts += ["", Text("Hyper-parameters", style="bold"), _list(content.importance)]
    if content.notes:
        parts += ["", Text("Notes", style="bold"), _list(content.notes)]
    return parts


def _fitting(content: Content, width: int) -> list[Column]:
    """As many columns as fit, the least telling left out first."""
    shown = columns.columns(content)
    needed = _widths(content, shown)
    while len(shown) > columns.FEWEST and sum(needed[column] + _GAP for column in shown) > width:
        shown.remove(max(shown, key=lambda column: column.order))
    return shown


def _table(content: Content, shown: Sequence[Column], width: int) -> Table:
    """One line per run: names are shortened, never wrapped."""
    needed = _widths(content, shown)
    room = width - sum(needed[column] + _GAP for column in shown if column.id != "name")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for column in shown:
        table.add_column(
            Text(column.title), justify="right" if column.number else "left", no_wrap=True, overflow="ellipsis"
        )
    most = max(_SHORTEST, room - _GAP)
    for title, lines in _blocks(content):
        if title:
            cells = [shortened(visible(title), most) if column.id == "name" else "" for column in shown]
            table.add_row(*map(Text, cells), style="dim")
        for line in lines:
            cells = [
                shortened(cell, most if column.id == "name" else _LONGEST)
                for cell, column in zip(columns.cells(line, shown, content), shown, strict=True)
            ]
            table.add_row(*map(Text, cells), style="bold" if line.run.id == content.verdict.best else None)
        table.add_section()
    return table


def _blocks(content: Content) -> list[tuple[str, Sequence[Line]]]:
    """The blocks of runs as far as MOST_ROWS go: nobody reads more in a terminal."""
    found: list[tuple[str, Sequence[Line]]] = []
    room = MOST_ROWS
    for title, lines in content.blocks:
        if room > 0:
            found.append((title, lines[:room]))
        room -= len(lines)
    return found


def _widths(content: Content, shown: Sequence[Column]) -> Mapping[Column, int]:
    """How wide each column must be, if texts are cut at _LONGEST; titles of blocks stand among the names."""
    blocks = _blocks(content)
    rows = zip(*(columns.cells(line, shown, content) for _, lines in blocks for line in lines), strict=True)
    titles = [visible(title) for title, _ in blocks]
    return {
        column: max(
            min(_LONGEST, cell_len(cell)) for cell in (column.title, *cells, *(titles if column.id == "name" else ()))
        )
        for column, cells in zip(shown, rows, strict=True)
    }


def shortened(text: str, most: int) -> str:
    """The text in at most `most` columns of a terminal, cut in the middle: names differ at their ends."""
    if cell_len(text) <= most:
        return text
    tail = ""
    for char in reversed(text):
        if cell_len(char + tail) > most // 3:
            break
        tail = char + tail
    return f"{set_cell_size(text, most - 1 - cell_len(tail)).rstrip()}…{tail}"


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
