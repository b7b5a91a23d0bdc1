"""A metric over two hyper-parameters: measured points over what is interpolated between them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dashboard.analysis.hyperparameters import Floats, words
from dashboard.analysis.numbers import setting
from dashboard.analysis.surface import Place, Surface
from dashboard.figures import theme
from dashboard.figures.parallel import plotly_axis


def surface_figure(found: Surface, label: str, share: bool) -> dict[str, Any]:
    """The interpolation as contours inside the hull of the points; the points alone where it is refused."""
    values = [place.mean for place in found.places]
    form = ".1%" if share else ".4f"
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    colours = {
        "colorscale": "Viridis",
        "cmin": low,
        "cmax": high if high > low else low + 1e-9,
        "colorbar": {
            "title": {"text": theme.plain(label), "side": "right"},
            "thickness": 12,
            "outlinewidth": 0,
            "tickformat": ".1%" if share else ".3~g",
            "nticks": 6,
        },
    }
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": [place.x for place in found.places],
        "y": [place.y for place in found.places],
        "customdata": [place.runs[0].id for place in found.places],
        "text": [_hover(place, found) for place in found.places],
        "marker": {
            "size": 12,
            "color": values,
            "coloraxis": "coloraxis",
            "line": {"color": "#ffffff", "width": 1.6},
        },
        "hovertemplate": f"%{{text}}<br>%{{marker.color:{form}}}<extra></extra>",
    }
    axes = {
        "xaxis": {**_axis([place.x for place in found.places], found.x_log), "showgrid": False},
        "yaxis": {**_axis([place.y for place in found.places], found.y_log), "showgrid": False},
    }
    return theme.figure(
        [points] if found.refused else [_contour(found), _beyond(found), _outline(found), points],
        theme.plain(words(found.x_key)),
        theme.plain(words(found.y_key)),
        coloraxis=colours,
        margin={"l": 60, "r": 8, "t": 8, "b": 44},
        **axes,
    )


def _contour(found: Surface) -> dict[str, Any]:
    z = _spread(found.z).tolist()
    return {
        "type": "contour",
        "x": found.x.tolist(),
        "y": found.y.tolist(),
        "z": [[float(f"{value:.5g}") if math.isfinite(value) else None for value in row] for row in z],
        "coloraxis": "coloraxis",
        "contours": {"coloring": "heatmap"},
        "line": {"width": 0.6, "color": "rgba(255,255,255,0.45)"},
        "ncontours": 10,
        "connectgaps": False,
        "hoverinfo": "skip",
    }


def _spread(z: Floats) -> Floats:
    """The grid with each empty point that has neighbours filled with their mean, so that colour reaches the hull."""
    around = np.pad(z, 1, constant_values=np.nan)
    rows, columns = z.shape
    beside = np.stack([around[i : i + rows, j : j + columns] for i in range(3) for j in range(3)])
    known = np.isfinite(beside)
    means = np.where(known, beside, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.asarray(np.where(np.isfinite(z) | ~known.any(axis=0), z, means))


def _axis(values: Sequence[float], log: bool) -> dict[str, Any]:
    """The axis from the lowest to the highest value and a little more on both sides, on its own scale."""
    at = [math.log10(value) for value in values] if log else list(values)
    beside = 0.06 * (max(at) - min(at)) or 0.5
    return {**plotly_axis(values, log), "range": [min(at) - beside, max(at) + beside]}


def _beyond(found: Surface) -> dict[str, Any]:
    """A sheet with the hull as a hole, in the panel's colour (assets/page-hyperparameters.css).

    The contours end in steps of their grid; under the sheet they end at the hull.
    """
    corners = found.hull.tolist()
    left, right = _wide([x for x, _ in corners], found.x_log)
    low, high = _wide([y for _, y in corners], found.y_log)
    frame = [(left, low), (left, high), (right, high), (right, low), (left, low)]
    hole = corners if _turn(corners) > 0 else corners[::-1]
    across, up = zip(*frame, (None, None), *hole, hole[0], strict=True)
    sheet = {"mode": "none", "fill": "toself", "fillcolor": theme.FAINT, "hoverinfo": "skip", "name": "beyond"}
    return {"type": "scatter", "x": list(across), "y": list(up), **sheet}


def _wide(values: Sequence[float], log: bool) -> tuple[float, float]:
    """Well beyond the values on both sides of an axis."""
    low, high = min(values), max(values)
    if log:
        factor = high / low
        return low / factor, high * factor
    return 2 * low - high, 2 * high - low


def _turn(corners: Sequence[Sequence[float]]) -> float:
    """Above zero for corners in mathematical order: twice the area by the shoelace formula."""
    following = [*corners[1:], corners[0]]
    return sum(x * below - across * y for (x, y), (across, below) in zip(corners, following, strict=True))


def _outline(found: Surface) -> dict[str, Any]:
    """Where the interpolation ends."""
    corners = [*found.hull.tolist(), found.hull[0].tolist()]
    across, up = zip(*corners, strict=True)
    edge = {"color": theme.GREY, "width": 2}
    return {"type": "scatter", "mode": "lines", "x": list(across), "y": list(up), "line": edge, "hoverinfo": "skip"}


def _hover(place: Place, found: Surface) -> str:
    names = ", ".join(theme.plain(run.name) for run in place.runs[:3])
    more = f" and {len(place.runs) - 3} more" if len(place.runs) > 3 else ""
    mean = f", mean of {place.n} configurations" if place.n > 1 else ""
    at = f"{words(found.x_key)} {setting(place.x)}, {words(found.y_key)} {setting(place.y)}"
    return f"{names}{more}<br>{theme.plain(at)}{mean}"
