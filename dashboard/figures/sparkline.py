"""A curve small enough for a cell of a table: a short text of which the browser draws a line."""

import math
from collections.abc import Sequence

import numpy as np

from dashboard.analysis.curves import thin

POINTS = 32
"""Most points of a curve."""

LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""The heights, from the curve's lowest value to its highest; 62 of them."""

GAP = "_"
"""A value that is not finite."""


def spark(values: Sequence[float]) -> str:
    """At most POINTS characters, both extremes among them; empty for fewer than two finite values."""
    column = np.asarray(values, dtype=np.float64)
    if np.isfinite(column).sum() < 2:
        return ""
    shown = column[thin(column, POINTS)]
    finite = shown[np.isfinite(shown)]
    low, high = float(finite.min()), float(finite.max())
    top = len(LEVELS) - 1
    scale = top / (high - low) if high > low and math.isfinite(high - low) else 0.0
    return "".join(
        LEVELS[round((value - low) * scale) if scale else top // 2] if math.isfinite(value) else GAP
        for value in shown.tolist()
    )
