"""What a run logged around the evaluation that it is judged by."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction
from statistics import fmean, median

import numpy as np

from dashboard.analysis.common_beta import losses
from dashboard.analysis.losses import beta, loss_hint, loss_type, untrained_loss
from dashboard.analysis.ranking import EVAL_LOSS, At, evaluation, evaluation_step, finite
from dashboard.analysis.study import Evidence, Floats, Scores
from training.record.history import whole
from training.record.metrics import ACCURACY
from training.record.schema import Run, Series

MOST_PAIRS = 256
"""Largest number of pairs that a logged share is searched for: more would fit any share within SHARE_ERROR."""

SHARE_ERROR = 1e-7
"""What a 32-bit float may change in a share: twice its precision."""

REFERENCE_FREE = frozenset({"nll_loss", "log_odds_ratio", "log_odds_chosen"})
"""Metrics that TRL's trainers without a reference log."""

LOSS_ERROR = 1e-3
"""Nats that rounding may put between a logged mean loss and the mean over the pairs."""


def judged(evidence: Evidence, key: str, at: At) -> float | None:
    """The metric at the evaluation that the run is judged by; None where it is missing, NaN, infinite or no share."""
    value = finite(evaluation(evidence.run, at).get(key))
    return value if value is not None and _possible(key, value) else None


def _possible(key: str, value: float) -> bool:
    """Whether the metric can have this value: a foreign log may have its accuracy in percent."""
    return math.isfinite(value) and (not key.endswith(ACCURACY) or 0 <= value <= 1)


def series(evidence: Evidence, key: str) -> Series:
    """A curve, empty where it was not logged."""
    return evidence.history.get(key, Series())


def recent(evidence: Evidence, name: str, at: At) -> list[float]:
    """The possible values of train/`name` logged in the time that led to the judged evaluation.

    That is since the evaluation before, but no more than the last quarter of the steps until then: early values speak
    of another model. Without curves the last value, if the judged evaluation is the last one too.
    """
    curve = series(evidence, f"train/{name}")
    if not len(curve):
        last = evidence.run.metrics.get(f"train/{name}", math.nan)
        return [last] if _possible(name, last) and evaluation(evidence.run, at) is evidence.run.metrics else []
    step, evaluated = evaluation_step(evidence.run, at), series(evidence, EVAL_LOSS).steps
    until = curve.steps[-1] if step is None else step
    before = bisect_left(evaluated, until)
    since = max(evaluated[before - 1] if before else 0, until * 3 // 4)
    values = curve.values[bisect_right(curve.steps, since) : bisect_right(curve.steps, until)]
    return [value for value in values if _possible(name, value)]


def mean(values: Sequence[float]) -> float | None:
    """The mean, or None of nothing."""
    return fmean(values) if values else None


def pairs_in(share: float) -> int:
    """The fewest pairs of which a share can be `share`: 160 for 0.95625. 1 where no small number gives it."""
    fraction = Fraction(share).limit_denominator(MOST_PAIRS) if math.isfinite(share) else Fraction(0)
    return fraction.denominator if abs(float(fraction) - share) <= SHARE_ERROR else 1


def pairs_behind(shares: Sequence[float], run: Run) -> int:
    """How many training pairs `shares`, each of equally many, were counted on: at least so many.

    Each was counted on whole steps, so on a multiple of the pairs of a step as far as they are known, and of what its
    value needs (`pairs_in`). The median over the shares: one of them may be a mean of unequal batches.
    """
    keys = ("per_device_train_batch_size", "gradient_accumulation_steps")
    step = math.prod(max(1, whole(run.config.get(key)) or 1) for key in keys)
    return int(median(math.lcm(step, pairs_in(share)) for share in shares) * len(shares)) if shares else 0


def has_reference(evidence: Evidence) -> bool:
    """Whether the logged rewards are log-ratios to a reference model, as DPO's are.

    ORPO, CPO and SimPO log rewards of the policy alone, and the loss of a language model beside them.
    """
    names = {key.rpartition("/")[2] for key in evidence.logged}
    return "accuracies" in names and names.isdisjoint(REFERENCE_FREE)


def untrained(evidence: Evidence) -> float | None:
    """The loss before training, in nats, where this is a run of DPO and its loss type says it; else None.

    None also where no type is stated, and the first losses are not those of the sigmoid loss, TRL's default.
    """
    hint = loss_hint(evidence)
    other = hint is not None and "sigmoid" not in hint.loss_types
    return untrained_loss(evidence.run) if has_reference(evidence) and not other else None


def taken_as_sigmoid(evidence: Evidence) -> bool:
    """Whether no loss type is stated, nor shown by the first losses, so that it is only taken as TRL's default."""
    return loss_type(evidence.run.config) is None and loss_hint(evidence) is None


def scored(evidence: Evidence, at: At) -> Scores | None:
    """The pairs of the judged evaluation, if they were scored, after step 0, and every log-ratio is a finite number."""
    scores = evidence.judged(at)
    if scores is None or not len(scores) or evaluation_step(evidence.run, at) == 0:
        return None
    return scores if np.isfinite(scores.chosen + scores.rejected).all() else None


def pair_losses(run: Run, scores: Scores, logged: float | None) -> Floats | None:
    """Per pair -log sigmoid(beta h), in nats, shape (n,) (DPO, arXiv:2305.18290, eq. 7); None where it is not the loss.

    It is where the loss type is plain sigmoid, beta is known, and the mean is the logged loss, if there is one.
    """
    scale = beta(run.config)
    if scale is None or scale <= 0 or loss_type(run.config) != "sigmoid":
        return None
    found = losses(scores.h, scale)
    agrees = logged is None or abs(float(found.mean()) - logged) <= LOSS_ERROR * max(1.0, abs(logged))
    return found if agrees else None
