"""What lies between the runs: a metric over two hyper-parameters, interpolated, and the line of one effect."""

import math
from dataclasses import dataclass

import numpy as np

from dashboard.analysis.effects import Effect
from dashboard.analysis.hyperparameters import Column, Floats, words
from training.record.schema import Run

RESOLUTION = 110
"""Points of the interpolation along each axis."""

FEWEST = 3
"""Places that span a plane, if they are not on one line."""

_FLAT = 1e-6
"""Width of the places across their longest direction, as a share of it, below which they lie on one line."""


@dataclass(frozen=True)
class Place:
    """Runs with the same two values, as configured: the mean of the metric over their `n` configurations."""

    x: float
    y: float
    mean: float
    n: int
    runs: tuple[Run, ...]


@dataclass(frozen=True, eq=False)
class Surface:
    """`places` were measured. Between them, at `x` and `y` of shape (RESOLUTION,), `z` of shape (y, x) is interpolated.

    `z` is NaN outside the convex hull of the places, whose corners in order are `hull`, of shape (corners, 2); all are
    empty, with the reason in `refused`, where nothing can be drawn.
    """

    x_key: str
    y_key: str
    x_log: bool
    y_log: bool
    places: tuple[Place, ...]
    x: Floats
    y: Floats
    z: Floats
    hull: Floats
    refused: str = ""


_NOTHING = np.empty(0)


def surface(x: Column, y: Column, outcome: Floats, runs: tuple[tuple[Run, ...], ...]) -> Surface:
    """Linear interpolation of `outcome`, shape (n,), over two numeric columns, each on its own scale.

    Over the Delaunay triangles of the places, both axes brought to [0, 1] first (Barber, Dobkin and Huhdanpaa 1996, ACM
    TOMS 22, 469-483); no value is extrapolated. Raises ValueError for a column of categories.
    """
    if x.numbers is None or y.numbers is None:
        raise ValueError(f"{x.key if x.numbers is None else y.key} is no number: there is nothing between its values")
    kept = np.isfinite(x.numbers) & np.isfinite(y.numbers) & np.isfinite(outcome)
    points = np.column_stack([x.numbers[kept], y.numbers[kept]])
    unique, which = np.unique(points, axis=0, return_inverse=True)
    which = which.reshape(-1)
    counts = np.bincount(which, minlength=len(unique))
    means = np.bincount(which, weights=outcome[kept], minlength=len(unique)) / np.maximum(counts, 1)
    rows = np.flatnonzero(kept)
    places = tuple(
        Place(
            _value(a, x.log),
            _value(b, y.log),
            float(mean),
            int(count),
            tuple(run for row in rows[which == place].tolist() for run in runs[row]),
        )
        for place, ((a, b), mean, count) in enumerate(zip(unique.tolist(), means, counts, strict=True))
    )
    refused = _refusal(unique, x.key, y.key)
    if refused:
        return Surface(x.key, y.key, x.log, y.log, places, _NOTHING, _NOTHING, _NOTHING, _NOTHING, refused)
    across, up, z, hull = _interpolated(unique, means)
    corners = np.column_stack([_back(hull[:, 0], x.log), _back(hull[:, 1], y.log)])
    return Surface(x.key, y.key, x.log, y.log, places, _back(across, x.log), _back(up, y.log), z, corners)


def _back(numbers: Floats, log: bool) -> Floats:
    """From the scale of a column to values as configured."""
    return np.power(10.0, numbers) if log else numbers


def _value(number: float, log: bool) -> float:
    return float(f"{10**number:.12g}") if log else number


def _refusal(points: Floats, x: str, y: str) -> str:
    """Why nothing is interpolated between these places, shape (n, 2), in one sentence."""
    count = len(points)
    if count < FEWEST:
        tried = "1 place of" if count == 1 else f"{count} places of"
        return (
            f"Measured at {tried} {words(x)} and {words(y)} only: {FEWEST} or more that are not on one line are needed "
            "to interpolate between them."
        )
    unit = _unit(points)
    sizes = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    if sizes[1] <= _FLAT * sizes[0]:
        return (
            f"All {count} places of {words(x)} and {words(y)} lie on one line: the two moved together, and what lies "
            "beside the line was never tried."
        )
    return ""


def _unit(points: Floats) -> Floats:
    """Each axis brought to [0, 1]; an axis of one value is 0."""
    low, width = points.min(axis=0), np.ptp(points, axis=0)
    return np.asarray((points - low) / np.where(width > 0, width, 1.0))


def _interpolated(points: Floats, values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """(x, y, z) on a grid over the places, and the corners of their hull, on the scales of the columns."""
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import ConvexHull

    low, high = points.min(axis=0), points.max(axis=0)
    unit = np.linspace(0.0, 1.0, RESOLUTION)
    across, up = np.meshgrid(unit, unit)
    z = LinearNDInterpolator(_unit(points), values)(across, up)
    x, y = (low[axis] + unit * (high[axis] - low[axis]) for axis in (0, 1))
    return x, y, np.asarray(z, dtype=np.float64), points[ConvexHull(_unit(points)).vertices]


@dataclass(frozen=True, eq=False)
class Line:
    """The line of an effect over `x`, shape (m,), as configured: its height `y`, and its band from `low` to `high`."""

    x: Floats
    y: Floats
    low: Floats
    high: Floats


def line(effect: Effect, column: Column, outcome: Floats, points: int = 25) -> Line | None:
    """Least squares with the 95% band of its mean, of an effect that is proven to be the parameter's own; else None.

    y = mean + slope (x - mean of x), +- t sqrt(s^2 / n + v (x - mean of x)^2) with Student's t of n - 2 degrees, s^2
    the residual variance and v that of the slope (Draper and Smith 1998, Applied Regression Analysis, section 3.1).
    Of weak effects only those that look strong by luck are proven and drawn: simulated, the band covers the height at
    its ends and middle 86% to 96% of the time then, of a strong effect 95%.
    """
    if not effect.proven or effect.slope is None or effect.interval is None or column.numbers is None:
        return None
    kept = column.known & np.isfinite(outcome) & np.isfinite(column.numbers)
    x, y = column.numbers[kept], outcome[kept]
    middle, height = float(x.mean()), float(y.mean())
    at = np.linspace(float(x.min()), float(x.max()), points)
    half_slope = (effect.interval.high - effect.interval.low) / 2
    half_middle = half_slope * math.sqrt(float(((x - middle) ** 2).mean()))
    shown = height + effect.slope * (at - middle)
    half = np.hypot(half_middle, half_slope * (at - middle))
    return Line(_back(at, column.log), shown, shown - half, shown + half)
