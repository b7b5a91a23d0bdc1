"""The small curves of the table, asked for by the browser for the rows that are in view."""

import math
from collections.abc import Sequence

import orjson

from dashboard.analysis import numbers
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.components import context
from dashboard.figures import sparkline
from training.record.schema import History

MOST = 60
"""Curves in one answer."""


def curves(runs: Sequence[str]) -> str:
    """Run id -> [points, words], as JSON; a run without a curve has two empty texts."""
    catalog = context.catalog()
    return orjson.dumps({run: curve(catalog.history(run)) for run in runs[:MOST]}).decode()


def curve(history: History) -> tuple[str, str]:
    """Reward accuracy over the evaluations, else the loss; and where it began, ended and was best, in words."""
    key = next((key for key in (EVAL_ACCURACY, EVAL_LOSS) if len(history.get(key, ())) > 1), None)
    if key is None:
        return "", ""
    values = list(history[key].values)
    finite = [value for value in values if math.isfinite(value)]
    points = sparkline.spark(values)
    if not points:
        return "", ""
    best, order, show = (
        (max(finite), "highest", numbers.percent) if key == EVAL_ACCURACY else (min(finite), "lowest", numbers.metric)
    )
    name = "Reward accuracy" if key == EVAL_ACCURACY else "Eval loss"
    ends = f"{show(values[0])} first, {show(values[-1])} last, {show(best)} {order}"
    return points, f"{name} of {len(values):,} evaluations: {ends}."
