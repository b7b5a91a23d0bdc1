"""What training changed: reference right or wrong x run right or wrong, for each run, as buttons that filter."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from dash import html

from dashboard.analysis import numbers
from dashboard.analysis.pair_matrix import CELLS, Cell
from dashboard.components import layout as parts
from dashboard.components.pairs import words as pairs_words
from dashboard.components.pairs.seen import CELL_NAMES, MOST_LISTED, Seen, View
from dashboard.sources.catalog import Snapshot

_MEANS: dict[Cell, str] = {
    "knew": "The reference model preferred the chosen answer, and so does the run.",
    "learned": "The reference model preferred the rejected answer; the run prefers the chosen one.",
    "forgot": "The reference model preferred the chosen answer; the run prefers the rejected one.",
    "never": "The reference model preferred the rejected answer, and so does the run.",
}
_WHAT = {
    "sum": "the higher log-probability, summed over its tokens; a longer answer has a lower sum, whatever it says",
    "token": "the higher log-probability per token, so that length does not count",
}


def table(found: Seen, wish: View, snapshot: Snapshot, slots: Mapping[str, int]) -> list[Any]:
    """The sentence on the best run, and a row per run, the most accurate first."""
    columns = found.by_rank[:MOST_LISTED]
    head = ["Run", *(_head(cell) for cell in CELLS)]
    body = [_row(found, wish, snapshot, slots, column) for column in columns]
    about = (
        f"Right means here, of reference and run: it gives the chosen answer {_WHAT[wish.base]}. Reward accuracy, "
        "as above, asks whether the run has raised the chosen answer more than the rejected one."
    )
    inner = html.Table([html.Thead(html.Tr([html.Th(cell) for cell in head])), html.Tbody(body)])
    scroll = html.Div(inner, className="plain-table pairs-cells", tabIndex=0, role="region", **{"aria-label": "Cells"})
    sentence = html.P(_sentence(found, wish, snapshot, columns[0]))
    return [sentence, html.P(about, className="chart-note"), scroll, *pairs_words.listed(found)]


def _head(cell: Cell) -> html.Span:
    return html.Span([CELL_NAMES[cell], " ", parts.help_mark(_MEANS[cell])], className="pairs-head")


def _sentence(found: Seen, wish: View, snapshot: Snapshot, column: int) -> str:
    count = {cell: int(np.sum(rows[:, column])) for cell, rows in found.cells[wish.base].items()}
    run = snapshot.runs[found.matrix.runs[column]]
    before, after = (numbers.percent((count["knew"] + count[cell]) / _all(found)) for cell in ("forgot", "learned"))
    return (
        f"The reference of {run.name} prefers the chosen answer of {before} of the pairs, the run that of {after}: "
        f"{count['learned']:,} went from wrong to right, {count['forgot']:,} from right to wrong."
    )


def _all(found: Seen) -> int:
    return max(1, len(found.matrix.pairs))


def _row(found: Seen, wish: View, snapshot: Snapshot, slots: Mapping[str, int], column: int) -> html.Tr:
    run = snapshot.runs[found.matrix.runs[column]]
    counts = {cell: int(np.sum(rows[:, column])) for cell, rows in found.cells[wish.base].items()}
    cells = [html.Td(_button(cell, run.id, run.name, count, _all(found), wish)) for cell, count in counts.items()]
    return html.Tr([html.Td(parts.run_link(run, slots[run.id])), *cells])


def _button(cell: Cell, run: str, name: str, count: int, of: int, wish: View) -> html.Button:
    value = f"{cell}~{run}"
    chosen = wish.cell == value
    words = [html.Span(f"{count:,}", className="pairs-count"), html.Span(numbers.percent(count / of), className="dim")]
    about = {"aria-pressed": str(chosen).lower(), "aria-label": f"{CELL_NAMES[cell]}, {name}: {count} pairs"}
    return html.Button(
        words, className=f"pairs-cell pairs-{cell}", type="button", **{"data-pairs-cell": value, **about}
    )
