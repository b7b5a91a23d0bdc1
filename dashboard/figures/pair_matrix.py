"""The margins of every pair under every run: a heat map, or bars where there is one run."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dashboard.analysis.study import Floats
from dashboard.figures import theme

Unit = Literal["relative", "nats", "sign"]

MOST_NAMES = 24
"""Runs whose names fit above the map; of more the pointer tells the name."""

SPREAD = 0.98
"""The share of margins that is told apart by colour; beyond, the colour is the strongest."""

WRONG, RIGHT = "213,94,0", "0,114,178"
"""Vermillion and blue of Okabe and Ito, as red, green, blue."""

SCALE = [[0.0, f"rgba({WRONG},1)"], [0.5, "rgba(128,128,128,0.06)"], [1.0, f"rgba({RIGHT},1)"]]

_AXIS = {"relative": "Margin / the run's median", "nats": "Margin (nats)", "sign": "Right (1) or wrong (−1)"}
_MARGIN = {"l": 34, "r": 8, "t": 8, "b": 8}
_DOWN = {"type": "category", "autorange": "reversed", "showticklabels": False, "showgrid": False}


def limit(values: Floats) -> float:
    """The size at which the colour is strongest: the quantile SPREAD of |values|, 1 where there is none."""
    known = np.abs(values[np.isfinite(values)])
    found = float(np.quantile(known, SPREAD)) if known.size else 0.0
    return found if found > 0 else 1.0


def packed(values: npt.NDArray[Any]) -> dict[str, str]:
    """A table as plotly.js reads it without parsing: base64 of 32-bit floats, row by row, and its shape."""
    return {**theme.packed(values), "shape": f"{values.shape[0]}, {values.shape[1]}"}


def unique(names: Sequence[str]) -> list[str]:
    """The names as an axis shows them, each once: plotly takes equal ones for one."""
    seen: dict[str, int] = {}
    found = []
    for name in map(theme.plain, names):
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def heat_map(values: Floats, pairs: Sequence[str], runs: Sequence[str], unit: Unit) -> dict[str, Any]:
    """`values`, shape (pairs, runs), in the order in which they are to be seen: the first pair is at the top.

    In the unit "sign" they are -1, 0 or 1. Pairs and runs have one name each.
    """
    most = 1.0 if unit == "sign" else limit(values)
    trace = {
        "type": "heatmap",
        "z": packed(values),
        "x": list(runs),
        "y": list(pairs),
        "zmin": -most,
        "zmax": most,
        "colorscale": SCALE,
        "showscale": False,
        "hoverongaps": False,
        "hovertemplate": f"%{{y}}<br>%{{x}}{_said(unit, 'z')}<extra></extra>",
    }
    many = len(runs) > MOST_NAMES
    across = {"type": "category", "side": "top", "showgrid": False, "showticklabels": not many, "tickangle": -35}
    title = f"{len(runs)} runs" if many else ""
    return theme.figure([trace], title, "Pairs", xaxis=across, yaxis=_DOWN, margin=_MARGIN)


def bars(values: Floats, pairs: Sequence[str], unit: Unit) -> dict[str, Any]:
    """The margins of one run, shape (pairs,), as bars from top to bottom."""
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": theme.packed(values),
        "y": list(pairs),
        "marker": {"color": [f"rgb({RIGHT if value > 0 else WRONG})" for value in values], "line": {"width": 0}},
        "hovertemplate": f"%{{y}}{_said(unit, 'x')}<extra></extra>",
    }
    across = {"zeroline": True, "zerolinecolor": theme.GREY, "side": "top"}
    return theme.figure([trace], _AXIS[unit], "Pairs", xaxis=across, yaxis=_DOWN, bargap=0, margin=_MARGIN)


def _said(unit: Unit, column: str) -> str:
    """The margin as the pointer shows it; right or wrong is told by the colour."""
    words = {"relative": f"<br>%{{{column}:.2f}} × the run's median", "nats": f"<br>%{{{column}:.2f}} nats", "sign": ""}
    return words[unit]
