"""The accuracy of every run with its 95% interval, the best on top: which intervals overlap is seen at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import plotly.graph_objects as go

from dashboard.figures import theme
from training.record.intervals import Interval

MOST = 40


@dataclass(frozen=True)
class Bar:
    """One run: `tied` if it is the best or cannot be told apart from it."""

    name: str
    accuracy: float
    interval: Interval | None
    tied: bool


def accuracy_intervals(bars: Sequence[Bar]) -> go.Figure:
    """One line per run, in the order given, from the top; at most MOST of them, and the axis says how many more."""
    shown = bars[:MOST]
    title = "reward accuracy" if len(shown) == len(bars) else f"reward accuracy ({len(bars) - MOST} more not drawn)"
    figure = theme.blank(title, "")
    for colour, tied in ((theme.PALETTE[0], True), (theme.GREY, False)):
        rows = [(place, bar) for place, bar in enumerate(shown) if bar.tied is tied]
        figure.add_trace(
            go.Scatter(
                x=[bar.accuracy for _, bar in rows],
                y=[place for place, _ in rows],
                text=[theme.plain(bar.name) for _, bar in rows],
                mode="markers",
                marker={"color": colour, "size": 9},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [bar.interval.high - bar.accuracy if bar.interval else 0 for _, bar in rows],
                    "arrayminus": [bar.accuracy - bar.interval.low if bar.interval else 0 for _, bar in rows],
                    "color": colour,
                    "thickness": 1.6,
                    "width": 4,
                },
                hovertemplate="%{text}<br>%{x:.1%}<extra></extra>",
            )
        )
    figure.update_xaxes(tickformat=".0%", range=_range(shown))
    figure.update_yaxes(
        tickvals=list(range(len(shown))),
        ticktext=[theme.plain(name) for name in short([bar.name for bar in shown])],
        range=[len(shown) - 0.4, -0.6],
        showgrid=False,
    )
    figure.update_layout(height=90 + 26 * len(shown))
    return figure


def _range(bars: Sequence[Bar]) -> tuple[float, float]:
    """From the lowest to the highest that is drawn, at least ten points wide and never beyond what a share can be."""
    low = min(bar.interval.low if bar.interval else bar.accuracy for bar in bars)
    high = max(bar.interval.high if bar.interval else bar.accuracy for bar in bars)
    beside = max(0.04 * (high - low), (0.1 - (high - low)) / 2)
    return max(-0.01, low - beside), min(1.01, high + beside)


def short(names: Sequence[str], longest: int = 28) -> list[str]:
    """The names in at most `longest` characters each: cut in the middle or, if they differ only there, at the begin."""
    found = [_cut(name, longest) for name in names]
    if len(set(found)) == len(set(names)):
        return found
    first, last = min(names), max(names)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    kept = max(first.rfind(mark, 0, same) + 1 for mark in " -_/")
    return [_cut(f"…{name[kept:]}", longest) for name in names] if kept else found


def _cut(name: str, longest: int) -> str:
    """Cut in the middle: names differ at their ends."""
    head = 2 * longest // 3
    return name if len(name) <= longest else f"{name[:head]}…{name[head + 1 - longest :]}"
