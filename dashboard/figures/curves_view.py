"""What the charts of curves show: panels, runs, and how they are looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dashboard.analysis import curves
from dashboard.analysis.bands import Points
from dashboard.analysis.curves import Axis, Floats
from training.record.metrics import ACCURACY, CHOSEN, LOGPS_CHOSEN, LOGPS_REJECTED, LOSS, MARGIN, REJECTED, describe
from training.record.schema import History, Run, Series

Split = Literal["eval", "train", "both"]
Unit = Literal["reward", "nats"]

FEW = 12
"""More runs are a crowd: thin lines, no markers, nothing behind or between them but for pinned runs."""


@dataclass(frozen=True)
class Panel:
    """One chart: its metrics (of both answers where there are two), and a heading."""

    id: str
    title: str
    metrics: tuple[str, ...]


PANELS = (
    Panel("rewards", "Chosen and rejected reward", (CHOSEN, REJECTED)),
    Panel("margin", "Reward margin", (MARGIN,)),
    Panel("accuracy", "Reward accuracy", (ACCURACY,)),
    Panel("loss", "Loss", (LOSS,)),
    Panel("logps", "Log-probability of chosen and rejected", (LOGPS_CHOSEN, LOGPS_REJECTED)),
)


def panel(name: str) -> Panel:
    """The panel of this id, else one of the single metric of this name (without its split)."""
    label = describe(name).label
    return next((one for one in PANELS if one.id == name), Panel(name, label[:1].upper() + label[1:], (name,)))


@dataclass(frozen=True)
class Curve:
    """One run as it is to be drawn: `slot` is its position in the palette."""

    run: Run
    history: History
    slot: int


@dataclass(frozen=True)
class Entry:
    """One line of the legend: a run, or several that differ by their seed alone and are drawn as mean and range."""

    name: str
    curves: tuple[Curve, ...]

    @property
    def id(self) -> str:
        return self.curves[0].run.id

    @property
    def slot(self) -> int:
        return self.curves[0].slot


@dataclass(frozen=True)
class View:
    """How the curves are looked at.

    `smoothing` in [0, 1) is the share of the past; `window` are the ends of x in the units of the axis, None for all;
    a `crowd` is drawn by its quantiles but for the runs that are `pinned` (ids of entries).
    """

    split: Split = "eval"
    axis: Axis = "step"
    smoothing: float = 0.0
    unit: Unit = "reward"
    log_x: bool = False
    log_y: bool = False
    window: tuple[float, float] | None = None
    crowd: bool = False
    pinned: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Line:
    """One metric of one run. `faint` is training beside evaluation; `raw` what lies behind a smoothed line."""

    curve: Curve
    key: str
    place: int
    faint: bool = False
    raw: bool = False

    @property
    def live(self) -> bool:
        """Whether points are still to come: then its columns are lists, which plotly can make longer."""
        return self.curve.run.status == "running"


def splits(one: Panel, entries: Sequence[Entry], split: Split) -> tuple[str, ...]:
    """The splits to draw, training first: those asked for if they were logged, else what was; "" is of neither."""
    histories = [curve.history for entry in entries for curve in entry.curves]
    found = [
        kind
        for kind in ("train", "eval", "")
        if any(len(history.get(key_of(kind, name), ())) for history in histories for name in one.metrics)
    ]
    wanted = [kind for kind in found if split == "both" or kind == split]
    return tuple(wanted or found[-1:])


def key_of(split: str, name: str) -> str:
    """The key under which a metric is logged in a split; "" is none."""
    return f"{split}/{name}" if split else name


def lines(one: Panel, entries: Sequence[Entry], view: View) -> Iterator[Line]:
    """What is drawn line by line, in the order of drawing: what is behind comes first."""
    alone = [entry.curves[0] for entry in entries if len(entry.curves) == 1 and apart(entry, view)]
    kinds = splits(one, entries, view.split)
    for kind in kinds:
        faint = len(kinds) > 1 and kind == "train"
        for curve in alone:
            found = [
                Line(curve, key, place, faint)
                for place, name in enumerate(one.metrics)
                if len(curve.history.get(key := key_of(kind, name), ())) and _in_units(curve, key, view)
            ]
            behind = len(entries) <= FEW or curve.run.id in view.pinned
            if behind and not faint and is_smoothed(key_of(kind, ""), view):
                yield from (Line(line.curve, line.key, line.place, raw=True) for line in found)
            yield from found


def _in_units(curve: Curve, key: str, view: View) -> bool:
    return view.unit != "nats" or curves.in_nats(key, np.empty(0), curve.run) is not None


def is_smoothed(key: str, view: View) -> bool:
    """Beside training, the few evaluations stay as they are: each of them is a mean over all pairs already."""
    return view.smoothing > 0 and not (view.split == "both" and key.startswith("eval/"))


def apart(entry: Entry, view: View) -> bool:
    """Whether the entry is drawn by itself, and not only as one of the crowd."""
    return not view.crowd or entry.id in view.pinned


def points(curve: Curve, key: str, view: View, smoothed: bool = True) -> tuple[Points, int] | None:
    """The curve in the units of the view, and how many values a log axis cannot show; None if it cannot be drawn.

    That is where it was not logged, or where nats are asked for and beta is not known.
    """
    series = curve.history.get(key, Series())
    y: Floats | None = np.asarray(series.values, dtype=np.float64)
    if view.unit == "nats" and y is not None:
        y = curves.in_nats(key, y, curve.run)
    if y is None or not len(y):
        return None
    x = curves.x_values(series, view.axis, curve.run.created)
    if smoothed and is_smoothed(key, view):
        y = curves.smooth(y, view.smoothing)
    hidden = y <= 0 if view.log_y else np.zeros(len(y), dtype=bool)
    shown = np.isfinite(x) & (x > 0) if view.log_x else np.isfinite(x)
    y = np.where(hidden, np.nan, y) if hidden.any() else y
    found = Points(np.asarray(series.steps, dtype=np.int64), x, y)
    if not shown.all():
        found = Points(found.steps[shown], x[shown], y[shown])
    return found, int((hidden & shown).sum())
