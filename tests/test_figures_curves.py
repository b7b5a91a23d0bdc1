"""What the charts of curves draw, read back from the figures."""

import base64
import math
from array import array
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.figures import curves_live, theme
from dashboard.figures.curves import MOST_IN_CHART, PANELS, Curve, Entry, View, drawing, panel_figure
from dashboard.figures.curves_columns import packed
from dashboard.figures.curves_view import panel
from training.record.schema import Run, Series

PANEL = {one.id: one for one in PANELS}
NAMES = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "loss", "logps/chosen")


def series(values: list[float], every: int = 10) -> Series:
    n = len(values)
    return Series(
        array("q", range(0, every * n, every)),
        array("d", [i / n for i in range(n)]),
        array("d", [60.0 * i for i in range(n)]),
        array("d", values),
    )


def curve(slot: int = 0, values: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0), status: Any = "finished", **config: object):
    history = {f"{split}/{name}": series(list(values)) for split in ("eval", "train") for name in NAMES}
    about = config or {"beta": 0.1, "loss_type": ["sigmoid"]}
    return Curve(Run(f"r{slot}", f"run {slot}", "runs", status, config=about), history, slot)


def entries(*curves: Curve) -> list[Entry]:
    return [Entry(one.run.name, (one,)) for one in curves]


def column(found: Any) -> list[float]:
    """The numbers of a packed column."""
    kinds = {"f4": "<f4", "u2": "<u2", "u4": "<u4"}
    return np.frombuffer(base64.b64decode(found["bdata"]), dtype=kinds[found["dtype"]]).tolist()


def lines(figure: go.Figure) -> list[float]:
    """The heights of the horizontal reference lines."""
    return [shape.y0 for shape in figure.layout.shapes]


@pytest.mark.parametrize(
    "view", [View(), View("both", smoothing=0.5), View(log_x=True, log_y=True, window=(5.0, 30.0))]
)
@pytest.mark.parametrize("one", PANELS, ids=lambda one: one.id)
def test_every_figure_is_one_that_plotly_knows(one, view):
    go.Figure(drawing(one, entries(curve(), curve(1)), view).figure)
    go.Figure(drawing(one, [Entry("both", (curve(), curve(1)))], replace(view, crowd=True)).figure)


def test_chosen_is_solid_rejected_dashed_and_the_margin_between_them_shaded():
    figure = panel_figure(PANEL["rewards"], [curve(0), curve(1)], View())
    assert [trace.line.dash for trace in figure.data] == ["solid", "dash", "solid", "dash"]
    assert [trace.line.color for trace in figure.data] == [theme.PALETTE[0]] * 2 + [theme.PALETTE[1]] * 2
    assert [trace.fill for trace in figure.data] == [None, "tonexty", None, "tonexty"]


def test_many_runs_and_broken_lines_are_not_shaded():
    many = panel_figure(PANEL["rewards"], [curve(slot) for slot in range(9)], View())
    broken = panel_figure(PANEL["rewards"], [curve(values=(0.0, math.nan, 1.0))], View())
    assert {trace.fill for trace in [*many.data, *broken.data]} == {None}


def test_in_both_splits_training_is_faint_and_evaluations_are_markers_that_are_not_smoothed():
    behind, front = panel_figure(PANEL["loss"], [curve()], View("both", smoothing=0.9)).data
    assert (behind.opacity, behind.mode) == (0.45, "lines")
    assert (front.opacity, front.mode) == (None, "lines+markers")
    assert list(front.y) == [0, 1, 2, 3]


def test_a_metric_of_the_other_split_is_drawn_and_said_to_be_of_it():
    one = curve()
    only = Curve(one.run, {"train/grad_norm": series([1.0, 2.0]), "system/cpu": series([3.0])}, 0)
    found = drawing(panel("grad_norm"), entries(only), View("eval"))
    assert found.notes == ("Logged in training only.",)
    assert len(found.figure["data"]) == 1
    of_neither = drawing(panel("system/cpu"), entries(only), View("eval"))
    assert (len(of_neither.figure["data"]), of_neither.notes) == (1, ())


def test_on_a_log_axis_what_is_zero_or_below_is_a_gap_and_counted():
    """0, 1, 2 and 3 twice: one zero in each line."""
    found = drawing(PANEL["loss"], entries(curve(), curve(1)), View(log_y=True))
    assert math.isnan(column(found.figure["data"][0]["y"])[0])
    assert found.notes == ("Log scale: 2 values of 2 lines are zero or below and left out.",)
    assert [round(note["y"], 3) for note in found.figure["layout"]["annotations"]] == [
        round(math.log10(math.log(2)), 3)
    ]
    on_x = drawing(PANEL["loss"], entries(curve()), View(log_x=True)).figure["data"][0]
    assert column(on_x["x"]) == [10, 20, 30]


def test_a_hundred_long_runs_are_less_than_300_kilobytes_and_keep_their_spikes():
    values = np.sin(np.arange(10_000) / 50)
    many = []
    for slot in range(100):
        spiked = values.copy()
        spiked[97 * slot + 11] = 50.0
        many.append(Curve(curve(slot).run, {"train/loss": series(spiked.tolist(), 1)}, slot))
    figure = drawing(PANEL["loss"], entries(*many), View("train")).figure
    sizes = [len(trace[axis]["bdata"]) for trace in figure["data"] for axis in "xy"]
    assert sum(sizes) < 200_000
    assert all(max(column(trace["y"])) == 50 for trace in figure["data"])
    assert sum(len(column(trace["y"])) for trace in figure["data"]) <= MOST_IN_CHART


def test_a_window_is_drawn_in_full_detail():
    long = Curve(curve().run, {"train/loss": series(np.arange(10_000.0).tolist(), 1)}, 0)
    found = drawing(PANEL["loss"], entries(long), View("train", window=(4000, 4200))).figure
    assert column(found["data"][0]["x"]) == list(range(3999, 4202))
    assert found["layout"]["xaxis"]["range"] == [4000, 4200]
    logged = drawing(PANEL["loss"], entries(long), View("train", window=(100, 1000), log_x=True)).figure
    assert logged["layout"]["xaxis"]["range"] == pytest.approx([2, 3])


def test_a_column_of_steps_is_exact_and_of_few_bytes():
    assert packed(np.array([0.0, 65_535.0]))["dtype"] == "u2"
    assert column(packed(np.array([1.0, 16_777_217.0]))) == [1, 16_777_217]
    assert packed(np.array([0.5, 1.0]))["dtype"] == packed(np.array([-1.0]))["dtype"] == "f4"


def test_seeds_are_a_mean_between_their_extremes_in_the_colour_of_the_first():
    """Means of 0, 1, 2, 3 and 2, 3, 4, 5."""
    low, high, mean = drawing(PANEL["loss"], [Entry("seeds", (curve(), curve(1, (2, 3, 4, 5))))], View()).figure["data"]
    assert column(mean["y"]) == [1, 2, 3, 4]
    assert (column(low["y"])[0], column(high["y"])[0]) == (0, 2)
    assert mean["line"]["color"] == theme.PALETTE[0]
    assert mean["meta"] == {"run": "r0", "part": "", "role": "mean", "n": 2}


def test_a_crowd_is_its_quantiles_and_the_pinned_run():
    many = [curve(slot, (float(slot),) * 4) for slot in range(11)]
    found = drawing(PANEL["loss"], entries(*many), View(crowd=True, pinned=frozenset({"r7"}))).figure["data"]
    assert [trace["meta"]["run"] for trace in found] == ["", "", "", "r7"]
    assert [column(trace["y"])[0] for trace in found[:3]] == [1, 9, 5]


def test_ln_2_is_drawn_only_where_the_loss_is_known_to_start_there():
    assert lines(panel_figure(PANEL["loss"], [curve()], View())) == pytest.approx([math.log(2)])
    assert lines(panel_figure(PANEL["loss"], [curve(), curve(1, beta=0.1, loss_type=["ipo"])], View())) == []
    unlike = Curve(replace(curve().run, config={}), {**curve().history, "eval/log_odds_ratio": series([0.0])}, 0)
    assert lines(panel_figure(PANEL["loss"], [unlike], View())) == []


def grown(one: Curve, *values: float) -> Curve:
    """The same run with more points."""
    history = {key: series([*found.values, *values]) for key, found in one.history.items()}
    return replace(one, history=history)


def test_of_a_running_run_only_the_new_points_are_sent():
    ended, running = curve(), curve(1, status="running")
    first = drawing(PANEL["loss"], entries(ended, running), View())
    stamp, known = curves_live.stamp(PANEL["loss"], entries(ended, running), View()), curves_live.sent(first)
    assert isinstance(first.figure["data"][1]["y"], list)
    later = entries(ended, grown(running, 7.0, math.nan))
    assert curves_live.stamp(PANEL["loss"], later, View()) == stamp
    added, now = curves_live.news(PANEL["loss"], later, View(), known)
    assert added == [{"x": [[40.0, 50.0]], "y": [[7.0, None]]}, [1]]
    assert curves_live.news(PANEL["loss"], later, View(), now) == ([], now)


def test_points_beyond_the_window_are_not_sent():
    running, view = curve(1, status="running"), View(window=(0.0, 30.0))
    known = curves_live.sent(drawing(PANEL["loss"], entries(running), view))
    added, _ = curves_live.news(PANEL["loss"], entries(grown(running, 7.0)), view, known)
    assert added == []


def test_a_line_that_has_grown_beyond_twice_its_share_is_drawn_again():
    running = curve(status="running")
    known = curves_live.sent(drawing(PANEL["loss"], entries(running), View()))
    assert curves_live.news(PANEL["loss"], entries(grown(running, *[1.0] * 790)), View(), known) is not None
    assert curves_live.news(PANEL["loss"], entries(grown(running, *[1.0] * 800)), View(), known) is None


def test_a_growing_line_is_drawn_again_once_it_has_too_many_points_to_mark():
    """40 points are marked, 41 are not; a line of 42 goes on."""

    def stamp(n):
        shown = entries(curve(values=tuple(range(n)), status="running"))
        return curves_live.stamp(PANEL["loss"], shown, View())["data"]

    assert stamp(39) == stamp(40) != stamp(41) == stamp(42)


def test_a_resumed_run_whose_points_were_replaced_is_drawn_again():
    running = curve(status="running")
    known = curves_live.sent(drawing(PANEL["loss"], entries(running), View()))
    shorter = replace(running, history={"eval/loss": series([0.0, 1.0])})
    assert curves_live.news(PANEL["loss"], entries(shorter), View(), known) is None


@pytest.mark.parametrize("known", [None, 3, [], [[0, 4, 30]], [[0, 4, 30, "x"]], [[0, 10**9, 30, 4]], [[0, -1, 0, 0]]])
def test_what_no_server_sent_is_drawn_again(known):
    assert curves_live.news(PANEL["loss"], entries(curve(status="running")), View(), known) is None


def test_an_ended_run_that_changed_or_another_view_is_another_stamp():
    one = PANEL["loss"]
    stamp = curves_live.stamp(one, entries(curve()), View())
    assert curves_live.stamp(one, entries(grown(curve(), 1.0)), View())["data"] != stamp["data"]
    assert curves_live.stamp(one, entries(curve()), View(smoothing=0.5))["frame"] == stamp["frame"]
    assert curves_live.stamp(one, entries(curve()), View(smoothing=0.5))["data"] != stamp["data"]
    assert curves_live.stamp(one, entries(curve()), View(axis="epoch"))["frame"] != stamp["frame"]


def test_a_hostile_run_name_is_plain_text_in_every_figure():
    name = '<b>x</b> <a href="https://evil.example">link</a>'
    run = Run("a", name, "runs", "finished")
    for one in PANELS:
        figure = panel_figure(one, [replace(curve(), run=run)], View(smoothing=0.5))
        assert all("&lt;b&gt;x&lt;/b&gt;" in trace.name for trace in figure.data)
    hostile = drawing(panel("<b>x</b>"), entries(Curve(run, {"<b>x</b>": series([1.0])}, 0)), View()).figure
    assert "<b>" not in str(hostile["layout"]["yaxis"])


@pytest.mark.parametrize("split", ["eval", "train"])
def test_every_long_line_is_told_from_those_of_its_colour_by_a_few_markers(split):
    """Slot 6 has the colour of slot 0: a square along its line; what lies behind a smoothed line has none."""
    values = tuple(range(60))
    view = View(split, smoothing=0.5)
    traces = drawing(PANEL["loss"], entries(curve(0, values), curve(6, values)), view).figure["data"]
    looks = {(trace["meta"]["run"], trace["meta"]["role"]): (trace["mode"], trace.get("marker")) for trace in traces}
    mode, marker = looks.pop(("r6", "line"))
    assert mode == "lines+markers"
    assert (marker["color"], marker["symbol"], marker["maxdisplayed"]) == (theme.PALETTE[0], "square", theme.MARKS)
    assert set(looks) == {("r0", "line"), ("r0", "raw"), ("r6", "raw")}
    assert all(look == ("lines", None) for look in looks.values())


def test_more_lines_than_there_are_looks_are_without_markers():
    """36 looks: the markers of 37 lines would tell nothing, and take their time to draw."""
    values = tuple(range(60))
    several = [curve(slot, values) for slot in range(theme.LOOKS + 1)]
    for shown, marked in ((several[:-1], theme.LOOKS - len(theme.PALETTE)), (several, 0)):
        traces = drawing(PANEL["loss"], entries(*shown), View()).figure["data"]
        assert sum(trace["mode"] == "lines+markers" for trace in traces) == marked


def test_the_mean_of_seeds_is_told_from_those_of_its_colour():
    for slot, mode in ((0, "lines"), (7, "lines+markers")):
        both = [Entry("both", (curve(slot), curve(slot + 1)))]
        traces = drawing(PANEL["loss"], both, View()).figure["data"]
        assert {trace["meta"]["role"]: trace["mode"] for trace in traces} == {
            "low": "lines",
            "high": "lines",
            "mean": mode,
        }
