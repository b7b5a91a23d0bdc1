"""The Leaderboard's table as a file: the rows and columns that are shown, in the order in which they are."""

from collections.abc import Sequence
from typing import Any

from dashboard.components.leaderboard import export, export_groups
from dashboard.components.leaderboard.board import Board
from dashboard.components.leaderboard.export_cells import numeric, table, text
from dashboard.components.leaderboard.run_table import LATER

ENDINGS = {"csv": "csv", "markdown": "md", "latex": "tex"}


def exported(shown: Board, kind: str, ids: Sequence[Any], fields: Sequence[Any]) -> str:
    """The rows `ids` and columns `fields` as CSV, Markdown or LaTeX; what the table has not is passed over."""
    wanted = [column for field in fields for column in shown.table.columns if column.field == field]
    chosen = [column for column in wanted if column.kind not in LATER]
    known = [key for key in ids if isinstance(key, str)]
    if shown.groups:
        return export_groups.exported(shown, kind, known, chosen)
    values = shown.table.values()
    rows = [values[run] for run in known if run in values]
    if kind == "csv":
        return export.csv_text(
            ["id", *(column.field for column in chosen)],
            [[row["id"], *(row[column.field] for column in chosen)] for row in rows],
        )
    texts = [[text(column, row) for column in chosen] for row in rows]
    return table(kind, [column.name for column in chosen], texts, [numeric(column) for column in chosen])
