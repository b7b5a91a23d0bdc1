"""Curves made ready to be drawn: smoothed, thinned out, on the axis asked for."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dashboard.analysis.comparability import beta
from training.record.metrics import CHOSEN, MARGIN, REJECTED, split_key
from training.record.schema import Run, Series

Axis = Literal["step", "epoch", "time"]
Floats = npt.NDArray[np.float64]

MOST_POINTS = 400
REWARDS = frozenset({CHOSEN, REJECTED, MARGIN})


def smooth(values: Floats, weight: float) -> Floats:
    """Exponential moving average with bias correction, as TensorBoard draws it.

    `values` has shape (n,); `weight` in [0, 1) is the share of the past kept at each point. Returns shape (n,);
    values that are not finite are passed over and stay as they are. Adam's correction (arXiv:1412.6980, section 3).
    """
    out = np.array(values, dtype=np.float64)
    seen = np.isfinite(out)
    total, kept, smoothed = 0.0, 1.0, []
    for value in out[seen].tolist():
        total = weight * total + (1 - weight) * value
        kept *= weight
        smoothed.append(total / (1 - kept))
    out[seen] = smoothed
    return out


def thin(values: Floats, most: int = MOST_POINTS) -> npt.NDArray[np.intp]:
    """Indices, ascending, of at most `most` points that keep the first, the last and both extremes of every bucket.

    Points that are not finite are gaps: one is kept per bucket that has any, so a diverged stretch stays visible.
    `values` has shape (n,), `most` at least 5.
    """
    n = len(values)
    if n <= most:
        return np.arange(n)
    width = -(-(n - 2) // ((most - 2) // 3))
    padded = np.pad(values[1:-1], (0, -(n - 2) % width)).reshape(-1, width)
    inside = (np.arange(padded.size) < n - 2).reshape(padded.shape)
    finite = np.isfinite(padded) & inside
    start = 1 + width * np.arange(len(padded))
    lowest = start + np.where(finite, padded, np.inf).argmin(axis=1)
    highest = start + np.where(finite, padded, -np.inf).argmax(axis=1)
    gaps = inside & ~finite
    some, broken = finite.any(axis=1), gaps.any(axis=1)
    found = ([0, n - 1], lowest[some], highest[some], (start + gaps.argmax(axis=1))[broken])
    return np.unique(np.concatenate(found)).astype(np.intp)


def x_values(series: Series, axis: Axis, started: float | None) -> Floats:
    """Shape (n,): optimizer steps, epochs, or minutes since `started` (seconds since 1970; the first point if None)."""
    if axis == "step":
        return np.asarray(series.steps, dtype=np.float64)
    if axis == "epoch":
        return np.asarray(series.epochs, dtype=np.float64)
    times: Floats = np.asarray(series.times, dtype=np.float64)
    if not len(times):
        return times
    return (times - (times[0] if started is None else started)) / 60


def in_nats(key: str, values: Floats, run: Run) -> Floats | None:
    """Rewards divided by beta: log-ratios of policy and reference, comparable across beta. Other metrics unchanged.

    None where the run's beta is unknown or not above zero: the division would be a guess.
    """
    if split_key(key)[1] not in REWARDS:
        return values
    scale = beta(run.config)
    return values / scale if scale is not None and scale > 0 else None


def span(series: Series) -> tuple[int, int, Any]:
    """What changes when the curve does: its length, last step and last value."""
    if not len(series):
        return 0, 0, None
    return len(series), series.steps[-1], series.values[-1]
