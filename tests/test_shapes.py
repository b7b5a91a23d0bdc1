"""A row of any shape becomes a pair, or is dropped or refused with the reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import files
from training.data.arguments import DataArguments
from training.data.pairs import PreferenceError, shown
from training.data.shapes import find, pair, without_echo
from training.data.transcripts import ASK, CUE

HI = {"role": "user", "content": "Hi"}
GOOD, BAD = ({"role": "assistant", "content": text} for text in ("Hello!", "Go away."))
SYSTEM = {"role": "system", "content": "Be kind."}
TURNS = {"prompt": [HI], "chosen": [GOOD], "rejected": [BAD]}
TEXTS = st.text(max_size=12)


def read(row, **stated):
    return pair(row, find(list(row), DataArguments(**stated), "data"))


# --- text -------------------------------------------------------------------------------------------------------------


@given(prompt=TEXTS, chosen=TEXTS, rejected=TEXTS)
def test_texts_of_a_pair_are_never_altered(prompt, chosen, rejected):
    found = read({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    if isinstance(found, str):
        assert chosen.strip() == rejected.strip() or not (prompt.strip() and chosen.strip() and rejected.strip())
    else:
        assert found == {"prompt": prompt, "chosen": chosen, "rejected": rejected}


@pytest.mark.parametrize("column", ["prompt", "question", "input", "instruction", "query"])
def test_a_bare_prompt_is_found_under_its_usual_names_and_other_columns_are_passed_over(column):
    row = {column: "Hi", "response": "Hello!", "chosen": "Hello!", "rejected": "Go away.", "generations": ["x"]}
    assert read(row) == {"prompt": "Hi", "chosen": "Hello!", "rejected": "Go away."}


def test_stated_columns_go_before_those_found():
    row = {"prompt": "a template", "text": "Hi", "chosen": "x", "good": "Hello!", "rejected": "y", "bad": "Go away."}
    found = read(row, prompt_column="text", chosen_column="good", rejected_column="bad")
    assert found == {"prompt": "Hi", "chosen": "Hello!", "rejected": "Go away."}


@pytest.mark.parametrize(("more", "prompt"), [("cat", "Translate.\ncat"), ("", "Translate."), (None, "Translate.")])
def test_an_instruction_is_followed_by_its_input(more, prompt):
    row = {"instruction": "Translate.", "input": more, "chosen": "chat", "rejected": "chien"}
    assert read(row)["prompt"] == prompt


def test_a_dialogue_is_split_at_the_last_shared_assistant():
    start = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"
    found = read({"chosen": f"{start} yes", "rejected": f"{start} no"})
    assert found == {"prompt": start, "chosen": " yes", "rejected": " no"}


def test_dialogues_hold_their_prompt_also_where_a_column_repeats_it():
    start = "\n\nHuman: a\n\nAssistant:"
    found = read({"prompt": "a", "chosen": f"{start} yes", "rejected": f"{start} no"})
    assert found == {"prompt": start, "chosen": " yes", "rejected": " no"}


def test_an_answer_that_starts_alike_stays_whole():
    start = "\n\nHuman: a\n\nAssistant:"
    found = read({"chosen": f"{start} same, then x", "rejected": f"{start} same, then y"})
    assert (found["chosen"], found["rejected"]) == (" same, then x", " same, then y")


@given(head=TEXTS, chosen=TEXTS, rejected=TEXTS)
def test_a_split_dialogue_joins_to_what_it_was(head, chosen, rejected):
    row = {"chosen": head + CUE + chosen, "rejected": head + CUE + rejected}
    found = read(row)
    if isinstance(found, dict):
        assert found["prompt"] + found["chosen"] == row["chosen"]
        assert found["prompt"] + found["rejected"] == row["rejected"]
        assert found["prompt"].endswith(CUE)


def test_the_cue_of_rm_single_context_moves_to_the_prompt_and_the_answers_keep_their_space():
    row = {"prompt": "a\n\nHuman: b\n\n", "chosen": "Assistant: yes", "rejected": "Assistant: no"}
    found = read(row)
    assert found == {"prompt": "a\n\nHuman: b\n\nAssistant:", "chosen": " yes", "rejected": " no"}
    assert found["prompt"] + found["chosen"] == row["prompt"] + row["chosen"]


def test_a_cue_on_one_side_only_is_no_pair():
    row = {"prompt": "a\n\nHuman: b\n\n", "chosen": "Assistant: yes", "rejected": "no"}
    assert read(row) == "an answer without its cue"


# --- turns ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"chosen": [HI, GOOD], "rejected": [HI, BAD]},
        {"prompt": [HI], "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": "Hi", "chosen": [HI, GOOD], "rejected": [HI, BAD], "messages": [HI, GOOD]},
        {"prompt": "Hi", "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": [HI], "chosen": "Hello!", "rejected": "Go away."},
        {"prompt": [HI], "chosen": GOOD, "rejected": {**BAD, "tool_calls": None}},
        {
            "conversations": [{"from": "human", "value": "Hi"}],
            "chosen": {"from": "gpt", "value": "Hello!"},
            "rejected": {"from": "gpt", "value": "Go away."},
        },
        {"system": "", "history": [], "question": "Hi", "chosen": "Hello!", "rejected": "Go away."},
        {"system": None, "question": "Hi", "response_chosen": "Hello!", "response_rejected": "Go away."},
        {"system": "", "prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": " Hello!", "rejected": " Go away."},
    ],
)
def test_turns_of_every_shape_give_the_same_pair(row):
    assert read(row) == TURNS


@pytest.mark.parametrize(
    "row",
    [
        {"system": "Be kind.", "input": "Hi", "chosen": "Hello!", "rejected": "Go away."},
        {"system_prompt": "Be kind.", "question": "Hi", "chosen": "Hello!", "rejected": "Go away."},
        {"prompt": [SYSTEM, HI], "chosen": [HI, GOOD], "rejected": [HI, BAD]},
        {"prompt": [SYSTEM, HI], "system": "Be rude.", "chosen": [GOOD], "rejected": [BAD]},
    ],
)
def test_a_system_text_stands_before_the_prompt(row):
    assert read(row) == {**TURNS, "prompt": [SYSTEM, HI]}


def test_no_system_column_leaves_the_texts_as_they_are():
    row = {"system": "Be kind.", "input": "Hi", "chosen": "Hello!", "rejected": "Go away."}
    assert read(row, system_column="") == {"prompt": "Hi", "chosen": "Hello!", "rejected": "Go away."}


@pytest.mark.parametrize("history", [[["a", "b"]], [{"role": "user", "content": "a"}, {"from": "gpt", "value": "b"}]])
def test_history_stands_between_the_system_text_and_the_question(history):
    row = {"system": "Be kind.", "history": history, "question": "Hi", "chosen": "x", "rejected": "y"}
    earlier = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert read(row)["prompt"] == [SYSTEM, *earlier, HI]


# --- rows that are dropped --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: d"}, "no shared prompt"),
        ({"chosen": "yes", "rejected": "no"}, "no shared prompt"),
        ({"prompt": "p", "chosen": " ", "rejected": "no"}, "empty answer"),
        ({"prompt": "p", "chosen": "no", "rejected": "no"}, "equal answers"),
        ({"prompt": "p", "chosen": " no", "rejected": "no"}, "equal answers"),
        ({"prompt": " ", "chosen": "yes", "rejected": "no"}, "empty prompt"),
        ({"prompt": "p", "chosen": None, "rejected": "no"}, "not text"),
        ({"prompt": None, "chosen": "yes", "rejected": "no"}, "not text"),
        ({"prompt": 7, "chosen": "yes", "rejected": "no"}, "not text"),
        ({"prompt": "p", "chosen": "yes", "rejected": 3.0}, "not text"),
        ({"prompt": "p", "chosen": [GOOD], "rejected": "no"}, "not text"),
        ({"prompt": "p", "chosen": "\ud83d", "rejected": "no"}, "not text"),
        ({"prompt": "p", "system": 1, "chosen": "yes", "rejected": "no"}, "not text"),
        ({"chosen": [HI, GOOD], "rejected": [{"role": "user", "content": "Ho"}, BAD]}, "no shared prompt"),
        ({"chosen": [HI, GOOD, HI], "rejected": [HI, BAD]}, "no shared prompt"),
        ({"prompt": [], "chosen": [GOOD], "rejected": [BAD]}, "no shared prompt"),
        ({"prompt": [HI, GOOD], "chosen": [GOOD], "rejected": [BAD]}, "no user turn before the answer"),
        ({"chosen": ["a"], "rejected": ["b"]}, "a turn without role and content"),
        ({"prompt": [{"content": "Hi"}], "chosen": [GOOD], "rejected": [BAD]}, "a turn without role and content"),
        (
            {"prompt": [HI, {"role": "tool", "content": "4"}], "chosen": [GOOD], "rejected": [BAD]},
            "a turn that is not of system, user or assistant",
        ),
    ],
)
def test_a_row_that_is_no_pair_is_dropped_with_its_reason(row, reason):
    assert read(row) == reason


VALUES = st.one_of(
    st.none(),
    st.integers(),
    TEXTS,
    st.lists(st.one_of(TEXTS, st.dictionaries(st.sampled_from(["role", "content", "from", "value"]), TEXTS))),
    st.sampled_from([[HI], [HI, GOOD], [HI, BAD], [SYSTEM, HI], [GOOD], BAD]),
)


@given(st.fixed_dictionaries(dict.fromkeys(("prompt", "system", "history", "chosen", "rejected"), VALUES)))
def test_whatever_stands_in_a_row_is_a_pair_or_a_reason(row):
    found = read(row)
    if isinstance(found, dict):
        assert [turn["role"] for turn in found["chosen"]] == ["assistant"]
        assert found["prompt"][-1]["role"] == "user"


# --- data that is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("messages label", "no column chosen and no column rejected; found: messages, label; .*one answer and a label"),
        ("prompt completion label", "unpaired data, one answer and a label .*no second answer to compare with"),
        ("prompt response score", "unpaired data, one answer and a score"),
        ("messages", r"unpaired data, one answer in each row \(SFT\)"),
        ("prompt chosen", "no column rejected; found: prompt, chosen; needed"),
        ("prompt better worse", "found: prompt, better, worse; needed: .*--chosen_column"),
    ],
)
def test_unpaired_data_is_refused_with_the_reason(columns, words):
    with pytest.raises(PreferenceError, match=words):
        find(columns.split(), DataArguments(), "data")


@pytest.mark.parametrize("side", ["prompt", "chosen", "rejected", "system"])
def test_a_stated_column_that_is_not_there_is_refused_with_the_nearest_name(side):
    columns = ["prompt", "chosen", "rejected", "system"]
    with pytest.raises(PreferenceError, match=rf"--{side}_column: data has no column '{side}s' \(did you mean {side}"):
        find(columns, DataArguments(**{f"{side}_column": f"{side}s"}), "data")


@pytest.mark.parametrize("told", [{"prompt_column": "chosen"}, {"rejected_column": "prompt"}])
def test_a_prompt_is_no_answer(told):
    with pytest.raises(PreferenceError, match="is the prompt and an answer; name another"):
        find(["prompt", "chosen", "rejected"], DataArguments(**told), "mine")


def test_chosen_and_rejected_are_two_columns():
    with pytest.raises(PreferenceError, match="are both 'chosen'"):
        find(["prompt", "chosen", "rejected"], DataArguments(rejected_column="chosen"), "data")


# --- answers that repeat the prompt -----------------------------------------------------------------------------------


def test_the_prompt_is_cut_from_answers_that_repeat_it_but_never_from_one_only():
    both = {"prompt": "Q?", "chosen": "Q? A", "rejected": "Q? B"}
    one = {"prompt": "Q?", "chosen": "Q? A", "rejected": "B"}
    assert without_echo([both, both, one]) == [{**both, "chosen": " A", "rejected": " B"}] * 2 + [one]


def test_an_answer_that_greets_back_stays_whole():
    """Two answers of three pairs begin with their prompt by chance: no more than half of the pairs."""
    greeting = {"prompt": "Hi", "chosen": "Hi there!", "rejected": "Hi."}
    other = {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}
    assert without_echo([greeting, other]) == [greeting, other]


def test_a_dropped_row_is_shown_by_the_start_and_the_end_of_each_text():
    text = shown({"chosen": "a" * 500 + "the end", "rejected": ""})
    assert text.endswith("the end' rejected: ''")
    assert len(text) < 240


# --- files of other people --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count", "kind", "last"),
    [
        ("joojoon_rlaif.json", 10, str, None),
        ("llamafactory_dpo_en_demo.json", 150, list, "user"),
        ("medicalgpt_v3_question_chosen.jsonl", 250, list, "user"),
        ("torchtune_hh_rlhf_tiny.json", 1, list, "user"),
    ],
)
def test_every_row_of_these_files_is_a_pair(shared_data, name, count, kind, last):
    rows = files.read(str(shared_data / "preference_data" / name))["train"]
    columns = find(rows.columns, DataArguments(), name)
    found = [pair(row, columns) for row in rows.select(columns.names())]
    assert len(found) == rows.count == count
    assert {type(each["prompt"]) for each in found} == {kind}
    if last:
        assert {each["prompt"][-1]["role"] for each in found} == {last}
        assert {turn["role"] for each in found for turn in (*each["chosen"], *each["rejected"])} == {"assistant"}


def test_sharegpt_rows_keep_their_words(shared_data):
    path = shared_data / "preference_data" / "llamafactory_dpo_en_demo.json"
    row = json.loads(path.read_text())[1]
    found = read(row)
    assert [turn["role"] for turn in found["prompt"]] == ["system", "user"]
    assert [turn["content"] for turn in found["prompt"]] == [turn["value"] for turn in row["conversations"]]
    assert found["chosen"][0]["content"] == row["chosen"]["value"]


def test_hh_dialogues_lose_nine_rows_of_2312(shared_data):
    """5 pairs do not share their prompt, 4 chosen answers are empty; 1,650 dialogues ask more than once."""
    rows = files.read(str(shared_data / "preference_data" / "hh_harmless_base_test.jsonl.gz"))["train"]
    read_rows = list(rows.select(["chosen", "rejected"]))
    found = [read(row) for row in read_rows]
    assert (len(found), found.count("no shared prompt"), found.count("empty answer")) == (2312, 5, 4)
    assert sum(isinstance(each, dict) for each in found) == 2303
    assert sum(row["chosen"].count(ASK) > 1 for row in read_rows) == 1650
