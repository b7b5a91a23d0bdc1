"""What the scored pairs of a run's judged evaluation say: chance, displacement, ranking, saturation, calibration."""

import numpy as np

from dashboard.analysis.common_beta import calibrated
from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.findings.per_run import CONFIDENCE, Check, Seen, collect
from dashboard.analysis.findings.studies import FEW_PAIRS
from dashboard.analysis.gradients import effective_share, pulls, weights
from dashboard.analysis.logged import has_reference, judged, pair_losses, scored
from dashboard.analysis.losses import beta
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At, evaluation_step
from dashboard.analysis.significance import measured
from dashboard.analysis.study import Evidence, Floats, Scores, Study
from training.record.intervals import Interval, accuracy_interval, mean_interval, wilson
from training.record.metrics import CHOSEN, MARGIN, REJECTED

DISPLACED = 0.1  # fall of the chosen answers, of the margin: less is not worth a word
RANKING_GAIN, RANKING_NEEDS = 0.02, 100  # share of pairs; pairs
SATURATED_WEIGHT, SATURATED_SHARE = 0.01, 0.5
OVER_CONFIDENT = 0.5  # calibration slope: margins at least twice as large as they should be


def check(study: Study, at: At) -> list[Finding]:
    """What the judged evaluation says of each run; from means alone where pairs were not scored."""
    return collect(_CHECKS, study, at)


def _interval(values: Floats, scores: Scores) -> Interval | None:
    return mean_interval(values.tolist(), scores.prompts.tolist(), CONFIDENCE)


def _chance(evidence: Evidence, at: At) -> Seen | None:
    """Wilson's 95% interval, as on the model card, or the clustered one of the scores if that is wider.

    Of fewer than FEW_PAIRS the check of tiny evaluation sets says the same.
    """
    accuracy, n = judged(evidence, EVAL_ACCURACY, at), evidence.run.n_eval
    interval, scores = accuracy_interval(accuracy, n), scored(evidence, at)
    if accuracy is None or n is None or n < FEW_PAIRS or interval is None or not has_reference(evidence):
        return None
    if evaluation_step(evidence.run, at) == 0:
        return None
    clustered = None if scores is None else measured(scores.right, scores.prompts)
    low, high = interval if clustered is None else min(interval, clustered[1])
    if low > 0.5:
        return None
    words = f"{accuracy:.1%} of {n:,} pairs, 95% interval {low:.1%} to {high:.1%}"
    words += ", all of it below one half" if high < 0.5 else ""
    return Seen(words, {"accuracy": accuracy, "n_eval": n, "interval": [low, high]}, -accuracy)


def _displacement(evidence: Evidence, at: At) -> Seen | None:
    """Chosen and rejected answers both lost probability, the chosen ones beyond chance where pairs were scored."""
    scores = scored(evidence, at)
    if scores is None:
        return _displaced_means(evidence, at)
    chosen, rejected, h = (float(values.mean()) for values in (scores.chosen, scores.rejected, scores.h))
    interval = _interval(scores.chosen, scores)
    if not (rejected < 0 < h and chosen < -DISPLACED * h) or interval is None or interval.high >= 0:
        return None
    share = float((scores.chosen < 0).mean())
    depth = float((scores.chosen / np.maximum(scores.chosen_tokens, 1)).mean())
    words = f"chosen {chosen:+.2f} nats, {depth:+.2f} per token, {share:.1%} of them fell; rejected {rejected:+.2f}"
    numbers = {"chosen": chosen, "rejected": rejected, "interval": list(interval), "share": share, "per_token": depth}
    return Seen(words, numbers, -chosen)


def _displaced_means(evidence: Evidence, at: At) -> Seen | None:
    """The same from the rewards, which are beta times the log-ratios; in nats only where beta is known."""
    means = (judged(evidence, f"eval/{name}", at) for name in (CHOSEN, REJECTED, MARGIN))
    chosen, rejected, margin = means
    if chosen is None or rejected is None or evaluation_step(evidence.run, at) == 0 or not has_reference(evidence):
        return None
    margin = chosen - rejected if margin is None else margin
    if not (rejected < 0 < margin and chosen < -DISPLACED * margin):
        return None
    scale = beta(evidence.run.config)
    known = scale is not None and scale > 0
    unit, scale = (" nats", scale or 1.0) if known else ("", 1.0)
    words = f"chosen {chosen / scale:+.2f}{unit}, rejected {rejected / scale:+.2f}{'' if known else ' in reward'}"
    numbers = {"chosen": chosen / scale, "rejected": rejected / scale, "in_nats": known, "interval": None}
    return Seen(words, numbers, -chosen / margin)


def _ranking(evidence: Evidence, at: At) -> tuple[float, float, Interval, dict[str, object]] | None:
    """Ranking accuracy of base and policy, the interval of its change by pair, and who was right where."""
    scores = scored(evidence, at)
    if scores is None or len(scores) < RANKING_NEEDS:
        return None
    policy = scores.chosen_logp - scores.rejected_logp
    right, was = policy > 0, policy - scores.h > 0
    interval = _interval(right.astype(np.float64) - was, scores) if np.isfinite(policy - scores.h).all() else None
    if interval is None:
        return None
    gained, lost = int((right & ~was).sum()), int((was & ~right).sum())
    numbers = {"base": float(was.mean()), "policy": float(right.mean()), "gained": gained, "lost": lost}
    return float(was.mean()), float(right.mean()), interval, {**numbers, "interval": list(interval)}


def _ranking_words(base: float, policy: float, numbers: dict[str, object]) -> str:
    return f"{base:.1%} before, {policy:.1%} now; {numbers['gained']} pairs gained, {numbers['lost']} lost"


def _ranking_worse(evidence: Evidence, at: At) -> Seen | None:
    found = _ranking(evidence, at)
    if found is None or found[2].high >= 0:
        return None
    base, policy, _, numbers = found
    return Seen(_ranking_words(base, policy, numbers), numbers, base - policy)


def _ranking_same(evidence: Evidence, at: At) -> Seen | None:
    found = _ranking(evidence, at)
    if found is None or not found[2].low <= 0 <= found[2].high < RANKING_GAIN:
        return None
    base, policy, _, numbers = found
    return Seen(_ranking_words(base, policy, numbers), numbers, base - policy)


def _sigmoid(evidence: Evidence, at: At) -> tuple[Scores, float] | None:
    """The judged scores and beta of a run whose loss is DPO's own."""
    scores, scale = scored(evidence, at), beta(evidence.run.config)
    if scores is None or scale is None:
        return None
    return None if pair_losses(evidence.run, scores, judged(evidence, EVAL_LOSS, at)) is None else (scores, scale)


def _saturation(evidence: Evidence, at: At) -> Seen | None:
    found = _sigmoid(evidence, at)
    if found is None:
        return None
    scores, scale = found
    w = weights(scale, scores.h)
    count = int((w < SATURATED_WEIGHT).sum())
    if wilson(count, len(w), CONFIDENCE).low <= SATURATED_SHARE:
        return None
    numbers = {"share": count / len(w), "weight": SATURATED_WEIGHT, "effective_share": effective_share(w)}
    return Seen(f"{count / len(w):.1%} of {len(w):,} pairs", numbers, count / len(w))


def _over_confident(evidence: Evidence, at: At) -> Seen | None:
    """The mean derivative of the loss at half of beta is above 0 beyond chance: it is least at a smaller beta still."""
    found = _sigmoid(evidence, at)
    if found is None:
        return None
    scores, scale = found
    best, interval = calibrated(scores.h).b, _interval(pulls(OVER_CONFIDENT * scale, scores.h), scores)
    if interval is None or interval.low <= 0:
        return None
    slope = best / scale
    words = f"{1 / slope:.1f} times too large at beta {scale:g}" if slope > 0.01 else f"far too large at beta {scale:g}"
    return Seen(words, {"slope": slope, "beta": scale, "calibrated": best}, -slope)


_CHECKS = (
    Check(
        "accuracy-may-be-chance",
        "warning",
        "The reward accuracy is not shown to be above one half, which is what an untrained model has: {runs}.",
        "Wilson 1927; clustered by prompt where pairs were scored (arXiv:2411.00640)",
        _chance,
        {"accuracy": 0.5, "confidence": 0.95},
    ),
    Check(
        "likelihood-displacement",
        "info",
        "On average chosen and rejected answers both became less likely than in the base model: {runs}. "
        "Common; harmful only if samples get worse.",
        "mean log-ratio of the chosen answers below 0 (Razin et al., arXiv:2410.08847)",
        _displacement,
        {"fall": DISPLACED, "confidence": CONFIDENCE},
    ),
    Check(
        "ranking-worse-than-base",
        "warning",
        "Without the reference, the tuned model gives the chosen answer the higher probability in fewer pairs than the "
        "base model did: {runs}.",
        "ranking accuracy (Chen et al., arXiv:2405.19534); paired interval, clustered by prompt (arXiv:2411.00640)",
        _ranking_worse,
        {"confidence": CONFIDENCE},
    ),
    Check(
        "ranking-unchanged",
        "info",
        "Without the reference, the tuned model prefers the chosen answer hardly more often than the base model did: "
        "{runs}. Usual for DPO, which moves margins more than it turns rankings.",
        "ranking accuracy (Chen et al., arXiv:2405.19534); paired interval, clustered by prompt (arXiv:2411.00640)",
        _ranking_same,
        {"gain": RANKING_GAIN, "confidence": CONFIDENCE, "pairs": RANKING_NEEDS},
    ),
    Check(
        "saturation",
        "info",
        "Most evaluation pairs have a margin so large that such a pair in training would teach nothing more: {runs}. "
        "If training pairs are like them, further steps only raise margins.",
        "gradient weight sigmoid(-beta h) (arXiv:2305.18290, section 4)",
        _saturation,
        {"weight": SATURATED_WEIGHT, "share": SATURATED_SHARE, "confidence": CONFIDENCE},
    ),
    Check(
        "over-confident",
        "info",
        "The margins claim more certainty than the accuracy bears out: {runs}. The ranking of pairs, and so the "
        "accuracy, is not touched by that.",
        "calibration slope: the b of least mean -log sigmoid(b h), over beta (arXiv:1706.04599)",
        _over_confident,
        {"slope": OVER_CONFIDENT, "confidence": CONFIDENCE},
    ),
)
