"""Binary logs, read as columns of numbers, made into curves and configuration."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.record.schema import History, Series

EPOCHS = ("train/epoch", "epoch")
"""Metrics that are no curves: they say how far in the data a step is."""


@dataclass(frozen=True)
class Column:
    """One metric: optimizer steps, seconds since 1970, values; each of shape (n,)."""

    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    values: NDArray[np.float64]

    def part(self, start: int, stop: int) -> Column:
        """The points from `start` up to `stop`."""
        return Column(self.steps[start:stop], self.times[start:stop], self.values[start:stop])


def joined(parts: Sequence[Column]) -> Column:
    """The parts as one, steps strictly increasing; of a step that was written twice, the value of the later time."""
    steps, times, values = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("steps", "times", "values")
    )
    if (steps[1:] <= steps[:-1]).any():
        order = np.lexsort((times, steps))
        steps = steps[order]
        last = np.append(steps[1:] > steps[:-1], True)
        steps, times, values = steps[last], times[order][last], values[order][last]
    return Column(steps, times, values)


def history(columns: Mapping[str, Column]) -> History:
    """The curves, each with the epochs that were logged at its steps; what several share is there once."""
    shared: dict[bytes, tuple[array[int], array[float]]] = {}
    epoch = next((columns[name] for name in EPOCHS if name in columns), None)
    curves = {}
    for metric, column in columns.items():
        if metric in EPOCHS:
            continue
        steps = column.steps.tobytes()
        if steps not in shared:
            shared[steps] = (array("q", steps), _floats(_epochs(column.steps, epoch)))
        curves[metric] = Series(*shared[steps], _floats(column.times), _floats(column.values))
    return curves


def _epochs(steps: NDArray[np.int64], epoch: Column | None) -> NDArray[np.float64]:
    """The epoch logged at each step; NaN at a step without one."""
    if epoch is None:
        return np.full(len(steps), np.nan)
    places = np.minimum(np.searchsorted(epoch.steps, steps), len(epoch.steps) - 1)
    return np.where(epoch.steps[places] == steps, epoch.values[places], np.nan)


def _floats(column: NDArray[np.float64]) -> array[float]:
    return array("d", column.tobytes())


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are set to one value or a list of them; nested ones (a model's own, FSDP's) are left out."""
    return {
        name: value
        for name, value in settings.items()
        if _is_plain(value) or (isinstance(value, list) and value and all(map(_is_plain, value)))
    }


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and value != ""
