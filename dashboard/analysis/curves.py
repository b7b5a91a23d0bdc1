"""Curves made ready to be drawn: smoothed, thinned out, on the axis asked for."""

from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dashboard.analysis.comparability import beta
from training.record.metrics import CHOSEN, MARGIN, REJECTED, split_key
from training.record.schema import Run, Series

Axis = Literal["step", "epoch", "time"]
Floats = npt.NDArray[np.float64]

MOST_POINTS = 400
_BLOCK = 128
REWARDS = frozenset({CHOSEN, REJECTED, MARGIN})


def smooth(values: Floats, weight: float) -> Floats:
    """Exponential moving average with bias correction, as TensorBoard draws it.

    `values` has shape (n,); `weight` in [0, 1) is the share of the past kept at each point. Returns shape (n,);
    values that are not finite are passed over and stay as they are. Adam's correction (arXiv:1412.6980, section 3).
    """
    out = np.array(values, dtype=np.float64)
    seen = np.isfinite(out)
    n = int(seen.sum())
    if n:
        out[seen] = _averages(out[seen], weight) / (1 - weight ** np.arange(1, n + 1))
    return out


def _averages(values: Floats, weight: float) -> Floats:
    """The moving averages that start from 0: within blocks by one product of matrices, from block to block in turn."""
    blocks = np.pad(values, (0, -len(values) % _BLOCK)).reshape(-1, _BLOCK) @ _decay(weight)
    carried, last = np.zeros(len(blocks)), 0.0
    for place, total in enumerate(blocks[:, -1].tolist()):
        carried[place] = last
        last = total + weight**_BLOCK * last
    found: Floats = (blocks + carried[:, None] * weight ** np.arange(1, _BLOCK + 1)).ravel()[: len(values)]
    return found


@lru_cache(maxsize=4)
def _decay(weight: float) -> Floats:
    """What is left of each value of a block (rows) at each place of it (columns)."""
    ages = np.arange(_BLOCK) - np.arange(_BLOCK)[:, None]
    left: Floats = np.triu(weight ** np.maximum(ages, 0)) * (1 - weight)
    return left


def thin(values: Floats, most: int = MOST_POINTS, at: Floats | None = None) -> npt.NDArray[np.intp]:
    """Indices, ascending, of at most `most` points that keep the first, the last and both extremes of every bucket.

    Points that are not finite are gaps: one is kept per bucket that has any, so a diverged stretch stays visible.
    `values` has shape (n,), `most` at least 5. Buckets have equally many points, or with `at` (shape (n,), ascending)
    equal widths in it.
    """
    n = len(values)
    if n <= most:
        return np.arange(n)
    finite = np.isfinite(values)
    starts = _buckets(n, (most - 2) // (2 if finite.all() else 3), at)
    lowest = _first(values == _spread(np.minimum, np.where(finite, values, np.inf), starts), starts)
    highest = _first(values == _spread(np.maximum, np.where(finite, values, -np.inf), starts), starts)
    return np.unique(np.concatenate(([0, n - 1], lowest, highest, _first(~finite, starts)))).astype(np.intp)


def _buckets(n: int, count: int, at: Floats | None) -> npt.NDArray[np.intp]:
    """Where at most `count` buckets begin, all points but the first and the last being in one."""
    if at is None:
        return np.arange(1, n - 1, -(-(n - 2) // count))
    edges = np.searchsorted(at, np.linspace(at[0], at[-1], count + 1)[:-1])
    return np.unique(np.clip(edges, 1, n - 2))


def _spread(extreme: np.ufunc, values: Floats, starts: npt.NDArray[np.intp]) -> Floats:
    """For every point the extreme of its bucket; no number for the first and the last point."""
    n = len(values)
    found: Floats = np.full(n, np.nan)
    found[1:-1] = np.repeat(extreme.reduceat(values[: n - 1], starts), np.diff(np.append(starts, n - 1)))
    return found


def _first(wanted: npt.NDArray[np.bool_], starts: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The first wanted point of every bucket that has one."""
    places = np.flatnonzero(wanted[:-1])
    places = places[places > 0]
    buckets = np.searchsorted(starts, places, side="right")
    return places[np.unique(buckets, return_index=True)[1]]


def window(x: Floats, low: float, high: float) -> slice:
    """The points with x in [low, high], and one more on either side, so that lines run on to the edges.

    `x` has shape (n,) and grows; where it does not (a clock set back), as far as it has come.
    """
    rising = x if (x[1:] >= x[:-1]).all() else np.fmax.accumulate(x)
    start = max(int(np.searchsorted(rising, low)) - 1, 0)
    return slice(start, int(np.searchsorted(rising, high, side="right")) + 1)


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
