"""Whether a run of a sweep can still reach the best of the others: the statistics of stopping it early.

A run's mean score over the evaluation pairs, as a function of the training done (cumulated learning rate), rises ever
more slowly: learning curves are concave. So from its evaluations at s < t it ends, at T, no higher than

    best case = score(t) + (D(T) - D(t)) / (D(t) - D(s)) * (score(t) - score(s)),   D = Schedule.done,

and no higher than score(t) if it falls. It is beaten when this best case is below what another run has reached, shown
on the same pairs. The other's curve is not extrapolated: it may flatten or fall, and what it has reached it has kept
(checkpoints/best). Extrapolating the difference of both curves instead takes the other's pace as lasting, and stops
slow starters that win in the end (tests/test_pruning_simulation.py).

s is the last evaluation before half of the training done: a shorter chord is noisier, a longer one less tight.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.record.intervals import t_value

Values = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Curve = Mapping[int, Values]

ERROR = 0.01  # chance that a run which is not behind is stopped, at any of its evaluations, because of any other run
MIN_PROMPTS = 20  # with fewer, Student's t says too little about errors this small


class Lead(NamedTuple):
    """How far one run is ahead of another, mean over pairs (below 0: behind), and its confidence interval."""

    mean: float
    low: float
    high: float


class Schedule(NamedTuple):
    """How the learning rate goes over a run: linear warm-up, then constant, linear or cosine to 0 at `max_steps`."""

    max_steps: int
    warmup: float = 0
    decay: str = "constant"

    def done(self, step: float) -> float:
        """The training done by `step`, in steps at the full learning rate: the integral of its share of the peak.

        Any other decay counts as none, which over-estimates what a run can still gain.
        """
        if step < self.warmup:
            return step * step / (2 * self.warmup)
        span = max(self.max_steps - self.warmup, 1)
        share = (step - self.warmup) / span
        areas = {"linear": share - share**2 / 2, "cosine": share / 2 + math.sin(math.pi * share) / (2 * math.pi)}
        return self.warmup / 2 + span * areas.get(self.decay, share)


class Standing(NamedTuple):
    """A run at `step` against the best of its rivals (`best`, at `rival_step`); scores are means, higher is better.

    `now` is its lead as it is, `end` in the best case at its end, which supposes its pace `since` that step.
    """

    step: int
    score: float
    rival: str
    rival_step: int
    best: float
    now: Lead
    end: Lead
    since: int

    @property
    def beaten(self) -> bool:
        return self.end.high < 0


def pair_scores(h: Values, common_beta: float | None) -> Values:
    """Per pair of margin h, in nats, higher is better: 1[h > 0] + 1/2 1[h = 0], or -softplus(-common_beta h).

    Their means are the reward accuracy, and minus the sigmoid loss (Rafailov et al. 2023, arXiv:2305.18290, eq. 7) at
    one beta for all runs.
    """
    scores: Values = (np.sign(h) + 1) / 2 if common_beta is None else -np.logaddexp(0.0, -common_beta * h)
    return scores


def lead(values: Values, clusters: Codes, error: float) -> Lead | None:
    """The mean of `values`, shape (n,), with an interval whose ends are each passed with a chance of `error`.

    `clusters`, shape (n,), numbers the prompts of the pairs from 0; standard error and Student's t as in
    `record.intervals.mean_interval`, but the farthest prompt's deviation counts twice: where two runs differ on a few
    pairs only, at so small an error, the interval is too narrow without (Agresti and Min 2005, Stat. Med. 24, 729-740,
    who count half a pair more on either side). None with fewer than MIN_PROMPTS, or if a value is NaN or infinite.
    """
    groups = int(clusters.max(initial=-1)) + 1
    if groups < MIN_PROMPTS or not np.isfinite(values).all():
        return None
    mean = float(values.mean())
    squares = np.bincount(clusters, values - mean) ** 2
    spread = float(squares.sum() + squares.max()) * groups / (groups - 1)
    half = t_value(1 - 2 * error, groups - 1) * math.sqrt(spread) / len(values)
    return Lead(mean, mean - half, mean + half)


def reached(rivals: Mapping[str, Curve], step: int) -> dict[str, int]:
    """Rival -> its latest evaluation after step 0 and not after `step`; without those that have none."""
    latest = {name: max((at for at in curve if 0 < at <= step), default=0) for name, curve in rivals.items()}
    return {name: at for name, at in latest.items() if at and np.isfinite(rivals[name][at]).all()}


def standing(
    own: Curve, rivals: Mapping[str, Curve], clusters: Codes, step: int, schedule: Schedule, start: float
) -> Standing | None:
    """The run whose evaluations are `own`, at its evaluation of `step`; `start` is the score of an untrained model.

    Rivals count by their latest evaluation that is not after this run's last step. The error is shared out evenly over
    the rivals (Bonferroni, as the best is chosen by the same pairs) and over the run's steps, an evaluation having
    those since the one before (alpha spending: Lan and DeMets 1983, Biometrika 70, 659-663).
    None if there is no rival yet, or too few prompts.
    """
    at = reached(rivals, schedule.max_steps)
    if not at:
        return None
    name = max(at, key=lambda rival: float(rivals[rival][at[rival]].mean()))
    past = sorted(s for s in own if 0 < s < step)
    error = ERROR * (step - max(past, default=0)) / schedule.max_steps / len(at)
    done = schedule.done(step)
    since = max((s for s in past if schedule.done(s) <= done / 2), default=0)
    ahead = (schedule.done(schedule.max_steps) - done) / (done - schedule.done(since))
    gain = own[step] - (own[since] if since else start)
    gap = own[step] - rivals[name][at[name]]
    now, end = lead(gap, clusters, error), lead(gap + ahead * gain, clusters, error)
    if now is None or end is None:
        return None
    end = max(now, end, key=lambda found: found.high)
    return Standing(step, float(own[step].mean()), name, at[name], float((own[step] - gap).mean()), now, end, since)
