"""What a pair still weighs in DPO's gradient, and which way the pairs pull beta."""

import numpy as np

from dashboard.analysis.study import Floats


def weights(beta: float, h: Floats) -> Floats:
    """Per pair sigmoid(-beta h), the weight of its gradient in training (arXiv:2305.18290, section 4); shape (n,)."""
    found: Floats = np.exp(-np.logaddexp(0.0, beta * h))
    return found


def effective_share(w: Floats) -> float:
    """(sum w)^2 / sum w^2 / n: the share of pairs that would teach as much if all weighed the same (Kish 1965)."""
    return float(w.sum() ** 2 / (w**2).sum() / len(w)) if len(w) and w.any() else 0.0


def pulls(b: float, h: Floats) -> Floats:
    """Per pair the derivative of softplus(-b h) by b, -h sigmoid(-b h), shape (n,): above 0 a smaller b fits better.

    The mean softplus(-b h) is convex in b: where its derivative is above 0, the b of the least loss is smaller.
    """
    found: Floats = -h * weights(b, h)
    return found
