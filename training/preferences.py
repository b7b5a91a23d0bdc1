"""Preference pairs: load, bring into one shape, drop what cannot teach, split by prompt.

A pair is a dict with `pair_id`, `prompt`, `chosen`, `rejected`: all strings, or all lists of {role, content}.
"""

import hashlib
import os
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import orjson

from training import hub
from training.embedded import pairs as embedded

EMBEDDED = "embedded"
_NO_ROWS = "is empty; it needs rows with prompt, chosen and rejected"
EVALUATION_SPLITS = ("test", "validation", "eval", "valid", "dev")
EVALUATION_SHARE = 0.1
ASK, CUE = "\n\nHuman:", "\n\nAssistant:"
_FORMATS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
_ABOUT = ("kind", "fault", "flipped")

Pair = dict[str, Any]


class PreferenceError(Exception):
    """Preference data that cannot be used; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Preferences:
    """Pairs ready to train and evaluate on, no prompt on both sides.

    `dropped` counts rows that were left out, by reason; `read` counts all rows.
    """

    name: str
    train: list[Pair]
    evaluation: list[Pair]
    read: int
    dropped: Mapping[str, int] = field(default_factory=dict)


def load(name: str, seed: int, train_split: str = "train", test_split: str | None = None) -> Preferences:
    """The pairs of a Hub data set, a local file or folder, or the built-in set ("embedded").

    Without an evaluation split, a tenth of the pairs, chosen by prompt with `seed`, is held out.
    Raises PreferenceError if the data cannot be read or nothing usable is left.
    """
    if name == EMBEDDED:
        built = embedded.build()
        return Preferences(name, built["train"], built["eval"], read=sum(map(len, built.values())))
    splits = _read(name)
    if train_split not in splits:
        found = ", ".join(splits)
        raise PreferenceError(f"{name} has no split {train_split!r}; found: {found}; pass --dataset_train_split")
    test_split = _evaluation_split(name, splits, train_split, test_split)
    dropped: Counter[str] = Counter()
    train = _usable(splits[train_split], name, dropped)
    read = len(splits[train_split])
    if test_split is None:
        train, evaluation = split_by_prompt(train, seed)
    else:
        evaluation = _usable(splits[test_split], name, dropped)
        read += len(splits[test_split])
        held_out = {_text(pair["prompt"]) for pair in evaluation}
        kept = [pair for pair in train if _text(pair["prompt"]) not in held_out]
        dropped["prompt also in the evaluation split"] += len(train) - len(kept)
        train = kept
    if not train or not evaluation:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "none dropped"
        raise PreferenceError(
            f"{name}: {len(train)} training and {len(evaluation)} evaluation pairs are left of {read} rows "
            f"({reasons}); at least one of each is needed"
        )
    return Preferences(name, train, evaluation, read, +dropped)


def digest(pairs: Iterable[Pair]) -> str:
    """16 hexadecimal digits that name these pairs, in this order, by their texts."""
    found = hashlib.sha256()
    for pair in pairs:
        found.update(orjson.dumps([pair["prompt"], pair["chosen"], pair["rejected"]]))
    return found.hexdigest()[:16]


def split_by_prompt(pairs: list[Pair], seed: int) -> tuple[list[Pair], list[Pair]]:
    """`pairs` as (train, evaluation): about a tenth for evaluation, all pairs of a prompt on the same side."""
    sizes = Counter(_text(pair["prompt"]) for pair in pairs)
    prompts = sorted(sizes)
    random.Random(seed).shuffle(prompts)
    wanted = max(1, round(EVALUATION_SHARE * len(pairs)))
    held_out: set[str] = set()
    taken = 0
    for prompt in prompts[: len(prompts) - 1]:
        if taken >= wanted:
            break
        held_out.add(prompt)
        taken += sizes[prompt]
    sides: tuple[list[Pair], list[Pair]] = ([], [])
    for pair in pairs:
        sides[_text(pair["prompt"]) in held_out].append(pair)
    return sides


def as_text(pair: Pair) -> Pair:
    """A conversational pair as plain text, for a tokenizer without a chat template: a Human / Assistant transcript."""
    if isinstance(pair["prompt"], str):
        return pair
    names = {"user": f"{ASK} ", "assistant": f"{CUE} "}
    prompt = "".join(f"{names.get(turn['role'], '')}{turn['content']}" for turn in pair["prompt"]) + CUE
    answers = {side: f" {pair[side][-1]['content']}" for side in ("chosen", "rejected")}
    return {**pair, "prompt": prompt, **answers}


def _read(name: str) -> Mapping[str, Any]:
    """The raw rows of each split."""
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            return _folder(path)
        if path.exists():
            return {"train": _file(path)}
        if any(suffix in _FORMATS for suffix in path.suffixes):
            raise PreferenceError(f"{name} does not exist (looked in {Path.cwd()}); check --dataset_name")
        hub.prepare(name)
        return dict(datasets.load_dataset(name))
    except PreferenceError:
        raise
    except Exception as error:  # the readers below raise what they like
        reason = str(error.__cause__ or error).splitlines() or [type(error).__name__]
        if "corresponds to no data" in reason[0]:
            raise PreferenceError(f"{name} {_NO_ROWS}") from error
        advice = "" if path.exists() else "; a Hub data set needs a network, or give a local file or 'embedded'"
        raise PreferenceError(f"data set {name!r} cannot be read: {reason[0]}{advice}") from error


def _folder(path: Path) -> Mapping[str, Any]:
    if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
        found = datasets.load_from_disk(str(path))
        return dict(found) if isinstance(found, datasets.DatasetDict) else {"train": found}
    return dict(datasets.load_dataset(str(path)))


def _file(path: Path) -> Any:
    kind = next((_FORMATS[suffix] for suffix in path.suffixes if suffix in _FORMATS), None)
    if kind is None:
        raise PreferenceError(f"{path} is none of {', '.join(_FORMATS)} (also .gz); rename or convert it")
    if not path.stat().st_size:
        raise PreferenceError(f"{path} {_NO_ROWS}")
    options = {"sep": "\t"} if ".tsv" in path.suffixes else {}
    return datasets.load_dataset(kind, data_files=os.fspath(path), split="train", **options)


def _evaluation_split(name: str, splits: Mapping[str, Any], train: str, wanted: str | None) -> str | None:
    if wanted is None:
        return next((split for split in EVALUATION_SPLITS if split in splits and split != train), None)
    if wanted not in splits:
        raise PreferenceError(f"{name} has no split {wanted!r}; found: {', '.join(splits)}; pass --dataset_test_split")
    return wanted


def _usable(rows: Any, name: str, dropped: Counter[str]) -> list[Pair]:
    """The rows that are pairs, each with an id that names its texts; the others are counted in `dropped`."""
    columns = list(rows.column_names)
    if missing := {"chosen", "rejected"} - set(columns):
        raise PreferenceError(
            f"{name} has no column {' and no column '.join(sorted(missing))}; found: {', '.join(columns)}; "
            "needed: prompt, chosen, rejected (or whole dialogues in chosen and rejected)"
        )
    kept: list[Pair] = []
    seen: Counter[str] = Counter()
    for row in rows.select_columns([c for c in ("prompt", "chosen", "rejected", *_ABOUT) if c in columns]):
        pair = normalise(row)
        if isinstance(pair, str):
            dropped[pair] += 1
            continue
        identity = digest([pair])
        seen[identity] += 1
        suffix = f"-{seen[identity]}" if seen[identity] > 1 else ""
        kept.append({"pair_id": identity + suffix, **pair, **{key: row[key] for key in _ABOUT if key in row}})
    if not kept and len(rows) and "prompt" not in columns:
        raise PreferenceError(
            f"{name} has no column prompt, and no dialogue shared by chosen and rejected to take it from; "
            f"found: {', '.join(columns)}; needed: prompt, chosen, rejected"
        )
    return kept


def normalise(row: Mapping[str, Any]) -> Pair | str:
    """A row as {prompt, chosen, rejected}, or the reason why it is no usable pair."""
    prompt, chosen, rejected = row.get("prompt"), row["chosen"], row["rejected"]
    parts: tuple[Any, Any, Any] | None
    if isinstance(chosen, list) and isinstance(rejected, list):
        if not all(map(_is_turn, (*chosen, *rejected, *(prompt if isinstance(prompt, list) else ())))):
            return "a turn without role and content"
        parts = _turns(prompt, chosen, rejected)
    elif isinstance(chosen, str) and isinstance(rejected, str):
        parts = (prompt, chosen, rejected) if isinstance(prompt, str) else _transcript(chosen, rejected)
    else:
        return "not text"
    if parts is None:
        return "no shared prompt"
    prompt, chosen, rejected = parts
    if not _text(chosen).strip() or not _text(rejected).strip():
        return "empty answer"
    if chosen == rejected:
        return "equal answers"
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def _transcript(chosen: str, rejected: str) -> tuple[str, str, str] | None:
    """Two dialogues split at the last `Assistant:` that both share; None if they part before their last turn."""
    shared = next(
        (at for at, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), min(len(chosen), len(rejected))
    )
    cut = chosen.rfind(CUE, 0, shared) + len(CUE)
    answers = chosen[cut:], rejected[cut:]
    if cut < len(CUE) or any(marker in answer for marker in (ASK, CUE) for answer in answers):
        return None
    return chosen[:cut], *answers


def _turns(prompt: Any, chosen: list[Any], rejected: list[Any]) -> tuple[list[Any], list[Any], list[Any]] | None:
    """Message lists split after the turns that both share; answers without their prompt take it from `prompt`."""
    shared = 0
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    before = chosen[:shared]
    if isinstance(prompt, str) and prompt and not before:
        before = [{"role": "user", "content": prompt}]
    elif isinstance(prompt, list) and prompt[len(prompt) - len(before) :] == before:
        before = prompt  # with the turns, such as a system message, that the answers do not repeat
    answers = (chosen[shared:], rejected[shared:])
    if not before or any(len(answer) != 1 or answer[0].get("role") != "assistant" for answer in answers):
        return None
    return before, *answers


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, Mapping) and all(isinstance(turn.get(key), str) for key in ("role", "content"))


def _text(side: str | list[Mapping[str, str]]) -> str:
    """What a prompt or an answer says, whatever its shape."""
    return side if isinstance(side, str) else "\n".join(str(turn.get("content") or "") for turn in side)
