"""Many curves as one: the mean and range of seeds, and the quantiles of a crowd."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.analysis.study import Floats, Ints

QUANTILES = (0.1, 0.5, 0.9)
FEWEST = 3
"""Runs that have reached an x before quantiles are drawn there."""


@dataclass(frozen=True, eq=False)
class Points:
    """One run's curve: the optimizer steps, where they lie on the axis that is drawn, and values, all of shape (n,)."""

    steps: Ints
    x: Floats
    y: Floats


@dataclass(frozen=True, eq=False)
class Band:
    """A line between two others, all of shape (m,), made of `n` runs."""

    x: Floats
    low: Floats
    middle: Floats
    high: Floats
    n: int


def of_seeds(runs: Sequence[Points]) -> Band | None:
    """Mean, lowest and highest value at the steps that all runs have; None for fewer than two runs or no such step.

    Not the standard deviation: of two to five seeds that is hardly known. A step at which one run is not finite is a
    gap. Where the same step lies at different x (time), the mean of these.
    """
    if len(runs) < 2:
        return None
    steps = runs[0].steps
    for run in runs[1:]:
        if not np.array_equal(steps, run.steps):
            steps = np.intersect1d(steps, run.steps)
    if not len(steps):
        return None
    places = [np.searchsorted(run.steps, steps) for run in runs]
    x = np.mean([run.x[at] for run, at in zip(runs, places, strict=True)], axis=0)
    y = np.stack([run.y[at] for run, at in zip(runs, places, strict=True)])
    y = np.where(np.isfinite(y).all(axis=0), y, np.nan)
    return Band(x, y.min(axis=0), y.mean(axis=0), y.max(axis=0), len(runs))


def of_crowd(runs: Sequence[Points], most: int) -> Band | None:
    """The 10%, 50% and 90% quantiles over the runs (numpy's linear ones) at no more than `most` values of x.

    Between two logged points a run's value lies on the line between them; it has none beyond its ends. None where
    there are fewer than FEWEST runs with values; a gap where fewer have come.
    """
    known = [(run.x[good], run.y[good]) for run in runs if len(good := _rising(run))]
    if len(known) < FEWEST:
        return None
    x = np.unique(np.concatenate([at for at, _ in known]))
    if len(x) > most:
        x = x[np.linspace(0, len(x) - 1, most).round().astype(np.intp)]
    values = np.stack([np.interp(x, at, y, left=np.nan, right=np.nan) for at, y in known])
    enough = np.isfinite(values).sum(axis=0) >= FEWEST
    low, middle, high = np.full((3, len(x)), np.nan)
    if enough.any():
        low[enough], middle[enough], high[enough] = np.nanquantile(values[:, enough], QUANTILES, axis=0)
    return Band(x, low, middle, high, len(known))


def _rising(run: Points) -> Ints:
    """The places of what is finite, by rising x: a clock that was set back leaves times out of order."""
    good: Ints = np.flatnonzero(np.isfinite(run.x) & np.isfinite(run.y))
    return good[np.argsort(run.x[good], kind="stable")]
