"""The chart of all runs' accuracies."""

import pytest

from dashboard.figures import theme
from dashboard.figures.intervals import MOST, Bar, accuracy_intervals
from training.record.intervals import Interval


def test_each_run_is_a_line_from_the_top_with_its_interval():
    tied, behind = accuracy_intervals(
        [
            Bar("best", 0.8, Interval(0.7, 0.9), True),
            Bar("far", 0.5, Interval(0.4, 0.55), False),
            Bar("x", 0.4, None, False),
        ]
    ).data
    assert (tied.x, tied.y, tied.marker.color) == ((0.8,), (0,), theme.PALETTE[0])
    assert (behind.x, behind.y, behind.marker.color) == ((0.5, 0.4), (1, 2), theme.GREY)
    assert behind.error_x.array == pytest.approx((0.05, 0)) and behind.error_x.arrayminus == pytest.approx((0.1, 0))


def test_more_runs_than_can_be_read_are_left_out_and_counted():
    figure = accuracy_intervals([Bar(f"run {n}", 0.5, None, False) for n in range(MOST + 3)])
    assert figure.layout.xaxis.title.text == "reward accuracy (3 more not drawn)"
    assert sum(len(trace.x) for trace in figure.data) == MOST


def test_names_are_text_and_long_ones_keep_both_ends():
    figure = accuracy_intervals(
        [Bar("<b>bold</b>", 0.5, None, True), Bar("sweep-" + "x" * 40 + "-seed-2", 0.5, None, True)]
    )
    assert figure.layout.yaxis.ticktext == ("&lt;b&gt;bold&lt;/b&gt;", "sweep-xxxxxxxxxxxx…xx-seed-2")
