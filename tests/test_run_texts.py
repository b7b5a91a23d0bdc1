"""Answers as text: what differs is marked, nothing is lost, nothing is obeyed."""

from dash import html
from hypothesis import given
from hypothesis import strategies as st

from dashboard.components.run import samples as run_samples
from dashboard.components.run import texts as run_texts

ROWS = [
    {"step": 20, "prompt": "Why?", "base": "It is.", "dpo": "It is so.", "ended": True, "tokens": 4},
    {"step": 0, "prompt": "Why?", "base": "It is.", "dpo": "It is.", "ended": True, "tokens": 3},
    {"step": 20, "prompt": [{"role": "user", "content": "Hello?"}], "base": "a", "dpo": "", "ended": False},
]


def spans(pieces) -> list[str]:
    return [piece.children for piece in pieces if isinstance(piece, html.Span)]


def plain(pieces) -> str:
    return "".join(piece if isinstance(piece, str) else piece.children for piece in pieces)


def test_words_that_the_other_answer_lacks_are_marked():
    pieces = run_texts.marked("The capital is Bangkok, I think.", "The capital is Paris, I think.", "new")
    assert spans(pieces) == [" Bangkok"]
    assert all(span.className == "new" for span in pieces if isinstance(span, html.Span))


def test_texts_with_little_in_common_are_not_coloured_throughout():
    assert run_texts.marked("one two three", "four five six seven", "new") == ["one two three"]


def test_equal_and_empty_texts_are_not_marked():
    assert run_texts.marked("same", "same", "new") == ["same"]
    assert run_texts.marked("", "x", "new") == [""]


def test_long_texts_are_not_compared():
    text = "word " * (run_texts.MOST_WORDS + 1)
    assert run_texts.marked(text, text + "end", "new") == [text]


@given(st.text(max_size=200), st.text(max_size=200))
def test_marking_loses_no_letter(text, other):
    assert plain(run_texts.marked(text, other, "new")) == text


def test_faults_of_an_answer_are_named():
    """`ha ha ha ...`, 20 times: 18 3-grams, 1 of them distinct: 1 - 1/18 = 94%."""
    assert run_texts.faults("Why?", "ha " * 20) == ["repeats itself (94% of 3-grams)"]
    assert run_texts.faults("Why?", "  ") == ["empty"]
    prompt = "please tell me the capital of Qatar"
    assert run_texts.faults(prompt, f"{prompt} again") == ["begins with the whole prompt"]
    assert run_texts.faults("Why?", "Because the sky scatters blue light.") == []


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()), st.characters(categories=["Cs"])))
def test_any_recorded_value_is_text_that_can_be_sent(value):
    run_texts.as_text(value).encode()


def test_a_very_long_answer_is_cut_and_says_so():
    assert run_texts.as_text("a" * (run_texts.LONGEST + 5)).endswith("… (5 more characters)")


def test_samples_are_sorted_by_prompt_and_step():
    found = run_samples.samples(ROWS)
    assert found.prompts == ("Why?", "user: Hello?")
    assert [answer.step for answer in found.answers[0]] == [0, 20]
    assert found.steps == [0, 20]
    assert list(run_samples.step_options(found)) == ["", "0", "20"]


def test_the_latest_answer_is_shown_unless_another_step_is_chosen():
    found = run_samples.samples(ROWS)
    assert "Policy, step 20" in repr(run_samples.answers(found, "0", ""))
    assert "Policy, step 0" in repr(run_samples.answers(found, "0", "0"))
    assert "was not answered at step 0" in repr(run_samples.answers(found, "1", "0"))
    shown = repr(run_samples.answers(found, "1", None))
    assert "cut at the limit" in shown and "empty" in shown


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
ROW = st.dictionaries(st.sampled_from(["step", "prompt", "base", "dpo", "ended", "tokens", "sampling"]), ANYTHING)


@given(st.lists(ROW, max_size=4), ANYTHING, ANYTHING)
def test_rows_of_any_kind_and_any_choice_are_shown(rows, prompt, step):
    found = run_samples.samples(rows)
    run_samples.answers(found, prompt, step)
