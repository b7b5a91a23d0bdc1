"""How far a run's preferences are those of a rule that only counts tokens."""

import math
from typing import NamedTuple

import numpy as np

from dashboard.analysis.study import Floats, Scores
from training.record.intervals import MIN_CLUSTERS, Interval, t_value


def rule_right(scores: Scores) -> Floats:
    """Per pair 1 if the chosen answer is the longer one, a half if both are equally long, else 0; shape (n,).

    Its mean is the accuracy of "the longer answer is better" (Park et al. 2024, arXiv:2403.19159).
    """
    found: Floats = (np.sign(scores.chosen_tokens - scores.rejected_tokens) + 1) / 2
    return found


class Slope(NamedTuple):
    """Nats of margin per token that the chosen answer is longer, its interval, and the share of variance explained."""

    value: float
    interval: Interval
    r2: float


def length_slope(scores: Scores, confidence: float = 0.95) -> Slope | None:
    """Least squares of h on |chosen| - |rejected|, with an intercept, shape (n,).

    The variance is the sandwich clustered by prompt, with Student's t of G - 1 degrees for G prompts (Cameron and
    Miller 2015, J. Human Resources 50, 317-372, eq. 11). `r2` is the partial R^2 of the difference beside the
    intercept. None below MIN_CLUSTERS prompts, without spread, or if a margin is NaN or infinite.
    """
    x = (scores.chosen_tokens - scores.rejected_tokens).astype(np.float64)
    y, groups = scores.h, len(np.unique(scores.prompts))
    if groups < MIN_CLUSTERS or not np.isfinite(y).all() or not x.std() or not y.std():
        return None
    x = x - x.mean()
    y = y - y.mean()
    power = float(x @ x)
    slope = float(x @ y) / power
    sums = np.bincount(scores.prompts, x * (y - slope * x))
    error = math.sqrt(float(sums @ sums) * groups / (groups - 1)) / power
    half = t_value(confidence, groups - 1) * error
    return Slope(slope, Interval(slope - half, slope + half), slope**2 * power / float(y @ y))
