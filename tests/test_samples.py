"""Samples show what the policy says, and disturb nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.samples import Sampler, Sampling, generate, prompt_ids, repetition


@pytest.fixture(scope="module")
def loaded(tiny_model):
    from transformers import AutoTokenizer, GPT2LMHeadModel

    return GPT2LMHeadModel.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(tiny_model)


def test_repetition_is_the_share_of_trigrams_seen_before():
    """a b c a b c has abc bca cab abc: 1 - 3/4; five equal words: three times aaa, 1 - 1/3."""
    assert repetition([1, 2, 3, 1, 2, 3]) == 0.25
    assert repetition([1, 1, 1, 1, 1]) == pytest.approx(2 / 3)
    assert repetition([1, 2]) == 0.0


@given(st.lists(st.integers(0, 5), max_size=40))
def test_repetition_is_a_share(ids):
    assert 0 <= repetition(ids) < 1


def test_the_same_request_has_the_same_answer_and_leaves_the_random_state(loaded):
    model, tokenizer = loaded
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = generate(model, tokenizer, ["Is 3 a", "Is"], Sampling(max_new_tokens=8))
    assert torch.equal(torch.rand(3), expected)
    assert generate(model, tokenizer, ["Is 3 a", "Is"], Sampling(max_new_tokens=8)) == first
    assert generate(model, tokenizer, ["Is 3 a", "Is"], Sampling(max_new_tokens=8, seed=1)) != first


def test_an_answer_has_no_prompt_and_only_new_tokens(loaded):
    model, tokenizer = loaded
    answers = generate(model, tokenizer, ["Is 3 a number?"], Sampling(max_new_tokens=5))
    assert len(answers[0].ids) <= 5
    assert answers[0].ended == (len(answers[0].ids) < 5)
    assert "Is 3 a number?" not in answers[0].text


def test_padding_does_not_change_what_a_prompt_gets(loaded):
    """Greedy in effect (temperature near 0): alone or beside a longer prompt, the same tokens."""
    model, tokenizer = loaded
    cold = Sampling(temperature=1e-4, max_new_tokens=6)
    alone = generate(model, tokenizer, ["Is 3"], cold)[0]
    beside = generate(model, tokenizer, ["Is 3", "Yes, 12 is a number at all, is it?"], cold)[0]
    assert alone.ids == beside.ids


def test_a_prompt_longer_than_the_model_keeps_its_end(loaded):
    model, tokenizer = loaded
    answers = generate(model, tokenizer, ["Is 3 a number? " * 80], Sampling(max_new_tokens=4))
    assert len(answers) == 1


def test_the_first_answers_are_the_base_models(loaded):
    model, tokenizer = loaded
    sampler = Sampler(["Is 3"], tokenizer, Sampling(max_new_tokens=4), gold=lambda prompt, answer: 0.25)
    rows, metrics = sampler.draw(model, 0)
    assert rows[0]["base"] == rows[0]["dpo"]
    assert metrics["samples/gold"] == 0.25
    sampler.sampling = Sampling(max_new_tokens=4, seed=9)
    later, _ = sampler.draw(model, 10)
    assert (later[0]["base"], later[0]["step"]) == (rows[0]["base"], 10)


def test_messages_go_through_the_chat_template(loaded):
    _, tokenizer = loaded
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}?{% endif %}"
    )
    try:
        assert tokenizer.decode(prompt_ids(tokenizer, [{"role": "user", "content": "Is 3"}])) == "Is 3?"
    finally:
        tokenizer.chat_template = None
