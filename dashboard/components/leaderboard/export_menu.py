"""The Leaderboard's table as a file: the rows and columns that are shown, in the order in which they are."""

from collections.abc import Sequence
from typing import Any

from dashboard.analysis import numbers
from dashboard.components.leaderboard import export
from dashboard.components.leaderboard.board import Board
from dashboard.components.leaderboard.groups import Line
from dashboard.components.leaderboard.run_table import LATER, METRICS, Column

ENDINGS = {"csv": "csv", "markdown": "md", "latex": "tex"}

_WORDS = frozenset({"name", "text", "state", "versus"})


def exported(shown: Board, kind: str, ids: Sequence[Any], fields: Sequence[Any]) -> str:
    """The rows `ids` and columns `fields` as CSV, Markdown or LaTeX; what the table has not is passed over.

    Of a grouped table the groups are exported, each with mean and standard deviation, seeds with their interval.
    """
    wanted = [column for field in fields for column in shown.table.columns if column.field == field]
    chosen = [column for column in wanted if column.kind not in LATER]
    if shown.groups:
        return _groups(shown, kind, ids, chosen)
    values = shown.table.values()
    rows = [values[run] for run in ids if isinstance(run, str) and run in values]
    if kind == "csv":
        return export.csv_text(
            ["id", *(column.field for column in chosen)],
            [[row["id"], *(row[column.field] for column in chosen)] for row in rows],
        )
    texts = [[text(column, row) for column in chosen] for row in rows]
    head = [column.name for column in chosen]
    return _table(kind, head, texts, [column.kind not in _WORDS for column in chosen])


def _groups(shown: Board, kind: str, ids: Sequence[Any], chosen: Sequence[Column]) -> str:
    lines = {line.id: line for line in shown.groups}
    rows = [lines[key] for key in ids if isinstance(key, str) and key in lines]
    metrics = [column for column in chosen if column.field in METRICS]
    several = len({line.set for line in shown.groups}) > 1
    head = ["group", *(["evaluated on"] if several else []), "runs", "best run"]
    front = [[line.name, *([line.set] if several else []), len(line.runs), line.best] for line in rows]
    if kind == "csv":
        parts = ("n", "mean", "sd", "low", "high")
        head += [f"{column.field}_{part}" for column in metrics for part in parts]
        body = [[value for column in metrics for value in _spread(line, column.field)] for line in rows]
        return export.csv_text(head, [[*a, *b] for a, b in zip(front, body, strict=True)])
    texts = [[str(value) for value in cells] for cells in front]
    for cells, line in zip(texts, rows, strict=True):
        cells += [_mean(line, column) for column in metrics]
    head += [column.name for column in metrics]
    return _table(kind, head, texts, [name not in ("group", "evaluated on", "best run") for name in head])


def _spread(line: Line, field: str) -> list[Any]:
    found = line.measured.get(field)
    if found is None:
        single = line.single.get(field)
        return [0 if single is None else 1, single, None, None, None]
    return [found.n, found.mean, found.sd, *(found.interval or (None, None))]


def _mean(line: Line, column: Column) -> str:
    n, mean, sd, *_ = _spread(line, column.field)
    if mean is None:
        return numbers.MISSING
    if n < 2:
        return _number(column, mean)
    spread = f"{100 * sd:.1f} points" if column.field == "accuracy" else _number(column, sd)
    return f"{_number(column, mean)} ± {spread}"


def _number(column: Column, value: float) -> str:
    return numbers.percent(value) if column.field == "accuracy" else numbers.metric(value)


def _table(kind: str, head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    if kind == "latex":
        return export.latex_text(head, rows, numeric)
    return export.markdown_text(head, rows, {place for place, name in enumerate(head) if name in ("Run", "group")})


def text(column: Column, row: dict[str, Any]) -> str:
    """A cell as the table shows it."""
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
