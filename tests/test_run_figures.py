"""The charts of one run: what they draw, and what is added to them."""

import math
from array import array

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.figures import run_curves
from training.record.schema import Series

CHARTS = (*run_curves.learning(0.6931), *run_curves.SYSTEM)
REWARDS, ACCURACY, LOSS = CHARTS[:3]


def series(steps, value=lambda step: step / 10) -> Series:
    count = len(steps)
    return Series(
        array("q", steps), array("d", [0.0] * count), array("d", [0.0] * count), array("d", map(value, steps))
    )


def history(steps):
    return {key: series(steps) for chart in CHARTS for key in chart.keys}


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.id)
@pytest.mark.parametrize("steps", [[], [0], list(range(0, 5000, 5))], ids=["none", "one", "many"])
def test_plotly_knows_every_property(chart, steps):
    figure = go.Figure(run_curves.figure(chart, history(steps), 2))
    assert len(figure.data) == len(chart.lines)
    assert all(len(trace.x) <= 400 for trace in figure.data if trace.x)


def test_the_margin_is_the_band_between_both_rewards():
    figure = run_curves.figure(REWARDS, history([0, 10]), 0)
    assert [trace.get("fill") for trace in figure["data"]] == [None, None, None, "tonexty"]
    assert figure["data"][3]["x"] == [0, 10]
    assert figure["layout"]["annotations"][0]["text"] == "reference model"


def test_the_untrained_loss_is_marked_where_it_is_known():
    logged = history([0, 10])
    assert run_curves.figure(LOSS, logged, 0)["layout"]["shapes"][0]["y0"] == 0.6931
    assert "shapes" not in run_curves.figure(run_curves.learning(None)[2], logged, 0)["layout"]


def test_a_chart_without_points_has_no_axes_and_says_so_until_the_first_one():
    layout = run_curves.figure(ACCURACY, {}, 0)["layout"]
    assert (layout["xaxis"]["visible"], layout["yaxis"]["visible"]) == (False, False)
    assert [said["text"] for said in layout["annotations"]] == ["no points yet"]
    assert "visible" not in run_curves.figure(ACCURACY, history([0]), 0)["layout"]["xaxis"]
    assert not run_curves.began(ACCURACY, run_curves.sent(CHARTS, {}))
    assert run_curves.began(ACCURACY, run_curves.sent(CHARTS, history([0])))


def test_only_new_points_are_sent_as_lists():
    """Both lines of the accuracy have 3 points; then the evaluation logs one more."""
    known = run_curves.sent(CHARTS, history([0, 10, 20]))
    now = {**history([0, 10, 20]), "eval/rewards/accuracies": series([0, 10, 20, 30])}
    assert run_curves.news(ACCURACY, now, known) == [{"x": [[30]], "y": [[3.0]]}, [1]]
    assert run_curves.news(LOSS, now, known) == []
    assert run_curves.news(ACCURACY, now, run_curves.sent(CHARTS, now)) == []


def test_a_value_that_is_no_number_is_a_gap():
    now = {"eval/loss": series([0, 10], lambda step: math.nan if step else 1.0)}
    known = run_curves.sent(CHARTS, {"eval/loss": series([0], lambda step: 1.0)})
    assert run_curves.news(LOSS, now, known) == [{"x": [[10]], "y": [[None]]}, [1]]
    assert run_curves.figure(LOSS, now, 0)["data"][1]["y"] == [1.0, None]


def test_replaced_points_are_drawn_again():
    """A resumed run went back to step 10: the third point is at step 15 now, or is missing."""
    known = run_curves.sent(CHARTS, history([0, 10, 20]))
    assert run_curves.news(LOSS, history([0, 10, 15, 20]), known) is None
    assert run_curves.news(LOSS, history([0, 10]), known) is None


def test_a_line_that_grows_for_days_is_thinned_again():
    """A browser that is sent one point after another gets a thinned figure whenever MOST_DRAWN have been added."""
    drawn, whole, extended = run_curves.sent([LOSS], {}), 0, 0
    for count in range(1, 4 * run_curves.MOST_DRAWN + 2, 10):
        now = {"train/loss": series(range(count))}
        added = run_curves.news(LOSS, now, drawn)
        whole, extended = whole + (added is None), extended + (added is not None)
        drawn = run_curves.sent([LOSS], now)
    assert whole == 4 and extended > 400


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["eval/loss", "train/loss"]), inner),
    )
)
def test_anything_a_browser_says_it_has_is_survived(drawn):
    found = run_curves.news(LOSS, history([0, 10]), drawn)
    assert found is None or isinstance(found, list)
