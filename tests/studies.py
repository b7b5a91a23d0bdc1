"""Runs made by simulation, healthy or with one planted fault: shared by the tests of findings and of other analyses.

A healthy run as TRL logs it: 200 steps of 16 pairs (two epochs), training logged every 5 steps, 400 evaluation pairs of
400 prompts scored every 20. A pair's margin grows to its own end, h ~ N(8, 14) nats, as 1 - exp(-step / 40): at beta
0.1 an accuracy of 0.716 and a calibration slope of about 0.8. Training pairs are a little ahead, h ~ N(9, 14).
"""

import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dashboard.analysis.study import Evidence, Floats, Scores
from dashboard.sources.imported import with_evaluations
from training.record.schema import History, Run, Series

WORDS = ("the", "of", "to", "a", "in", "it", "is", "day", "water", "city", "book", "light", "tree", "rice", "friend")
CLEAN = {"exact": 0, "near": 0, "contradictions": 0, "eval_pairs_in_train": 0, "eval_prompts_in_train": 0}
STEPS, EVERY, LOGGED, BATCH, EPOCH = 200, 20, 5, 16, 100


def series(points: Mapping[int, float], epoch: float | None = EPOCH) -> Series:
    """A curve by step; `epoch` is how many steps an epoch has, None where epochs are not known."""
    epochs = [math.nan if epoch is None else step / epoch for step in points]
    times = [1e9 + step for step in points]
    return Series(array("q", points), array("d", epochs), array("d", times), array("d", points.values()))


def growth(step: float) -> float:
    """How much of its end a run has reached at a step: 0 before training, 0.993 at step 200."""
    return 1 - math.exp(-step / 40)


def drawn(mean: float, spread: float) -> Callable[[np.random.Generator, int, float], Floats]:
    """Margins of n pairs at a step, when their ends are normal."""
    return lambda rng, n, step: growth(step) * rng.normal(mean, spread, n)


@dataclass(frozen=True)
class Plan:
    """What a simulated run is like; each planted fault changes something of it."""

    n: int = 400
    beta: float = 0.1
    mean: float = 8.0
    spread: float = 14.0
    tokens_slope: float = 0.2  # nats of margin per token that the chosen answer is longer
    longer: int = 0  # tokens that the chosen answers have more
    chosen_share: float = 0.6  # of the margin that is the chosen answer's rise
    chosen_shift: float = 0.0  # nats by which both answers fall
    base_spread: float = 8.0  # nats, of the base model's chosen - rejected
    rise: Callable[[float], float] = growth
    train: Callable[[np.random.Generator, int, float], Floats] = field(default_factory=lambda: drawn(9.0, 14.0))
    prompts: int = 12
    answer: Callable[[np.random.Generator, str, list[str]], list[str]] = lambda rng, prompt, words: words
    ended: float = 0.95
    gold: Callable[[float], float] = lambda step: 0.4 + 0.2 * growth(step)
    run: Mapping[str, Any] = field(default_factory=dict)
    curves: Callable[[np.random.Generator, dict[str, dict[int, float]]], None] = lambda rng, curves: None
    scored: Callable[[np.random.Generator, Scores], Scores] = lambda rng, scores: scores


def softplus(x: Floats) -> Floats:
    return np.logaddexp(0.0, x)


def simulated(plan: Plan | None = None, seed: int = 0, name: str = "a run") -> Evidence:
    """One run by `plan`, all of it: curves, scores at step 0, the best and the last one, samples at step 0 and 200."""
    plan, rng = plan or Plan(), np.random.default_rng(seed)
    scores = _scores(plan, rng)
    curves = {"train/grad_norm": {step: float(rng.lognormal(-0.5, 0.25)) for step in _logged()}}
    for step in _logged():
        window = plan.train(rng, LOGGED * BATCH, step - LOGGED / 2)
        _log(curves, "train", step, plan.beta, window, window > 0)
    for step, found in scores.items():
        _log(curves, "eval", step, plan.beta, found.h, found.right)
        for side in ("chosen", "rejected"):
            curves.setdefault(f"eval/rewards/{side}", {})[step] = plan.beta * float(getattr(found, side).mean())
        curves.setdefault("eval/samples/gold", {})[step] = float(np.clip(plan.gold(step) + rng.normal(0, 0.02), 0, 1))
    plan.curves(rng, curves)
    history: History = {key: series(points) for key, points in curves.items()}
    run = with_evaluations(_run(plan, name), history)
    kept = {step: scores[step] for step in (0, run.best_step, STEPS) if step in scores}
    return Evidence(run, history, kept, _samples(plan, rng))


def _logged() -> range:
    return range(LOGGED, STEPS + 1, LOGGED)


def _log(curves: dict[str, dict[int, float]], split: str, step: int, beta: float, h: Floats, right: Floats) -> None:
    means = {"loss": softplus(-beta * h), "rewards/accuracies": right, "rewards/margins": beta * h}
    for key, values in means.items():
        curves.setdefault(f"{split}/{key}", {})[step] = float(values.mean())


def _run(plan: Plan, name: str) -> Run:
    config = {"beta": plan.beta, "loss_type": ["sigmoid"], "max_grad_norm": 1.0, "learning_rate": 5e-6}
    config |= {"per_device_train_batch_size": BATCH, "gradient_accumulation_steps": 1, **plan.run.get("config", {})}
    data = {"eval": "aaaa", "n_train": 1600, "n_eval": plan.n, "audit": {"duplicates": CLEAN}} | plan.run.get(
        "data", {}
    )
    about = {"status": "finished", "max_steps": STEPS, **plan.run, "config": config, "data": data}
    return Run(name, name, "runs", n_eval=plan.n, environment={"dtype": "float32"}, **about)


def _scores(plan: Plan, rng: np.random.Generator) -> dict[int, Scores]:
    n = plan.n
    tokens = rng.integers(8, 40, (2, n)) + np.array([[plan.longer], [0]])
    length = plan.tokens_slope * (tokens[0] - tokens[1])
    end = rng.normal(plan.mean, plan.spread, n) + length
    own, base = rng.normal(0, 2, n), rng.normal(0, plan.base_spread, n)
    start = -1.2 * tokens[0]
    found = {}
    for step in range(0, STEPS + 1, EVERY):
        grown = plan.rise(step)
        h = grown * (end + rng.normal(0, 1, n))
        chosen = grown * (plan.chosen_share * end + own + plan.chosen_shift)
        scores = Scores(
            step,
            tuple(f"eval-{i}" for i in range(n)),
            np.arange(n),
            chosen,
            chosen - h,
            start + chosen,
            start - base + chosen - h,
            *tokens,
            np.zeros(n, dtype=bool),
        )
        found[step] = plan.scored(rng, scores)
    return found


def _samples(plan: Plan, rng: np.random.Generator) -> tuple[dict[str, Any], ...]:
    rows = []
    for number in range(plan.prompts):
        prompt = f"Question {number}: " + " ".join(rng.choice(WORDS, 8))
        base, tuned = (list(map(str, rng.choice(WORDS, rng.integers(8, 30)))) for _ in range(2))
        tuned = plan.answer(rng, prompt, tuned)
        for step, words, ends in ((0, base, 0.95), (STEPS, tuned, plan.ended)):
            answers = {"base": " ".join(base), "dpo": " ".join(words)}
            about = {"ended": bool(rng.random() < ends), "tokens": len(words)}
            rows.append({"step": step, "prompt": [{"role": "user", "content": prompt}], **answers, **about})
    return tuple(rows)


def with_h(scores: Scores, h: Floats) -> Scores:
    """The same scores with other margins: the rejected answers move."""
    moved = scores.chosen - h
    return replace(scores, rejected=moved, rejected_logp=scores.rejected_logp - scores.rejected + moved)
