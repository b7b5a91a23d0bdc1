"""One look for every figure: transparent, so that light and dark need no redraw; one colour per run."""

import html

import plotly.graph_objects as go

from dashboard.analysis.numbers import visible

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
"""Okabe and Ito's colours that are seen on white and on black (jfly.uni-koeln.de/color, 2008)."""

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")
GREY = "#8a8f98"
FAINT = "rgba(128,128,128,0.18)"
FONT = "Inter, system-ui, sans-serif"


def colour(slot: int) -> str:
    """The colour of the run at this position of the palette."""
    return PALETTE[slot % len(PALETTE)]


def symbol(slot: int) -> str:
    """The marker of the run: runs of one colour have different markers, up to 36 runs."""
    return SYMBOLS[slot // len(PALETTE) % len(SYMBOLS)]


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

CONFIG = {"displaylogo": False, "displayModeBar": False, "responsive": True, "doubleClick": "reset"}


def blank(x_title: str, y_title: str) -> go.Figure:
    """An empty figure with titled axes."""
    return go.Figure(layout=go.Layout(template=TEMPLATE, xaxis_title=x_title, yaxis_title=y_title))


def reference_line(figure: go.Figure, y: float, text: str) -> None:
    """A dotted line across the figure that says what the value means."""
    figure.add_hline(
        y=y,
        line={"dash": "dot", "width": 1, "color": GREY},
        annotation={"text": text, "font": {"size": 11, "color": GREY}, "showarrow": False},
        annotation_position="top right",
    )
