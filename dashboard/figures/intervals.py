"""The accuracy of every run with its 95% interval, the best on top: which intervals overlap is seen at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(
        tickvals=list(range(len(shown))),
        ticktext=[theme.plain(_short(bar.name)) for bar in shown],
        range=[len(shown) - 0.4, -0.6],
        showgrid=False,
    )
    figure.update_layout(height=90 + 26 * len(shown))
    return figure


def _short(name: str) -> str:
    """At most 28 characters, cut in the middle: names differ at their ends."""
    return name if len(name) <= 28 else f"{name[:18]}…{name[-9:]}"
