"""Samples show what the policy says, and disturb nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training import samples
from training.samples import Sampler, Sampling, generate, prompt_ids, repetition

# PEFT reads an attribute that Transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


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


PROMPTS = ["Is 3", "Yes, 12 is a number at all, is it?", "Is 3 a number?", "No", "Is 17 a"]


def untrained(kind: str, loaded):
    """A random model of one architecture that ends one answer in twelve per token, so that rows end one by one."""
    import transformers

    sizes = {"vocab_size": len(loaded[1]), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    gated = sizes | {"intermediate_size": 48, "num_key_value_heads": 2, "max_position_embeddings": 96}
    configs = {
        "GPT2": {"vocab_size": len(loaded[1]), "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 96},
        "Qwen2": gated,  # rotary positions, grouped queries
        "Mistral": gated | {"sliding_window": 5},
        "OPT": sizes | {"ffn_dim": 48, "max_position_embeddings": 96, "word_embed_proj_dim": 32},
        "Bloom": {"vocab_size": len(loaded[1]), "hidden_size": 32, "n_layer": 2, "n_head": 4},  # no position ids
    }
    torch.manual_seed(0)
    name = f"{kind}ForCausalLM" if kind != "GPT2" else "GPT2LMHeadModel"
    config = getattr(transformers, f"{kind}Config")(**configs[kind], pad_token_id=1, bos_token_id=0, eos_token_id=0)
    model = getattr(transformers, name)(config).eval()
    model.generation_config.eos_token_id = [0, *range(100, 124)]
    return model


def by_transformers(model, tokenizer, sampling: Sampling, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(samples, "_is_plain", lambda *_: False)
        return generate(model, tokenizer, PROMPTS, sampling)


@pytest.mark.parametrize("kind", ["GPT2", "Qwen2", "Mistral", "OPT", "Bloom"])
def test_the_answers_are_those_of_transformers_generate(kind, loaded, monkeypatch):
    """Sampled with three seeds, and greedy in effect; prompts of five lengths, answers that end one by one."""
    model = untrained(kind, loaded)
    drawn = [Sampling(max_new_tokens=24, seed=seed) for seed in range(3)]
    drawn += [Sampling(temperature=1e-3, max_new_tokens=24), Sampling(top_p=0.3), Sampling(top_p=1.0, temperature=2.0)]
    for sampling in drawn:
        assert samples._is_plain(model, model)
        answers = generate(model, loaded[1], PROMPTS, sampling)
        assert answers == by_transformers(model, loaded[1], sampling, monkeypatch)
    assert len({len(answer.ids) for answer in answers}) > 1


def test_an_adapted_model_answers_as_transformers_generate_does(loaded, monkeypatch):
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    base = untrained("Qwen2", loaded)
    before = generate(base, loaded[1], PROMPTS, Sampling())
    adapted = get_peft_model(base, lora)
    answers = generate(adapted, loaded[1], PROMPTS, Sampling())
    assert answers == by_transformers(adapted, loaded[1], Sampling(), monkeypatch)
    assert answers != before


def test_a_row_that_has_ended_leaves_the_batch(loaded):
    """Of n answers with t tokens each (the end counts as one) sum(t) rows are computed, none for what comes after."""
    model = untrained("GPT2", loaded)
    rows = []
    model.register_forward_hook(lambda _module, _inputs, output: rows.append(len(output.logits)))
    answers = generate(model, loaded[1], PROMPTS, Sampling(max_new_tokens=24))
    assert sum(rows) == sum(len(answer.ids) + answer.ended for answer in answers)
    assert rows == sorted(rows, reverse=True)
    assert rows[-1] < rows[0]


def test_a_model_with_settings_of_its_own_is_left_to_transformers(loaded, monkeypatch):
    model = untrained("GPT2", loaded)
    model.generation_config.repetition_penalty = 1.5
    assert not samples._is_plain(model, model)
    expected = by_transformers(model, loaded[1], Sampling(), monkeypatch)
    assert generate(model, loaded[1], PROMPTS, Sampling()) == expected


def test_a_model_with_a_top_k_of_its_own_keeps_it(loaded, monkeypatch):
    model = untrained("GPT2", loaded)
    model.generation_config.top_k = 2
    expected = by_transformers(model, loaded[1], Sampling(temperature=3.0), monkeypatch)
    assert generate(model, loaded[1], PROMPTS, Sampling(temperature=3.0)) == expected


@pytest.mark.filterwarnings("ignore:Position ids are not supported")
def test_learned_prompts_are_left_to_transformers(loaded):
    from peft import PromptTuningConfig, get_peft_model

    model = get_peft_model(untrained("GPT2", loaded), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    assert not samples._is_plain(model, model.get_base_model())
    assert len(generate(model, loaded[1], PROMPTS, Sampling(max_new_tokens=3))) == len(PROMPTS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_diverged_model_still_answers(loaded, value):
    model = untrained("GPT2", loaded)
    model.transformer.wte.weight.data.fill_(value)
    assert len(generate(model, loaded[1], PROMPTS, Sampling(max_new_tokens=3))) == len(PROMPTS)


def test_a_token_is_drawn_as_often_as_its_probability_says():
    """Shares 0.5, 0.25, 0.15, 0.1 at temperature 1: top-p 0.85 keeps the first three, of 0.9; 0.5 / 0.9 = 0.5556.

    40,000 draws: a share has a standard deviation of at most 0.0025; top-k 2 leaves 2/3 and 1/3.
    """
    logits = torch.tensor([0.1, 0.5, 0.15, 0.25]).log().expand(40_000, 4)
    noise = torch.empty(40_000, 4).exponential_(generator=torch.Generator().manual_seed(0))
    drawn = samples._draw(logits, noise, Sampling(temperature=1.0, top_p=0.85), top_k=50)
    assert (drawn.bincount(minlength=4) / 40_000).tolist() == pytest.approx([0, 0.5556, 0.1667, 0.2778], abs=0.01)
    drawn = samples._draw(logits, noise, Sampling(temperature=1.0, top_p=1.0), top_k=2)
    assert (drawn.bincount(minlength=4) / 40_000).tolist() == pytest.approx([0, 0.6667, 0, 0.3333], abs=0.01)
    colder = samples._draw(logits, noise, Sampling(temperature=0.5, top_p=1.0), top_k=4)  # p squared, of 0.345
    assert (colder == 1).float().mean().item() == pytest.approx(0.25 / 0.345, abs=0.01)


def test_a_logit_that_is_not_a_number_counts_as_zero_and_infinity_wins():
    """exp(0) / (exp(0) + exp(2)) = 0.1192 for the NaN beside a 2; minus infinity is never drawn."""
    nan, inf = float("nan"), float("inf")
    noise = torch.empty(20_000, 4).exponential_(generator=torch.Generator().manual_seed(0))
    shares = []
    for logits in ([nan, 2.0, -inf, -inf], [nan, 2.0, inf, -inf]):
        drawn = samples._draw(torch.tensor(logits).expand(20_000, 4), noise, Sampling(1.0, 1.0), top_k=50)
        shares.append((drawn.bincount(minlength=4) / 20_000).tolist())
    assert shares[0] == pytest.approx([0.1192, 0.8808, 0, 0], abs=0.01)
    assert shares[1] == [0, 0, 1, 0]


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
