"""Whether the training loss falls by steps where epochs meet: pairs seen again are remembered."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

PARTS = 3
LEAST = 3


class EpochSteps(NamedTuple):
    """The mean fall at an epoch's end beyond that around it, in nats, its standard errors, and how many ends."""

    drop: float
    z: float
    boundaries: int


@np.errstate(over="ignore", invalid="ignore")
def epoch_steps(epochs: Sequence[float], losses: Sequence[float]) -> EpochSteps | None:
    """Compares each third of an epoch with the next one: where epochs meet, and inside the two that meet there.

    Both have shape (n,); `epochs` counts passes over the training data, a value logged at 1.0 belongs to the first.
    With w the mean losses of four thirds in a row, the epoch ending after the second, the excess is (w2 - w3) -
    ((w1 - w2) + (w3 - w4)) / 2: zero on any straight decline. Its variance is s^2 (2.25 / n2 + 2.25 / n3 + 0.25 / n1 +
    0.25 / n4), s^2 that of the losses inside thirds (a contrast of means: Scheffe 1959, section 3.4). Excesses of
    neighbouring ends share a third with opposite signs, so that adding their variances is too much, never too little.
    None where no end has LEAST finite values in each of its thirds.
    """
    x, y = np.asarray(epochs, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    known = np.isfinite(x) & np.isfinite(y) & (x > 0)
    part, y = np.ceil(PARTS * x[known] - 1e-9).astype(np.int64) - 1, y[known]
    if not len(y) or part.max() > len(y):
        return None
    counts = np.bincount(part)
    means = np.bincount(part, y) / np.maximum(counts, 1)
    freedom = len(y) - int((counts > 0).sum())
    variance = float(((y - means[part]) ** 2).sum()) / max(1, freedom)
    ends = [k for k in range(PARTS, len(counts) - 1, PARTS) if counts[k - 2 : k + 2].min() >= LEAST]
    if not ends or not 0 < variance < math.inf:
        return None
    weights = np.array([-0.5, 1.5, -1.5, 0.5])
    drop = float(np.mean([weights @ means[k - 2 : k + 2] for k in ends]))
    error = math.sqrt(sum(variance * float(weights**2 @ (1 / counts[k - 2 : k + 2])) for k in ends)) / len(ends)
    return EpochSteps(drop, drop / error, len(ends))
