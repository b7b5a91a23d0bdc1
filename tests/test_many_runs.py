"""What keeps thousands of runs quick: what one run proves is worked out once, files are looked at once."""

from decimal import Decimal

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_runs import make_run

from dashboard.analysis import identity, references
from dashboard.analysis.hyperparameters import is_parameter, text, varying
from dashboard.components import context
from dashboard.components.evidence import Studies
from dashboard.components.leaderboard.board import View, board
from dashboard.components.memory import Memory
from dashboard.sources import stamps
from dashboard.sources.catalog import Catalog
from training.record.schema import Run

KEYS = ("beta", "lora_r", "output_dir", "train/loss", "loss_type")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 0.0, 1.0, float("nan"), "1", "a", {"a": 1}]),
    st.lists(st.sampled_from([1, 1.0, True, "a"]), max_size=2),
)


@pytest.fixture
def app(tmp_path):
    app = flask.Flask("test")
    app.config |= {context.KEY: Catalog(tmp_path), context.STUDIES: Studies(), context.MEMORY: Memory()}
    with app.app_context():
        yield tmp_path


def test_what_a_run_proves_by_itself_is_worked_out_once(app, monkeypatch):
    asked = []
    monkeypatch.setattr(references, "identify", lambda one, points: asked.append(one.run.id) or alone(one, points))
    alone = identity.identify
    for seed, name in enumerate(("one", "two")):
        make_run(app, name, seed=seed)
    first = context.references(context.catalog().snapshot())
    make_run(app, "three", seed=3)
    second = context.references(context.catalog().snapshot())
    assert sorted(asked) == ["one", "three", "two"]
    assert second.identities["one"] is first.identities["one"] and second.groups != first.groups


def test_groups_are_made_of_the_table_that_is_there(app):
    for seed, beta in enumerate((0.1, 0.5)):
        make_run(app, f"run-{seed}", beta=beta, seed=seed)
    snapshot = context.catalog().snapshot()
    grouped = board(snapshot, View(group="config.beta"))
    plain = board(snapshot, View())
    assert [line.name for line in grouped.groups] == ["0.1", "0.5"] and not plain.groups
    assert grouped.table is plain.table and grouped.answers is plain.answers and grouped.stamp != plain.stamp


def test_the_curves_of_an_old_file_are_had_by_one_look(tmp_path, monkeypatch):
    make_run(tmp_path, "one")
    monkeypatch.setattr(stamps, "TICK", 0.0)
    histories = Catalog(tmp_path).local.histories
    directory, looks, look = tmp_path / "one", [], stamps.stamp
    first = histories.evaluations(directory, running=False)
    monkeypatch.setattr(stamps, "stamp", lambda path: looks.append(path) or look(path))
    monkeypatch.setattr("dashboard.sources.histories._AT_ONCE", 60.0)
    assert all(histories.evaluations(directory, running=False) is first for _ in range(3))
    assert looks == []
    monkeypatch.setattr("dashboard.sources.histories._AT_ONCE", 0.0)
    assert histories.evaluations(directory, running=False) is first and len(looks) == 1


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES), max_size=5))
def test_a_parameter_varies_if_it_is_written_in_two_ways(configs):
    """Texts of what each run says: `output_dir` is a path, `train/loss` a metric, a nested value no parameter."""
    runs = [Run(str(place), "", "runs", "finished", config) for place, config in enumerate(configs)]
    written: dict[str, set[str]] = {}
    for config in configs:
        for key, value in config.items():
            if value is not None and not isinstance(value, dict) and is_parameter(key):
                written.setdefault(key, set()).add(text(value))
    assert set(varying(runs)) == {key for key, texts in written.items() if len(texts) > 1} <= {*KEYS[:2], KEYS[4]}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_digits_are_those_that_are_written(value):
    exponent = Decimal(repr(value)).as_tuple().exponent
    assert identity._decimals(value) == -int(exponent)
