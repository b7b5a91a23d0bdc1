"""The evaluation pairs' texts and the data audit that runs in our format share, as they were kept beside them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from training.record import schema
from training.record.schema import Run

LARGEST = 256 << 20
"""Bytes of pairs, unpacked, beyond which they are not read; an audit may have a sixteenth of it."""

SIDES = ("prompt", "chosen", "rejected")

_DIGEST = re.compile(r"[0-9A-Za-z]{4,64}", re.ASCII)
_MARKER = re.compile(r"(?:^\s*|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}

Stamp = tuple[int, int, int]


class Turn(NamedTuple):
    """Who says what; `role` is user, assistant, system, or empty for a text that is no dialogue."""

    role: str
    text: str


class Pair(NamedTuple):
    """One pair: what was asked, and both answers, as turns; `given` has each side as it was kept, for a model."""

    prompt: tuple[Turn, ...]
    chosen: tuple[Turn, ...]
    rejected: tuple[Turn, ...]
    given: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class PairTexts:
    """The texts of an evaluation set by pair id; `problem` says in a sentence why there are none."""

    table: pa.Table | None
    problem: str | None = None

    @cached_property
    def _rows(self) -> dict[str, int]:
        ids = [] if self.table is None else self.table["pair_id"].to_pylist()
        return {pair: row for row, pair in reversed(list(enumerate(ids))) if isinstance(pair, str)}

    def pair(self, pair_id: str) -> Pair | None:
        """The texts of a pair, None for one that is not there."""
        row = self._rows.get(pair_id)
        if self.table is None or row is None:
            return None
        given = {side: self.table[side][row].as_py() for side in SIDES}
        prompt, chosen, rejected = (tuple(_turns(given[side])) for side in SIDES)
        return Pair(prompt, chosen, rejected, given)

    @cached_property
    def prompts(self) -> dict[str, str]:
        """Pair id -> the last turn of its prompt, in one line."""
        if self.table is None:
            return {}
        last = (list(_turns(prompt)) for prompt in self.table["prompt"].to_pylist())
        lines = [" ".join(turns[-1].text.split()) if turns else "" for turns in last]
        return {pair: lines[row] for pair, row in self._rows.items()}

    @cached_property
    def _searchable(self) -> dict[str, str]:
        if self.table is None:
            return {}
        sides = [self.table[side].to_pylist() for side in SIDES]
        texts = ["\n".join(turn.text for side in row for turn in _turns(side)) for row in zip(*sides, strict=True)]
        return {pair: texts[row].casefold() for pair, row in self._rows.items()}

    def containing(self, words: str) -> frozenset[str]:
        """The ids of the pairs whose texts, or id, have `words` in them, in any case."""
        wanted = words.casefold()
        return frozenset(pair for pair, text in self._searchable.items() if wanted in text or wanted in pair.casefold())


@dataclass(frozen=True)
class Audit:
    """What was found in the data, as training wrote it; `problem` says in a sentence why there is nothing."""

    content: Mapping[str, Any]
    problem: str | None = None


def texts(root: Path, run: Run) -> PairTexts:
    """The texts of the pairs that the run was evaluated on, from the folder that holds its directory."""
    path = _shared(root, run.data.get("eval"), schema.PAIRS)
    if path is None:
        return PairTexts(None, "The run does not say which pairs it was evaluated on, so their texts are not known.")
    stamp = _stamp(path)
    if stamp is None:
        return PairTexts(None, f"The texts of these pairs are not kept: there is no {_place(path)} in the runs folder.")
    return _texts(path, stamp)


def audit(root: Path, run: Run) -> Audit:
    """The audit of the run's data with its examples; its figures alone, from the run, where the file is gone."""
    figures = run.data.get("audit")
    own = figures if isinstance(figures, Mapping) else {}
    path = _shared(root, own.get("hash"), schema.AUDIT)
    stamp = _stamp(path) if path else None
    if path is None or stamp is None:
        return Audit(
            own, None if own else "The run has recorded no audit of its data: only runs trained here have one."
        )
    found = _audit(path, stamp)
    return found if not found.problem else Audit(own, found.problem)


def _shared(root: Path, digest: Any, name: str) -> Path | None:
    """Where a file that runs share lies; None unless the hash, which comes from a file, is nothing but a hash."""
    plain = isinstance(digest, str) and _DIGEST.fullmatch(digest)
    return root / schema.SHARED / str(digest) / name if plain else None


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns) if path.is_file() else None


def _place(path: Path) -> str:
    return "/".join(path.parts[-3:])


@lru_cache(maxsize=8)
def _texts(path: Path, stamp: Stamp) -> PairTexts:
    try:
        with path.open("rb") as content, pq.ParquetFile(content) as file:
            groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
            if max(stamp[1], sum(group.total_byte_size for group in groups)) > LARGEST:
                return PairTexts(None, f"{_place(path)} is larger than {LARGEST >> 20} MB and is not read.")
            return PairTexts(_checked(file.read(columns=["pair_id", *SIDES], use_threads=False)))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        return PairTexts(
            None,
            f"{_place(path)} cannot be read ({_short(error)}); delete it, and the next run on this data writes it.",
        )


def _checked(table: pa.Table) -> pa.Table:
    """The table; raises KeyError if a column is missing."""
    missing = [name for name in ("pair_id", *SIDES) if name not in table.column_names]
    if missing:
        raise KeyError(f"no column {missing[0]}")
    return table


@lru_cache(maxsize=8)
def _audit(path: Path, stamp: Stamp) -> Audit:
    if stamp[1] > LARGEST >> 4:
        return Audit({}, f"{_place(path)} is larger than {LARGEST >> 24} MB and is not read.")
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        return Audit(
            {},
            f"{_place(path)} cannot be read ({_short(error)}); delete it, and the next run on this data writes it.",
        )
    return Audit(content) if isinstance(content, dict) else Audit({}, f"{_place(path)} holds no audit.")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def _turns(side: Any) -> Iterator[Turn]:
    """A text, a transcript with its markers, or a list of turns of any spelling; anything else is shown as it is."""
    if isinstance(side, list):
        for turn in side:
            about = turn if isinstance(turn, dict) else {"content": turn}
            yield Turn(_text(about.get("role") or about.get("from")), _text(about.get("content", about.get("value"))))
    elif isinstance(side, str) and (side.lstrip().startswith("Human:") or side.rstrip().endswith("\n\nAssistant:")):
        parts = _MARKER.split(side)
        for role, text in zip(["user", *(_ROLES[name] for name in parts[1::2])], parts[::2], strict=True):
            if text.strip():
                yield Turn(role, text.strip())
    else:
        yield Turn("", _text(side))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
