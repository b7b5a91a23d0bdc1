"""What the Curves page makes of what a browser asks for."""

import json
from pathlib import Path

import pytest
from dash.exceptions import PreventUpdate
from make_runs import make_run

from dashboard.app import create_app
from dashboard.components.context import catalog
from dashboard.components.curves import about as curves_about
from dashboard.components.curves import state as curves_state
from dashboard.components.curves.state import Asked, asked, linked, panels
from dashboard.figures.curves import PANELS, View
from dashboard.pages import curves


@pytest.fixture
def app(tmp_path: Path):
    for name, beta, seed in (("dpo-seed1", 0.1, 1), ("dpo-seed2", 0.1, 2), ("other", 0.3, 1)):
        config = make_run(tmp_path / "runs", name, beta=beta, seed=seed) / "config.json"
        head = json.loads(config.read_text())
        config.write_text(json.dumps({**head, "config": {**head["config"], "seed": seed}}))
    with create_app(tmp_path / "runs").server.app_context():
        yield


def test_a_state_is_read_back_from_its_link():
    found = asked(linked({"runs": "a,b%2Cc", "show": "logy,seeds", "zoom": "-1.5,20", "pins": "a", "x": "epoch"}))
    assert found.runs == ("a", "b,c")
    assert found.view == View(axis="epoch", log_y=True, window=(-1.5, 20), pinned=frozenset("a"))
    assert found.seeds


@pytest.mark.parametrize(
    "value", [None, 7, "x", [], {"runs": 3, "zoom": ["a"], "smooth": [], "show": {}, "pins": None}]
)
def test_what_is_no_state_is_the_usual_one(value):
    assert asked(value) == Asked()


@pytest.mark.parametrize("zoom", [[1], [2, 1], [1, 1], ["nan", 3], [1, None], "1,2", [[1], 2]])
def test_a_window_without_two_ends_in_order_is_none(zoom):
    assert asked({"zoom": zoom}).view.window is None


def test_panels_are_the_usual_ones_where_none_is_named():
    assert panels(["loss", "grad_norm"]) == ["loss", "grad_norm"]
    assert panels({"a": 1}) == [panel.id for panel in PANELS]


def test_seeds_are_taken_together_where_asked_for_in_the_place_of_the_first(app):
    snapshot, runs = catalog().snapshot(), ("other", "dpo-seed2", "dpo-seed1")
    alone = curves_state.entries(snapshot, Asked(runs))
    assert [entry.name for entry in alone] == list(runs)
    together = curves_state.entries(snapshot, Asked(runs, seeds=True))
    assert [(entry.name, entry.id, len(entry.curves)) for entry in together] == [
        ("other", "other", 1),
        ("dpo (2 seeds)", "dpo-seed2", 2),
    ]
    left = curves_state.entries(snapshot, Asked(runs, frozenset({"dpo-seed2"}), seeds=True))
    assert [entry.id for entry in left] == ["other"]


def test_what_must_not_be_compared_is_said_with_the_reason(app):
    snapshot = catalog().snapshot()
    state = Asked(("dpo-seed1", "other"))
    (note,) = curves_about.notes(snapshot, curves_state.entries(snapshot, state), state)
    assert note == "Beta differs (0.1–0.3): do not compare loss or logged rewards between these runs."
    nats = Asked(state.runs, view=View(unit="nats"))
    assert "rewards" not in curves_about.notes(snapshot, curves_state.entries(snapshot, nats), nats)[0]
    alike = Asked(("dpo-seed1", "dpo-seed2"))
    assert curves_about.notes(snapshot, curves_state.entries(snapshot, alike), alike) == []


def test_a_table_without_curves_says_what_to_import(app):
    catalog().uploads.add("one.csv", b"Name,beta,eval/loss\nlonely,0.1,0.5\n")
    snapshot = catalog().snapshot()
    (run,) = [run.id for run in snapshot.runs.values() if run.name == "lonely"]
    text = str(curves_about.nothing(snapshot, curves_state.entries(snapshot, Asked((run,)))))
    assert "lonely: no curves" in text
    assert "Export CSV" in text


def test_every_metric_that_was_logged_can_be_added_once(app):
    snapshot = catalog().snapshot()
    found = curves_about.metrics(curves_state.entries(snapshot, Asked(("other",))), ["loss"])
    names = [one["value"] for one in found if not one.get("disabled")]
    assert {"grad_norm", "learning_rate", "rewards/chosen"} <= set(names)
    assert "loss" not in names
    assert len(names) == len(set(names))


def test_the_same_asked_for_twice_is_sent_once(app):
    want = {"runs": ["dpo-seed1", "other"], "split": "train"}
    sent = curves.draw(want, {"panel": "loss"}, None)[3]
    with pytest.raises(PreventUpdate):
        curves.draw(want, {"panel": "loss"}, sent)
    zoomed = curves.draw({**want, "zoom": [20, 60]}, {"panel": "loss"}, sent)
    assert {operation["location"][0] for operation in zoomed[0].to_plotly_json()["operations"]} == {"data", "layout"}


@pytest.mark.parametrize("value", [None, 7, [], {}, "x" * 9_000, [[1], {"a": 2}], {"panel": ["a", 3]}, {"live": [[1]]}])
def test_a_chart_is_drawn_whatever_is_sent(app, value):
    assert len(curves.draw(value, value, value)) == 4


def test_marks_are_those_of_few_runs_or_of_pinned_ones(app):
    snapshot = catalog().snapshot()
    state = Asked(("other",))
    kinds = {mark[2] for mark in curves_about.marked(snapshot, curves_state.entries(snapshot, state), state)}
    assert {"epoch", "best"} <= kinds
