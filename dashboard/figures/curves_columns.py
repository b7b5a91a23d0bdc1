"""Columns of a trace as the browser gets them."""

import base64

import numpy as np
import numpy.typing as npt

from dashboard.analysis.study import Floats
from dashboard.figures import theme

_WHOLE = (("u2", np.uint16, 2**16), ("u4", np.uint32, 2**32))
"""plotly.js's names of whole numbers, and what lies beyond them."""


def packed(values: Floats) -> dict[str, str]:
    """A column that does not grow, as base64: steps as whole numbers of the fewest bytes, else 32-bit floats."""
    if len(values) and np.isfinite(values).all() and values.min() >= 0 and (values == np.floor(values)).all():
        for name, kind, end in _WHOLE:
            if values.max() < end:
                return {"dtype": name, "bdata": base64.b64encode(values.astype(kind).tobytes()).decode()}
    return theme.packed(values)


def plain(values: Floats) -> npt.NDArray[np.float32]:
    """A column that plotly's own JSON takes: 32-bit floats, with gaps where there is no number."""
    with np.errstate(over="ignore"):
        column = values.astype(np.float32)
    return np.where(np.isfinite(column), column, np.float32(np.nan))


def listed(values: Floats) -> list[float | None]:
    """A column that grows, with gaps where there is no number."""
    return [value if good else None for value, good in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)]
