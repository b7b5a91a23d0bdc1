"""Numbers as people read them, links as strangers write them, runs as rows."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis import comparability, numbers, verdict
from dashboard.analysis.common_scale import EVAL_COMMON
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.study import Evidence
from dashboard.components import query
from dashboard.components.leaderboard import run_table
from dashboard.components.leaderboard.run_table import Placed, Table
from training.record.schema import Run

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (0.5, "0.5000"),
        (-1.25, "−1.2500"),
        (0.0, "0.0000"),
        (3.03e-6, "3.03e-6"),
        (1.5e7, "1.5e7"),
    ],
)
def test_metrics_are_readable(value, text):
    assert numbers.metric(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00003, "3e-5"),
        (4.561e-06, "4.56e-6"),
        (0.1, "0.1"),
        (200, "200"),
        (["sigmoid", "sft"], "sigmoid+sft"),
        (None, "–"),
        (True, "True"),
        ("x" * 90, "x" * 59 + "…"),
    ],
)
def test_settings_are_short(value, text):
    assert numbers.setting(value) == text


@pytest.mark.parametrize(("minutes", "text"), [(1, "1 min"), (59, "59 min"), (180, "3 h"), (60 * 24 * 5, "5 days")])
def test_ages(minutes, text):
    assert numbers.duration(minutes) == text


@given(ANYTHING)
def test_whatever_arrives_becomes_something_a_page_can_use(value):
    assert query.choice(value, ["a", "b"]) in ("a", "b")
    assert 0 <= query.fraction(value, 0.99) <= 0.99
    for found in (query.ids(value), query.linked_ids(value)):
        assert len(found) <= query.MOST_IDS
        assert all(isinstance(item, str) and 0 < len(item) <= 255 for item in found)


def test_linked_ids_are_percent_encoded_between_commas():
    assert query.linked_ids("a%2Cb,c%20d,,a%2Cb") == ["a,b", "c d"]
    assert query.linked_ids(["ignored", "x,y"]) == ["x", "y"]
    assert len(query.linked_ids(",".join(map(str, range(500))))) == query.MOST_IDS == 200


def table(*runs: Run, key: str | None = None) -> Table:
    (group,) = comparability.evaluation_sets(runs)
    answer = verdict.answer(group, EVAL_ACCURACY, "last")
    return run_table.table([Placed(Evidence(run), None, answer, 0) for run in runs], "last", 1000.0, key)


def rows(*runs: Run) -> list[dict]:
    return list(table(*runs).values().values())


def test_a_row_has_plain_values_to_sort_by():
    """84.0% of 1,000: Wilson 0.81602 to 0.86140. A DPO run that logs rewards began at ln 2 = 0.693."""
    metrics = {EVAL_LOSS: 0.7, EVAL_ACCURACY: 0.84, "eval/rewards/margins": 1.5}
    config = {"beta": 0.1, "loss_type": ["sigmoid"]}
    (row,) = rows(Run("a", "a", "runs", "finished", config, metrics, step=100, max_steps=200, n_eval=1000))
    assert (row["loss"], row["worse"], row["margin"]) == (0.7, 1, 1.5)
    assert (row["accuracy"], row["low"], row["high"]) == (
        0.84,
        pytest.approx(0.816, abs=1e-4),
        pytest.approx(0.8614, abs=1e-4),
    )
    assert (row["config.beta"], row["step"], row["planned"], row["versus"]) == (0.1, 100, 200, "best")


def test_a_run_without_a_reference_is_not_measured_by_the_untrained_loss():
    """ORPO logs log_odds_ratio and has no reference: nothing says that its loss began at ln 2."""
    metrics = {EVAL_LOSS: 0.9, "eval/log_odds_ratio": -0.4, EVAL_ACCURACY: 0.6}
    (row,) = rows(Run("a", "a", "runs", "finished", {}, metrics))
    assert row["worse"] == 0


def test_a_run_that_was_not_compared_is_neither_tied_nor_apart():
    found = rows(
        Run("a", "a", "runs", "finished", {}, {EVAL_ACCURACY: 0.8}, n_eval=100),
        Run("b", "b", "runs", "finished", {}, {EVAL_ACCURACY: 0.79}, n_eval=100),
        Run("c", "c", "runs", "finished", {}, {EVAL_ACCURACY: 0.5}, n_eval=100),
        Run("d", "d", "runs", "failed", {}, {EVAL_ACCURACY: 0.79}, n_eval=100),
    )
    assert [row["versus"] for row in found] == ["best", "tied", "apart", ""]


def test_what_diverged_is_named():
    (row,) = rows(Run("a", "a", "runs", "finished", metrics={EVAL_LOSS: math.nan}))
    assert row["loss"] == "NaN"


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (Run("a", "a", "runs", "running", step=30, max_steps=120, updated=990.0), "running, 25%"),
        (Run("a", "a", "runs", "running", updated=1000.0 - 3 * 3600), "running, no news for 3 h"),
        (Run("a", "a", "runs", "running", updated=1000.0), "running"),
        (Run("a", "a", "runs", "failed"), "failed"),
    ],
)
def test_the_state_says_how_far_or_how_silent(run, text):
    assert run_table.state(run, 1000.0) == text


def test_columns_name_the_raw_loss_and_explain_themselves():
    runs = [Run(str(b), str(b), "runs", "finished", {"beta": b}, {EVAL_LOSS: 0.5}) for b in (0.1, 0.5)]
    columns = table(*runs).columns
    assert [column.name for column in columns if column.field == "loss"] == ["Raw eval loss"]
    assert all(column.tip for column in columns)
    assert "set" not in {column.field for column in columns}
    assert [column.name for column in table(runs[0]).columns if column.field == "loss"] == ["Eval loss"]


def test_a_loss_at_a_common_beta_has_a_column_where_it_ranks():
    run = Run("a", "a", "runs", "finished", {}, {EVAL_COMMON: 0.5, EVAL_LOSS: 0.6})
    assert "common" not in table(run).fields
    assert table(run, key=EVAL_COMMON).values()["a"]["common"] == 0.5


def test_a_parameter_with_words_is_a_text_column():
    mixed = [Run("a", "a", "runs", "finished", {"lr": 0.1}), Run("b", "b", "runs", "finished", {"lr": "auto"})]
    assert {column.field: column.kind for column in table(*mixed).columns}["config.lr"] == "text"


def test_what_generated_answers_tell_has_a_column_where_a_run_has_it():
    plain = Run("a", "a", "runs", "finished", metrics={"eval/loss": 0.5})
    told = Run("b", "b", "runs", "finished", metrics={"eval/samples/gold": 0.25, "eval/samples/repetition": 0.125})
    assert {"gold", "repetition"} <= set(table(plain, told).fields)
    assert not {"gold", "repetition"} & set(table(plain).fields)
