"""Whether a run made its model better at all: below the untrained model, reversed labels, past its peak."""

from statistics import fmean

from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.findings.overfitting import REVERSED_CONFIDENCE, below_chance
from dashboard.analysis.findings.per_run import CONFIDENCE, Check, Seen, collect
from dashboard.analysis.logged import (
    judged,
    pair_losses,
    pairs_behind,
    recent,
    scored,
    series,
    taken_as_sigmoid,
    untrained,
)
from dashboard.analysis.losses import worse_than_untrained
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At, evaluation_step
from dashboard.analysis.significance import measured
from dashboard.analysis.study import Evidence, Study
from training.record.intervals import accuracy_interval, mean_interval, z_value
from training.record.metrics import ACCURACY, MARGIN

SCORES = ("eval/samples/gold", "eval/win_rate", "eval/winrate")
MEAN_ONLY = "Where no interval is given, only the mean is known, which does not tell whether it is more than chance."
UNSTATED = "Where no loss type is stated, it is taken as sigmoid, TRL's default."
MUCH = 1.5  # times the untrained loss, from which the factor is said
SCORE_FALL, SCORE_Z = 0.1, 2.0  # of a score from 0 to 1; standard errors at which a fall is worth a word


def check(study: Study, at: At) -> list[Finding]:
    """Where a run's model is worse than the one it began with, or than it was before."""
    return collect(_CHECKS, study, at)


def _above_untrained(evidence: Evidence, at: At) -> tuple[Seen, bool] | None:
    """The judged loss, if above the untrained one; and whether it is shown to be, or only its mean is known."""
    run, loss, due = evidence.run, judged(evidence, EVAL_LOSS, at), untrained(evidence)
    if loss is None or due is None or evaluation_step(run, at) == 0 or not worse_than_untrained(run, loss):
        return None
    scores = scored(evidence, at)
    losses = None if scores is None else pair_losses(run, scores, loss)
    numbers, words = {"loss": loss, "untrained": due, "interval": None}, f"{loss:.4f} against {due:.4f}"
    words += f", {loss / due:.1f} times as much" if loss >= MUCH * due else ""
    if scores is None or losses is None:
        asides = (MEAN_ONLY, UNSTATED) if taken_as_sigmoid(evidence) else (MEAN_ONLY,)
        return Seen(words, numbers, loss / due, asides), True
    interval = mean_interval(losses.tolist(), scores.prompts.tolist(), CONFIDENCE)
    if interval is None:
        return Seen(f"{words}, too few prompts for an interval", numbers, loss / due), False
    words += f", {CONFIDENCE:.1%} interval {interval.low:.4f} to {interval.high:.4f}"
    return Seen(words, {**numbers, "interval": list(interval)}, loss / due), interval.low > due


def _untrained(evidence: Evidence, at: At) -> Seen | None:
    found = _above_untrained(evidence, at)
    return found[0] if found and found[1] else None


def _no_better(evidence: Evidence, at: At) -> Seen | None:
    found = _above_untrained(evidence, at)
    return found[0] if found and not found[1] else None


def _reversed(evidence: Evidence, at: At) -> Seen | None:
    """At the judged evaluation or at the last one: of reversed labels the best one is the least trained."""
    return _reversed_at(evidence, at) or _reversed_at(evidence, "last")


def _reversed_at(evidence: Evidence, at: At) -> Seen | None:
    """Evaluation pairs are ranked worse than by chance while training pairs are ranked better than by chance."""
    shares, accuracy, n = recent(evidence, ACCURACY, at), judged(evidence, EVAL_ACCURACY, at), evidence.run.n_eval
    if not shares or accuracy is None or evaluation_step(evidence.run, at) == 0 or not below_chance(accuracy, n):
        return None
    scores = scored(evidence, at)
    clustered = None if scores is None else measured(scores.right, scores.prompts, REVERSED_CONFIDENCE)
    if clustered is not None and clustered[1].high >= 0.5:
        return None
    train = fmean(shares)
    interval = accuracy_interval(train, pairs_behind(shares, evidence.run), REVERSED_CONFIDENCE)
    if interval is None or interval.low <= 0.5:
        return None
    words = f"{accuracy:.1%} of {n:,} evaluation pairs as labelled, {train:.1%} of the training pairs"
    return Seen(words, {"eval/accuracy": accuracy, "n_eval": n, "train/accuracy": train}, train - accuracy)


def _past_peak(evidence: Evidence, at: At) -> tuple[Seen, bool] | None:
    """A score of generated answers, 0 to 1, has fallen from its peak while the margin grew; whether that is proven.

    The variance of a score in [0, 1] with mean m is at most m (1 - m) (Bhatia and Davis 2000), so the standard error is
    bounded from means alone. The peak was picked among k values: proven at CONFIDENCE / k (Bonferroni).
    """
    key = next((key for key in SCORES if len(series(evidence, key)) > 1), None)
    margin, prompts = series(evidence, f"eval/{MARGIN}"), len({repr(row.get("prompt")) for row in evidence.samples})
    if key is None or not prompts:
        return None
    curve = series(evidence, key)
    values, last, step = curve.values.tolist(), curve.values[-1], curve.steps[-1]
    peak = max(values)
    at_peak, margins = curve.steps[values.index(peak)], dict(zip(margin.steps, margin.values, strict=True))
    grew = margins.get(step, 0.0) > margins.get(at_peak, 0.0)
    if not grew or peak - last <= SCORE_FALL or not all(0 <= value <= 1 for value in values):
        return None
    z = (peak - last) / (max(peak * (1 - peak) + last * (1 - last), 1e-12) / prompts) ** 0.5
    words = f"{key.removeprefix('eval/')} {peak:.2f} at step {at_peak:,}, {last:.2f} at step {step:,}"
    numbers = {"metric": key, "peak": peak, "peak_step": at_peak, "last": last, "z_at_least": z, "prompts": prompts}
    proven = z > z_value(1 - (1 - CONFIDENCE) / len(values))
    return (Seen(words, numbers, peak - last), proven) if z > SCORE_Z else None


def _over_optimised(evidence: Evidence, at: At) -> Seen | None:
    found = _past_peak(evidence, at)
    return found[0] if found and found[1] else None


def _score_fell(evidence: Evidence, at: At) -> Seen | None:
    found = _past_peak(evidence, at)
    return found[0] if found and not found[1] else None


_UNTRAINED = (
    "loss at log-ratios of 0, ln 2 for the sigmoid loss (arXiv:2305.18290, eq. 7); interval of arXiv:2411.00640"
)
_PEAK = "hump of the score over training (arXiv:2406.02900, arXiv:2210.10760); variance bound of Bhatia and Davis 2000"
_CHECKS = (
    Check(
        "worse-than-untrained",
        "bad",
        "By evaluation loss worse than the model before training: {runs}.",
        _UNTRAINED,
        _untrained,
        {"confidence": CONFIDENCE},
    ),
    Check(
        "no-better-than-untrained",
        "warning",
        "By evaluation loss not better than the model before training, and not shown to be worse either: {runs}.",
        _UNTRAINED,
        _no_better,
        {"confidence": CONFIDENCE},
    ),
    Check(
        "reversed-labels",
        "bad",
        "The evaluation labels look reversed: {runs}. Check which answer is the chosen one in the evaluation data; "
        "labels reversed in training and evaluation alike cannot be seen from a run.",
        "Wilson intervals of both shares on either side of 0.5 (Wilson 1927)",
        _reversed,
        {"confidence": REVERSED_CONFIDENCE},
    ),
    Check(
        "over-optimisation",
        "bad",
        "The score of the generated answers has fallen from its peak while the reward margin still grew: {runs}. "
        "An earlier checkpoint answers better.",
        _PEAK,
        _over_optimised,
        {"fall": SCORE_FALL, "confidence": CONFIDENCE},
    ),
    Check(
        "score-fell",
        "info",
        "The score of the generated answers was higher before, while the reward margin still grew: {runs}. Too few "
        "prompts were answered to prove it; read the samples.",
        _PEAK,
        _score_fell,
        {"fall": SCORE_FALL, "z": SCORE_Z},
    ),
)
