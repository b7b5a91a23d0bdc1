"""The built-in preference pairs, made by a seeded generator: helpful against bad answers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from random import Random
from typing import Any

from training.embedded import style
from training.embedded.item import Item
from training.embedded.items import items

N_TRAIN, N_EVAL = 3200, 640
FLIPPED = 0.08  # share of pairs whose answers are swapped on purpose: label noise to be found
SYSTEM_SHARE = 0.2
TRAIN_PHRASINGS = 9  # of one item, at most: many phrasings of a capital must not crowd out the open questions
FAULTS = {"evasive": 0.30, "rude": 0.22, "wrong": 0.30, "rambling": 0.18}
THAILAND = ("capital: Thailand", "What is the capital city of Thailand?")  # always held out, and the first pair

Message = dict[str, str]
Row = dict[str, Any]


def build(seed: int = 0) -> dict[str, list[Row]]:
    """The pairs of both splits, {"train": rows, "eval": rows}; the same seed gives the same rows everywhere.

    A row has pair_id, kind, prompt, chosen, rejected (lists of messages), fault (of the bad answer) and flipped
    (the bad answer stands under chosen). No user message of eval is in train.
    """
    return {split: _rows(split, seed) for split in ("train", "eval")}


@functools.cache
def prompts(split: str) -> tuple[tuple[Item, str], ...]:
    """(item, user message) of a split: train, eval, or spare (seen in pre-training only).

    One phrasing of every item is eval's. Of every seventh item four phrasings are eval's and no pair is train's:
    what DPO does to them, it has not seen.
    """
    found: dict[str, list[tuple[Item, str]]] = {"train": [], "eval": [], "spare": []}
    for i, item in enumerate(items()):
        shuffled = Random(f"split {item.key}").sample(item.prompts, len(item.prompts))
        unseen = i % 7 == 3 or item.key == THAILAND[0]
        shuffled.sort(key=lambda text: text != THAILAND[1])
        n_eval = 4 if unseen else 1
        found["eval"] += [(item, text) for text in shuffled[:n_eval]]
        n_train = 0 if unseen else TRAIN_PHRASINGS
        found["train"] += [(item, text) for text in shuffled[n_eval : n_eval + n_train]]
        found["spare"] += [(item, text) for text in shuffled[n_eval + n_train :]]
    return tuple(found[split])


def held_out() -> list[list[Message]]:
    """The prompts of all evaluation pairs, to compare answers of two models on."""
    return [row["prompt"] for row in build()["eval"]]


def sample_prompts() -> list[list[Message]]:
    """The recipe's fixed prompts for samples: held out, every kind present, Thailand's capital first."""
    rows = build()["eval"]
    counts = {"question": 4, "instruction": 3, "open": 2, "system": 2}
    return [row["prompt"] for kind, n in counts.items() for row in [row for row in rows if row["kind"] == kind][:n]]


def good_answer(item: Item, system: str, rng: Random) -> str:
    """A helpful, right and polite answer that does as the system prompt asks."""
    text = rng.choice(item.helpful)
    return style.obey(system, text if system == style.ONE_SENTENCE else style.frame(text, rng))


def bad_answer(item: Item, fault: str, system: str, rng: Random) -> str:
    """An answer with the named fault; it sometimes does as the system prompt asks."""
    if fault == "wrong":
        text = rng.choice(item.wrong)
        text = style.frame(text, rng) if rng.random() < 0.5 else text
    else:
        text = {"evasive": style.evasive, "rude": style.rude, "rambling": style.rambling}[fault](item.about, rng)
    return style.obey(system, text) if rng.random() < 0.5 else text


def pick_fault(weights: Mapping[str, float], rng: Random) -> str:
    """One of the faults, drawn by its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def _rows(split: str, seed: int) -> list[Row]:
    rng = Random(f"{split} {seed}")
    count = N_TRAIN if split == "train" else N_EVAL
    drawn = rng.sample(prompts(split), len(prompts(split)))
    drawn = sorted(drawn, key=lambda pair: pair[1] != THAILAND[1])[:count]
    flips = set(Random(f"flips {split} {seed}").sample(range(count), round(FLIPPED * count)))
    return [_row(f"{split}-{i:04d}", item, text, i in flips, rng) for i, (item, text) in enumerate(drawn)]


def _row(pair_id: str, item: Item, text: str, flipped: bool, rng: Random) -> Row:
    system = "" if text == THAILAND[1] or rng.random() >= SYSTEM_SHARE else rng.choice(style.SYSTEMS)
    fault = pick_fault(FAULTS, rng)
    good, bad = good_answer(item, system, rng), bad_answer(item, fault, system, rng)
    chosen, rejected = (bad, good) if flipped else (good, bad)
    messages = [{"role": "system", "content": system}] if system else []
    return {
        "pair_id": pair_id,
        "kind": "system" if system else item.kind,
        "prompt": [*messages, {"role": "user", "content": text}],
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "fault": fault,
        "flipped": flipped,
    }
