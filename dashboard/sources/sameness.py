"""Whether two logs are of one run: what they both tell is compared, as far as it can be."""

import math
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.record.schema import History, Run, Series

WANDB_ID = "run_id"
"""Key of `Run.environment` under which a reader keeps the id that W&B gave the run."""

POINTS = 5
"""Equal points (step, value), with as many different values, that show one curve in two sources; of two metrics."""

PRECISION = 1e-6
"""Relative difference of numbers that are the same: float32, in which event files and W&B's tables are, keeps 6e-8."""

_TRACED = 10
_FOUND = 0.9
_NO_EVIDENCE = re.compile(
    r"system/.*|perf/.*|_.*|(.*/)?(epoch|step|global_step|learning_rate|num_tokens|num_input_tokens_seen|total_flos)"
    r"|.*runtime|.*_per_second|.*flos",
    re.DOTALL,
)
_BOOKKEEPING = re.compile(r"(.*_)?(dir|name|project|report_to)|hub_.*|push_to_hub.*|resume_.*|local_rank|name|sweep")
_ENUM = re.compile(r"[A-Za-z]+\.([A-Z_]+)")

_Floats = npt.NDArray[np.float64]


@dataclass(eq=False)
class Seen:
    """One run as one source shows it; `twin` where another run of that source has its name."""

    part: int
    run: Run
    history: History
    folder: Path | None
    twin: bool

    @cached_property
    def metrics(self) -> frozenset[str]:
        """The metrics that tell runs apart: neither clocks nor schedules, which many runs share."""
        return frozenset(
            key
            for key in {*self.run.metrics, *(key for key, series in self.history.items() if series)}
            if _is_evidence(key)
        )

    def traces(self, shared: frozenset[str]) -> Iterator[Hashable]:
        """What another source of the same run would show too, to five digits: last values, both ends of its curves.

        `shared` are the metrics that another source has at all.
        """
        for key in self.metrics & shared:
            value = self.run.metrics.get(key)
            if value is not None and _telling(value):
                yield key, f"{value:.5g}"
        for key in sorted(self.metrics & self.history.keys())[:_TRACED]:
            if key not in shared:
                continue
            series = self.history[key]
            for at in {*range(4), *range(-4, 0)} if len(series) >= 8 else range(len(series)):
                yield key, series.steps[at], f"{series.values[at]:.5g}"

    def facts(self) -> tuple[bool, int, int, int]:
        """What makes a source the better one: our own folder, then more configuration and metrics, steps, points."""
        told = len(self.run.config) + len(self.run.metrics)
        return self.folder is not None, told, self.run.step or 0, sum(map(len, self.history.values()))


@lru_cache(maxsize=4096)
def _is_evidence(key: str) -> bool:
    return _NO_EVIDENCE.fullmatch(key) is None


@dataclass
class Comparison:
    """Of two runs: metrics whose last value or curve is the same, those with equal points, one that differs."""

    same: int = 0
    curves: int = 0
    differs: str | None = None


def compare(left: Seen, right: Seen) -> Comparison:
    found = Comparison(differs=_different_identity(left, right) or _different_config(left.run, right.run))
    for key in sorted(left.metrics & right.metrics):
        if found.differs:
            return found
        pairs = [(one, other) for one in _views(left, key) for other in _views(right, key)]
        answers = [_same(one, other) for one, other in pairs]
        if True in answers:
            one, other = pairs[answers.index(True)]
            found.same += _telling(one.last) and _telling(other.last)
            found.curves += _equal_points(one.curve, other.curve)
        elif None not in answers:
            found.differs = f"{cut(key, 80)} is {pairs[0][0].last:.6g} and {pairs[0][1].last:.6g} at the end"
    return found


def _different_identity(left: Seen, right: Seen) -> str | None:
    """Why two runs cannot be one whatever their values: W&B's ids, or our own folders of two runs."""
    ids = left.run.environment.get(WANDB_ID), right.run.environment.get(WANDB_ID)
    if all(ids) and ids[0] != ids[1]:
        return f"W&B's ids are {cut(ids[0], 20)} and {cut(ids[1], 20)}"
    created = left.run.created, right.run.created
    if left.folder and right.folder and (left.run.name != right.run.name or created[0] != created[1]):
        return "they were started at different times"
    return None


def _different_config(left: Run, right: Run) -> str | None:
    """The first argument that both runs have and that differs. Names, folders and nested values are not compared."""
    for key in sorted(left.config.keys() & right.config.keys()):
        if not _BOOKKEEPING.fullmatch(key):
            one, other = _plain(left.config[key]), _plain(right.config[key])
            if isinstance(one, float) and isinstance(other, float):
                same = math.isclose(one, other, rel_tol=PRECISION) or (one != one and other != other)
            else:
                same = one == other or type(one) is not type(other)
            if not same:
                return f"{cut(key, 80)} is {cut(left.config[key], 40)} and {cut(right.config[key], 40)}"
    return None


def _plain(value: Any) -> float | str | bool | None:
    """A configuration value as any log may write it: numbers as text, `["sigmoid"]`, `SchedulerType.LINEAR`, paths."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    text = value.strip() if isinstance(value, str) else None
    if isinstance(value, bool) or (text and text.lower() in ("true", "false")):
        return str(value).strip().lower() == "true"
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        if not text:
            return None
    enum = _ENUM.fullmatch(text)
    return enum[1].casefold() if enum else re.split(r"[\\/]", text.rstrip("\\/"))[-1].casefold()


@dataclass(frozen=True)
class _View:
    """One metric of one run: its curve where there is one, its last value, and the run's last step."""

    curve: Series | None
    last: float
    step: int | None


def _views(seen: Seen, key: str) -> list[_View]:
    """The metric and, where our own run has TRL's version of it too, that."""
    keys = [key, key.replace("eval/", "eval/trl/", 1)] if key.startswith("eval/") else [key]
    found = []
    for name in keys:
        curve = seen.history.get(name)
        last = seen.run.metrics.get(name, curve.values[-1] if curve else None)
        if last is not None:
            found.append(_View(curve or None, last, seen.run.step))
    return found


def _same(one: _View, other: _View) -> bool | None:
    """Whether two logs of a metric are of one run; None if they cannot be compared."""
    if one.curve and other.curve:
        return _same_curve(one.curve, other.curve)
    if one.curve or other.curve:
        curve, view = (one.curve, other) if one.curve else (other.curve, one)
        assert curve is not None
        if _close(curve.values[-1], view.last) or _found(np.array([view.last]), _values(curve)) == 1:
            return True
        return None if view.step is not None and view.step > curve.steps[-1] else False
    return (
        None
        if one.step is not None and other.step is not None and one.step != other.step
        else _close(one.last, other.last)
    )


def _same_curve(one: Series, other: Series) -> bool:
    """Whether the values are equal at the steps that both have, or those of the shorter are among the longer one's."""
    left, right = _at_common_steps(one, other)
    shorter, longer = sorted((_values(one), _values(other)), key=len)
    if 2 * len(left) >= len(shorter) and bool(_near(left, right).all()):
        return True
    return _found(shorter, longer) >= _FOUND


@np.errstate(over="ignore", invalid="ignore")
def _equal_points(one: Series | None, other: Series | None) -> bool:
    """Whether there are POINTS equal points of different values: a constant is no trace of a run."""
    if one is None or other is None:
        return False
    left, right = _at_common_steps(one, other)
    equal = np.isclose(left, right, rtol=PRECISION, atol=0)
    return len(np.unique(left[equal])) >= POINTS


def _at_common_steps(one: Series, other: Series) -> tuple[_Floats, _Floats]:
    first, second = (np.frombuffer(series.steps, dtype=np.int64) for series in (one, other))
    _, left, right = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    return _values(one)[left], _values(other)[right]


def _values(series: Series) -> _Floats:
    return np.frombuffer(series.values, dtype=np.float64)


@np.errstate(over="ignore", invalid="ignore")
def _found(some: _Floats, among: _Floats) -> float:
    """The share of the first values that are, to PRECISION, among the others; NaN where there is NaN or infinity."""
    finite, ordered = some[np.isfinite(some)], np.sort(among[np.isfinite(among)])
    found = (len(some) - len(finite)) * (len(ordered) < len(among))
    if len(finite) and len(ordered):
        right = np.searchsorted(ordered, finite).clip(max=len(ordered) - 1)
        nearest = np.minimum(abs(ordered[right] - finite), abs(ordered[(right - 1).clip(min=0)] - finite))
        found += int((nearest <= PRECISION * abs(finite)).sum())
    return found / len(some)


@np.errstate(over="ignore", invalid="ignore")
def _near(left: _Floats, right: _Floats) -> npt.NDArray[np.bool_]:
    """Equal as float32 keeps it, or one of them is the other rounded to four digits after the point."""
    rounded = (np.round(left, 4) == right) | (np.round(right, 4) == left)
    return np.asarray(np.isclose(left, right, rtol=PRECISION, atol=0, equal_nan=True) | rounded)


def _close(one: float, other: float) -> bool:
    return bool(_near(np.array([one]), np.array([other]))[0])


def _telling(value: float) -> bool:
    """Whether a value is likely to be one run's alone: it has more than two digits after the point."""
    return math.isfinite(value * 100) and abs(value * 100 - round(value * 100)) > 1e-9 * max(1.0, abs(value))


def cut(text: object, most: int) -> str:
    """The beginning of a text from a file, on one line."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text)[:most])
