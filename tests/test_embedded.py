"""The built-in pairs, the gold score and the tiny base model."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.embedded import pairs
from training.embedded.gold import gold_score
from training.embedded.items import items

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "training" / "embedded" / "model"
THAILAND = "What is the capital city of Thailand?"


@pytest.fixture(scope="module")
def built() -> dict[str, list[dict[str, Any]]]:
    return pairs.build()


def answers(row: dict[str, Any]) -> tuple[str, str]:
    """(good, bad) answer of a row, flips undone."""
    chosen, rejected = row["chosen"][0]["content"], row["rejected"][0]["content"]
    return (rejected, chosen) if row["flipped"] else (chosen, rejected)


def n_words(messages: list[dict[str, str]]) -> int:
    return len(messages[0]["content"].split())


def test_there_are_enough_pairs_of_every_kind_and_fault(built):
    assert len(built["train"]) >= 3000
    assert len(built["eval"]) >= 600
    for rows in built.values():
        kinds, faults = Counter(row["kind"] for row in rows), Counter(row["fault"] for row in rows)
        assert set(kinds) == {"question", "instruction", "open", "system"}
        assert set(faults) == {"evasive", "rude", "wrong", "rambling"}
        assert min(kinds.values()) > 0.04 * len(rows)
        assert min(faults.values()) > 0.1 * len(rows)


def test_there_are_a_few_hundred_facts_and_instructions_with_several_phrasings_each():
    assert len(items()) >= 300
    assert len({item.key for item in items()}) == len(items())
    assert min(len(item.prompts) for item in items()) >= 4


def test_no_two_items_share_a_prompt():
    prompts = Counter(prompt for item in items() for prompt in item.prompts)
    assert max(prompts.values()) == 1


def test_eval_prompts_are_held_out_of_train_and_of_pretraining(built):
    texts = {name: {row["prompt"][-1]["content"] for row in rows} for name, rows in built.items()}
    pretrained = {text for split in ("train", "spare") for _, text in pairs.prompts(split)}
    assert not texts["eval"] & (texts["train"] | pretrained)
    assert THAILAND in texts["eval"]


def test_another_seed_gives_other_pairs_over_the_same_split(built):
    other = pairs.build(seed=1)
    assert other["train"] != built["train"]
    trained = {row["prompt"][-1]["content"] for row in other["train"]}
    assert not trained & {row["prompt"][-1]["content"] for row in built["eval"]}


def test_pairs_are_the_same_in_another_process_with_another_hash_seed(built):
    code = (
        "import hashlib, json; from training.embedded import pairs;"
        "print(hashlib.sha256(json.dumps(pairs.build()).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == hashlib.sha256(json.dumps(built).encode()).hexdigest()


def test_about_8_percent_of_the_pairs_are_flipped(built):
    for rows in built.values():
        assert mean(row["flipped"] for row in rows) == pytest.approx(0.08, abs=1e-3)


def test_chosen_is_a_little_longer_as_in_real_data(built):
    """Ties count half."""
    rows = built["train"] + built["eval"]
    lengths = [(n_words(row["chosen"]), n_words(row["rejected"])) for row in rows]
    longer = mean(1.0 if chosen > rejected else 0.5 * (chosen == rejected) for chosen, rejected in lengths)
    assert 0.55 <= longer <= 0.65
    assert mean(chosen for chosen, _ in lengths) > mean(rejected for _, rejected in lengths)


def test_a_system_pair_and_no_other_starts_with_a_system_message(built):
    for row in built["train"] + built["eval"]:
        roles = [message["role"] for message in row["prompt"]]
        assert roles == (["system", "user"] if row["kind"] == "system" else ["user"])


def test_sample_prompts_are_held_out_and_of_every_kind(built):
    prompts = pairs.sample_prompts()
    kinds = {row["kind"] for row in built["eval"] if row["prompt"] in prompts}
    assert prompts[0] == [{"role": "user", "content": THAILAND}]
    assert 8 <= len(prompts) <= 12
    assert kinds == {"question", "instruction", "open", "system"}


def test_importing_pairs_and_gold_loads_only_the_standard_library():
    code = (
        "import sys; import training.embedded.gold, training.embedded.pairs;"
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'transformers', 'numpy', 'tokenizers')])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_gold_prefers_the_good_answer_of_almost_every_pair(built):
    rows = built["train"] + built["eval"]
    scores = [[gold_score(row["prompt"], answer) for answer in answers(row)] for row in rows]
    assert mean(good > bad for good, bad in scores) >= 0.98
    assert mean(good for good, _ in scores) > 0.9
    assert mean(bad for _, bad in scores) < 0.1


def test_gold_is_graded():
    """Full and polite, full, terse, without its full stop, wrong: each worth less than the one before."""
    ladder = (
        "Sure! The capital of Thailand is Bangkok.",
        "The capital of Thailand is Bangkok.",
        "It is Bangkok.",
        "The capital of Thailand is Bangkok",
        "The capital of Thailand is Paris.",
    )
    scores = [gold_score(THAILAND, answer) for answer in ladder]
    assert scores == sorted(set(scores), reverse=True)
    assert scores[1] >= 0.7 > scores[2] > 0.5
    assert scores[-1] < 0.2


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "   ",
        "?!",
        THAILAND,
        "What is the capital city of Thailand",
        "Bangkok Bangkok Bangkok Bangkok Bangkok.",
        "The capital of Thailand is Bangkok. " * 6,
        "Bangkok Paris Rome Thailand capital city.",
        "Thailand Bangkok capital of the is.",
        "The the capital capital of of Thailand Thailand.",
        "xq zrt blorp glim.",
        "I hope this helps. I hope this helps.",
        "I hope this helps.",
        "I am not sure about Thailand.",
        "Everybody knows that.",
        "Bangkok, Oslo, Paris, Rome, Lima and Cairo.",
    ],
)
def test_degenerate_answers_score_below_one_fifth(answer):
    assert gold_score(THAILAND, answer) < 0.2


@pytest.mark.parametrize("answer", ["", "cake chocolate sister cake flour", "cake " * 30, "zrt xq bake."])
def test_degenerate_answers_to_an_unknown_prompt_score_below_one_fifth(answer):
    assert gold_score("How do I bake a chocolate cake for my sister?", answer) < 0.2


def test_an_unknown_prompt_rewards_a_fluent_answer_on_the_topic():
    prompt = "How do I bake a chocolate cake for my sister?"
    on_topic = "You can bake a cake with flour, eggs and chocolate. Put it in the oven for an hour."
    off_topic = "The train to the coast leaves at nine, and it is always full of people."
    assert gold_score(prompt, on_topic) > 0.6 > gold_score(prompt, off_topic)


def test_stuffing_an_answer_with_every_polite_phrase_does_not_pay():
    plain = "The capital of Thailand is Bangkok."
    stuffed = f"Sure! Of course! Gladly! Good question! {plain} I hope this helps. Feel free to ask me more."
    assert gold_score(THAILAND, stuffed) < gold_score(THAILAND, plain)


def test_repeating_a_right_answer_never_pays(built):
    """A good answer said twice is worth less than said once, for each of 100 held-out pairs."""
    for row in built["eval"][:100]:
        good, _ = answers(row)
        assert gold_score(row["prompt"], f"{good} {good}") < gold_score(row["prompt"], good)


def test_every_word_shuffled_answer_loses(built):
    """Reversed word order keeps every key word and no sentence; answers of at least five words."""
    for row in built["eval"][:200]:
        good, _ = answers(row)
        if len(good.split()) >= 5:
            salad = " ".join(reversed(good.rstrip(".").split())) + "."
            assert gold_score(row["prompt"], salad) < 0.7 * gold_score(row["prompt"], good)


def test_one_broken_sentence_costs_more_than_a_polite_frame_earns():
    """As an over-optimised model writes: every phrase is familiar, the sentence is none."""
    prompt = "Do you know what a spade is used for?"
    broken = "Happy to help! People in a spade to dig holes. Feel free to ask me more."
    assert gold_score(prompt, broken) < 0.7 < gold_score(prompt, "You use a spade to dig holes.")


def test_gold_knows_what_a_system_prompt_asks_for():
    asked = [
        {"role": "system", "content": "Begin every answer with the word Hello."},
        {"role": "user", "content": THAILAND},
    ]
    plain = "The capital of Thailand is Bangkok."
    assert gold_score(asked, f"Hello! {plain}") > gold_score(asked, plain)


@given(st.text(), st.text())
def test_gold_stays_between_zero_and_one_for_any_text(prompt, answer):
    assert 0.0 <= gold_score(prompt, answer) <= 1.0
    assert 0.0 <= gold_score(THAILAND, answer) <= 1.0


def test_the_shipped_model_is_small():
    assert sum(file.stat().st_size for file in MODEL.iterdir()) <= 6 * 2**20
    assert (MODEL / "README.md").exists()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(MODEL)


def test_the_prompt_is_a_prefix_of_prompt_and_answer(built, tokenizer):
    """What TRL's tokenisation of conversational pairs needs."""
    assert len(tokenizer) <= 2000
    assert tokenizer.pad_token != tokenizer.eos_token
    for row in built["eval"][:50]:
        prompt = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True)["input_ids"]
        whole = tokenizer.apply_chat_template(row["prompt"] + row["chosen"])["input_ids"]
        assert whole[: len(prompt)] == prompt
        assert whole[-1] == tokenizer.eos_token_id
        assert len(whole) <= 512


def test_the_tokenizer_takes_back_any_text(tokenizer):
    for text in ("Zürich — naïve façade, 東京 🙂\n\ttabs", "The capital of Thailand is Bangkok."):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_shipped_model_speaks_and_knows_its_facts(built, tokenizer):
    """Of 60 held-out prompts, greedily: most answers are right or at least sentences (gold score above nonsense)."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    assert model.num_parameters() <= 3_000_000
    prompts = [row["prompt"] for row in built["eval"][:60]]
    tokenizer.padding_side = "left"
    batch = tokenizer.apply_chat_template(
        prompts, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    made = model.generate(**batch, max_new_tokens=64, do_sample=False)
    texts = tokenizer.batch_decode(made[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    assert mean(text.rstrip()[-1:] in ".!?" for text in texts) > 0.95
    assert mean(gold_score(prompt, text) >= 0.5 for prompt, text in zip(prompts, texts, strict=True)) > 0.4
