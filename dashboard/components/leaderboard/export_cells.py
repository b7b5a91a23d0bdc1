"""What an exported table has in its cells: texts as the Leaderboard shows them."""

from collections.abc import Sequence
from typing import Any

from dashboard.analysis import numbers
from dashboard.components.leaderboard import export
from dashboard.components.leaderboard.groups import Line
from dashboard.components.leaderboard.run_table import Column

_WORDS = frozenset({"name", "text", "state", "versus"})
_NAMES = frozenset({"Run", "group"})


def numeric(column: Column) -> bool:
    """Whether the column's texts stand on the right."""
    return column.kind not in _WORDS


def text(column: Column, row: dict[str, Any]) -> str:
    """The cell of a run."""
    value = row[column.field]
    if value is None or value == "":
        return numbers.MISSING
    if isinstance(value, str):
        return value
    if column.kind == "accuracy":
        interval = f" ({row['low']:.1%} – {row['high']:.1%})" if row["low"] is not None else ""
        return numbers.percent(value) + interval
    if column.kind in ("metric", "loss", "metric3"):
        return numbers.metric(value, 3 if column.kind == "metric3" else 4)
    if column.kind == "steps":
        return f"{value:,} / {row['planned']:,}" if row["planned"] else f"{value:,}"
    return numbers.count(value) if column.kind in ("count", "rank") else numbers.setting(value)


def spread(line: Line, field: str) -> list[Any]:
    """A metric of a group: number of runs, mean, standard deviation, low and high of the mean over seeds."""
    found = line.measured.get(field)
    if found is None:
        single = line.single.get(field)
        return [0 if single is None else 1, single, None, None, None]
    return [found.n, found.mean, found.sd, *(found.interval or (None, None))]


def mean(line: Line, column: Column) -> str:
    """The cell of a group: mean and standard deviation."""
    n, value, sd, *_ = spread(line, column.field)
    if value is None:
        return numbers.MISSING
    if n < 2:
        return _number(column, value)
    off = f"{100 * sd:.1f} points" if column.field == "accuracy" else _number(column, sd)
    return f"{_number(column, value)} ± {off}"


def _number(column: Column, value: float) -> str:
    return numbers.percent(value) if column.field == "accuracy" else numbers.metric(value)


def table(kind: str, head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """The texts as LaTeX or Markdown; `right` tells which columns hold numbers."""
    if kind == "latex":
        return export.latex_text(head, rows, right)
    return export.markdown_text(head, rows, {place for place, name in enumerate(head) if name in _NAMES})
