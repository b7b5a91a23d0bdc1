"""How much each hyper-parameter decides whether a run is among the best, with its interval."""

from typing import Any

from dashboard.analysis.hyperparameters import words
from dashboard.analysis.importance import Importances
from dashboard.figures import theme

ROW = 34
"""Pixels of one bar."""


def height(found: Importances) -> int:
    """Pixels of the figure."""
    return 62 + ROW * len(found.found)


def importance(found: Importances) -> dict[str, Any]:
    """One bar per hyper-parameter, the most important on top; grey where chance explains it."""
    rows = found.found
    names = [theme.plain(words(row.key)) for row in rows]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [row.share for row in rows],
        "y": list(range(len(rows))),
        "marker": {"color": [theme.PALETTE[0] if row.important else theme.GREY for row in rows]},
        "width": 0.56,
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, row.interval.high - row.share) for row in rows],
            "arrayminus": [max(0.0, row.share - row.interval.low) for row in rows],
            "color": theme.GREY,
            "thickness": 1.6,
            "width": 5,
        },
        "customdata": [[names[n], row.interval.low, row.interval.high, row.p] for n, row in enumerate(rows)],
        "hovertemplate": "%{customdata[0]}: %{x:.1%}<br>95% interval %{customdata[1]:.1%} to %{customdata[2]:.1%}"
        "<br>p = %{customdata[3]:.2f}<extra></extra>",
    }
    return theme.figure(
        [trace],
        "share of the importance",
        "",
        xaxis={"tickformat": ".0%", "range": [0, max([1.0, *(row.interval.high for row in rows)])], "fixedrange": True},
        yaxis={
            "tickvals": list(range(len(rows))),
            "ticktext": names,
            "range": [len(rows) - 0.5, -0.5],
            "showgrid": False,
            "fixedrange": True,
        },
    )
