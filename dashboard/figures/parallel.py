"""Parallel coordinates as data: assets/page-hyperparameters-lines.js draws them, for plotly's need WebGL."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from dashboard.analysis.hyperparameters import log_scale, text, value_of, words
from dashboard.analysis.numbers import metric, percent, setting, visible
from dashboard.figures import theme
from dashboard.figures.intervals import short
from training.record.schema import Run

MOST_TICKS = 5
MOST_LEVELS = 12
"""Categories whose names stand at an axis; of more than that every so manieth."""

Kind = Literal["log", "linear", "text"]


class Axis(TypedDict):
    """One axis: its `levels`, the different values in order, with their words; `at`, each run's level or -1."""

    key: str
    label: str
    kind: Kind
    low: float
    high: float
    levels: list[float | str]
    words: list[str]
    at: list[int]
    ticks: list[tuple[float, str]]


class Lines(TypedDict):
    """All that the browser draws: the axes, the last of them the metric, and the runs in the order of their `at`."""

    axes: list[Axis]
    ids: list[str]
    names: list[str]
    colours: list[str]
    symbols: list[str]
    better: str


def lines(
    runs: Sequence[Run],
    keys: Sequence[str],
    metric_key: tuple[str, str],
    values: Sequence[float | None],
    slots: Mapping[str, int],
    better: str,
) -> Lines:
    """The hyper-parameters `keys` of some runs and a metric (its key and its words), whose values are one per run."""
    axes = [axis(key, words(key), [value_of(run, key) for run in runs]) for key in keys]
    key, label = metric_key
    return {
        "axes": [*axes, axis(key, label, list(values), is_metric=True)],
        "ids": [run.id for run in runs],
        "names": [visible(run.name) for run in runs],
        "colours": [theme.colour(slots.get(run.id, 0)) for run in runs],
        "symbols": [theme.symbol(slots.get(run.id, 0)) for run in runs],
        "better": better,
    }


def axis(key: str, label: str, values: Sequence[Any], is_metric: bool = False) -> Axis:
    """The axis of one column: numbers by their size (or logarithm), anything else as categories; None is missing."""
    known = [value for value in values if value is not None]
    if is_metric or all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return _numeric(key, label, values, is_metric)
    names = sorted({text(value) for value in known})
    place = {name: number for number, name in enumerate(names)}
    step = -(-len(names) // MOST_LEVELS)
    return {
        "key": key,
        "label": visible(label),
        "kind": "text",
        "low": 0,
        "high": max(len(names) - 1, 0),
        "levels": list(names),
        "words": [setting(visible(name)) for name in names],
        "at": [-1 if value is None else place[text(value)] for value in values],
        "ticks": [(n, name) for n, name in enumerate(short([visible(name) for name in names], 18)) if n % step == 0],
    }


def _numeric(key: str, label: str, values: Sequence[Any], is_metric: bool) -> Axis:
    numbers = [float(value) if value is not None and math.isfinite(value) else None for value in values]
    levels = sorted({value for value in numbers if value is not None})
    place = {value: number for number, value in enumerate(levels)}
    log = not is_metric and log_scale(key, levels)
    share = is_metric and "accurac" in key
    shown = percent if share else metric if is_metric else setting
    return {
        "key": key,
        "label": visible(label),
        "kind": "log" if log else "linear",
        "low": levels[0] if levels else 0,
        "high": levels[-1] if levels else 0,
        "levels": list(levels),
        "words": [shown(value) for value in levels],
        "at": [-1 if value is None else place[value] for value in numbers],
        "ticks": [(value, shown(value)) for value in ticks(levels, log)],
    }


def ticks(levels: Sequence[float], log: bool) -> list[float]:
    """The levels, in order, if they are MOST_TICKS at most; else as many round values of their range, or its ends."""
    if len(levels) <= MOST_TICKS:
        return list(levels)
    low, high = levels[0], levels[-1]
    for factors in ((1, 2, 5), (1, 3), (1,)) if log else ():
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [float(f"{factor}e{power}") for power in powers for factor in factors]
        if len(found := [value for value in found if low <= value <= high]) <= MOST_TICKS:
            break
    else:
        found = _even(low, high)
    step = -(-len(found) // MOST_TICKS)
    return found[::step] if len(found) > 1 else [low, high]


def plotly_axis(values: Sequence[float], log: bool) -> dict[str, Any]:
    """The same ticks for an axis of a figure, which is not zoomed."""
    shown = ticks(sorted(set(values)), log)
    words = [setting(value) for value in shown]
    return {"type": "log" if log else "linear", "tickvals": shown, "ticktext": words, "fixedrange": True}


def _even(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two numbers."""
    power = 10.0 ** (math.floor(math.log10(high - low)) - 1)
    for step in (factor * power for factor in (1, 2, 5, 10, 20, 50)):
        found = range(math.ceil(low / step), math.floor(high / step) + 1)
        if len(found) <= MOST_TICKS:
            break
    return [float(f"{n * step:.10g}") for n in found]
