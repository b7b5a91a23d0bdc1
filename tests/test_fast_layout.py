"""A packed row holds each pair once, and values find their way back to TRL's rows."""

import pytest
import torch
from trl.trainer.dpo_trainer import DataCollatorForPreference

from training.fast.layout import Layout, pack

PAIR = {"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5], "rejected_ids": [6]}
OTHER = {"prompt_ids": [7], "chosen_ids": [8], "rejected_ids": [9, 10, 11]}


def packed(*pairs: dict[str, list[int]], **options: object) -> Layout | None:
    batch = DataCollatorForPreference(pad_token_id=0, **options)(list(pairs))
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    return pack(batch["input_ids"], batch["attention_mask"], labels)


def test_a_pair_is_its_prompt_once_and_each_answer_after_the_last_prompt_token():
    """[1 2 | 3 4 | 3] predicts, from position 2 on, 4 5 | 6; TRL's rows are [1 2 3 4 5] and [1 2 3 6 0]."""
    layout = packed(PAIR)
    assert layout.input_ids.tolist() == [[1, 2, 3, 4, 3]]
    assert layout.position_ids.tolist() == [[0, 1, 2, 3, 2]]
    assert layout.scored.tolist() == [2, 3, 4]
    assert layout.tokens.tolist() == [4, 5, 6]
    assert layout.unpack(layout.tokens).tolist() == [[0, 0, 4, 5], [0, 0, 6, 0]]


def test_a_prompt_of_one_token_is_in_the_answers_only():
    """[1 2 | 3 4 | 3] of the first pair, then [| 7 | 7 9 10]; chosen rows come first in TRL's batch."""
    layout = packed(PAIR, OTHER)
    assert layout.input_ids.tolist() == [[1, 2, 3, 4, 3, 7, 7, 9, 10]]
    assert layout.position_ids.tolist() == [[0, 1, 2, 3, 2, 0, 0, 1, 2]]
    assert layout.unpack(layout.tokens).tolist() == [[0, 0, 4, 5], [8, 0, 0, 0], [0, 0, 6, 0], [9, 10, 11, 0]]


def test_rows_cut_at_the_end_are_packed_as_they_are():
    """Of 3 tokens nothing of the first pair's answers is left, of the second [7 8] and [7 9 10]."""
    layout = packed(PAIR, OTHER, max_length=3)
    assert layout.input_ids.tolist() == [[1, 2, 7, 7, 9]]
    assert layout.unpack(layout.tokens).tolist() == [[0, 0], [8, 0], [0, 0], [9, 10]]


def test_prompts_cut_differently_are_not_shared():
    """Of the last 4 tokens [2 3 4 5] and [1 2 3 6], one keeps two prompt tokens and the other three."""
    assert packed(PAIR, max_length=4, truncation_mode="keep_end") is None


@pytest.mark.parametrize(
    ("rows", "mask", "labels"),
    [
        ([[1, 2, 3], [9, 2, 4]], [[1, 1, 1]] * 2, [[-100, -100, 3], [-100, -100, 4]]),
        ([[1, 2, 3], [1, 2, 4]], [[1, 1, 1]] * 2, [[1, 2, 3], [1, 2, 4]]),
        ([[0, 2, 3], [0, 2, 4]], [[0, 1, 1]] * 2, [[-100, -100, 3], [-100, -100, 4]]),
        ([[1, 2, 3], [1, 2, 4]], [[1, 1, 1]] * 2, [[-100, 2, -100], [-100, 2, -100]]),
    ],
    ids=["prompts of other tokens", "no prompt", "padding in front", "text after the answer"],
)
def test_what_is_not_a_prompt_and_two_answers_is_not_packed(rows, mask, labels):
    assert pack(*(torch.tensor(x) for x in (rows, mask, labels))) is None
