"""Losses on one scale for all runs, from their per-pair scores: at one beta, and each at its own best."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dashboard.analysis import common_beta
from dashboard.analysis.study import Evidence, Scores, Study
from training.record.metrics import CALIBRATED_LOSS, COMMON_BETA_LOSS

EVAL_COMMON, EVAL_CALIBRATED = f"eval/{COMMON_BETA_LOSS}", f"eval/{CALIBRATED_LOSS}"


def with_common_scale(study: Study, b: float | None) -> Study:
    """The study with eval/calibrated_loss, and eval/common_beta_loss at `b` if one is given, among the runs' metrics.

    L*(b) = mean of softplus(-b h), and its minimum over b (common_beta.py). Where `b` is given, what a run has recorded
    under that name, at another beta, is replaced or left out. Runs without per-pair scores stay as they are otherwise.
    """
    return {run: _scaled(evidence, b) for run, evidence in study.items()}


def _scaled(evidence: Evidence, b: float | None) -> Evidence:
    run = evidence.run
    last = _losses(evidence.scores.get(run.step) if run.step is not None else None, b)
    best = _losses(evidence.scores.get(run.best_step) if run.best_step is not None else None, b)
    changed = replace(
        run, metrics=_replaced(run.metrics, last, b), best=_replaced(run.best, best, b) if run.best else {}
    )
    return replace(evidence, run=changed) if changed != run else evidence


def _replaced(metrics: Mapping[str, float], losses: Mapping[str, float], b: float | None) -> dict[str, float]:
    kept = {key: value for key, value in metrics.items() if b is None or key != EVAL_COMMON}
    return {**kept, **losses}


def _losses(scores: Scores | None, b: float | None) -> dict[str, float]:
    if scores is None or not len(scores) or not np.isfinite(scores.h).all():
        return {}
    found = {EVAL_CALIBRATED: common_beta.calibrated(scores.h).loss}
    return found if b is None else {**found, EVAL_COMMON: common_beta.loss(scores.h, b)}
