"""Rewards of tokens add up to the rewards that training recorded, for every kind of model, and read as the answers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.generate import handlers
from training.generating.pieces import pieces
from training.generating.protocol import Request
from training.generating.serving import Job
from training.record import reader

CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
KINDS = {
    "plain": {},
    "cut": {"max_length": 24},
    "end": {"max_length": 24, "truncation_mode": "keep_end", "max_prompt_length": 12},
    "stock": {"fast": "false"},
    "lora": {"use_peft": "true", "learning_rate": 3e-2},
    "chat": {"model": "chat"},
    "marked": {"user_marker": "Q: ", "assistant_marker": "\\nA: "},
    "t5": {"model": "t5"},
    "t5-lora": {"model": "t5", "use_peft": "true", "learning_rate": 3e-2},
}


@pytest.fixture(scope="module")
def emoji_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pairs whose answers hold characters of one to four bytes, and grow to some thirty tokens."""
    rows = [
        {
            "prompt": f"Is {n} a number?" + " Really?" * (n % 7),
            "chosen": f"Yes, {n} 数 é" + " 🎉" * (n % 4),
            "rejected": f"No, {n} is not a number" + " at all" * (n % 5),
        }
        for n in range(40)
    ]
    path = tmp_path_factory.mktemp("emoji") / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, pairs: list[dict[str, str]]) -> dict[str, Path]:
    """An untrained GPT-2, the same with a chat template, and a T5 with a vocabulary like SentencePiece's."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
    from tokenizers.models import Unigram
    from transformers import (
        AutoTokenizer,
        GPT2LMHeadModel,
        PreTrainedTokenizerFast,
        T5Config,
        T5ForConditionalGeneration,
    )

    folder = tmp_path_factory.mktemp("models")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder / "chat")
    GPT2LMHeadModel.from_pretrained(tiny_model).save_pretrained(folder / "chat")
    words = Tokenizer(Unigram())
    words.pre_tokenizer, words.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=100, special_tokens=special, unk_token="<unk>", show_progress=False)
    words.train_from_iterator((text for pair in pairs for text in pair.values()), trainer)
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=words, **names).save_pretrained(folder / "t5")
    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2}
    config = T5Config(vocab_size=words.get_vocab_size(), decoder_start_token_id=0, pad_token_id=0, **sizes)
    T5ForConditionalGeneration(config).save_pretrained(folder / "t5")
    return {"gpt2": tiny_model, "chat": folder / "chat", "t5": folder / "t5"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], emoji_file: Path) -> Path:
    """One trained run of each kind."""
    from training.run import main

    folder = tmp_path_factory.mktemp("runs")
    common = {
        "runs": folder,
        "dataset_name": emoji_file,
        "dataset_test_size": 0.5,
        "max_steps": 4,
        "eval_steps": 2,
        "save_steps": 2,
        "save_total_limit": 2,
        "learning_rate": 3e-3,
        "per_device_train_batch_size": 4,
        "sample_max_new_tokens": 2,
        "beta": 0.3,
    }
    for name, own in KINDS.items():
        told = {**common, "name": name, **own}
        told["model_name_or_path"] = models[told.pop("model", "gpt2")]
        assert main(["-q", *(f"--{key}={value}" for key, value in told.items())]) == 0
    return folder


@pytest.fixture(scope="module")
def token_rewards() -> Callable[..., Any]:
    answer = handlers()["token_rewards"]
    return lambda **content: answer(Job(Request(1, "token_rewards", content)))


@pytest.fixture(scope="module")
def byte_tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def scored(run: Path, step: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each evaluation pair, and its scores."""
    digest = reader.read_run(run).data["eval"]
    pairs = pq.read_table(run.parent / ".shared" / digest / "pairs.parquet").to_pylist()
    scores = {row["pair_id"]: row for row in reader.read_scores(run, step).to_pylist()}
    return ((pair, scores[pair["pair_id"]]) for pair in pairs)


def of(run: Path, pair: dict[str, Any], checkpoint: object = None) -> dict[str, Any]:
    answers = [pair["chosen"], pair["rejected"]]
    return {"run": str(run), "checkpoint": checkpoint, "prompt": pair["prompt"], "answers": answers}


@pytest.mark.parametrize("step", [2, 4])
@pytest.mark.parametrize("name", KINDS)
def test_the_sum_over_tokens_is_the_recorded_reward_of_the_answer(runs, token_rewards, name, step):
    """beta * (log policy - log reference), beta = 0.3, as at the evaluation of that step, to 1e-4."""
    sizes = []
    for pair, row in scored(runs / name, step):
        found = token_rewards(**of(runs / name, pair, step))
        for side, rewards, total in zip(("chosen", "rejected"), found["rewards"], found["totals"], strict=True):
            expected = 0.3 * (row[f"{side}_logp"] - row[f"ref_{side}_logp"])
            assert total == pytest.approx(expected, abs=1e-4)
            assert sum(rewards) == pytest.approx(total, abs=1e-9)
            sizes.append(abs(total))
    assert max(sizes) > 0.01  # it has learned something, so that zeros would not pass


@pytest.mark.parametrize("name", ["plain", "lora", "chat", "marked"])
def test_the_tokens_read_as_the_answer_with_its_end(runs, token_rewards, name):
    """The answer as training formed it: in plain text it begins with the blank that parts it from its prompt."""
    begin = "" if name == "chat" else " "
    end = "<|end|>\n" if name == "chat" else "<|end|>"
    for pair, _ in scored(runs / name, 4):
        for side, tokens in zip(("chosen", "rejected"), token_rewards(**of(runs / name, pair))["tokens"], strict=True):
            assert "".join(tokens) == begin + pair[side] + end
            assert all(tokens)
            assert "\N{REPLACEMENT CHARACTER}" not in "".join(tokens)


def test_characters_of_several_tokens_are_one_entry(runs, token_rewards):
    """The vocabulary has bytes, so the party popper (4 bytes in UTF-8) is several tokens, never a fragment."""
    run = runs / "plain"
    pair, row = next((p, r) for p, r in scored(run, 4) if "🎉" in p["chosen"])
    tokens = token_rewards(**of(run, pair))["tokens"][0]
    assert [token.strip() for token in tokens].count("🎉") == pair["chosen"].count("🎉")
    assert len(tokens) < row["chosen_tokens"]


def test_an_answer_that_was_cut_has_the_tokens_that_training_kept(runs, token_rewards):
    """Of ascii answers each token is an entry: as many as chosen_tokens or rejected_tokens in the scores say."""
    cut = 0
    for name in ("cut", "end"):
        for pair, row in scored(runs / name, 4):
            tokens = token_rewards(**of(runs / name, pair))["tokens"][1]
            assert len(tokens) == row["rejected_tokens"]
            assert "".join(tokens).strip() in pair["rejected"] + "<|end|>"
            cut += row["rejected_truncated"]
    assert cut > 5


def test_words_of_sentencepiece_keep_the_blanks_between_them(runs, token_rewards):
    pair, _ = next(scored(runs / "t5", 4))
    tokens = token_rewards(**of(runs / "t5", pair))["tokens"][1]
    assert "".join(tokens) == pair["rejected"] + "</s>"


@given(st.text(max_size=60))
def test_pieces_of_any_text_join_to_it_and_count_every_token(byte_tokenizer, text):
    ids = byte_tokenizer(text)["input_ids"]
    found = list(pieces(byte_tokenizer, ids))
    assert "".join(piece for piece, _ in found) == text
    assert sum(count for _, count in found) == len(ids)


@given(st.lists(st.integers(0, 270), max_size=40))
def test_pieces_of_any_tokens_join_to_what_all_of_them_decode_to(byte_tokenizer, ids):
    """Models may also say halves of characters."""
    found = list(pieces(byte_tokenizer, ids))
    assert sum(count for _, count in found) == len(ids)
    joined = "".join(piece for piece, _ in found)
    assert joined.replace("\N{REPLACEMENT CHARACTER}", "") == byte_tokenizer.decode(ids).replace(
        "\N{REPLACEMENT CHARACTER}", ""
    )
