"""A run's learning curves as a picture, drawn without a display."""

import math
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.publishing.findings import UNTRAINED, Evidence, is_sigmoid
from training.record import metrics as names
from training.record.intervals import accuracy_interval
from training.record.schema import Series

# Okabe and Ito's colours, which are told apart by everybody (jfly.uni-koeln.de/color, 2008).
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8a8f98"
INCHES, DOTS = (13.5, 3.8), 110
TRAIN = {"linewidth": 1.0, "alpha": 0.45}
EVAL = {"linewidth": 1.8, "marker": "o", "markersize": 3.5}


def draw_curves(evidence: Evidence) -> bytes:
    """The picture as PNG: rewards, reward accuracy with its 95% interval, and loss, by optimizer step.

    NaN and infinite values are gaps; the published step is a dotted line.
    """
    figure = Figure(figsize=INCHES, dpi=DOTS, layout="constrained")
    rewards, accuracy, loss = figure.subplots(1, 3)
    for name, label, colour in ((names.CHOSEN, "chosen", BLUE), (names.REJECTED, "rejected", ORANGE)):
        _both(rewards, evidence, name, label, colour)
    _level(rewards, 0.0, "base model")
    _both(accuracy, evidence, names.ACCURACY, "", BLUE)
    _band(accuracy, evidence)
    _level(accuracy, 0.5, "chance")
    _both(loss, evidence, names.LOSS, "", BLUE)
    if is_sigmoid(evidence.run.config):
        _level(loss, UNTRAINED, "untrained: ln 2")
    for axes, title in ((rewards, "reward (nats x beta)"), (accuracy, "reward accuracy"), (loss, "loss")):
        _finish(axes, title, evidence.step)
    content = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _both(axes: Axes, evidence: Evidence, name: str, label: str, colour: str) -> None:
    """The metric in training, faint, and in evaluation."""
    for split, style in (("train", TRAIN), ("eval", EVAL)):
        series = evidence.history.get(f"{split}/{name}", Series())
        if len(series):
            values = [value if math.isfinite(value) else math.nan for value in series.values]
            axes.plot(list(series.steps), values, color=colour, label=f"{split} {label}".strip(), **style)


def _band(axes: Axes, evidence: Evidence) -> None:
    series = evidence.history.get(f"eval/{names.ACCURACY}", Series())
    points = zip(series.steps, series.values, strict=True)
    found = [(step, accuracy_interval(value, evidence.run.n_eval)) for step, value in points if step]
    known = [(step, interval.low, interval.high) for step, interval in found if interval]
    if known:
        steps, low, high = zip(*known, strict=True)
        axes.fill_between(steps, low, high, color=BLUE, alpha=0.15, linewidth=0, label="95% interval")


def _level(axes: Axes, value: float, label: str) -> None:
    axes.axhline(value, color=GREY, linestyle="--", linewidth=0.8, label=label)


def _finish(axes: Axes, title: str, step: int) -> None:
    axes.axvline(step, color=GREY, linestyle=":", linewidth=1.0, label="published")
    axes.set(xlabel="optimizer step", title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
