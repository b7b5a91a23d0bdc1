"""The texts of a figure: whatever a run is called, the figure can be sent to a browser and shows it as text."""

import json

import pytest

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
