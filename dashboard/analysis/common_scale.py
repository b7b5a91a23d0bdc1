"""Losses on one scale for all runs, from their per-pair scores: at one beta, and each at its own best."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dashboard.analysis import common_beta, comparability
from dashboard.analysis.study import Evidence, Scores, Study
from training.record.history import number
from training.record.metrics import CALIBRATED_LOSS, COMMON_BETA_LOSS
from training.record.schema import Run

LEAST, MOST = 1e-6, 1e4
"""Betas at which a loss can be told from ln 2, and squares of losses be computed."""

USUAL_BETA = 0.1
"""TRL's default."""

EVAL_COMMON, EVAL_CALIBRATED = f"eval/{COMMON_BETA_LOSS}", f"eval/{CALIBRATED_LOSS}"


def recorded_beta(study: Study) -> float | None:
    """The beta of the common-beta loss that the runs have recorded, if it is one for all that have."""
    found = {_own_beta(evidence.run) for evidence in study.values() if _has_common(evidence.run)}
    (b,) = found if len(found) == 1 else (None,)
    return b if b is not None and LEAST <= b <= MOST else None


def usual_beta(study: Study) -> float:
    """The beta at which losses are compared unless a user names another: the recorded one, else the most frequent.

    Of equally frequent ones the smallest; TRL's default where no run states a usable one.
    """
    recorded = recorded_beta(study)
    if recorded is not None:
        return recorded
    stated = [comparability.beta(evidence.run.config) for evidence in study.values()]
    usable = Counter(b for b in stated if b is not None and LEAST <= b <= MOST)
    return max(usable, key=lambda b: (usable[b], -b)) if usable else USUAL_BETA


def with_common_scale(study: Study, b: float | None) -> Study:
    """The study with eval/calibrated_loss, and with eval/common_beta_loss at `b` if one is given, where scores allow.

    L*(b) = mean of softplus(-b h), and its minimum over b (common_beta.py). What a run has recorded as its common-beta
    loss stays only if it is known to be at `b`: at different betas it is not common.
    """
    return {run: _scaled(evidence, b) for run, evidence in study.items()}


def _scaled(evidence: Evidence, b: float | None) -> Evidence:
    run = evidence.run
    last = _losses(evidence.scores.get(run.step) if run.step is not None else None, b)
    best = _losses(evidence.scores.get(run.best_step) if run.best_step is not None else None, b)
    drop = b is None or _own_beta(run) != b
    changed = replace(
        run,
        metrics=_replaced(run.metrics, last, drop),
        best=_replaced(run.best, best, drop) if run.best else {},
    )
    return replace(evidence, run=changed) if changed != run else evidence


def _own_beta(run: Run) -> float | None:
    return number(run.config.get("common_beta"))


def _has_common(run: Run) -> bool:
    return EVAL_COMMON in run.metrics or EVAL_COMMON in run.best


def _replaced(metrics: Mapping[str, float], losses: Mapping[str, float], drop: bool) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if key != EVAL_COMMON or not drop} | dict(losses)


def _losses(scores: Scores | None, b: float | None) -> dict[str, float]:
    if scores is None or not len(scores) or not np.isfinite(scores.h).all():
        return {}
    found = {EVAL_CALIBRATED: common_beta.calibrated(scores.h).loss}
    return found if b is None else {**found, EVAL_COMMON: common_beta.loss(scores.h, b)}
