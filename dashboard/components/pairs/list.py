"""The pairs as a list beside the map: plain columns that the browser draws as far as they are in view."""

from typing import Any

import numpy as np

from dashboard.analysis.numbers import one_line, visible
from dashboard.analysis.study import Ints
from dashboard.components.pairs.seen import Seen

TITLE = 90
"""Characters of a prompt in the list."""


def columns(found: Seen, rows: Ints) -> dict[str, Any]:
    """Pairs in order: ids, titles, how many runs are right, mean margins, marks ("s" suspected, "t" truncated)."""
    matrix = found.matrix
    pairs = [matrix.pairs[row] for row in rows]
    prompts = found.texts.prompts
    with np.errstate(invalid="ignore", over="ignore"):
        margin = matrix.relative.mean(axis=1)[rows]
    marks = zip(found.suspected[rows].tolist(), matrix.truncated[rows].tolist(), strict=True)
    return {
        "ids": pairs,
        "names": [visible(pair) for pair in pairs],
        "titles": [one_line(prompts.get(pair, ""), TITLE) for pair in pairs],
        "right": matrix.right[rows].sum(axis=1).tolist(),
        "margin": [round(value, 2) if np.isfinite(value) else None for value in margin.tolist()],
        "marks": [f"{'s' * suspected}{'t' * cut}" for suspected, cut in marks],
        "runs": len(matrix.runs),
    }
