"""Makes the tiny base model: python -m training.embedded.pretrain [--out DIR] [--steps N] [--minutes M]

A GPT-2 that has seen every fact, and good and bad answers mixed, so that DPO has something to improve. No prompt of
the evaluation pairs is in its training text.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from training.embedded import pairs, style
from training.embedded.item import Item

END, PAD, ROLES = "<|end|>", "<|pad|>", ("<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
VOCABULARY, POSITIONS, WIDTH, LAYERS, HEADS = 2000, 512, 192, 4, 6
HELPFUL, TERSE = 0.31, 0.11  # shares of answers in pre-training; the rest is bad, and rarer at temperature 0.7
FAULTS = {"evasive": 0.27, "rude": 0.27, "wrong": 0.28, "rambling": 0.18}
BATCH, PEAK_RATE, WARMUP = 64, 3e-3, 0.03
MODEL = Path(__file__).parent / "model"


def main() -> None:
    """Trains and saves the tokenizer and the model."""
    parser = argparse.ArgumentParser(prog="python -m training.embedded.pretrain", description=__doc__)
    parser.add_argument("--out", type=Path, default=MODEL, help="folder of the model (default: where it is shipped)")
    parser.add_argument("--steps", type=int, default=3600, help="optimizer steps of 64 sequences (default: 3600)")
    parser.add_argument("--minutes", type=float, default=600.0, help="end after this time at the latest (default: 600)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    tokenizer = make_tokenizer(args.seed)
    model = train(tokenizer, args.steps, args.minutes, args.seed)
    tokenizer.save_pretrained(args.out)
    model.half().save_pretrained(args.out)


def conversations(seed: int) -> Iterator[tuple[str, str]]:
    """Endless (prompt, answer) texts in chat form: the mixture of good and bad answers."""
    rng = Random(f"pretrain {seed}")
    seen = pairs.prompts("train") + pairs.prompts("spare")
    by_item: dict[str, list[tuple[Item, str]]] = {}
    for item, text in seen:
        by_item.setdefault(item.key, []).append((item, text))
    groups = list(by_item.values())
    while True:
        item, text = rng.choice(rng.choice(groups))
        system = "" if rng.random() >= pairs.SYSTEM_SHARE else rng.choice(style.SYSTEMS)
        head = f"<|system|>{system}{END}" if system else ""
        yield f"{head}<|user|>{text}{END}<|assistant|>", _answer(item, system, rng) + END


def make_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with the chat template, made from the first 40,000 conversations."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END, *ROLES],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    source = conversations(seed)
    tokenizer.train_from_iterator(("".join(next(source)) for _ in range(40_000)), trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLES),
        model_max_length=POSITIONS,
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = TEMPLATE
    return made


def train(tokenizer: PreTrainedTokenizerFast, steps: int, minutes: float, seed: int) -> GPT2LMHeadModel:
    """AdamW with warm-up and cosine decay, in bfloat16 autocast; the loss is on the answers' tokens only."""
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(_config(tokenizer))
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = (
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
    )
    optimizer = torch.optim.AdamW(_groups(model), lr=PEAK_RATE, betas=(0.9, 0.98), fused=True)
    batches, begin, recent = _batches(tokenizer, seed), time.monotonic(), 0.0
    for step in range(steps):
        progress = max(step / steps, (time.monotonic() - begin) / (60 * minutes))
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * min(progress / WARMUP + 0.01, 0.51 + 0.49 * math.cos(math.pi * progress))
        loss = _loss(model, *next(batches))
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        recent += loss.item()
        if step % 200 == 199:
            print(f"step {step + 1}  loss {recent / 200:.4f}  {time.monotonic() - begin:.0f} s", flush=True)
            recent = 0.0
    return model


def _answer(item: Item, system: str, rng: Random) -> str:
    draw = rng.random()
    if draw < HELPFUL:
        return pairs.good_answer(item, system, rng)
    if draw < HELPFUL + TERSE:
        return rng.choice(item.terse or item.helpful)
    return pairs.bad_answer(item, pairs.pick_fault(FAULTS, rng), system, rng)


def _config(tokenizer: PreTrainedTokenizerFast) -> GPT2Config:
    return GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=POSITIONS,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _groups(model: GPT2LMHeadModel) -> list[dict[str, Any]]:
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    return [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]


def _batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Token ids and labels (-100 on prompt and padding), both (BATCH, length), in batches of similar length."""
    source, rng = conversations(seed + 1), Random(seed)
    while True:
        texts = [next(source) for _ in range(32 * BATCH)]
        heads, tails = (tokenizer([text[i] for text in texts])["input_ids"] for i in (0, 1))
        rows = sorted(zip(heads, tails, strict=True), key=lambda row: len(row[0]) + len(row[1]))
        for start in rng.sample(range(0, len(rows), BATCH), 32):
            chunk = rows[start : start + BATCH]
            width = max(len(head) + len(tail) for head, tail in chunk)
            ids = torch.full((BATCH, width), tokenizer.pad_token_id)
            labels = torch.full((BATCH, width), -100)
            for i, (head, tail) in enumerate(chunk):
                ids[i, : len(head) + len(tail)] = torch.tensor(head + tail)
                labels[i, len(head) : len(head) + len(tail)] = torch.tensor(tail)
            yield ids, labels


def _loss(model: GPT2LMHeadModel, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of the answers' tokens; padding is on the right, where a causal model needs no mask."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.transformer(ids[:, :-1]).last_hidden_state
        scored = labels[:, 1:] != -100
        logits = model.lm_head(hidden[scored])
    return cross_entropy(logits.float(), labels[:, 1:][scored])


if __name__ == "__main__":
    main()
