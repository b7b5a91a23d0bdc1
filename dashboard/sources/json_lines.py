"""Logs of one JSON object per line, such as LLaMA-Factory's trainer_log.jsonl, as the trainer's state they tell of."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

from training.record.history import number

_STEP, _BRIEF_STEP, _LAST_STEP = "step", "current_steps", "total_steps"
_NAMES = {_BRIEF_STEP: _STEP, "lr": "learning_rate", "accuracy": "rewards/accuracies"}
"""LLaMA-Factory's names -> those of the Trainer's log that it takes the values from."""

_PROGRESS = frozenset(
    {_LAST_STEP, "percentage", "elapsed_time", "remaining_time", "throughput", "vram_allocated", "vram_reserved"}
)
_METRICS = ("loss", "eval_loss", "rewards/", "eval_rewards/", "train/", "eval/")


def is_log(head: bytes) -> bool:
    """Whether a file that begins so has a step and a metric, or LLaMA-Factory's two counts of steps, in its first line.

    Our own metrics.jsonl is one too.
    """
    row = _row(head.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n", 1)[0])
    if row is None:
        return False
    return {_BRIEF_STEP, _LAST_STEP} <= row.keys() or (_STEP in row and any(name.startswith(_METRICS) for name in row))


def state(content: bytes) -> dict[str, Any]:
    """The lines as the `log_history` of a trainer's state: a line that is no object (the last may be torn) is None.

    `brief` is True for LLaMA-Factory's log, which keeps few of the metrics: what it lacks proves nothing. Its closing
    line has no metric and is no entry.
    """
    rows = [_row(line) for line in content.splitlines() if line.strip()]
    brief = [row for row in rows if row is not None and _BRIEF_STEP in row]
    known = [row for row in rows if row is None or row.keys() - _PROGRESS - {_BRIEF_STEP, "epoch"}]
    return {
        "log_history": [None if row is None else _renamed(row) if _BRIEF_STEP in row else row for row in known],
        "brief": bool(brief),
        "global_step": max((number(row[_BRIEF_STEP]) or 0 for row in brief), default=None),
        "max_steps": brief[-1].get(_LAST_STEP) if brief else None,
    }


def _renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {_NAMES.get(name, name): value for name, value in row.items() if name not in _PROGRESS}


def _row(line: bytes) -> dict[str, Any] | None:
    """The object in a line, which may have the bare NaN that Python writes; None if there is none."""
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        found = orjson.loads(line)
    except ValueError:
        found = _with_nan(line) if b"NaN" in line or b"Infinity" in line else None
    return found if isinstance(found, dict) else None


def _with_nan(line: bytes) -> Any:
    try:
        return json.loads(line, parse_int=float)
    except (ValueError, RecursionError):
        return None
