"""What tests of the recipes share: tiny untrained models, and rows in the columns and text shape of the data sets."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from training.recipe_list import RECIPES

Row = dict[str, Any]
NAMES = (
    *("embedded", "gpt2-human-like", "gpt2-orca", "gpt2-rm-single-context", "gpt2-static-hh"),
    *("qwen2-full-hh", "t5-human-like"),
)
PROJECTS = NAMES[1:]

THINGS = ("an egg", "a kite", "a garden", "a bicycle", "a letter", "a lamp", "a river", "a song", "a chair", "a map")
ASKED = ("How do I begin with {}?", "What is {} good for?", "Who first made {}?", "Is {} worth having?")
QUESTIONS = [ask.format(thing) for ask in ASKED for thing in THINGS]  # 40, all different
GOOD = "Start small: look at it from all sides, then try one thing"
BAD = "I cannot help with that"
CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def content(name: str) -> dict[str, Any]:
    return yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))


# --- rows -------------------------------------------------------------------------------------------------------------


def orca() -> list[Row]:
    """60 rows: 8 ties, 6 scores below 8 and 5 GSM8K questions leave 41, of which one has equal answers.

    Every second row has a system prompt.
    """
    rows = [_orca(n, question, chosen=f"{GOOD} ({n}).") for n, question in enumerate(QUESTIONS)]
    rows += [_orca(n, f"Tie {n}?", chosen=f"{GOOD} ({n}).", status="tie") for n in range(8)]
    rows += [_orca(n, f"Weak {n}?", chosen=f"{GOOD} ({n}).", chosen_score=7.0) for n in range(6)]
    rows += [_orca(n, f"Sum {n}?", chosen=f"{GOOD} ({n}).", in_gsm8k_train=True) for n in range(5)]
    return [*rows, _orca(0, "Equal?", chosen=BAD)]


def full_hh() -> dict[str, list[Row]]:
    """40 training and 12 evaluation rows: the prompts of 2 training rows are evaluated too. Every third has 3 turns."""
    train = [_hh(question, number=n) for n, question in enumerate(QUESTIONS)]
    test = [_hh(f"Tell me of test {n}.", number=n) for n in range(10)] + train[:2]
    return {"train": train, "test": test}


def static_hh() -> dict[str, list[Row]]:
    """40 training and 10 evaluation rows: 2 training answers are empty, every fourth prompt ends with a space."""
    train = [_hh(question, number=n, end=" " * (n % 4 == 0)) for n, question in enumerate(QUESTIONS)]
    train[5] |= {"chosen": "", "response": ""}
    train[6] |= {"rejected": " "}
    return {"train": train, "test": [_hh(f"Tell me of test {n}.", number=n, end=" " * (n % 4 == 0)) for n in range(10)]}


def human_like() -> list[Row]:
    """40 rows: a casual answer with an emoji, a formal one."""
    return [
        {
            "prompt": question,
            "chosen": f"Oh, I love that one! 😊 Honestly, number {n} made my day. What about you? 🎉",
            "rejected": f"As a digital assistant, I do not hold opinions on matter {n}. I can state its properties.",
        }
        for n, question in enumerate(QUESTIONS)
    ]


def single_context() -> dict[str, list[Row]]:
    """40 training and 10 evaluation rows: the last two user turns, the first without `Human: `; every fifth has it."""
    train = [_single(question, n, "\n\nHuman: " * (n % 5 == 0)) for n, question in enumerate(QUESTIONS)]
    return {"train": train, "test": [_single(f"Tell me of test {n}.", n, "") for n in range(10)]}


def _orca(number: int, question: str, chosen: str, **other: Any) -> Row:
    return {
        "system": "You are an AI assistant. Explain as to a child." if number % 2 else "",
        "input": question,
        "chosen": chosen,
        "rejected": BAD,
        "generations": [chosen, BAD],
        "order": ["chosen", "rejected"],
        "labelling_model": "a judge",
        "labelling_prompt": [{"role": "user", "content": "Rate both answers."}],
        "raw_labelling_response": "9\n4",
        "rating": [9.0, 4.0],
        "rationale": "The first one helps.",
        "status": "swapped" if number % 3 == 0 else "unchanged",
        "original_chosen": chosen,
        "original_rejected": BAD,
        "chosen_score": 8.0 + number % 3,
        "in_gsm8k_train": False,
        **other,
    }


def _hh(question: str, number: int, end: str = "") -> Row:
    before = f"\n\nHuman: Hello, {number}.\n\nAssistant: Hello! What can I do for you?" * (number % 3 == 0)
    chosen = f" {GOOD} ({number})."
    prompt = f"{before}\n\nHuman: {question}\n\nAssistant:{end}"
    return {"prompt": prompt, "response": chosen, "chosen": chosen, "rejected": f" {BAD}, {number}."}


def _single(question: str, number: int, start: str) -> Row:
    return {
        "prompt": f"{start}Hello, {number}.\n\nHuman: {question}\n\n",
        "chosen": f"Assistant: {GOOD} ({number}).",
        "rejected": f"Assistant: {BAD}, {number}.",
    }


# --- files ------------------------------------------------------------------------------------------------------------


def write(folder: Path, rows: list[Row] | dict[str, list[Row]]) -> Path:
    """One file of rows without splits, or a folder with a file for each split."""
    folder.mkdir(parents=True)
    splits = rows if isinstance(rows, dict) else {"train": rows}
    for split, found in splits.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return folder if isinstance(rows, dict) else folder / "train.jsonl"


def texts(rows: list[Row] | dict[str, list[Row]]) -> list[str]:
    """All that the columns say, to make a tokenizer of."""
    found = [row for split in rows.values() for row in split] if isinstance(rows, dict) else rows
    return [value for row in found for value in row.values() if isinstance(value, str)]


# --- models -----------------------------------------------------------------------------------------------------------


def gpt2(folder: Path, said: Iterable[str]) -> Path:
    """GPT-2 with its default dropout, and a tokenizer that has no padding token and no chat template, as `gpt2` has."""
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    end = "<|endoftext|>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_bytes(said, [end]), bos_token=end, eos_token=end)
    ends = {"bos_token_id": tokenizer.eos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=1024, n_embd=32, n_layer=2, n_head=2, **ends)
    return _save(GPT2LMHeadModel, config, tokenizer, folder)


def qwen2(folder: Path, said: Iterable[str]) -> Path:
    """Qwen2 with grouped queries, and a tokenizer with a ChatML template that adds a system prompt, as Qwen2's does."""
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_bytes(said, words), eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHATML
    )
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return _save(Qwen2ForCausalLM, config, tokenizer, folder)


def t5(folder: Path, said: Iterable[str]) -> Path:
    """T5 with its default dropout, and a tokenizer with padding 0 that ends every text with `</s>`, as T5's does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    made = Tokenizer(models.Unigram())
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    made.train_from_iterator(
        said,
        trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False),
    )
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )
    config = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0
    )
    return _save(T5ForConditionalGeneration, config, tokenizer, folder)


def _bytes(said: Iterable[str], special: list[str]) -> Any:
    from tokenizers import ByteLevelBPETokenizer

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(said, vocab_size=400, special_tokens=special, show_progress=False)
    return bpe._tokenizer


def _save(architecture: Any, config: Any, tokenizer: Any, folder: Path) -> Path:
    import torch

    torch.manual_seed(0)
    architecture(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
