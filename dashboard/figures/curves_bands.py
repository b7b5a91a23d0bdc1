"""Traces of bands: the range of seeds about their mean, the quantiles of a crowd about its median."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dashboard.analysis import bands, curves
from dashboard.analysis.bands import Band, Points
from dashboard.figures import theme

_DASHES = ("solid", "dash")


def of_seeds(
    runs: Sequence[Points], run_id: str, slot: int, part: str, place: int, window: tuple[float, float] | None
) -> list[dict[str, Any]]:
    """The mean of the seeds, between the lowest and the highest of them."""
    band = bands.of_seeds(runs)
    if band is None:
        return []
    return _traces(_cut(band, window), run_id, theme.colour(slot), f"{slot}", part, place, theme.along(slot))


def of_crowd(runs: Sequence[Points], part: str, place: int, window: tuple[float, float] | None) -> list[dict[str, Any]]:
    """The median of the crowd, between its 10% and 90% quantiles."""
    if window is not None:
        parts = [(run, curves.window(run.x, *window)) for run in runs]
        runs = [Points(run.steps[part_], run.x[part_], run.y[part_]) for run, part_ in parts]
    band = bands.of_crowd(runs, curves.MOST_POINTS)
    return [] if band is None else _traces(band, "", theme.GREY, "crowd", part, place, {})


def _cut(band: Band, window: tuple[float, float] | None) -> Band:
    part = slice(None) if window is None else curves.window(band.x, *window)
    return _taken(band, part)


def _taken(band: Band, part: Any) -> Band:
    return Band(band.x[part], band.low[part], band.middle[part], band.high[part], band.n)


def _traces(
    band: Band, run_id: str, colour: str, uid: str, part: str, place: int, marks: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The lower edge, the upper one shaded down to it, and the line between, `marks` on it; no extreme is lost.

    At a gap the line is broken, and the shade goes on: plotly shades at random what has gaps.
    """
    third = curves.MOST_POINTS // 3
    edges = (band.low, band.middle, band.high)
    band = _taken(band, np.unique(np.concatenate([curves.thin(edge, third) for edge in edges])))
    closed = np.isfinite(band.low)
    thin = {"color": colour, "width": 0}
    strong = {"color": colour, "width": 2, "dash": _DASHES[place]}
    roles = (
        ("low", band.x[closed], band.low[closed], {"line": thin}),
        ("high", band.x[closed], band.high[closed], {"line": thin, "fill": "tonexty", "fillcolor": f"{colour}33"}),
        ("mean", band.x, band.middle, {"line": strong, **marks}),
    )
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": y,
            "uid": f"{uid}-{place}-{role}",
            "meta": {"run": run_id, "part": part, "role": role, "n": band.n},
            **style,
        }
        for role, x, y, style in roles
    ]
