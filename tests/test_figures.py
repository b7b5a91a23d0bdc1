"""What is drawn, read back from the figures."""

import math
from array import array
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.figures import theme
from dashboard.figures.curves import PANELS, Curve, View, panel_figure
from dashboard.figures.scatter import Point, loss_against_accuracy
from training.record.schema import Run, Series

PANEL = {panel.id: panel for panel in PANELS}


def series(values: list[float]) -> Series:
    n = len(values)
    return Series(
        array("q", range(0, 10 * n, 10)),
        array("d", [i / n for i in range(n)]),
        array("d", [60.0 * i for i in range(n)]),
        array("d", values),
    )


def curve(slot: int = 0, values: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0), **config: object) -> Curve:
    names = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "loss", "logps/chosen")
    history = {f"{split}/{name}": series(list(values)) for split in ("eval", "train") for name in names}
    run = Run(f"r{slot}", f"run {slot}", "runs", "finished", config=config or {"beta": 0.1, "loss_type": ["sigmoid"]})
    return Curve(run, history, slot)


def lines(figure) -> list[float]:
    """The heights of the horizontal reference lines."""
    return [shape.y0 for shape in figure.layout.shapes]


def test_chosen_is_solid_and_rejected_dashed_in_the_runs_colour():
    figure = panel_figure(PANEL["rewards"], [curve(0), curve(1)], View())
    assert [trace.line.dash for trace in figure.data] == ["solid", "dash", "solid", "dash"]
    assert [trace.line.color for trace in figure.data] == [theme.PALETTE[0]] * 2 + [theme.PALETTE[1]] * 2
    assert figure.data[1].name == "run 0: rejected reward"


def test_a_run_has_its_colour_in_every_figure_and_no_two_of_36_look_alike():
    looks = {(theme.colour(slot), theme.symbol(slot)) for slot in range(36)}
    assert len(looks) == 36
    (points,) = loss_against_accuracy([Point("a", "a", 4, 0.5, 0.8)], "eval loss")["data"]
    assert (
        points["marker"]["color"]
        == theme.colour(4)
        == panel_figure(PANEL["loss"], [curve(4)], View()).data[0].line.color
    )


def test_smoothing_leaves_the_logged_line_faint_behind():
    raw, smooth = panel_figure(PANEL["loss"], [curve(values=(1.0, 0.0, 1.0))], View(smoothing=0.5)).data
    assert (raw.opacity, smooth.opacity) == (0.25, None)
    assert list(raw.y) == [1.0, 0.0, 1.0]
    assert smooth.y[1] == pytest.approx(1 / 3)


def test_axes_carry_units_and_zero_is_the_reference_model():
    reward = panel_figure(PANEL["margin"], [curve()], View())
    assert reward.layout.yaxis.title.text == "reward (nats × beta)"
    assert lines(reward) == [0]
    assert reward.layout.annotations[0].text == "reference model"
    nats = panel_figure(PANEL["margin"], [curve(values=(0.0, 1.0, 2.0))], View(unit="nats", axis="time"))
    assert nats.layout.yaxis.title.text == "reward / beta (nats)"
    assert nats.layout.xaxis.title.text == "minutes since the start"
    assert list(nats.data[0].y) == pytest.approx([0, 10, 20])


def test_ln_2_is_drawn_only_where_the_loss_starts_there():
    assert lines(panel_figure(PANEL["loss"], [curve()], View())) == pytest.approx([math.log(2)])
    assert lines(panel_figure(PANEL["loss"], [curve(), curve(1, beta=0.1, loss_type=["ipo"])], View())) == []
    assert lines(panel_figure(PANEL["accuracy"], [curve()], View())) == [0.5]


def test_a_run_without_beta_has_no_nats():
    assert panel_figure(PANEL["margin"], [curve(seed=1)], View(unit="nats")).data == ()


def test_a_long_curve_is_thinned_and_what_diverged_is_a_gap():
    values = tuple(np.sin(np.arange(5_000)))
    (trace,) = panel_figure(PANEL["loss"], [curve(values=values)], View(split="train")).data
    assert len(trace.y) <= 400
    (broken,) = panel_figure(PANEL["loss"], [curve(values=(1.0, math.inf, 0.5))], View()).data
    assert math.isnan(broken.y[1])


def test_no_figure_has_a_title_a_background_or_webgl():
    figures = [panel_figure(panel, [curve()], View()) for panel in PANELS]
    figures.append(go.Figure(loss_against_accuracy([Point("a", "a", 0, 0.5, 0.8)], "eval loss")))
    for figure in figures:
        assert figure.layout.title.text is None
        assert figure.layout.template.layout.plot_bgcolor == "rgba(0,0,0,0)"
        assert {trace.type for trace in figure.data} <= {"scatter"}


def test_a_hostile_run_name_is_plain_text_in_every_figure():
    name = '<b>x</b> <a href="https://evil.example">link</a>'
    run = Run("a", name, "runs", "finished")
    figures = [panel_figure(panel, [replace(curve(), run=run)], View(smoothing=0.5)) for panel in PANELS]
    for figure in figures:
        assert all("&lt;b&gt;x&lt;/b&gt;" in trace.name for trace in figure.data)
        assert "<b>" not in figure.to_json().encode().decode("unicode_escape")
        assert "<a " not in figure.to_json().encode().decode("unicode_escape")
