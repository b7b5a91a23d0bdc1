"""The texts of a figure: whatever a run is called, the figure can be sent to a browser and shows it as text."""

import base64
import json
import re

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs_version

from dashboard.figures import theme


@pytest.mark.parametrize("name", ["caf\udce9", "a\x00b\x1b[31m", "a\u202eb", "a\nb\tc", "<b>x</b>", "run-1"])
def test_any_name_is_a_label_that_can_be_encoded_and_holds_no_control_character(name):
    label = theme.plain(name)
    figure = theme.blank("x", "y").add_scatter(x=[1], y=[1], name=label)
    assert json.loads(figure.to_json())["data"][0]["name"] == label
    label.encode()
    assert label.isprintable()
    assert "<" not in label


def test_letters_of_other_scripts_stay():
    assert theme.plain("می\u200cخواهم 実験 👨\u200d👩") == "می\u200cخواهم 実験 👨\u200d👩"


def test_the_browser_gets_the_version_that_the_package_checks_figures_against():
    head = theme.PLOTLYJS.read_text(encoding="utf-8")[:200]
    assert f"v{get_plotlyjs_version()}" in head
    assert "cartesian" in head


def test_a_plain_figure_is_one_that_plotly_knows():
    traces = [{"type": "scatter", "x": theme.packed(np.arange(3.0)), "y": theme.packed(np.array([1, np.inf, 1e300]))}]
    made = theme.figure(traces, "step", "loss", xaxis={"range": [0, 2]}, yaxis={"type": "log"})
    figure = go.Figure(made)
    assert figure.layout.xaxis.title.text == "step"
    assert tuple(figure.layout.xaxis.range) == (0, 2)
    assert figure.layout.yaxis.type == "log"
    assert json.loads(json.dumps(made))["layout"]["template"]["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"


def test_packed_columns_are_32_bit_floats_with_gaps_for_what_these_cannot_hold():
    packed = theme.packed(np.array([1.5, np.nan, np.inf, -1e300, 7.0]))
    back = np.frombuffer(base64.b64decode(packed["bdata"]), dtype=np.float32)
    assert packed["dtype"] == "f4"
    assert back.tolist()[0] == 1.5
    assert np.isnan(back[1:4]).all()
    assert back[4] == 7.0


def test_36_runs_have_looks_of_their_own_and_the_next_begins_anew():
    looks = [(theme.colour(slot), theme.symbol(slot)) for slot in range(37)]
    assert len(set(looks[:36])) == 36
    assert looks[36] == looks[0]


def test_the_table_draws_runs_with_the_colours_and_markers_of_the_charts():
    script = (theme.PLOTLYJS.parents[1] / "page-leaderboard-base.js").read_text(encoding="utf-8")
    styles = (theme.PLOTLYJS.parents[1] / "prefscope.css").read_text(encoding="utf-8")

    def listed(name):
        return tuple(re.findall(r"'([^']+)'", script.split(f"const {name} = [")[1].split("]")[0]))

    assert (listed("COLOURS"), listed("SYMBOLS")) == (theme.PALETTE, theme.SYMBOLS)
    drawn = set(re.findall(r"\.swatch-([a-z-]+) \{", styles))
    assert drawn | {"square"} == set(theme.SYMBOLS), "a swatch without a rule of its own is a square"
