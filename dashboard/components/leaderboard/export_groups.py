"""A grouped table as a file: the groups, and below one that is opened its runs as they are shown."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dashboard.components.leaderboard import export
from dashboard.components.leaderboard.board import Board
from dashboard.components.leaderboard.export_cells import mean, numeric, spread, table, text
from dashboard.components.leaderboard.groups import Line
from dashboard.components.leaderboard.run_table import METRICS, Column

_PARTS = ("n", "mean", "sd", "low", "high")
_FRONT = ("group", "evaluated on", "runs", "best run")


class _Row(NamedTuple):
    """A group, or a run of it with its values."""

    line: Line
    run: Mapping[str, Any] | None = None


def exported(shown: Board, kind: str, ids: Sequence[str], chosen: Sequence[Column]) -> str:
    """Rows of groups and runs by their ids. A group has mean and standard deviation, over seeds the mean's interval.

    In a CSV all of it has columns of its own: a row with an id is a run.
    """
    rows = _rows(shown, ids)
    several = len({line.set for line in shown.groups}) > 1
    front = [name for name in _FRONT if several or name != "evaluated on"]
    opened = any(row.run for row in rows)
    if kind == "csv":
        return _csv(rows, front, chosen, opened)
    return _texts(kind, rows, front, chosen, opened)


def _rows(shown: Board, ids: Sequence[str]) -> list[_Row]:
    lines = {line.id: _Row(line) for line in shown.groups}
    values = shown.table.values()
    runs = {run: _Row(line, values[run]) for line in shown.groups for run in line.runs}
    known = lines | runs
    return [known[key] for key in ids if key in known]


def _front(row: _Row, front: Sequence[str], shown: bool = False) -> list[Any]:
    """What a row says of its group; in what is read by people a run stands below its group without a word."""
    known: dict[str, Any] = {"group": row.line.name, "evaluated on": row.line.set}
    if row.run is None:
        known |= {"runs": len(row.line.runs), "best run": row.line.best}
    elif shown:
        known = {}
    return [known.get(name, "") for name in front]


def _csv(rows: Sequence[_Row], front: Sequence[str], chosen: Sequence[Column], opened: bool) -> str:
    metrics = [column.field for column in chosen if column.field in METRICS]
    fields = ["id", *(column.field for column in chosen)] if opened else []
    head = [*front, *(f"{field}_{part}" for field in metrics for part in _PARTS), *fields]
    body = []
    for row in rows:
        spreads = [None if row.run else value for field in metrics for value in spread(row.line, field)]
        body.append([*_front(row, front), *spreads, *(row.run[field] if row.run else None for field in fields)])
    return export.csv_text(head, body)


def _texts(kind: str, rows: Sequence[_Row], front: Sequence[str], chosen: Sequence[Column], opened: bool) -> str:
    """A run's values stand below the means of its group; the columns that no group has come where a run is shown."""
    columns = [column for column in chosen if opened or column.field in METRICS]
    if any(column.field == "set" for column in columns):
        front = [name for name in front if name != "evaluated on"]
    body = [[*map(str, _front(row, front, shown=True)), *(_text(row, column) for column in columns)] for row in rows]
    right = [name == "runs" for name in front] + [numeric(column) for column in columns]
    return table(kind, [*front, *(column.name for column in columns)], body, right)


def _text(row: _Row, column: Column) -> str:
    if row.run is not None:
        return text(column, dict(row.run))
    if column.field == "rank":
        return "" if row.line.rank is None else str(row.line.rank)
    if column.field == "set":
        return row.line.set
    return mean(row.line, column) if column.field in METRICS else ""
