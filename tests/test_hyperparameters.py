"""Which hyper-parameters vary, on which scale, and what one configuration is."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis.hyperparameters import (
    EFFECTIVE_BATCH,
    design,
    log_scale,
    parameters,
    text,
    value_of,
    varying,
    words,
)
from training.record.schema import Run


def run(name: str, **config: object) -> Run:
    return Run(id=name, name=name, source="runs", status="finished", config=config)


def test_a_logged_learning_rate_is_no_hyper_parameter():
    runs = [
        run("a", **{"train/learning_rate": 1e-6, "beta": 0.1}),
        run("b", **{"train/learning_rate": 0.0, "beta": 0.2}),
    ]
    assert varying(runs) == ("beta",)


def test_a_constant_or_unknown_column_is_left_out():
    runs = [run("a", beta=0.1, seed=1), run("b", beta=0.1, warmup_ratio=0.1), run("c", beta=0.1)]
    assert parameters(runs) == ()


def test_seeds_are_no_hyper_parameter_but_further_runs_of_one_configuration():
    rows = design([run("a", beta=0.1, seed=1), run("b", beta=0.1, seed=2), run("c", beta=0.2, seed=1)])
    assert [[one.id for one in runs] for runs in rows.runs] == [["a", "b"], ["c"]]
    assert [column.key for column in rows.columns] == ["beta"]


def batch(name: str, size: int, accumulation: int, **config: object) -> Run:
    return run(name, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, **config)


def test_batch_and_accumulation_stand_as_their_product_where_both_vary():
    """2 x 4 = 8 x 1 = 8 pairs per step, 8 x 4 = 32: two values, not three configurations of two parameters."""
    runs = [batch("a", 2, 4, beta=0.1), batch("b", 8, 1, beta=0.2), batch("c", 8, 4, beta=0.3)]
    assert parameters(runs) == ("beta", EFFECTIVE_BATCH)
    assert [value_of(one, EFFECTIVE_BATCH) for one in runs] == [8, 8, 32]
    assert parameters([batch("a", 2, 4), batch("b", 8, 1)]) == ()
    assert parameters([batch("a", 2, 4), batch("b", 8, 4)]) == ("per_device_train_batch_size",)


def test_an_effective_batch_of_an_unknown_part_is_unknown():
    assert value_of(run("a", per_device_train_batch_size=8), EFFECTIVE_BATCH) is None
    assert value_of(batch("a", 8, math.nan), EFFECTIVE_BATCH) is None


@pytest.mark.parametrize(
    ("key", "values", "log"),
    [
        ("beta", [0.1, 0.2], True),
        ("learning_rate", [1e-6, 2e-6], True),
        ("warmup_ratio", [0.1, 0.2], False),
        ("max_steps", [100, 200, 500], False),
        ("warmup_ratio", [0.01, 0.2, 0.5, 0.7, 1.0], False),
        ("max_steps", [100, 300, 1000], True),
        ("weight_decay", [0.0, 0.1], False),
        ("beta", [0.0, 0.1], False),
        ("beta", [], False),
    ],
)
def test_factors_are_compared_by_their_logarithm(key, values, log):
    assert log_scale(key, values) is log


def test_numbers_are_on_their_scale_and_unknown_where_they_are_not_finite():
    rows = design([run("a", beta=0.01), run("b", beta=0.1), run("c", beta=math.inf), run("d")])
    (column,) = rows.columns
    np.testing.assert_allclose(column.numbers, [-2, -1, math.nan, math.nan])
    assert column.known.tolist() == [True, True, False, False]


def test_truth_values_and_texts_are_categories_and_a_name_of_each_run_is_no_parameter():
    runs = [
        run(str(n), bf16=n % 2 == 0, note=f"try {n}", loss_type=["sigmoid"] if n < 3 else ["ipo"]) for n in range(6)
    ]
    rows = design(runs)
    assert {column.key for column in rows.columns} == {"bf16", "loss_type"}
    assert all(column.numbers is None for column in rows.columns)


def test_values_and_keys_as_words():
    assert text(["sigmoid", 0.10]) == "sigmoid+0.1"
    assert words("learning_rate") == "learning rate"


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.floats(),
    st.text(max_size=2),
    st.lists(st.booleans() | st.floats()),
)


@given(st.lists(st.dictionaries(st.sampled_from(["beta", "seed", "output_dir", "rank", "extra"]), _VALUES), max_size=6))
def test_what_varies_is_told_by_the_text_of_the_values(configs: list[dict[str, Any]]) -> None:
    """The plain formula: a key varies if its values, each written as text, are not all the same; output_dir never."""
    keys = ("beta", "extra", "rank", "seed")
    texts = {key: {text(one[key]) for one in configs if one.get(key) is not None} for key in keys}
    runs = [run(f"r{place}", **config) for place, config in enumerate(configs)]
    assert list(varying(runs)) == [key for key, found in texts.items() if len(found) > 1]
