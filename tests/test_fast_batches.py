"""Batches by a budget of tokens hold every pair once."""

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from training.fast.batches import MOST_PAIRS, budget, positions, token_batches

SIZES = st.lists(st.integers(1, 300), max_size=60)


@given(SIZES, st.integers(1, 2000))
def test_every_pair_is_in_one_batch_and_no_padded_batch_is_above_the_budget(sizes, room):
    batches = token_batches(sizes, room)
    assert sorted(place for batch in batches for place in batch) == list(range(len(sizes)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(sizes[place] for place in batch) <= room
        assert len(batch) <= MOST_PAIRS


@given(SIZES)
def test_the_longest_come_first(sizes):
    order = [sizes[place] for batch in token_batches(sizes, 500) for place in batch]
    assert order == sorted(sizes, reverse=True)


@pytest.mark.parametrize(("max_length", "expected"), [(None, [10, 8]), (4, [8, 8]), (1, [2, 2])])
def test_a_pair_takes_two_rows_of_its_longer_answer_as_far_as_they_are_kept(max_length, expected):
    """Prompt 2 and answers 3 and 1: rows of 5; prompt 1 and answers 2 and 3: rows of 4."""
    rows = [
        {"prompt_ids": [1, 1], "chosen_ids": [1, 1, 1], "rejected_ids": [1]},
        {"prompt_ids": [1], "chosen_ids": [1, 1], "rejected_ids": [1, 1, 1]},
    ]
    assert positions(Dataset.from_list(rows), max_length).tolist() == expected


def test_the_budget_is_never_more_than_the_longest_pairs_take_in_a_usual_batch():
    sizes = np.array([10, 40, 20])
    assert budget(sizes, batch_size=8, device="cuda") == 8 * 40
    assert budget(np.array([4000, 2]), batch_size=8, device="cpu") == 4096
