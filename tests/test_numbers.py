"""Numbers and names as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis import numbers


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.5, "0.5000"),
        (-0.5, "−0.5000"),
        (0.0, "0.0000"),
        (-0.0, "0.0000"),
        (0.00012, "1.2e-4"),
        (-0.00012, "−1.2e-4"),
        (123456.0, "123456"),
        (-1234567.0, "−1.23e6"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (None, "–"),
    ],
)
def test_metrics_have_four_digits_and_a_true_minus(value, shown):
    assert numbers.metric(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3.03e-6, "3.03e-6"),
        (1e-5, "1e-5"),
        (0.1, "0.1"),
        (200.0, "200"),
        (20000.0, "20000"),
        (123456.7, "123457"),
        (2e6, "2e6"),
        (0.0, "0"),
        (math.nan, "nan"),
    ],
)
def test_settings_are_short(value, shown):
    assert numbers.setting(value) == shown


def test_settings_that_are_no_numbers_are_texts():
    assert numbers.setting(None) == "–"
    assert numbers.setting(True) == "True"
    assert numbers.setting(["sigmoid", "sft"]) == "sigmoid+sft"
    assert numbers.setting("x" * 100) == "x" * 59 + "…"


@pytest.mark.parametrize(("value", "shown"), [(0.837, "83.7%"), (1.0, "100.0%"), (83.7, "83.7000"), (math.nan, "NaN")])
def test_only_a_share_is_shown_in_percent(value, shown):
    assert numbers.percent(value) == shown


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("eval/loss", "eval loss"),
        ("train/loss", "train loss"),
        ("eval/rewards/accuracies", "reward accuracy"),
        ("train/rewards/accuracies", "train reward accuracy"),
        ("eval/bleu", "bleu"),
        ("bleu", "bleu"),
    ],
)
def test_a_metric_is_named_by_what_it_is_and_where_it_was_measured(key, words):
    assert numbers.label(key) == words


@given(st.text())
def test_what_is_shown_is_one_line_of_printable_characters(text):
    shown = numbers.visible(text)
    assert all(char.isprintable() or char in "\u200c\u200d" for char in shown)
    assert numbers.visible(shown) == shown
    assert len(numbers.one_line(text, 10)) <= 10


def test_what_joins_letters_stays_and_what_turns_them_round_does_not():
    assert numbers.visible("👨\u200d👩\u200d👧 می\u200cخواهم") == "👨\u200d👩\u200d👧 می\u200cخواهم"
    assert numbers.visible("a\u202eb\x1b[31m\udcff\nc") == "a\ufffdb\ufffd[31m\ufffd c"
