"""What the rules of early stopping lose and save over simulated sweeps: the best run is never lost.

A run's true accuracy is 1/2 + (ceiling - 1/2) f(speed * D(t)): concave in D, the training done (cumulated learning rate
over that of a whole run), f one of 1 - exp(-x), x / (1 + x), tanh x. Speeds are log-uniform over three decades, as the
learning rates of real sweep files are; in a third of the sweeps a slow starter wins in the end; fast runs may diverge.
Pair i has the margin h = scale * (probit(accuracy) + z_i): z is standard normal, half of its variance the difficulty
that all runs share (half of that its prompt's), 0.3 the run's own, 0.2 moves while it trains: 2 to 9% of the pairs flip
between evaluations (measured on the embedded recipe: 1 to 10%). The scale falls with beta, as DPO's does.
"""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import NormalDist, fmean

import numpy as np
import pytest

from training.sweeps.bound import Lead, Schedule, Standing, lead, pair_scores, reached, standing
from training.sweeps.pruning import Rules, broken, proposed

SWEEPS = 200
SHAPES = (lambda x: 1 - np.exp(-x), lambda x: x / (1 + x), np.tanh)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
probit = np.vectorize(NormalDist().inv_cdf, otypes=[float])


@dataclass
class Run:
    """One run: its evaluations at `steps`; `h` has shape (evaluations, pairs); q and scale describe the truth."""

    beta: float
    schedule: Schedule
    steps: list[int]
    q: np.ndarray
    scale: np.ndarray
    h: np.ndarray

    @cached_property
    def losses(self) -> np.ndarray:
        """The raw loss of each evaluation, at the run's own beta."""
        return np.logaddexp(0, -self.beta * self.h).mean(axis=1)

    def truth(self, common_beta: float | None) -> np.ndarray:
        """The objective over infinitely many pairs, per evaluation; by Gauss-Hermite quadrature."""
        if common_beta is None:
            return np.array([NormalDist().cdf(q) for q in self.q])
        values = pair_scores(self.scale[:, None] * (self.q[:, None] + NODES), common_beta)
        return values @ WEIGHTS / WEIGHTS.sum()


@dataclass
class Sweep:
    runs: list[Run]
    clusters: np.ndarray
    workers: int
    order: list[int]


def _steps(rng: np.random.Generator, count: int) -> list[tuple[int, list[int]]]:
    """(max_steps, evaluated steps) of each run; in 3 of 10 sweeps max_steps varies."""
    whole = 10 * int(rng.integers(4, 13))
    factors = rng.choice([0.5, 1, 2], size=count) if rng.random() < 0.3 else np.ones(count)
    relative = rng.random() < 0.5
    found = []
    for factor in factors:
        last, every = int(whole * factor), int(10 * factor) if relative else 10
        found.append((last, sorted({*range(every, last + 1, every), last})))
    return found


def _run(
    rng: np.random.Generator, about: tuple, schedule: Schedule, whole: float, steps: list[int], hard: np.ndarray
) -> Run:
    beta, speed, ceiling, shape, diverges, at_once = about
    done = np.array([schedule.done(step) for step in steps]) / whole
    rise = SHAPES[shape](speed * done)
    accuracy = 0.5 + (ceiling - 0.5) * (at_once + (1 - at_once) * rise)
    scale = rng.uniform(3, 30) * math.sqrt(0.1 / beta) * rise
    if diverges:
        broken_for = np.clip((done - rng.uniform(0.05, 0.9)) / 0.15, 0, None)
        accuracy = 0.5 + (accuracy - 0.5) * np.exp(-2 * broken_for)
        scale = scale * (1 + 20 * np.minimum(broken_for, 1))
    moving = [rng.normal(size=len(hard))]
    for gone in np.diff(done):
        kept = math.exp(-2 * gone)
        moving.append(kept * moving[-1] + math.sqrt(1 - kept**2) * rng.normal(size=len(hard)))
    z = hard + math.sqrt(0.3) * rng.normal(size=len(hard)) + math.sqrt(0.2) * np.array(moving)
    q = probit(np.clip(accuracy, 0.02, 0.98))
    return Run(beta, schedule, steps, q, scale, scale[:, None] * (q[:, None] + z))


@cache
def sweep(seed: int, at_once: float) -> Sweep:
    """8 to 16 runs on 200 to 800 pairs; `at_once` is the share of the accuracy's rise that the first step brings."""
    rng = np.random.default_rng(seed)
    count, pairs = int(rng.integers(8, 17)), int(rng.integers(200, 801))
    clusters = np.repeat(np.arange(pairs), rng.integers(1, 4, size=pairs))[:pairs]
    hard = math.sqrt(0.25) * (rng.normal(size=pairs)[clusters] + rng.normal(size=pairs))
    speeds = np.exp(rng.uniform(math.log(0.03), math.log(30), size=count))
    ceilings = np.clip(rng.normal(rng.uniform(0.62, 0.82), 0.06, size=count), 0.52, 0.95)
    shapes = rng.integers(0, 3, size=count)
    diverges = rng.random(count) < np.clip((np.log(speeds) - math.log(6)) / 2.5, 0, 0.7)
    if rng.random() < 1 / 3:
        slow = int(rng.integers(count))
        speeds[slow], shapes[slow], diverges[slow] = rng.uniform(0.3, 1), 0, False
        best = min(0.93, ceilings.max() + rng.uniform(0, 0.06))
        ceilings[slow] = 0.5 + (best - 0.5) / (1 - math.exp(-speeds[slow]))
    betas = rng.choice([0.01, 0.05, 0.1, 0.2, 0.5], size=count)
    decay, warmup = str(rng.choice(["linear", "cosine", "constant"], p=[0.5, 0.3, 0.2])), rng.choice([0, 0.1])
    spans = _steps(rng, count)
    whole = Schedule(max(last for last, _ in spans), 0, decay).done(max(last for last, _ in spans))
    runs = [
        _run(rng, about, Schedule(last, warmup * last, decay), whole, steps, hard)
        for about, (last, steps) in zip(
            zip(betas, speeds, ceilings, shapes, diverges, [at_once] * count, strict=True), spans, strict=True
        )
    ]
    return Sweep(runs, clusters, int(rng.integers(1, 3)), rng.permutation(count).tolist())


Stop = Callable[[Standing, list[float], list[list[float]]], bool]


def by(method: str, **limits: float) -> Stop:
    rules = Rules(method, **limits)
    return lambda found, own, rivals: proposed(rules, own, rivals) and found.beaten


def behind_now(found: Standing, _own: list[float], _rivals: list[list[float]]) -> bool:
    return found.now.high < 0


def play(
    made: Sweep,
    stop: Stop,
    values: list[list[np.ndarray]],
    judge: Callable[..., Standing | None] = standing,
    start: float = 0.5,
) -> tuple[float, dict[int, int]]:
    """(share of the steps taken, run -> evaluation at which it was stopped) with `values` per run and evaluation."""
    waiting, seen, used, stopped = list(made.order), {}, 0, {}
    means = [[float(found.mean()) for found in run] for run in values]
    busy = [(made.runs[run].steps[0], run, 0) for run in waiting[: made.workers]]
    del waiting[: made.workers]
    heapq.heapify(busy)
    while busy:
        clock, run, at = heapq.heappop(busy)
        about = made.runs[run]
        step, steps = about.steps[at], about.steps
        seen.setdefault(run, {})[step] = values[run][at]
        used += step - (steps[at - 1] if at else 0)
        last = step == steps[-1]
        if not last and _stops(made, seen, means, run, stop, judge, start):
            stopped[run] = at
        if not last and run not in stopped:
            heapq.heappush(busy, (clock + steps[at + 1] - step, run, at + 1))
        elif waiting:
            following = waiting.pop(0)
            heapq.heappush(busy, (clock + made.runs[following].steps[0], following, 0))
    return used / sum(run.schedule.max_steps for run in made.runs), stopped


def _stops(
    made: Sweep, seen: dict, means: list[list[float]], run: int, stop: Stop, judge: Callable, start: float
) -> bool:
    about, at = made.runs[run], len(seen[run]) - 1
    if broken({"eval/loss": about.losses[at]}, {"eval/loss": math.log(2)}, means[run][at], start):
        return True
    rivals = {other: curve for other, curve in seen.items() if other != run}
    found = judge(seen[run], rivals, made.clusters, about.steps[at], about.schedule, start)
    others = [means[other][: len(curve)] for other, curve in rivals.items()]
    return found is not None and stop(found, means[run][: at + 1], others)


@dataclass
class Result:
    saved: float
    lost: list[int]  # sweeps whose run of the best true evaluation was stopped before it
    lost_final: list[int]  # sweeps whose run of the best true value at its last step was stopped


def over(stop: Stop, common_beta: float | None = None, at_once: float = 0.0, judge: Callable = standing) -> Result:
    used, lost, lost_final = [], [], []
    start = float(pair_scores(np.zeros(1), common_beta)[0])
    for seed in range(SWEEPS):
        made = sweep(seed, at_once)
        taken, stopped = play(made, stop, [list(pair_scores(run.h, common_beta)) for run in made.runs], judge, start)
        used.append(taken)
        truths = [run.truth(common_beta) for run in made.runs]
        best = max(range(len(truths)), key=lambda run: truths[run].max())
        final = max(range(len(truths)), key=lambda run: truths[run][-1])
        if stopped.get(best, math.inf) < truths[best].argmax():
            lost.append(seed)
        if final in stopped:
            lost_final.append(seed)
    return Result(1 - fmean(used), lost, lost_final)


def test_the_default_rule_never_stops_the_best_run_and_saves_a_third_of_the_steps():
    """Best by its last evaluation, and by its best: the same here, but for runs that diverge."""
    found = over(by("bound"))
    assert found.lost == found.lost_final == []
    assert found.saved > 0.33


def test_nor_does_it_by_the_common_beta_loss():
    """Accuracy comes with the first step and margins then grow, as in real runs: the loss falls, and may rise again.

    A run is worth its best evaluation, whose checkpoint is kept. By the last one alone, one best run in 200 sweeps is
    stopped, for a rival that over-trains after it.
    """
    found = over(by("bound"), common_beta=0.1, at_once=1.0)
    assert found.lost == []
    assert len(found.lost_final) <= 1
    assert found.saved > 0.4


@pytest.mark.parametrize("stop", [by("median"), by("hyperband", min_iter=1, eta=3)], ids=["median", "hyperband"])
def test_nor_do_median_and_hyperband_which_the_bound_confirms(stop):
    found = over(stop)
    assert found.lost == found.lost_final == []
    assert found.saved > 0.25


def test_a_paired_test_at_the_same_step_alone_would_stop_slow_starters_that_win():
    """Also where hyperband proposed them: why the bound confirms them."""
    hyperband = Rules("hyperband", min_iter=1)
    found = over(lambda *told: proposed(hyperband, *told[1:]) and behind_now(*told))
    assert len(found.lost_final) > 10


def both_extrapolated(own: dict, rivals: dict, clusters: np.ndarray, step: int, schedule: Schedule, start: float):
    """The lead now and at the end, if it changed on as since the evaluation before, in both runs."""
    at = reached(rivals, step)
    if not at or min(own) == step:
        return None
    best = max(at, key=lambda rival: rivals[rival][at[rival]].mean())
    before = max(s for s in own if s < step)
    earlier = max((s for s in rivals[best] if s < at[best]), default=None)
    gap = own[step] - rivals[best][at[best]]
    closed = gap - (own[before] - (rivals[best][earlier] if earlier else start))
    left = (schedule.max_steps - step) / (step - before)
    error = 0.01 * (step - before) / schedule.max_steps / len(at)
    now, end = (lead(values, clusters, error) for values in (gap, gap + left * closed))
    return now and Standing(step, 0, best, at[best], 0, now, end, before)


def test_extrapolating_the_rival_too_would_stop_slow_starters_that_win():
    """A fast rival's pace is the largest at its start: taken as lasting, it makes a gap that closes seem to grow."""
    found = over(lambda found, *_: found.end.high < 0, judge=both_extrapolated)
    assert len(found.lost_final) > 5


def test_by_raw_loss_under_varying_beta_the_best_run_would_be_stopped():
    """The same bound on each run's own loss: one of large beta has the larger loss on the same pairs.

    With the margins h of one and the same model, in nats, mean softplus(-beta h) depends on beta alone.
    """
    lost = 0
    for seed in range(SWEEPS):
        made = sweep(seed, 1.0)
        values = [list(pair_scores(run.beta * run.h, 1.0)) for run in made.runs]
        _, stopped = play(made, by("bound"), values, start=-math.log(2))
        truths = [run.truth(None)[-1] for run in made.runs]
        lost += int(np.argmax(truths)) in stopped
    assert lost > SWEEPS / 10


def test_tied_runs_are_stopped_in_less_than_one_of_a_hundred_under_repeated_looks():
    """Eight runs of one true accuracy, 0.7, which none leaves any more, ten looks: what a run is told of is all chance.

    The paired test alone, and the bound, which is narrower for no run. Expected, by Bonferroni: at most 1%.
    """
    rng, tried, behind, beaten = np.random.default_rng(5), 2000, 0, 0
    schedule, clusters = Schedule(100), np.repeat(np.arange(150), 2)
    for _ in range(tried):
        hard = math.sqrt(0.25) * (rng.normal(size=150)[clusters] + rng.normal(size=300))
        own_part, moving = math.sqrt(0.3) * rng.normal(size=(8, 1, 300)), rng.normal(size=(8, 10, 300))
        right = pair_scores(NormalDist().inv_cdf(0.7) + hard + own_part + math.sqrt(0.2) * moving, None)
        rivals = {str(run): {100: right[run, 9]} for run in range(1, 8)}
        curve = {10 * (look + 1): right[0, look] for look in range(10)}
        looks = [
            standing({s: v for s, v in curve.items() if s <= step}, rivals, clusters, step, schedule, 0.5)
            for step in list(curve)[:-1]
        ]
        behind += any(found.now.high < 0 for found in looks)
        beaten += any(found.beaten for found in looks)
    assert beaten <= behind < 0.01 * tried


def test_the_interval_of_a_lead_covers_what_it_should():
    """Of 4,000 sets of clustered pairs of true lead -0.1, each end of the interval passes it in at most 5%, about."""
    rng, misses = np.random.default_rng(6), np.zeros(2)
    clusters = np.repeat(np.arange(60), 3)
    for _ in range(4000):
        found = lead(rng.normal(-0.1, 1, size=60)[clusters] + rng.normal(size=180), clusters, 0.05)
        assert isinstance(found, Lead)
        misses += [found.low > -0.1, found.high < -0.1]
    assert np.all(misses / 4000 < 0.055)
    assert np.all(misses / 4000 > 0.03)
