"""Preference pairs: load, bring into one shape, drop what cannot teach, split by prompt.

A pair is a dict with `pair_id`, `prompt`, `chosen`, `rejected`: all strings, or all lists of {role, content}.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from training.data import files, shapes, splits, where
from training.data.arguments import EMBEDDED as EMBEDDED
from training.data.arguments import DataArguments
from training.data.pairs import Pair as Pair
from training.data.pairs import PreferenceError as PreferenceError
from training.data.pairs import checked, same, shown
from training.data.transcripts import is_multi_turn
from training.embedded import pairs as embedded

EVALUATION_SPLITS = ("test", "validation", "eval", "valid", "dev")
SHARED, UNASKED = "prompt also in the evaluation split", "not asked for by --where"
BEYOND = {"train": "beyond --max_train_samples", "eval": "beyond --max_eval_samples"}
EXAMPLES = 3
_ABOUT = ("kind", "fault", "flipped")


@dataclass(frozen=True)
class Preferences:
    """Pairs ready to train and evaluate on, no prompt on both sides.

    `read` counts all rows, `dropped` those that were left out, by reason; of each reason `examples` shows up to three:
    "split", "row" (its number there, from 0) and "text" (its first characters). `dropped_multi_turn` of them have more
    than one turn of a user. `shared_prompts` is how many different prompts the given splits had in common; 0 where the
    evaluation split is ours.
    """

    name: str
    train: list[Pair]
    evaluation: list[Pair]
    read: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    shared_prompts: int = 0
    dropped_multi_turn: int = 0


@dataclass(frozen=True, slots=True)
class _Row:
    """A pair, and where it was read."""

    split: str
    number: int
    pair: Pair


class _Dropped:
    """What was left out, and why."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[dict[str, Any]]] = {}
        self.multi_turn = 0

    def add(self, reason: str, split: str, number: int, row: Mapping[str, Any]) -> None:
        self.counts[reason] += 1
        self.multi_turn += any(map(is_multi_turn, row.values()))
        examples = self.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append({"split": split, "row": number, "text": shown(row)})

    def rows(self, reason: str, rows: Iterable[_Row]) -> None:
        for row in rows:
            texts = {side: row.pair[side] for side in ("prompt", "chosen", "rejected")}
            self.add(reason, row.split, row.number, texts)


def load(data: DataArguments, seed: int) -> Preferences:
    """The pairs of a Hub data set, a local file or folder, or the built-in set ("embedded").

    Without an evaluation split, `dataset_test_size` of the pairs, chosen by prompt with `seed`, are held out.
    Raises PreferenceError if the data cannot be read or used, or nothing usable is left.
    """
    _check(data)
    dropped = _Dropped()
    if data.dataset_name == EMBEDDED:
        built = embedded.build()
        read = sum(map(len, built.values()))
        train, evaluation = (_built_in(rows, split, data, dropped) for split, rows in built.items())
        shared = 0
    else:
        read, train, evaluation, shared = _given(data, seed, dropped)
    train, left = splits.drawn(train, data.max_train_samples, seed)
    dropped.rows(BEYOND["train"], left)
    evaluation, left = splits.drawn(evaluation, data.max_eval_samples, seed)
    dropped.rows(BEYOND["eval"], left)
    if not train or not evaluation:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.counts.items()) or "none dropped"
        raise PreferenceError(
            f"{data.dataset_name}: {len(train)} training and {len(evaluation)} evaluation pairs are left of {read} "
            f"rows ({reasons}); at least one of each is needed"
        )
    return Preferences(
        data.dataset_name,
        [row.pair for row in train],
        [row.pair for row in evaluation],
        read,
        dict(dropped.counts),
        dropped.examples,
        shared,
        dropped.multi_turn,
    )


def digest(pairs: Iterable[Pair]) -> str:
    """16 hexadecimal digits that name these pairs, in this order, by their texts."""
    found = hashlib.sha256()
    for pair in pairs:
        found.update(orjson.dumps([pair["prompt"], pair["chosen"], pair["rejected"]]))
    return found.hexdigest()[:16]


def _check(data: DataArguments) -> None:
    if not 0 < data.dataset_test_size < 1:
        raise PreferenceError(
            f"--dataset_test_size must be above 0 and below 1, got {data.dataset_test_size}; it is a share of the pairs"
        )
    for flag in ("max_train_samples", "max_eval_samples"):
        value = getattr(data, flag)
        if value is not None and value < 1:
            raise PreferenceError(f"--{flag} must be at least 1, got {value}")


def _built_in(rows: list[Pair], split: str, data: DataArguments, dropped: _Dropped) -> list[_Row]:
    conditions = where.conditions(data.where or [], list(rows[0]), EMBEDDED)
    return [_Row(split, number, row) for number, row in _asked(rows, conditions, split, dropped)]


def _given(data: DataArguments, seed: int, dropped: _Dropped) -> tuple[int, list[_Row], list[_Row], int]:
    """(rows read, training rows, evaluation rows, prompts that the given splits share) of somebody's data."""
    found = files.read(data.dataset_name, data.dataset_config)
    train_split, test_split = _split_names(data, found)
    read = found[train_split].count
    train = _pairs(found[train_split], train_split, data, dropped)
    prompts = [same(row.pair["prompt"]) for row in train]
    if test_split is None:
        if len(set(prompts)) == 1:
            raise PreferenceError(
                f"{data.dataset_name}: all pairs ({len(prompts)}) have one prompt, and a prompt to train on cannot be "
                "evaluated on; add other prompts, or an evaluation split"
            )
        chosen = splits.held_out(prompts, data.dataset_test_size, seed)
        sides: tuple[list[_Row], list[_Row]] = ([], [])
        for row, prompt in zip(train, prompts, strict=True):
            sides[prompt in chosen].append(row)
        return read, *sides, 0
    evaluation = _pairs(found[test_split], test_split, data, dropped)
    shared = {same(row.pair["prompt"]) for row in evaluation} & set(prompts)
    dropped.rows(SHARED, (row for row, prompt in zip(train, prompts, strict=True) if prompt in shared))
    kept = [row for row, prompt in zip(train, prompts, strict=True) if prompt not in shared]
    return read + found[test_split].count, kept, evaluation, len(shared)


def _split_names(data: DataArguments, found: Mapping[str, Any]) -> tuple[str, str | None]:
    train, test = data.dataset_train_split, data.dataset_test_split
    for flag, split in (("train", train), ("test", test)):
        if split is not None and split not in found:
            names = ", ".join(found)
            raise PreferenceError(
                f"{data.dataset_name} has no split {split!r}; found: {names}; pass --dataset_{flag}_split"
            )
    if test == train:
        raise PreferenceError(f"--dataset_test_split is the training split {train!r}; leave it out to hold out a part")
    if test is None:
        test = next((split for split in EVALUATION_SPLITS if split in found and split != train), None)
    return train, test


def _pairs(rows: files.Rows, split: str, data: DataArguments, dropped: _Dropped) -> list[_Row]:
    """The rows that are pairs, each with an id that names its texts; the others are added to `dropped`."""
    columns = shapes.find(rows.columns, data, data.dataset_name)
    conditions = where.conditions(data.where or [], rows.columns, data.dataset_name)
    about = [column for column in _ABOUT if column in rows.columns]
    names = [*columns.names(), *about, *(condition.column for condition in conditions)]
    kept: list[_Row] = []
    for number, row in _asked(rows.select(list(dict.fromkeys(names))), conditions, split, dropped):
        pair = shapes.pair(row, columns)
        if isinstance(pair, str):
            dropped.add(pair, split, number, {column: row[column] for column in columns.names()})
        else:
            kept.append(_Row(split, number, {**pair, **{column: row[column] for column in about}}))
    if not kept and columns.prompt is None and dropped.counts[shapes.NO_SHARED]:
        raise PreferenceError(
            f"{data.dataset_name} has no column prompt, and no dialogue shared by chosen and rejected to take it from; "
            f"found: {', '.join(rows.columns)}; pass --prompt_column"
        )
    return _named(_without_echo(kept, dropped))


def _asked(
    rows: Iterable[Mapping[str, Any]], conditions: Sequence[where.Condition], split: str, dropped: _Dropped
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows, numbered from 0, that meet all conditions."""
    for number, row in enumerate(rows):
        if all(condition.holds(row) for condition in conditions):
            yield number, dict(row)
        else:
            dropped.add(UNASKED, split, number, row)


def _without_echo(rows: list[_Row], dropped: _Dropped) -> list[_Row]:
    kept: list[_Row] = []
    for row, pair in zip(rows, shapes.without_echo([row.pair for row in rows]), strict=True):
        found = checked(pair)
        if isinstance(found, str):
            dropped.rows(found, [row])
        else:
            kept.append(_Row(row.split, row.number, found))
    return kept


def _named(rows: list[_Row]) -> list[_Row]:
    """The rows with `pair_id`: the digest of the texts, and a number where texts come again."""
    seen: Counter[str] = Counter()
    named: list[_Row] = []
    for row in rows:
        identity = digest([row.pair])
        seen[identity] += 1
        suffix = f"-{seen[identity]}" if seen[identity] > 1 else ""
        named.append(_Row(row.split, row.number, {"pair_id": identity + suffix, **row.pair}))
    return named
