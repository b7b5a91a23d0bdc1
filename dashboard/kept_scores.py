"""Per-pair scores as plain columns, which are read many times faster than Parquet files of some hundred rows."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from dashboard.analysis.study import Scores
from dashboard.sources.cache import pack, unpack

_OWN = ("chosen", "rejected", "chosen_logp", "rejected_logp")
_SHARED = {"chosen_tokens": np.dtype(np.int64), "rejected_tokens": np.dtype(np.int64), "truncated": np.dtype(np.bool_)}

_Column = npt.NDArray[Any]


def size(scores: Scores | None) -> int:
    """Bytes of the columns that are the run's own."""
    return sum(getattr(scores, name).nbytes for name in _OWN) if scores else 0


def encode(scores: Scores) -> bytes:
    """The scores as bytes, without the numbers of the prompts."""
    columns = [("pairs", [orjson.dumps(scores.pairs)])]
    columns += [(name, [getattr(scores, name).tobytes()]) for name in (*_OWN, *_SHARED)]
    return pack(columns, {"step": scores.step})


def decode(content: bytes) -> Scores:
    """The scores in `encode`'s bytes, each pair of a prompt of its own. Raises ValueError if they are none."""
    rows, blocks, about = unpack(content)
    try:
        parts = {name: bytes(blocks[number]) for name, (number,) in rows}
        pairs = _pairs(parts["pairs"])
        own = {name: np.frombuffer(parts[name], np.float64) for name in _OWN}
        shared = {name: _shared(parts[name], kind) for name, kind in _SHARED.items()}
        step = about["step"]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError("no cached scores") from error
    if type(step) is not int or any(len(column) != len(pairs) for column in (*own.values(), *shared.values())):
        raise ValueError("no cached scores")
    columns: dict[str, _Column] = {**own, **shared}
    return Scores(step, pairs, np.arange(len(pairs)), **columns)


@lru_cache(maxsize=64)
def _pairs(content: bytes) -> tuple[str, ...]:
    """The pair ids, the same object for all runs of a study that have the same pairs."""
    found = orjson.loads(content)
    if not isinstance(found, list) or not all(isinstance(pair, str) for pair in found):
        raise ValueError("no pair ids")
    return tuple(found)


@lru_cache(maxsize=256)
def _shared(content: bytes, kind: np.dtype[Any]) -> _Column:
    """A column that all runs evaluated on the same pairs share."""
    return np.frombuffer(content, kind)
