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
    resumed = Sampler(["Is 3"], tokenizer, Sampling(max_new_tokens=4, seed=9), base=[rows[0]["base"]])
    assert resumed.draw(model, 10)[0] == later


@pytest.fixture(scope="module", params=["t5", "bart"])
def encoder_decoder(request, loaded):
    """Untrained, with a tokenizer that puts the end after a text, as T5's does; BART has 16 positions, T5 no limit."""
    from copy import deepcopy

    from tokenizers.processors import TemplateProcessing
    from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

    tokenizer = deepcopy(loaded[1])
    end, padding = tokenizer.eos_token_id, tokenizer.pad_token_id
    ended = TemplateProcessing(single="$A <|end|>", special_tokens=[("<|end|>", end)])
    tokenizer.backend_tokenizer.post_processor = ended
    ids = {
        "vocab_size": len(tokenizer),
        "pad_token_id": padding,
        "eos_token_id": end,
        "decoder_start_token_id": padding,
    }
    torch.manual_seed(0)
    if request.param == "t5":
        config = T5Config(d_model=32, d_kv=16, d_ff=32, num_layers=1, num_heads=2, initializer_factor=4.0, **ids)
        return T5ForConditionalGeneration(config), tokenizer
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    wide = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 16, "init_std": 0.3}
    config = BartConfig(d_model=32, bos_token_id=end, forced_eos_token_id=None, **sizes, **wide, **ids)
    return BartForConditionalGeneration(config), tokenizer


def greedy(model, ids: list[int], new: int) -> list[int]:
    """The likeliest next token, again and again, from whole forward passes without cache or padding."""
    answer = [model.config.decoder_start_token_id]
    model.eval()
    with torch.no_grad():
        while len(answer) <= new and model.config.eos_token_id not in answer:
            logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([answer])).logits
            answer.append(int(logits[0, -1].argmax()))
    return [token for token in answer[1:] if token != model.config.eos_token_id]


def test_an_encoder_gets_the_prompt_with_its_end_and_the_decoder_only_answers(encoder_decoder):
    """Alone and beside a shorter and a longer prompt; the longest keeps its last 16 tokens in BART."""
    model, tokenizer = encoder_decoder
    prompts = ["Is 3", "Is 12 a number?", "Is 3 a number? " * 12]
    room = getattr(model.config, "max_position_embeddings", None) or 10_000
    inputs = [tokenizer(prompt)["input_ids"][-room:] for prompt in prompts]
    assert len({len(row) for row in inputs}) == 3
    assert all(row[-1] == tokenizer.eos_token_id for row in inputs)
    cold = Sampling(temperature=1e-4, max_new_tokens=6)
    expected = [greedy(model, row, 6) for row in inputs]
    assert len({tuple(row) for row in expected}) > 1
    assert [list(answer.ids) for answer in generate(model, tokenizer, prompts, cold)] == expected
    alone = [generate(model, tokenizer, [prompt], cold)[0] for prompt in prompts]
    assert [list(answer.ids) for answer in alone] == expected


def test_messages_go_through_the_chat_template(loaded):
    _, tokenizer = loaded
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}?{% endif %}"
    )
    try:
        assert tokenizer.decode(prompt_ids(tokenizer, [{"role": "user", "content": "Is 3"}])) == "Is 3?"
    finally:
        tokenizer.chat_template = None
