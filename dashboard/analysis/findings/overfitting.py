"""Whether a run learned its training pairs by heart: training against evaluation, and what training alone shows."""

import math
from statistics import fmean

import numpy as np

from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.findings.per_run import CONFIDENCE, Check, Seen, collect
from dashboard.analysis.logged import judged, mean, pair_losses, pairs_behind, pairs_in, recent, series
from dashboard.analysis.memorising import epoch_steps
from dashboard.analysis.paired import aligned
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At, evaluation_step
from dashboard.analysis.study import Evidence, Floats, Study
from training.record.intervals import accuracy_interval, mean_interval, z_value
from training.record.metrics import ACCURACY, LOSS, MARGIN

TRAIN_LOSS = f"train/{LOSS}"

ACCURACY_GAP = 0.1  # the same as on the model card
USUAL_GAP, GAP_Z = 0.05, z_value(0.99)  # a sound run's gap, which it must be above beyond chance
REVERSED_CONFIDENCE = 0.9998  # one-sided 1e-4, as training/watch.py
LOSS_RISE, TURN_NEEDS = 0.1, 4  # of the lowest evaluation loss; evaluations
RISE_ERROR = 2.0  # of n pairs the rise must be 2 / sqrt(n) too: 3 standard errors if a pair's rise has an SD of 2/3
SOLVED_ACCURACY, SOLVED_LOSS = 0.995, 0.05  # a pair of loss 0.05 has a gradient weight of 0.05
EASY = "In a first epoch no pair was seen before: these pairs are trivially easy to tell apart."
BY_HEART = "The pairs were learned by heart, or are trivially easy to tell apart."
EPOCH_DROP, EPOCH_Z = 0.05, 4.0  # nats of training loss; standard errors


def check(study: Study, at: At) -> list[Finding]:
    """Where a run knows its training pairs better than preferences."""
    return collect(_CHECKS, study, at)


def _gap_z(train: float, n: int, accuracy: float, m: int) -> float:
    """How many standard errors the gap of two shares, of n and m pairs, is above USUAL_GAP.

    With a success and a failure added to each (Agresti and Caffo 2000, The American Statistician 54, 280-288).
    """
    p, q = (train * n + 1) / (n + 2), (accuracy * m + 1) / (m + 2)
    return (p - q - USUAL_GAP) / math.sqrt(p * (1 - p) / (n + 2) + q * (1 - q) / (m + 2))


def below_chance(accuracy: float, n: int | None) -> bool:
    """Whether an accuracy on `n` pairs is shown to be below one half (Wilson 1927): labels, not over-fitting."""
    interval = accuracy_interval(accuracy, n, REVERSED_CONFIDENCE)
    return interval is not None and interval.high < 0.5


def _gap(evidence: Evidence, at: At) -> Seen | None:
    shares, accuracy = recent(evidence, ACCURACY, at), judged(evidence, EVAL_ACCURACY, at)
    if not shares or accuracy is None or evaluation_step(evidence.run, at) == 0:
        return None
    train, m = fmean(shares), evidence.run.n_eval
    if train - accuracy <= ACCURACY_GAP or below_chance(accuracy, m):
        return None
    n = pairs_behind(shares, evidence.run)
    if _gap_z(train, n, accuracy, m or pairs_in(accuracy)) <= GAP_Z:
        return None
    losses = mean(recent(evidence, LOSS, at)), judged(evidence, EVAL_LOSS, at)
    margins = mean(recent(evidence, MARGIN, at)), judged(evidence, f"eval/{MARGIN}", at)
    words = [f"accuracy {train:.1%} against {accuracy:.1%}"]
    words += ["loss {:.4f} against {:.4f}".format(*losses)] if None not in losses else []
    numbers = {"accuracy": [train, accuracy], "loss": list(losses), "margin": list(margins), "train_pairs_at_least": n}
    return Seen(", ".join(words), numbers, train - accuracy)


def _turned(evidence: Evidence, at: At) -> Seen | None:
    """The last two evaluation losses are well above the lowest one, and the training loss went on falling."""
    curve, accuracy = series(evidence, EVAL_LOSS), series(evidence, EVAL_ACCURACY)
    values = np.asarray(curve.values, dtype=np.float64)
    if len(values) < TURN_NEEDS or not np.isfinite(values).all() or values.min() <= 0:
        return None
    low = int(values.argmin())
    lowest, last, step, end = float(values[low]), float(values[-1]), curve.steps[low], curve.steps[-1]
    rise = max(LOSS_RISE, RISE_ERROR / math.sqrt(evidence.run.n_eval)) if evidence.run.n_eval else LOSS_RISE
    if low > len(values) - 3 or values[-2:].min() <= lowest * (1 + rise):
        return None
    if not _train_fell(evidence, step) or not _beyond_chance(evidence, step, end):
        return None
    if len(accuracy) and below_chance(accuracy.values[-1], evidence.run.n_eval):
        return None
    known = [
        (value, -when) for when, value in zip(accuracy.steps, accuracy.values, strict=True) if math.isfinite(value)
    ]
    best = -max(known)[1] if known else step
    words = f"from {lowest:.4f} at step {step:,} to {last:.4f} at step {end:,}"
    words += f"; the accuracy was best at step {best:,}" if best != step else ""
    numbers = {"lowest": lowest, "step": step, "last": last, "last_step": end, "best_accuracy_step": best}
    return Seen(words, numbers, last / lowest)


def _train_fell(evidence: Evidence, step: int) -> bool:
    """Whether the median training loss of the last half of what came after `step` is below that before `step`."""
    curve = series(evidence, TRAIN_LOSS)
    losses: Floats = np.asarray(curve.values, dtype=np.float64)
    split = int(np.searchsorted(np.asarray(curve.steps, dtype=np.int64), step, side="right"))
    before, after = losses[split // 2 : split], losses[(split + len(losses)) // 2 :]
    return bool(len(before) and len(after) and np.median(after) < np.median(before))


def _beyond_chance(evidence: Evidence, step: int, end: int) -> bool:
    """Whether the loss rose on the same pairs with its interval above 0; true where they were not scored at both."""
    low, last = evidence.scores.get(step), evidence.scores.get(end)
    rows = None if low is None or last is None else aligned(low, last)
    if low is None or last is None or rows is None:
        return True
    before, after = pair_losses(evidence.run, low, None), pair_losses(evidence.run, last, None)
    if before is None or after is None:
        return True
    interval = mean_interval((after[rows[1]] - before[rows[0]]).tolist(), low.prompts.tolist(), CONFIDENCE)
    return interval is not None and interval.low > 0


def _solved(evidence: Evidence, at: At) -> Seen | None:
    accuracy, loss = mean(recent(evidence, ACCURACY, at)), mean(recent(evidence, LOSS, at))
    if accuracy is None or loss is None or accuracy < SOLVED_ACCURACY or not loss < SOLVED_LOSS:
        return None
    numbers = {"train/accuracy": accuracy, "train/loss": loss, "epoch": evidence.run.epoch}
    known = evidence.run.epoch is not None and math.isfinite(evidence.run.epoch)
    epochs = f", epoch {evidence.run.epoch:.1f}" if known else ""
    first = evidence.run.epoch is not None and evidence.run.epoch <= 1
    return Seen(f"accuracy {accuracy:.1%}, loss {loss:.4f}{epochs}", numbers, -loss, (EASY if first else BY_HEART,))


def _epochs(evidence: Evidence, at: At) -> Seen | None:
    curve = series(evidence, TRAIN_LOSS)
    found = epoch_steps(curve.epochs, curve.values)
    if found is None or found.drop <= EPOCH_DROP or found.z <= EPOCH_Z:
        return None
    ends = f"{found.boundaries} epoch end" + ("s" if found.boundaries > 1 else "")
    numbers = {"drop": found.drop, "z": found.z, "boundaries": found.boundaries}
    return Seen(f"by {found.drop:.4f} at {ends}", numbers, found.drop)


_CHECKS = (
    Check(
        "over-fitting",
        "warning",
        "Much better on training pairs than on evaluation pairs: {runs}. The training numbers are running averages "
        "with the model in training mode, so the gap is not exact; common, and no reason by itself to discard a run.",
        "gap of train and evaluation (diagnostics 3.6); heavy over-fitting gave better chat in Zephyr "
        "(arXiv:2310.16944); two shares compared as in Agresti and Caffo 2000",
        _gap,
        {"accuracy_gap": ACCURACY_GAP, "usual_gap": USUAL_GAP, "z": GAP_Z},
    ),
    Check(
        "evaluation-loss-turned",
        "warning",
        "The evaluation loss rose again while the training loss fell: {runs}. Later checkpoints fit the training "
        "pairs, not the evaluation pairs; take the earlier one unless its samples are worse.",
        "rise since the lowest evaluation loss (diagnostics 3.6); on pairs scored twice, Miller, arXiv:2411.00640",
        _turned,
        {"rise": LOSS_RISE, "error": RISE_ERROR, "evaluations": TURN_NEEDS},
    ),
    Check(
        "training-pairs-solved",
        "warning",
        "Nothing was left to learn from the training pairs at the end: {runs}. More steps only raise the margin.",
        "gradient weight sigmoid(-beta h) <= loss (arXiv:2305.18290, section 4)",
        _solved,
        {"accuracy": SOLVED_ACCURACY, "loss": SOLVED_LOSS},
    ),
    Check(
        "memorised-epochs",
        "warning",
        "The training loss falls by a step where a new pass over the data begins: {runs}. Pairs seen before are "
        "remembered; judge by the evaluation pairs, and consider fewer epochs.",
        "contrast of mean losses about the ends of epochs (Scheffe 1959)",
        _epochs,
        {"drop": EPOCH_DROP, "z": EPOCH_Z},
    ),
)
