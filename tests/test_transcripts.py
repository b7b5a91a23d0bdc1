"""Pairs come to the tokenizer in its own form, both sides alike."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from training.data.arguments import DataArguments
from training.data.pairs import PreferenceError, said
from training.data.transcripts import CUE, formatter, parse

PLAIN = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
STRICT = (  # as Gemma's: no system turn, users and assistants in turn
    "{% for m in messages %}{% if m['role'] == 'system' or (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('no') }}{% endif %}{{ m['content'] }}{% endfor %}"
)
DIALOGUE = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"
ASKED = [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))]
SYSTEM = {"role": "system", "content": "Be kind."}
WORDS = st.from_regex(r"[a-zA-Z0-9?.,]{1,8}( [a-zA-Z0-9?.,]{1,8}){0,3}", fullmatch=True)


def tokenizer(template=None):
    made = Tokenizer(models.WordLevel({"x": 0}, unk_token="x"))
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=template)


def turn(role, content):
    return {"role": role, "content": content}


def text_pair(prompt, chosen=" yes", rejected=" no"):
    return {"pair_id": "1", "prompt": prompt, "chosen": chosen, "rejected": rejected}


def turns_pair(*prompt):
    return text_pair(list(prompt), [turn("assistant", "yes")], [turn("assistant", "no")])


# --- transcripts ------------------------------------------------------------------------------------------------------


@given(st.lists(WORDS, min_size=1, max_size=7).filter(lambda texts: len(texts) % 2))
def test_a_written_transcript_is_read_back(texts):
    turns = [turn(("user", "assistant")[n % 2], text) for n, text in enumerate(texts)]
    assert parse(formatter(tokenizer(), DataArguments()).prompt(turns)) == turns


@given(st.text(max_size=40))
def test_any_text_is_read_as_turns_of_alternating_roles_with_words(text):
    turns = parse(f"\n\nHuman: {text}{CUE}")
    assert all(turn["content"] for turn in turns)
    assert all(a["role"] != b["role"] for a, b in itertools.pairwise(turns))


@pytest.mark.parametrize(
    "prompt",
    [
        DIALOGUE,
        f"{DIALOGUE} ",
        DIALOGUE.strip(),
        DIALOGUE.removeprefix("\n\nHuman: "),  # rm-single-context
        "\n\nHuman: a\n\nAssistant: b\n\nHuman: c",
    ],
)
def test_every_kind_of_transcript_becomes_the_same_turns(prompt):
    found = formatter(tokenizer(PLAIN), DataArguments()).pair(text_pair(prompt))
    assert found == turns_pair(*ASKED)


def test_two_turns_of_the_user_become_one():
    assert parse("a\n\nHuman: b\n\nAssistant:") == [turn("user", "a\n\nb")]


# --- a tokenizer with a template --------------------------------------------------------------------------------------


def test_a_bare_prompt_is_one_turn_and_answers_lose_the_space_around_them():
    found = formatter(tokenizer(PLAIN), DataArguments()).pair(text_pair("Is it? ", " yes\n", "no"))
    assert found == turns_pair(turn("user", "Is it?"))


def test_a_system_turn_stays_where_the_template_takes_it_and_else_joins_the_first_question():
    pair = turns_pair(SYSTEM, *ASKED)
    assert formatter(tokenizer(PLAIN), DataArguments()).pair(pair) == pair
    folded = formatter(tokenizer(STRICT), DataArguments()).pair(pair)
    assert folded["prompt"] == [turn("user", "Be kind.\n\na"), *ASKED[1:]]


def test_a_prompt_that_the_template_refuses_is_a_reason_not_an_error():
    pair = turns_pair(turn("assistant", "b"), turn("user", "c"))
    assert formatter(tokenizer(STRICT), DataArguments()).pair(pair) == "refused by the chat template"
    assert formatter(tokenizer(PLAIN), DataArguments()).pair(pair) == pair


@pytest.mark.parametrize("prompt", ["\n\nHuman: a\n\nAssistant: It is", "\n\nHuman:\n\nAssistant:"])
def test_a_prompt_that_ends_in_an_answer_or_asks_nothing_is_a_reason(prompt):
    found = formatter(tokenizer(PLAIN), DataArguments()).pair(text_pair(prompt))
    assert found == "no user turn before the answer"


@given(prompt=st.text(max_size=30), chosen=st.text(max_size=12), rejected=st.text(max_size=12))
def test_both_sides_are_turns_or_both_are_text_or_there_is_a_reason(prompt, chosen, rejected):
    for made, kind in ((tokenizer(PLAIN), list), (tokenizer(), str)):
        found = formatter(made, DataArguments()).pair(text_pair(prompt, chosen, rejected))
        if isinstance(found, str):
            continue
        assert {type(found[side]) for side in ("prompt", "chosen", "rejected")} == {kind}
        assert said(found["chosen"]).strip() == chosen.strip()
        assert said(found["rejected"]).strip() == rejected.strip()


# --- a tokenizer without a template -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt", [DIALOGUE, DIALOGUE.removeprefix("\n\nHuman: "), "Be kind.\n\nHuman: a\n\nAssistant:"]
)
def test_a_transcript_stays_as_it_is_without_a_template(prompt):
    pair = text_pair(prompt, " yes", " no\n")
    assert formatter(tokenizer(), DataArguments()).pair(pair) == pair


def test_the_space_after_a_cue_goes_to_the_answers():
    found = formatter(tokenizer(), DataArguments()).pair(text_pair(f"{DIALOGUE} ", "yes", " no"))
    assert found == text_pair(DIALOGUE)


@given(prompt=WORDS, chosen=WORDS, rejected=WORDS, space=st.sampled_from(["", " ", "\n", "\n\n"]))
def test_an_answer_never_sticks_to_its_prompt(prompt, chosen, rejected, space):
    found = formatter(tokenizer(), DataArguments()).pair(text_pair(prompt + space, chosen, rejected))
    if isinstance(found, dict):
        assert found["prompt"] + found["chosen"] == prompt + (space or " ") + chosen
        assert found["prompt"] + found["rejected"] == prompt + (space or " ") + rejected
        assert not found["prompt"].endswith(" ")


def test_turns_become_a_transcript_under_a_system_text():
    found = formatter(tokenizer(), DataArguments()).pair(turns_pair(SYSTEM, *ASKED))
    assert found == text_pair(f"Be kind.{DIALOGUE}")


def test_a_template_can_be_left_unused():
    found = formatter(tokenizer(PLAIN), DataArguments(use_chat_template=False)).pair(turns_pair(*ASKED))
    assert found == text_pair(DIALOGUE)


@pytest.mark.parametrize("pair", [text_pair(DIALOGUE), text_pair(f"{DIALOGUE} ", "yes", "no"), turns_pair(*ASKED)])
@pytest.mark.parametrize(
    ("user", "assistant", "prompt", "chosen"),
    [
        ("Q: ", "A: ", "Q: a\n\nA: b\n\nQ: c\n\nA:", " yes"),
        ("\\nQ: ", "\\nA: ", "\nQ: a\nA: b\nQ: c\nA:", " yes"),
        ("### Ask:\n", "### Say:\n", "### Ask:\na\n\n### Say:\nb\n\n### Ask:\nc\n\n### Say:\n", "yes"),
        ("Q: ", None, "Q: a\n\nAssistant: b\n\nQ: c\n\nAssistant:", " yes"),
    ],
)
def test_markers_rewrite_transcripts_and_turns_alike(pair, user, assistant, prompt, chosen):
    found = formatter(tokenizer(), DataArguments(user_marker=user, assistant_marker=assistant)).pair(pair)
    assert found == text_pair(prompt, chosen, chosen.replace("yes", "no"))


def test_markers_open_a_bare_prompt_too():
    found = formatter(tokenizer(), DataArguments(user_marker="Q: ", assistant_marker="A: ")).pair(text_pair("Is it?"))
    assert found == text_pair("Q: Is it?\n\nA:")


# --- what cannot be asked for -----------------------------------------------------------------------------------------


def test_a_template_that_is_not_there_is_refused():
    with pytest.raises(PreferenceError, match="--use_chat_template true: this tokenizer has no chat template"):
        formatter(tokenizer(), DataArguments(use_chat_template=True))


def test_markers_beside_a_template_are_refused():
    with pytest.raises(PreferenceError, match="add --use_chat_template false"):
        formatter(tokenizer(PLAIN), DataArguments(user_marker="Q: "))
