"""What is wrong with the pairs themselves: length alone explains them, they are cut, repeated, or known already."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dashboard.analysis.budgets import training_pairs
from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.findings.per_run import CONFIDENCE, Check, Seen, collect
from dashboard.analysis.lengths import length_slope, rule_right
from dashboard.analysis.logged import scored
from dashboard.analysis.ranking import At
from dashboard.analysis.study import Evidence, Study
from training.record.intervals import mean_interval

LENGTH_R2 = 0.25  # share of the margins' variance that the length difference explains
TRUNCATED_HIGH = 0.05  # these two as on the model card
LEAKED_HIGH = 0.01
FEW_TRAINED = 200  # pairs: a dozen steps of 16 pairs go over all of them
REPEATED_HIGH, CONFLICTS_HIGH = 0.01, 0.01  # of the training pairs


def check(study: Study, at: At) -> list[Finding]:
    """What the pairs, by their scores and by the audit of the data, mean for each run."""
    return collect(_CHECKS, study, at)


def _length(evidence: Evidence, at: At) -> Seen | None:
    """Margins follow the length difference, and the accuracy is not shown above the rule "longer (or shorter) wins"."""
    scores = scored(evidence, at)
    slope = None if scores is None else length_slope(scores, CONFIDENCE)
    if scores is None or slope is None or slope.r2 < LENGTH_R2 or slope.interval.low <= 0 <= slope.interval.high:
        return None
    rule, right = rule_right(scores) if slope.value > 0 else 1 - rule_right(scores), scores.right
    ahead = mean_interval((right - rule).tolist(), scores.prompts.tolist())
    if ahead is None or ahead.low > 0:
        return None
    name, against = "longer" if slope.value > 0 else "shorter", right[rule == 0]
    words = f"accuracy {right.mean():.1%}, of the rule that the {name} answer is better {rule.mean():.1%}; length"
    words += f" explains {slope.r2:.1%} of the variance of the margins"
    numbers = {"accuracy": float(right.mean()), "rule": float(rule.mean()), "ahead": list(ahead), "r2": slope.r2}
    numbers |= {"nats_per_token": slope.value, "interval": list(slope.interval)}
    numbers |= {"where_rule_is_wrong": float(against.mean())} if len(against) else {}
    return Seen(words, numbers, slope.r2)


def _few(evidence: Evidence, at: At) -> Seen | None:
    n, epoch = training_pairs(evidence.run), evidence.run.epoch
    if n is None or n >= FEW_TRAINED:
        return None
    passes = "" if epoch is None or not epoch > 0 or not math.isfinite(epoch) else f", {epoch:,.1f} epochs"
    return Seen(f"{n:,} pair{'s' if n > 1 else ''}{passes}", {"n_train": n, "epoch": epoch if passes else None}, 1 / n)


def _truncated(evidence: Evidence, at: At) -> Seen | None:
    scores = evidence.judged(at)
    share = 0.0 if scores is None or not len(scores) else float(np.mean(scores.truncated))
    if scores is None or share <= TRUNCATED_HIGH:
        return None
    length = evidence.run.config.get("max_length")
    words = f"{share:.1%} of {len(scores):,}" + (f", max length {length}" if isinstance(length, int) else "")
    return Seen(words, {"share": share, "pairs": len(scores), "max_length": length}, share)


def _count(evidence: Evidence, kind: str) -> int:
    """How many pairs the audit of the data counted as `kind`; 0 where there is no audit."""
    audit = evidence.run.data.get("audit")
    double = audit.get("duplicates") if isinstance(audit, Mapping) else None
    found = double.get(kind) if isinstance(double, Mapping) else None
    return found if isinstance(found, int) else 0


def _audited(kinds: tuple[str, ...], of: str, what: str, high: float) -> Callable[[Evidence, At], Seen | None]:
    """A check of the audit: more than `high` of the pairs counted by `of` are one of `kinds`."""

    def look(evidence: Evidence, at: At) -> Seen | None:
        n, counts = evidence.run.data.get(of), {kind: _count(evidence, kind) for kind in kinds}
        found = sum(counts.values())
        if not isinstance(n, int) or n <= 0 or found / n <= high:
            return None
        numbers: dict[str, Any] = {**counts, of: n, "share": found / n}
        return Seen(f"{found:,} of {n:,} {what}, {found / n:.1%}", numbers, found / n)

    return look


_AUDIT = "audit of the data (diagnostics 3.13): normalised text, and MinHash with Jaccard similarity of 0.8"
_CHECKS = (
    Check(
        "tiny-training-set",
        "warning",
        f"Fewer than {FEW_TRAINED} training pairs: {{runs}}. What was learned may hold for these pairs alone.",
        "the record, or runtime x samples per second / epochs of the trainer's summary (transformers, speed_metrics)",
        _few,
        {"pairs": FEW_TRAINED},
    ),
    Check(
        "length-bias",
        "warning",
        "The preferences that were learned are mostly length, and do not beat it: {runs}. "
        "Compare answers of equal length before trusting a win.",
        "least squares of h on the length difference; rule that counts tokens (Park et al., arXiv:2403.19159)",
        _length,
        {"r2": LENGTH_R2, "confidence": CONFIDENCE},
    ),
    Check(
        "truncated-pairs",
        "warning",
        "Evaluation pairs are cut at max length, so that what makes them differ may be missing: {runs}.",
        "share of pairs with more tokens than max_length (diagnostics 3.13)",
        _truncated,
        {"share": TRUNCATED_HIGH},
    ),
    Check(
        "evaluation-prompts-in-training",
        "warning",
        "Training has the same prompts, or nearly, as evaluation, which then looks better than it is: {runs}.",
        _AUDIT,
        _audited(("eval_prompts_in_train",), "n_eval", "evaluation pairs", LEAKED_HIGH),
        {"share": LEAKED_HIGH},
    ),
    Check(
        "repeated-pairs",
        "info",
        "The same training pairs, or nearly, are there more than once and weigh more: {runs}.",
        _AUDIT,
        _audited(("exact", "near"), "n_train", "training pairs", REPEATED_HIGH),
        {"share": REPEATED_HIGH},
    ),
    Check(
        "contradictory-pairs",
        "warning",
        "Training pairs contradict each other, the same two answers with the labels swapped: {runs}.",
        _AUDIT,
        _audited(("contradictions",), "n_train", "training pairs", CONFLICTS_HIGH),
        {"share": CONFLICTS_HIGH},
    ),
)
