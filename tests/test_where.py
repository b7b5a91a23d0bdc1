"""Conditions are read as written, and what is no condition is refused in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.pairs import PreferenceError
from training.data.where import Condition, conditions, parse

SIGNS = st.sampled_from(["==", "!=", ">=", "<=", ">", "<"])
COLUMNS = st.from_regex(r"[a-z_][a-z0-9_\-. ]{0,8}[a-z0-9_]", fullmatch=True)


@given(column=COLUMNS, sign=SIGNS, number=st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_back(column, sign, number):
    assert parse(f"{column} {sign} {number!r}") == parse(f"{column}{sign}{number!r}") == Condition(column, sign, number)


@given(column=COLUMNS, sign=SIGNS, text=st.text(max_size=20), quote=st.sampled_from("'\""))
def test_a_text_in_quotes_is_read_back_whatever_it_holds(column, sign, text, quote):
    assert parse(f"{column} {sign} {quote}{text}{quote}") == Condition(column, sign, text)


@given(st.text(max_size=30))
def test_any_text_is_a_condition_or_refused_in_words(text):
    try:
        found = parse(text)
    except PreferenceError as error:
        assert "--where" in str(error)
    else:
        assert found.column
        assert found.column in text


@given(number=st.integers(-9, 9), sign=SIGNS, cell=st.integers(-9, 9))
def test_numbers_compare_as_python_compares_them_also_when_a_csv_file_holds_them_as_text(number, sign, cell):
    expected = eval(f"{cell} {sign} {number}")
    condition = parse(f"score {sign} {number}")
    assert condition.holds({"score": cell}) == condition.holds({"score": str(cell)}) == expected


@pytest.mark.parametrize(
    ("text", "cell", "holds"),
    [
        ("status != tie", "tie", False),
        ("status != tie", "swapped", True),
        ("status == 'a tie'", "a tie", True),
        ("flag == false", False, True),
        ("flag == False", "False", True),
        ("flag == false", True, False),
        ("flag == false", None, False),
        ("note == none", None, True),
        ("note != none", "", True),
        ("note != none", None, False),
        ("score >= 8", None, False),
        ("score >= 8", "high", False),
        ("score != 8", "high", True),
        ("score == '8'", "8", True),
        ("score == '8'", 8, False),
        ("day >= '2024-01-01'", "2024-03-01", True),
        ("turns != x", [1, 2], True),
        ("turns == x", [1, 2], False),
    ],
)
def test_a_value_of_another_kind_is_unequal_neither_above_nor_below(text, cell, holds):
    condition = parse(text)
    assert condition.holds({condition.column: cell}) is holds


def test_a_row_without_the_column_has_no_value_there():
    assert parse("a == none").holds({})


@pytest.mark.parametrize("text", ["", "status", "status = tie", "status ==", "== tie", "a === b", "a => 3", "a <> b"])
def test_what_is_no_condition_is_refused_with_an_example(text):
    with pytest.raises(PreferenceError, match="is no condition; write column, operator"):
        parse(text)


def test_true_and_none_are_not_ordered():
    with pytest.raises(PreferenceError, match="none is neither above nor below anything; use == or !="):
        parse("score > none")


def test_an_unknown_column_is_refused_with_the_nearest_name_and_those_found():
    with pytest.raises(PreferenceError, match=r"no column 'scor' \(did you mean score\?\); found: score, status"):
        conditions(["status != tie", "scor > 1"], ["score", "status"], "a.csv")
