"""The audit counts right, says only what matters, and refuses data that cannot teach."""

import json

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

from training.data.arguments import DataArguments
from training.data.audit import audit, lines, longer_wins, quantiles
from training.data.pairs import PreferenceError
from training.data.tokens import Encoded, Limits, encode
from training.preferences import Preferences, load

IDS = List(Value("int32"))
FEATURES = Features({"prompt_ids": IDS, "chosen_ids": IDS, "rejected_ids": IDS, "prompt_cut": Value("int32")})
WIDE = Limits(1000)
ALIKE = ([1] * 4, [2] * 5, [3] * 5, 0)  # prompt, chosen, rejected, tokens taken from the prompt


def pair(at: int) -> dict[str, str]:
    return {"pair_id": str(at), "prompt": f"prompt {at}", "chosen": f"yes {at}", "rejected": f"no {at}"}


def encoded(*rows, dropped: int = 0) -> Encoded:
    """Rows of (prompt, chosen, rejected, prompt_cut), and so many pairs after them whose prompt was too long."""
    columns = {name: [row[at] for row in rows] for at, name in enumerate(FEATURES)}
    return Encoded(Dataset.from_dict(columns, features=FEATURES), list(range(len(rows))), len(rows) + dropped)


def audited(train, evaluation=None, limits=WIDE, **about):
    """The audit of these tokens, with texts that are all different."""
    evaluation = evaluation or encoded(ALIKE)
    texts = [pair(at) for at in range(train.given + evaluation.given)]
    sides = {"train": texts[: train.given], "evaluation": texts[train.given :], "read": len(texts), **about}
    return audit(Preferences("data", **sides), train, evaluation, limits)


def test_a_quantile_is_a_length_that_occurs():
    """Of 1 to 10, half are no longer than 5, a quarter (2.5, so 3) than 3, 95% (9.5, so 10) than 10."""
    found = quantiles(np.arange(1, 11)[::-1])
    assert found == {"min": 1, "p5": 1, "p25": 3, "p50": 5, "p75": 8, "p95": 10, "max": 10}


def test_longer_wins_counts_ties_half():
    """Chosen - rejected: +2, -1, 0, +3: mean 1, longer in 2 of 4, right in (1 + 0 + 0.5 + 1) / 4."""
    found = longer_wins(np.array([5, 3, 4, 9]), np.array([3, 4, 4, 6]))
    assert found == {"n": 4, "chosen_longer": 0.5, "mean_difference": 1.0, "longer_wins": 0.625}


def test_rows_read_kept_and_dropped_add_up():
    """3 + 1 pairs with tokens, 2 whose prompt fills max_length, 5 dropped before: 11 rows."""
    found = audited(encoded(ALIKE, ALIKE, ALIKE, dropped=2), dropped={"empty answer": 5, "odd": 0}, read=11)
    assert found["rows"] == {
        "read": 11,
        "multi_turn": 0,
        "kept": 4,
        "dropped": {"empty answer": 5, "prompt fills max_length": 2},
    }
    assert (found["train"]["pairs"], found["train"]["prompts"], found["eval"]["pairs"]) == (3, 3, 1)


def test_only_the_pairs_that_are_left_are_counted():
    """The second of three pairs is gone; the others share a prompt."""
    texts = [{**pair(at), "prompt": prompt} for at, prompt in enumerate(("same", "gone", "same", "other"))]
    tokens = Encoded(encoded(ALIKE, ALIKE).dataset, [0, 2], 3)
    found = audit(Preferences("data", texts[:3], texts[3:], read=4), tokens, encoded(ALIKE), WIDE)
    assert (found["train"]["pairs"], found["train"]["prompts"]) == (2, 1)


def test_lengths_are_those_before_truncation():
    """4 tokens are left of a prompt that lost 30."""
    found = audited(encoded(([1] * 4, [2] * 5, [3] * 6, 30)), limits=Limits(12, 4))["train"]
    assert [found["tokens"][text]["max"] for text in ("prompt", "chosen", "rejected")] == [34, 5, 6]
    assert (found["truncated_prompt"], found["truncated_answer"]) == (1.0, 0.0)


def test_truncation_is_counted_by_what_it_takes():
    """max_length 10. Prompts of 4 leave 6 tokens: the first pair fits; the second loses an answer's end, but they
    differ before it; of the third only what both share is left; the fourth's answers are the same tokens throughout.
    """
    shared = [7] * 6
    found = audited(
        encoded(
            ([1] * 4, [2] * 6, [3], 0),
            ([1] * 4, [2] * 9, [3], 0),
            ([1] * 4, [*shared, 2], [*shared, 3, 3], 0),
            ([1] * 4, shared, shared, 0),
        ),
        limits=Limits(10),
    )["train"]
    assert (found["truncated_prompt"], found["truncated_answer"]) == (0.0, 0.5)
    assert (found["truncated_difference"], found["equal_tokens"]) == (0.25, 0.25)


def test_keep_end_takes_the_beginning():
    """max_length 6, the last 6 tokens stay. First pair: the prompt goes, the answers differ at their start, which goes
    too. Second: 4 + 3 tokens, one of the prompt goes, the answers are whole.
    """
    rows = encoded(([1] * 4, [2, *[7] * 6], [3, *[7] * 6], 0), ([1] * 4, [2] * 3, [3], 0))
    found = audited(rows, limits=Limits(6, truncation_mode="keep_end"))["train"]
    assert (found["truncated_prompt"], found["truncated_answer"], found["truncated_difference"]) == (1.0, 0.5, 0.5)


def test_an_answer_that_is_the_other_s_beginning_still_differs():
    """Rows of 9 and 10 tokens: the model sees where the shorter one ends."""
    found = audited(encoded(([1] * 4, [7] * 5, [7] * 50, 0)), limits=Limits(10))["train"]
    assert found["truncated_difference"] == 0.0


def test_turns_of_the_user_are_counted_in_transcripts_and_messages():
    said = [{"role": role, "content": "x"} for role in ("system", "user", "assistant", "user")]
    texts = [
        {**pair(0), "prompt": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"},
        {**pair(1), "prompt": said},
    ]
    texts += [{**pair(2), "prompt": "\n\nHuman: a\n\nAssistant:"}, {**pair(3), "prompt": said[:2]}]
    found = audit(Preferences("data", texts[:3], texts[3:], read=4), encoded(ALIKE, ALIKE, ALIKE), encoded(ALIKE), WIDE)
    assert (found["train"]["multi_turn"], found["eval"]["multi_turn"]) == (2, 0)
    assert lines(found)[0].endswith("; of all rows 2 have more than one user turn")


def test_no_pair_left_names_both_arguments():
    with pytest.raises(
        PreferenceError, match=r"no training pair is left: .*max_length 8 in all 3; .*prompt_length \(9\)"
    ):
        audited(encoded(dropped=3), limits=Limits(8, 9))


@pytest.mark.parametrize(("side", "name"), [("train", "training"), ("evaluation", "evaluation")])
def test_pairs_without_any_difference_left_are_refused(side, name):
    """A prompt of 4 and max_length 6 leave two tokens of each answer, the same."""
    blind = encoded(*[([1] * 4, [7, 7, 2], [7, 7, 3], 0)] * 2)
    sides = {"train": encoded(ALIKE), "evaluation": encoded(ALIKE), side: blind}
    with pytest.raises(
        PreferenceError, match=f"same in all 2 {name} pairs, since --max_length 6 .*; raise --max_length"
    ):
        audited(**sides, limits=Limits(6))


def test_the_audit_is_json_and_keeps_texts_apart():
    examples = {"empty answer": [{"split": "train", "row": 7, "text": "chosen: ''"}]}
    texts = [pair(0), pair(0), pair(1)]
    preferences = Preferences("data", texts[:2], texts[2:], 4, {"empty answer": 1}, examples, shared_prompts=1)
    found = audit(preferences, encoded(ALIKE, ALIKE), encoded(ALIKE), WIDE)
    assert json.loads(json.dumps(found)) == found
    assert found["examples"]["dropped"] == examples
    assert [shown["pair_id"] for shown in found["examples"]["duplicates"]["exact"][0]] == ["0", "0"]
    assert "prompt 0" not in json.dumps({key: value for key, value in found.items() if key != "examples"})


def test_sound_data_is_told_in_three_lines():
    """4 + 1 tokens of a prompt each; answers of 5 and 5: length says nothing."""
    assert lines(audited(encoded(ALIKE, ALIKE))) == [
        "3 of 3 rows are used: 2 pairs (2 prompts) to train on, 1 pair (1 prompt) to evaluate on",
        "median tokens of a training pair (95% have no more than): prompt 4 (4), chosen 5 (5), rejected 5 (5)",
        "length alone (take the longer answer, as in training) is right for 50.0% "
        "of 1 evaluation pair: runs must beat it",
    ]


def test_the_length_rule_comes_from_training_and_is_tried_on_evaluation():
    """Shorter wins in training; in evaluation it is right for 1 of 4."""
    longer, shorter = ([1], [2] * 9, [3] * 5, 0), ([1], [2] * 5, [3] * 9, 0)
    told = lines(audited(encoded(shorter, shorter, longer), encoded(longer, longer, longer, shorter)))
    assert "take the shorter answer, as in training) is right for 25.0% of 4 evaluation pairs" in told[2]


def test_what_speaks_against_the_data_is_a_warning_each():
    shared = [7] * 3
    rows = [([1] * 4, [*shared, 2], [*shared, 3], 30), *[ALIKE] * 1, *[([1], [2], [3], 0)] * 1]
    texts = [pair(0), pair(0), {**pair(0), "chosen": "no 0", "rejected": "yes 0"}]
    preferences = Preferences("data", texts, [pair(0)], 6, {"odd": 2}, shared_prompts=2)
    told = lines(audit(preferences, encoded(*rows), encoded(([1], [2], [3], 0)), Limits(7, 4)))
    assert told[1:3] == ["left out: 2 odd", "the given splits share 2 prompts, left to evaluation alone"]
    assert [line for line in told if line.startswith("warning: ")] == [
        "warning: prompts lose their beginning in 33.3% of the training pairs: they keep 4 tokens",
        "warning: --max_length 7 cuts an answer in 66.7% of the training pairs",
        "warning: --max_length 7 leaves nothing that differs in 33.3% of the training pairs: raise it",
        "warning: 2 pairs of which an earlier one equals every text",
        "warning: 1 comparison made both ways (A > B and B > A)",
        "warning: training has the prompt, or nearly, of 1 of the 1 evaluation pair (of 1 the answers too): "
        "evaluation may look better than it is",
    ]


def test_a_rare_case_is_not_rounded_to_nothing():
    rows = encoded(*[ALIKE] * 3000, ([1] * 4, [7, 7, 2], [7, 7, 2], 0))
    told = lines(audited(rows))
    assert (
        told[-1] == "warning: the tokenizer sees no difference between the answers in under 0.1% of the training pairs"
    )


def test_real_dialogues_are_counted(shared_data, tiny_model):
    """Of 2,312 rows 1,650 have several user turns, by their `Human:`; 5 of those are among the 9 that are dropped."""
    from transformers import AutoTokenizer

    file = shared_data / "preference_data" / "hh_harmless_base_test.jsonl.gz"
    found = load(DataArguments(dataset_name=str(file)), seed=0)
    tokenizer, limits = AutoTokenizer.from_pretrained(tiny_model), Limits(2048)
    about = audit(found, *(encode(side, tokenizer, limits) for side in (found.train, found.evaluation)), limits)
    assert about["rows"] == {
        "read": 2312,
        "multi_turn": 1650,
        "kept": 2303,
        "dropped": {"empty answer": 4, "no shared prompt": 5},
    }
    assert about["train"]["multi_turn"] + about["eval"]["multi_turn"] == 1645
    assert about["train"]["pairs"] + about["eval"]["pairs"] == 2303
    assert about["duplicates"]["exact"] == 0
