"""Points of a curve, in whatever order a log has them, as one series; and notes cut to what a person reads."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from training.record.schema import Series

MOST_NOTES = 20
LARGEST_STEP = 2**53


class Point(NamedTuple):
    """A value, with the epoch and the time (seconds since 1970) where they were recorded, else NaN."""

    value: float
    epoch: float = math.nan
    time: float = math.nan


def series(points: Mapping[int, Point]) -> Series:
    """The points, by step, as a series."""
    steps = sorted(points)
    ordered = [points[step] for step in steps]
    return Series(
        array("q", steps),
        array("d", [point.epoch for point in ordered]),
        array("d", [point.time for point in ordered]),
        array("d", [point.value for point in ordered]),
    )


def whole(value: float | None) -> int | None:
    """A step as an int; None if it is no whole number, or one that a float does not hold exactly."""
    known = value is not None and math.isfinite(value) and abs(value) < LARGEST_STEP and value == int(value)
    return int(value) if known and value is not None else None


def few(notes: Sequence[str], what: str) -> list[str]:
    """The first notes, and how many more `what` there are ("cells are no numbers")."""
    more = [f"{len(notes) - MOST_NOTES:,} more {what}."] if len(notes) > MOST_NOTES else []
    return [*notes[:MOST_NOTES], *more]


def by_note(remarks: Iterable[tuple[str, str]]) -> list[str]:
    """Pairs of a run's name and a note on it as one note for all runs that it is true of; five of them by name."""
    names: dict[str, list[str]] = {}
    for name, note in remarks:
        names.setdefault(note, []).append(name)
    return [f"{_named(found)}: {note}" for note, found in names.items()]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(f'"{name[:80]}"' for name in names[:5]) + more
