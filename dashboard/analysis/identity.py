"""What `logps - rewards / beta = log-probability under the reference model` proves of runs: beta, and what they share.

TRL logs rewards as beta * (log policy - log reference), summed over the answer's tokens, for every loss type and every
f-divergence (trl/trainer/dpo_trainer.py, `_compute_loss`); means over pairs, and means of batch means, keep the
equation, as both terms are weighted alike. It is no constant where the reference moves (`sync_ref_model`), and says
nothing where there is no reference (SimPO, CPO and ORPO log beta * log policy). Training rows are no use: their batch
changes.
"""

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property, reduce
from typing import Literal

import numpy as np
import numpy.typing as npt

from dashboard.analysis.losses import beta
from dashboard.analysis.study import Evidence
from training.record.intervals import t_value
from training.record.metrics import CHOSEN, LOGPS_CHOSEN, LOGPS_REJECTED, REJECTED

Floats = npt.NDArray[np.float64]
State = Literal["confirmed", "refuted", "recovered", "unknown"]

ROUNDING = 1e-6
"""Relative error of a logged mean of float32 numbers: ten times what real logs show (1.2e-7)."""
SAME = 1e-5
"""Relative: what two machines may differ by in the log-probabilities of one reference model in float32."""
DIFFERENT = 1e-3
"""Relative: what 16-bit arithmetic may add to that; beyond, the log-probabilities are of something else."""
NARROW, SOLVED = 0.05, 0.01
"""Relative half-width of beta beyond which it is not told: from the run's own line, and from one reference."""

ALIKE = 0.01
"""Relative: betas closer than this are taken to be one; 16-bit rewards alone are off by 0.4%."""

_SURE = 0.999
_STUDENT = {1: 636.6, 3: 12.92}
"""Two-sided 99.9% quantiles of Student's t where `t_value` does not reach."""
_KEYS = tuple(f"eval/{name}" for name in (LOGPS_CHOSEN, LOGPS_REJECTED, CHOSEN, REJECTED))


@dataclass(frozen=True)
class Estimate:
    """Beta by the identity, with bounds that hold for what was printed (`evaluations` of them)."""

    beta: float
    low: float
    high: float
    evaluations: int

    @property
    def shortest(self) -> float:
        """The number of fewest digits within the bounds: people choose 0.1, not 0.10003."""
        short = (float(f"{self.beta:.{digits}g}") for digits in range(1, 17))
        return next((value for value in short if self.low <= value <= self.high), self.beta)


@dataclass(frozen=True)
class Reference:
    """Mean log-probability of the chosen and of the rejected answers under the reference model, nats, +- `error`."""

    chosen: float
    rejected: float
    error: float

    def distance(self, other: "Reference") -> float:
        """The larger of the two differences, nats."""
        return max(abs(self.chosen - other.chosen), abs(self.rejected - other.rejected))

    def same(self, other: "Reference") -> bool:
        """Whether rounding explains the difference."""
        return self.distance(other) <= self.error + other.error


@dataclass(frozen=True)
class Identity:
    """What is proven of one run. `beta` is what it was trained with: the stated one unless that is refuted.

    `proven_by` is "itself" (a straight line through its evaluations) or "others" (the reference that other runs
    share). `drift` is how far, in nats, logps - rewards / beta strays from its mean over the evaluations. `why` says
    in words what could not be told.
    """

    state: State
    stated: float | None
    beta: float | None
    reference: Reference | None = None
    estimate: Estimate | None = None
    proven_by: Literal["itself", "others"] | None = None
    drift: float = 0.0
    why: str = ""


@dataclass(frozen=True, eq=False)
class Points:
    """Evaluations: log-probabilities and rewards, each of shape (2, n), chosen above rejected; finite."""

    logps: Floats
    rewards: Floats

    def __len__(self) -> int:
        return int(self.logps.shape[1])

    def rounding(self, slope: float) -> Floats:
        """Shape (2, 1), nats: how far rounding can put logps - slope * rewards off."""
        logps, rewards = self._printed
        return logps + abs(slope) * rewards

    @cached_property
    def _printed(self) -> tuple[Floats, Floats]:
        return _printed(self.logps), _printed(self.rewards)


def identify(evidence: Evidence, points: Points | None = None) -> Identity:
    """What the run proves by itself: over its evaluations, log-probabilities are a line in rewards of slope 1 / beta.

    "confirmed" where the stated beta explains all of them within rounding, "refuted" where it cannot and another one
    does, "recovered" where none was stated, else "unknown". `points` are its `evaluations`, where they are at hand.
    """
    stated, points = beta(evidence.run.config), points or evaluations(evidence)
    unknown = Identity("unknown", stated, stated)
    if points is None:
        return replace(unknown, why="its source lacks eval/logps or eval/rewards")
    if moves(evidence):
        return replace(unknown, why="its reference model moves (sync_ref_model)")
    line = _line(points)
    if line is None:
        why = "it has one evaluation" if len(points) == 1 else "its evaluations lie on no line that tells beta"
        return with_reference(replace(unknown, why=why), points)
    return with_reference(judged(stated, line, "itself"), points)


def moves(evidence: Evidence) -> bool:
    """Whether the run's reference model follows the policy, as far as its source says."""
    return evidence.run.config.get("sync_ref_model") is True


def evaluations(evidence: Evidence) -> Points | None:
    """The evaluations with all four finite; without curves those of the best checkpoint and of the last metrics."""
    curves = [curve for curve in map(evidence.history.get, _KEYS) if curve is not None]
    if len(curves) == len(_KEYS):
        at = [np.asarray(series.steps) for series in curves]
        rows = [np.asarray(series.values) for series in curves]
        if not all(np.array_equal(at[0], own) for own in at[1:]):
            steps = reduce(np.intersect1d, at)
            rows = [values[np.searchsorted(own, steps)] for values, own in zip(rows, at, strict=True)]
        table = np.array(rows, dtype=np.float64).reshape(4, -1)
    elif curves:
        return None
    else:
        run = evidence.run
        found = [run.metrics, run.best] if run.best_step != run.step else [run.metrics]
        table = np.array([[metrics.get(key, math.nan) for metrics in found] for key in _KEYS])
    table = table[:, np.isfinite(table).all(axis=0)]
    return Points(table[:2], table[2:]) if table.shape[1] else None


def _printed(values: Floats) -> Floats:
    """Shape (2, 1): float32's rounding, and half of the last digit that the source prints of this metric."""
    some = values[:, :4].ravel().tolist()
    digits = max(map(_decimals, some))
    found: Floats = ROUNDING * np.abs(values).max(axis=1, keepdims=True) + 0.5 * 10.0**-digits
    return found


def _decimals(value: float) -> int:
    """Digits after the point of a finite number as it is written."""
    text = repr(value)
    rest = text.partition(".")[2]
    return len(rest) if rest.isdigit() else -int(Decimal(text).as_tuple().exponent)


@np.errstate(over="ignore", invalid="ignore")
def _line(points: Points) -> Estimate | None:
    """One slope, 1 / beta, through chosen and rejected with an intercept each, by least squares.

    Its error is the larger of what rounding can do to it and Student's t times its standard error, with 2 n - 3
    degrees of freedom (Draper and Smith 1998, Applied Regression Analysis, chapters 1 and 14). None if the bounds
    are wider than NARROW.
    """
    x = points.rewards - points.rewards.mean(axis=1, keepdims=True)
    y = points.logps - points.logps.mean(axis=1, keepdims=True)
    spread = float((x * x).sum())
    if len(points) < 2 or spread == 0:
        return None
    slope, freedom = float((x * y).sum()) / spread, 2 * len(points) - 3
    deviation = math.sqrt(float(((y - slope * x) ** 2).sum()) / freedom)
    student = _STUDENT.get(freedom) or t_value(_SURE, freedom)
    rounding = float((np.abs(x) * points.rounding(slope)).sum()) / spread
    return bounded(slope, max(rounding, student * deviation / math.sqrt(spread)), NARROW, len(points))


def bounded(slope: float, half: float, limit: float, evaluations: int) -> Estimate | None:
    """Beta = 1 / slope with its bounds; None where the slope is not positive or less sure than `limit`."""
    if not slope > 0 or not half <= limit * slope:
        return None
    return Estimate(1 / slope, 1 / (slope + half), 1 / (slope - half), evaluations)


def judged(stated: float | None, estimate: Estimate, proven_by: Literal["itself", "others"]) -> Identity:
    """What the estimate says of the stated beta."""
    if stated is None:
        return Identity("recovered", None, estimate.shortest, estimate=estimate, proven_by=proven_by)
    if estimate.low <= stated <= estimate.high or abs(stated - estimate.beta) <= ALIKE * estimate.beta:
        return Identity("confirmed", stated, stated, estimate=estimate, proven_by=proven_by)
    return Identity("refuted", stated, estimate.shortest, estimate=estimate, proven_by=proven_by)


@np.errstate(over="ignore", invalid="ignore")
def with_reference(found: Identity, points: Points) -> Identity:
    """Adds the reference: logps - rewards / beta, where beta is known, or logps where rewards are still 0.

    There is none where the difference is 0 (no reference model) or strays by more than DIFFERENT.
    """
    start = (points.rewards == 0).all(axis=0)
    if start.any():
        points = Points(points.logps[:, start], points.rewards[:, start]) if found.beta is None else points
    elif found.beta is None or found.beta <= 0:
        return found
    slope = 1 / found.beta if found.beta else 0.0
    values = points.logps - slope * points.rewards
    middle = values.mean(axis=1, keepdims=True)
    size, drift = float(np.abs(middle).max()), float(np.abs(values - middle).max())
    if bool((np.abs(middle) <= points.rounding(slope)).all()):
        return replace(found, why="its rewards are beta * log-probability: there is no reference model")
    if not drift <= DIFFERENT * size:
        return replace(found, drift=drift)
    error = max(SAME * size, drift, float(points.rounding(slope).max()))
    return replace(found, reference=Reference(float(middle[0, 0]), float(middle[1, 0]), error), drift=drift)
