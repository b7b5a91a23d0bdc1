"""A metric over two hyper-parameters: measured points over what is interpolated between them."""

import math
from typing import Any

from dashboard.analysis.hyperparameters import words
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
    contour = {
        "type": "contour",
        "x": found.x.tolist(),
        "y": found.y.tolist(),
        "z": [[float(f"{value:.5g}") if math.isfinite(value) else None for value in row] for row in found.z.tolist()],
        "coloraxis": "coloraxis",
        "contours": {"coloring": "heatmap"},
        "line": {"width": 0.6, "color": "rgba(255,255,255,0.45)"},
        "ncontours": 10,
        "connectgaps": False,
        "hoverinfo": "skip",
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
        "xaxis": {**plotly_axis([place.x for place in found.places], found.x_log), "showgrid": False},
        "yaxis": {**plotly_axis([place.y for place in found.places], found.y_log), "showgrid": False},
    }
    return theme.figure(
        [points] if found.refused else [contour, _outline(found), points],
        theme.plain(words(found.x_key)),
        theme.plain(words(found.y_key)),
        coloraxis=colours,
        margin={"l": 60, "r": 8, "t": 8, "b": 44},
        **axes,
    )


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
