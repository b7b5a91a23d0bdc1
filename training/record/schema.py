"""The names and types of a run directory. `runs/README.md` shows the same on one page for people."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FORMAT = 1

CONFIG = "config.json"
METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"
NOTICES = "notices.jsonl"
LATEST = "latest.json"
SUMMARY = "summary.json"
SCORES = "scores"
CHECKPOINTS = "checkpoints"
SHARED = ".shared"
PAIRS = "pairs.parquet"
AUDIT = "audit.json"

Status = Literal["running", "finished", "pruned", "failed", "stopped", "unknown"]

NOT_METRICS = frozenset({"step", "epoch", "time"})


class RecordError(Exception):
    """A run directory that cannot be read or written; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Series:
    """One metric over a run: four columns of shape (n,), steps strictly increasing.

    `steps` are optimizer steps, `epochs` passes over the training data, `times` seconds since 1970. Values may
    be NaN or infinite: a diverged run must be visible. An epoch or time that was not recorded is NaN.
    """

    steps: array[int] = field(default_factory=lambda: array("q"))
    epochs: array[float] = field(default_factory=lambda: array("d"))
    times: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.steps)


History = Mapping[str, Series]


@dataclass(frozen=True)
class Run:
    """One training run, ours or somebody else's, as far as its source tells.

    `config` uses TRL's argument names. `metrics` has the last logged value under each W&B key (`eval/loss`,
    `train/rewards/chosen`, ...); `best` the evaluation of the best checkpoint, taken at `best_step` by `best_metric`.
    `apart` says why it must not be ranked with others, if it must not (`a mean of several runs`, `no DPO run`).
    `n_eval` counts evaluation pairs. `updated` and `created` are seconds since 1970. What a source does not say is
    None, absent or "unknown", never guessed.
    """

    id: str
    name: str
    source: str
    status: Status
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    best: Mapping[str, float] = field(default_factory=dict)
    best_step: int | None = None
    best_metric: str | None = None
    step: int | None = None
    max_steps: int | None = None
    epoch: float | None = None
    n_eval: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    sweep: str | None = None
    created: float | None = None
    updated: float | None = None
    seconds: float | None = None
    error: str | None = None
    apart: str | None = None
    notes: tuple[str, ...] = ()
