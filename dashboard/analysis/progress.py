"""How fast a run goes, and when it will have ended."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from training.record.schema import History

CONFIDENCE = 0.9
FEWEST = 3
"""Stretches that a spread is told from."""

MOST = 12
"""Stretches from one evaluation to the next that count: earlier ones speak of another moment of the machine."""


@dataclass(frozen=True)
class Pace:
    """The pace of a run's last `steps` optimizer steps: `seconds` per step, evaluations and saving included.

    `spread` is sigma in seconds per square root of a step, `stretches` the number of intervals it was told from; the
    last of them ended at `step` and `time` (seconds since 1970).
    """

    seconds: float
    spread: float
    steps: int
    stretches: int
    step: int
    time: float


@dataclass(frozen=True)
class Remaining:
    """Seconds until the run ends: what is to be expected, and the ends of its prediction interval."""

    expected: float
    low: float
    high: float


def pace(history: History, since: float | None = None) -> Pace | None:
    """The pace since `since` (seconds since 1970, when a run was resumed), None where too little is known.

    The stretches lie between evaluations, MOST of them, so that each holds one evaluation; while there are fewer than
    FEWEST, between all points, but for the first stretch, which warms up: too wide an interval rather than none. The
    estimate is the ratio of sums, that of weighted least squares through the origin where the variance of a stretch
    grows with its steps: sigma^2 = sum((dt - r ds)^2 / ds) / (k - 1), r = sum dt / sum ds (Cochran 1977, Sampling
    Techniques, section 6.7).
    """
    everything = _points(history, list(history), since)
    evaluated = _points(history, [key for key in history if key.startswith("eval/")], since)[-MOST - 1 :]
    used = evaluated if len(evaluated) > FEWEST else everything[1 if len(everything) > FEWEST + 1 else 0 :]
    gaps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(used)]
    if len(gaps) < FEWEST or any(seconds < 0 for _, seconds in gaps):
        return None
    steps, total = sum(gap[0] for gap in gaps), math.fsum(gap[1] for gap in gaps)
    rate = total / steps
    variance = math.fsum((seconds - rate * count) ** 2 / count for count, seconds in gaps) / (len(gaps) - 1)
    return Pace(rate, math.sqrt(variance), steps, len(gaps), *used[-1]) if rate > 0 else None


def _points(history: History, keys: Sequence[str], since: float | None) -> list[tuple[int, float]]:
    """(step, last time at it), ascending: what was logged later at a step, as its evaluation is, counts."""
    latest: dict[int, float] = {}
    for key in keys:
        series = history[key]
        for step, time in zip(series.steps, series.times, strict=True):
            if math.isfinite(time) and (since is None or time >= since):
                latest[step] = max(time, latest.get(step, time))
    return sorted(latest.items())


def remaining(found: Pace, max_steps: int, now: float, confidence: float = CONFIDENCE) -> Remaining | None:
    """How long the steps up to `max_steps` will take from `now` on (seconds since 1970); None if none is left.

    The prediction interval for the sum of L further steps after S observed ones in k stretches: L r +- t(k - 1) sigma
    sqrt(L + L^2 / S); with stretches of one size that of the mean of m future observations from k past ones (Hahn and
    Meeker 1991, Statistical Intervals, chapter 4). It takes the future to be like the last stretches. What is left is
    counted from the end of the last one, and the time since then taken off: from a step between two evaluations on,
    more evaluations are to come than the steps left have on average.
    """
    from scipy.special import stdtrit

    left = max_steps - found.step
    if left <= 0:
        return None
    quantile = float(stdtrit(found.stretches - 1, (1 + confidence) / 2))
    half = quantile * found.spread * math.sqrt(left + left**2 / found.steps)
    expected, waited = left * found.seconds, max(0.0, now - found.time)
    return Remaining(*(max(0.0, seconds - waited) for seconds in (expected, expected - half, expected + half)))


_UNITS = ((86_400, "day"), (3_600, "h"), (60, "min"), (1, "s"))


def words(seconds: float) -> str:
    """A duration in its two largest units: 40 s, 5 min, 3 h 20 min, 2 days 4 h; of minutes only the first 10 exact."""
    if not math.isfinite(seconds) or seconds < 0:
        return "–"
    whole = round(seconds)
    place = next((at for at, (size, _) in enumerate(_UNITS) if whole >= size), len(_UNITS) - 1)
    size, unit = _UNITS[place]
    count, rest = divmod(whole, size)
    text = f"{count} {unit}{'s' if unit == 'day' and count != 1 else ''}"
    if place + 1 >= len(_UNITS) or (unit == "min" and count >= 10):
        return text
    below, name = _UNITS[place + 1]
    return f"{text} {rest // below} {name}" if rest // below else text


def speed(seconds: float) -> str:
    """A pace in words: steps per second, or seconds per step where a step takes longer."""
    return f"{1 / seconds:.3g} steps/s" if seconds < 1 else f"{seconds:.3g} s per step"
