"""One look for every figure: transparent, so that light and dark need no redraw; one colour per run."""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from dashboard.analysis.numbers import visible

PLOTLYJS = Path(__file__).resolve().parents[2] / "assets" / "vendor" / "plotly-cartesian-4.1.1.min.js"
"""plotly.js with the charts that we draw, a third of the whole; of the version that the Python package has (a test)."""

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
"""Okabe and Ito's colours that are seen on white and on black (jfly.uni-koeln.de/color, 2008).

Not the other two: yellow has a contrast of 1.3 to the light panel, black of 1.2 to the dark one.
"""

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")
LOOKS = len(PALETTE) * len(SYMBOLS)
"""Runs that can be told apart by colour and marker; more are told by their names alone."""

MARKS = 6
"""Markers along a line, at most."""

GREY = "#8a8f98"
FAINT = "rgba(128,128,128,0.18)"
FONT = "Inter, system-ui, sans-serif"


def colour(slot: int) -> str:
    """The colour of the run at this position of the palette."""
    return PALETTE[slot % len(PALETTE)]


def symbol(slot: int) -> str:
    """The marker of the run: runs of one colour have different markers, up to 36 runs."""
    return SYMBOLS[slot // len(PALETTE) % len(SYMBOLS)]


def along(slot: int) -> dict[str, Any]:
    """What tells a line from those of the same colour: a few markers along it, none for the first of each colour."""
    if slot < len(PALETTE):
        return {}
    marker = {"color": colour(slot), "size": 7, "symbol": symbol(slot), "maxdisplayed": MARKS}
    return {"mode": "lines+markers", "marker": marker}


def plain(text: str) -> str:
    """`text` as plotly shows it letter for letter: plotly reads tags in its labels, and JSON has no half characters."""
    return html.escape(visible(text), quote=False)


def _axis() -> dict[str, object]:
    return {
        "gridcolor": FAINT,
        "linecolor": FAINT,
        "zeroline": False,
        "automargin": True,
        "ticks": "",
        "title": {"standoff": 8},
    }


TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": GREY},
        "margin": {"l": 48, "r": 12, "t": 8, "b": 40},
        "xaxis": _axis(),
        "yaxis": _axis(),
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"font": {"family": FONT, "size": 12}, "namelength": -1},
        "colorway": list(PALETTE),
    }
)

_TEMPLATE_JSON = TEMPLATE.to_plotly_json()

CONFIG = {
    "displaylogo": False,
    "displayModeBar": False,
    "responsive": True,
    "doubleClick": "reset",
    "typesetMath": False,
}
"""`typesetMath`: a name with $ in it is no formula."""


def blank(x_title: str, y_title: str) -> go.Figure:
    """An empty figure with titled axes."""
    return go.Figure(layout=go.Layout(template=TEMPLATE, xaxis_title=x_title, yaxis_title=y_title))


def figure(traces: Sequence[Mapping[str, Any]], x_title: str, y_title: str, **layout: Any) -> dict[str, Any]:
    """A figure of many traces as plain JSON values, unchecked: plotly's own check of 100 traces takes 25 ms.

    A test must pass the result through `go.Figure`, which raises ValueError for anything that plotly does not know.
    """
    titles = {"xaxis": {"title": {"text": x_title}}, "yaxis": {"title": {"text": y_title}}}
    for axis, values in titles.items():
        layout[axis] = {**values, **layout.get(axis, {})}
    return {"data": list(traces), "layout": {"template": _TEMPLATE_JSON, **layout}}


def packed(values: npt.NDArray[Any]) -> dict[str, str]:
    """A column as plotly.js reads it without parsing: base64 of 32-bit floats, a third of the length of a JSON list.

    Values beyond 32 bits become gaps. A trace with such a column cannot be extended: send lists where it grows.
    """
    with np.errstate(over="ignore"):
        column = np.ascontiguousarray(values, dtype=np.float32)
    column = np.where(np.isfinite(column), column, np.float32(np.nan))
    return {"dtype": "f4", "bdata": base64.b64encode(column.tobytes()).decode()}


def reference_line(figure: go.Figure, y: float, text: str) -> None:
    """A dotted line across the figure that says what the value means."""
    figure.add_hline(
        y=y,
        line={"dash": "dot", "width": 1, "color": GREY},
        annotation={"text": text, "font": {"size": 11, "color": GREY}, "showarrow": False},
        annotation_position="top right",
    )
