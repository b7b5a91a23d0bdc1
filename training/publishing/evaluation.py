"""What the scores of an evaluation say of a policy and of its base model, with 95% intervals."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from training.record import reader, schema
from training.record.intervals import Interval, mcnemar, mean_interval, wilson

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A share or a mean over pairs; no interval where none can be given (NaN, too few prompts)."""

    value: float
    interval: Interval | None = None


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of `n` pairs over `prompts` prompts (None: unknown, each pair counts as its own).

    The log-ratio of an answer is log policy - log reference, summed over its tokens, in nats, whatever the loss; the
    margin of a pair is the chosen answer's minus the rejected one's. Reward accuracy: share of margins above 0, ties
    counting half (Rafailov et al. 2023, arXiv:2305.18290). Ranking accuracy: share of pairs whose chosen answer is the
    likelier one, without reference (Chen et al. 2024, arXiv:2405.19534). `displaced`: share of chosen answers that
    became less likely (Razin et al. 2024, arXiv:2410.08847). `base_*` is the model before training; `lost` pairs it
    alone ranks right, `gained` the policy alone, `p` the exact McNemar test of the two. `longer_wins` is the accuracy
    of a rule that prefers the answer of more tokens, ties counting half (Park et al. 2024, arXiv:2403.19159).
    """

    n: int
    prompts: int | None
    accuracy: Estimate
    margin: Estimate
    chosen: Estimate
    rejected: Estimate
    displaced: Estimate
    ranking: Estimate
    longer_wins: Estimate
    truncated: Estimate
    base_accuracy: float
    base_margin: float
    base_ranking: Estimate
    lost: int
    gained: int
    p: float


def read_evaluation(directory: Path, run: schema.Run, step: int) -> Evaluation | None:
    """The evaluation of `run`, in `directory`, at `step`; None if no pair was scored then.

    Raises RecordError if the scores cannot be read.
    """
    steps = reader.score_steps(directory)
    scores = reader.read_scores(directory, step) if step in steps else None
    if not scores:
        return None
    base = reader.read_scores(directory, 0) if 0 in steps else None
    return evaluate(scores, base, _prompts(directory.parent, run.data.get("eval")))


def evaluate(
    scores: pa.Table, base: pa.Table | None = None, prompts: Mapping[str, Hashable] | None = None
) -> Evaluation:
    """The evaluation in `scores`, at least one pair, columns SCORE_COLUMNS.

    `base` has the scores of the model before training; without it the reference stands for it. `prompts` says by
    pair_id which prompt a pair has: pairs of one prompt are no independent evidence.
    """
    rows = scores.to_pylist()
    before = {row["pair_id"]: row for row in base.to_pylist()} if base else {}
    bases = [before.get(row["pair_id"]) or _reference(row) for row in rows]
    clusters = [(prompts or {}).get(row["pair_id"], row["pair_id"]) for row in rows]
    chosen, rejected = ([_log_ratio(row, side) for row in rows] for side in ("chosen", "rejected"))
    right, was_right = ([_likelier(row) for row in side] for side in (rows, bases))
    lost = sum(old > new for old, new in zip(was_right, right, strict=True))
    gained = sum(new > old for old, new in zip(was_right, right, strict=True))
    return Evaluation(
        n=len(rows),
        prompts=len(set(clusters)) if prompts else None,
        accuracy=_share(_above(a - b) for a, b in zip(chosen, rejected, strict=True)),
        margin=_mean([a - b for a, b in zip(chosen, rejected, strict=True)], clusters),
        chosen=_mean(chosen, clusters),
        rejected=_mean(rejected, clusters),
        displaced=_share(math.nan if math.isnan(ratio) else float(ratio < 0) for ratio in chosen),
        ranking=_share(right),
        longer_wins=_share(_above(row["chosen_tokens"] - row["rejected_tokens"]) for row in rows),
        truncated=_share(float(row["chosen_truncated"] or row["rejected_truncated"]) for row in rows),
        base_accuracy=_share(_above(_margin(row)) for row in bases).value,
        base_margin=_mean([_margin(row) for row in bases], clusters).value,
        base_ranking=_share(was_right),
        lost=lost,
        gained=gained,
        p=mcnemar(lost, gained),
    )


def _prompts(runs: Path, digest: object) -> dict[str, Hashable] | None:
    """pair_id -> prompt of the evaluation pairs with this hash, if they are kept in `runs`."""
    path = runs / schema.SHARED / str(digest) / schema.PAIRS
    try:
        pairs = pq.read_table(path, columns=["pair_id", "prompt"]).to_pylist()
    except (OSError, pa.ArrowInvalid, KeyError):
        return None
    return {pair["pair_id"]: orjson.dumps(pair["prompt"]) for pair in pairs}


def _reference(row: Row) -> Row:
    """The reference's scores as those of a policy: the model before training."""
    return {**row, "chosen_logp": row["ref_chosen_logp"], "rejected_logp": row["ref_rejected_logp"]}


def _log_ratio(row: Row, side: str) -> float:
    return float(row[f"{side}_logp"] - row[f"ref_{side}_logp"])


def _margin(row: Row) -> float:
    return _log_ratio(row, "chosen") - _log_ratio(row, "rejected")


def _likelier(row: Row) -> float:
    difference = row["chosen_logp"] - row["rejected_logp"]
    return math.nan if math.isnan(difference) else float(difference > 0)


def _above(value: float) -> float:
    """1 above 0, a half at 0, else 0; NaN stays NaN."""
    return math.nan if math.isnan(value) else (float(value > 0) + float(value >= 0)) / 2


def _share(right: Iterable[float]) -> Estimate:
    counted = list(right)
    count = sum(counted)
    return Estimate(count / len(counted), None if math.isnan(count) else wilson(count, len(counted)))


def _mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Estimate:
    return Estimate(sum(values) / len(values), mean_interval(values, clusters))
