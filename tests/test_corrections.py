"""What a user says of columns and metrics: honoured by every reader, written as JSON, and never believed unread."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources import corrections_json, reading
from dashboard.sources.imported import NO_CORRECTIONS, Corrections, Imported
from dashboard.sources.taken import Taken, taken
from tests.logs import BY_HAND, EVENTS, LINES, PANEL, SCALARS, STATE, TABLE
from tests.test_components import ANYTHING

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)


def read(content: bytes, **told: object) -> Imported:
    return reading.read_bytes("x.csv", content, "k", Corrections(**told))


def keys(found: Imported) -> set[str]:
    """Every key of a setting, a metric or a curve."""
    runs = {key for run in found.runs for key in (*run.config, *run.metrics, *run.best)}
    return runs | {key for history in found.histories.values() for key in history}


@pytest.mark.parametrize(
    ("content", "name", "key"),
    [
        (TABLE, "eval/runtime", "eval/runtime"), (TABLE, "beta", "beta"), (BY_HAND, "beta", "beta"),
        (EVENTS, "train/loss", "train/loss"), (STATE, "eval_loss", "eval/loss"),
        (LINES, "learning_rate", "train/learning_rate"),
    ],
)  # fmt: skip
def test_every_reader_leaves_out_what_is_ignored(content, name, key):
    assert key in keys(read(content))
    found = read(content, ignored=frozenset({name}))
    assert key not in keys(found)
    assert found.runs
    assert not any("no column or metric" in note for note in found.notes)
    assert {one.name: one.role for one in taken(found, Corrections(ignored=frozenset({name})))}[name] == "ignored"


def test_ignoring_one_of_two_charts_and_one_of_two_scalars_leaves_the_other():
    two = (
        b"Step,a - eval/loss,a - eval/loss__MIN,a - eval/loss__MAX,a - odd,a - odd__MIN,a - odd__MAX\n"
        b"10,0.6,0.6,0.6,1,1,1\n20,0.5,0.5,0.5,2,2,2\n"
    )
    assert keys(read(two)) == {"eval/loss", "odd"}
    assert keys(read(two, ignored=frozenset({"odd"}))) == {"eval/loss"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TABLE, {"beta": ("config", "beta"), "eval/loss": ("metric", "eval/loss"), "Name": ("other", "")}),
        (PANEL, {"eval/loss": ("metric", "eval/loss")}),
        (SCALARS, {"x": ("metric", "x")}),
        (STATE, {"loss": ("metric", "train/loss"), "eval_loss": ("metric", "eval/loss"), "step": ("other", "")}),
        (BY_HAND, {"rewards/accuracies": ("metric", "eval/rewards/accuracies"), "run": ("other", "")}),
        (EVENTS, {"train/loss": ("metric", "train/loss")}),
    ],
)
def test_what_each_name_was_taken_for_is_told_by_the_runs_that_came_out(content, expected):
    found = {one.name: (one.role, one.key) for one in taken(read(content), NO_CORRECTIONS)}
    assert {name: found[name] for name in expected} == expected


def test_a_name_is_shown_with_its_first_values_and_its_new_key():
    told = {"renamed": {"eval/loss": "eval/other"}, "metrics": frozenset({"beta"})}
    found = {one.name: one for one in taken(read(TABLE, **told), Corrections(**told))}
    assert found["eval/loss"] == Taken("eval/loss", "metric", "eval/other", (0.5123, 0.6123))
    assert found["beta"] == Taken("beta", "metric", "beta", (0.1, 0.2))


def test_a_beta_is_given_to_the_run_that_is_named_and_to_all_others_that_tell_none():
    table = b"Name,State,beta,eval/loss\na,finished,0.1,0.5\nb,finished,,0.6\nc,finished,,0.7\n"
    found = read(table, beta={"": 0.3, "c": 0.4})
    assert [run.config["beta"] for run in found.runs] == [0.1, 0.3, 0.4]
    assert [run.notes for run in found.runs] == [(), ("beta = 0.3, as you say.",), ("beta = 0.4, as you say.",)]
    assert read(table, beta={"a": 0.9}).runs[0].config["beta"] == 0.9
    (note,) = [note for note in read(table, beta={"zz": 1.0}).notes if "zz" in note]
    assert note == 'There is no run "zz" to give a beta.'


def test_a_lone_state_gets_its_beta():
    assert "beta" not in read(STATE).runs[0].config
    (run,) = read(STATE).runs
    assert read(STATE, beta={run.name: 0.2}).runs[0].config["beta"] == 0.2


@given(
    st.sets(NAMES),
    st.sets(NAMES),
    st.sets(NAMES),
    st.dictionaries(NAMES, KEYS),
    st.dictionaries(NAMES, st.floats(0.001, 9)),
)
def test_corrections_come_back_from_json_as_they_were(config, metrics, ignored, renamed, beta):
    metrics, ignored = metrics - config, ignored - config - metrics
    told = Corrections(frozenset(config), frozenset(metrics), renamed, frozenset(ignored), beta)
    assert corrections_json.load(json.loads(json.dumps(corrections_json.dump(told)))) == told
    assert told.told() == (told != NO_CORRECTIONS)


@given(ANYTHING | st.dictionaries(st.sampled_from(["config", "metrics", "ignored", "renamed", "beta"]), ANYTHING))
def test_any_json_is_corrections_or_one_sentence(value):
    try:
        told = corrections_json.load(value)
    except ValueError as problem:
        assert "\n" not in str(problem)
        told = corrections_json.kept(value)
        assert told == NO_CORRECTIONS
    assert reading.read_bytes("x.csv", TABLE, "k", told).runs


@pytest.mark.parametrize("beta", [0, -1, True, "0.1", None, math.nan, math.inf, 1e9, [0.1]])
def test_a_beta_is_a_number_above_0(beta):
    with pytest.raises(ValueError, match="beta is a number above 0"):
        corrections_json.load({"beta": {"a": beta}})


def test_a_name_cannot_be_two_things():
    with pytest.raises(ValueError, match='"a" is corrected in two ways'):
        corrections_json.load({"config": ["a"], "ignored": ["a"]})
