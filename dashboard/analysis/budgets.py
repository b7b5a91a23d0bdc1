"""How long runs trained, and how they stood at a step that all of them reached."""

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace

from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, settled
from dashboard.analysis.study import Evidence
from training.record.history import number, whole
from training.record.schema import Run

NEAR = 0.05
"""Share of a step by which evaluations may lie apart and still be compared: evaluations fall on different steps."""


def pairs_seen(run: Run) -> int | None:
    """Training pairs that the run took, repeats counted; None where its source does not tell.

    Steps x pairs per step; on how many devices, the environment tells, or the trainer's own summary: runtime x samples
    per second, to within the printed digits. Else the training set's pairs x epochs: a smaller last batch is no step
    of full size.
    """
    batch, devices = _batch(run), number(run.environment.get("devices"))
    if batch is not None and run.step and devices is not None and 1 <= devices < 1e6:
        return run.step * batch * int(devices)
    by_summary = _by_summary(run, batch) if batch is not None and run.step else None
    n, epochs = training_pairs(run), run.epoch
    if by_summary is not None or n is None or epochs is None or not 0 < epochs < 1e6:
        return by_summary
    return round(n * epochs)


def _by_summary(run: Run, batch: int) -> int | None:
    """Pairs by the trainer's summary, if they are a whole number of times what one device takes."""
    runtime, speed = (_metric(run, f"train_{name}") for name in ("runtime", "samples_per_second"))
    if runtime is None or speed is None or run.status in ("running", "failed") or not 0 < runtime * speed < 1e15:
        return None
    one = (run.step or 0) * batch
    times = round(runtime * speed / one)
    error = runtime * 0.0005 + speed * 0.00005
    return times * one if times >= 1 and abs(runtime * speed - times * one) <= error else None


def training_pairs(run: Run) -> int | None:
    """Pairs in the training set; None where its source does not tell.

    As recorded, or from the trainer's own summary: runtime x samples per second counts each pair once an epoch, where
    epochs and not steps set the length.
    """
    stated, epochs = whole(run.data.get("n_train")), number(run.config.get("num_train_epochs"))
    if stated is not None:
        return stated if stated > 0 else None
    runtime, speed = (_metric(run, f"train_{name}") for name in ("runtime", "samples_per_second"))
    if epochs is None or epochs <= 0 or (number(run.config.get("max_steps")) or 0) > 0 or not settled(run):
        return None
    if runtime is None or speed is None or not 0 < runtime * speed < 1e12:
        return None
    found, error = runtime * speed / epochs, (runtime * 0.0005 + speed * 0.00005) / epochs
    return round(found) if found >= 0.5 and error < 0.5 and abs(found - round(found)) <= error else None


def _metric(run: Run, name: str) -> float | None:
    found = run.metrics.get(name, run.metrics.get(f"train/{name}"))
    return found if found is not None and math.isfinite(found) else None


def _batch(run: Run) -> int | None:
    """Pairs per optimizer step on one device; gradients are not accumulated unless the source says so."""
    size = number(run.config.get("per_device_train_batch_size"))
    times = number(run.config.get("gradient_accumulation_steps", 1))
    if size is None or times is None or not (1 <= size < 1e9 and 1 <= times < 1e9):
        return None
    return int(size) * int(times)


def budget(run: Run) -> str:
    """What the run was given, in words: "500 of 500 steps, 1.38 epochs, 8,000 pairs"; empty where nothing is known."""
    steps, pairs = run.step, pairs_seen(run)
    words = []
    if steps is not None:
        words.append(f"{steps:,} of {run.max_steps:,} steps" if run.max_steps else f"{steps:,} steps")
    if run.epoch is not None and math.isfinite(run.epoch):
        words.append(f"{run.epoch:.2f} epochs")
    if pairs is not None:
        words.append(f"{pairs:,} pairs")
    return ", ".join(words)


def evaluated_steps(evidence: Evidence) -> list[int]:
    """The steps after 0 at which loss or accuracy was evaluated, ascending; without curves, those of best and last."""
    curves = [evidence.history[key] for key in (EVAL_LOSS, EVAL_ACCURACY) if key in evidence.history]
    run = evidence.run
    ends = [run.best_step if run.best else None, run.step if _evaluated(run) else None]
    steps = {step for series in curves for step in series.steps} if curves else {step for step in ends if step}
    return sorted(step for step in steps if step > 0)


def _evaluated(run: Run) -> bool:
    return EVAL_LOSS in run.metrics or EVAL_ACCURACY in run.metrics


def common_step(evidence: Iterable[Evidence]) -> int | None:
    """The latest step by which no run had ended and near which (NEAR) every run was evaluated; None if there is none.

    Steps are optimizer steps: with batches of different sizes the runs have not seen equally many pairs there.
    """
    schedules = [evaluated_steps(found) for found in evidence]
    if not schedules or not all(schedules):
        return None
    end = min(steps[-1] for steps in schedules)
    candidates = sorted({step for steps in schedules for step in steps if step <= end}, reverse=True)
    return next((step for step in candidates if all(_nearest(steps, step) is not None for steps in schedules)), None)


def _nearest(steps: list[int], step: int) -> int | None:
    """The step of `steps` (ascending) that is nearest, the earlier of equals; None if none is within NEAR."""
    place = bisect_left(steps, step)
    found = min(steps[max(0, place - 1) : place + 1], key=lambda own: abs(own - step), default=None)
    return found if found is not None and abs(found - step) <= NEAR * step else None


def at_step(evidence: Evidence, step: int) -> Run | None:
    """The run as it stood at its evaluation nearest to `step`, which is its `step` then; its state is kept.

    None if it was not evaluated within NEAR of it.
    """
    own = _nearest(evaluated_steps(evidence), step)
    if own is None:
        return None
    run, history = evidence.run, evidence.history
    metrics, epoch = {}, None
    for key, series in history.items():
        place = bisect_left(series.steps, own)
        if place < len(series) and series.steps[place] == own:
            metrics[key] = series.values[place]
            epoch = series.epochs[place] if math.isfinite(series.epochs[place]) else epoch
    if not history:
        metrics, epoch = dict(run.metrics if own == run.step else run.best), run.epoch if own == run.step else None
    return replace(run, metrics=metrics, best={}, best_step=None, best_metric=None, step=own, epoch=epoch)
