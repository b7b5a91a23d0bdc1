"""Sweeps that are searched without any training: shared by the tests of what is asked and told."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from training.sweeps import store
from training.sweeps.plan import Objective
from training.sweeps.search import Search
from training.sweeps.store import Sweep
from training.sweeps.trial import Trial

NUMERIC = """
  learning_rate: {distribution: log_uniform_values, min: 1e-7, max: 1e-4}
  beta: {min: 0.01, max: 1.0}
  max_steps: {value: 5}
"""
MIXED = NUMERIC + "  loss_type: {values: [sigmoid, ipo]}\n"
GRID = """
  beta: {values: [0.1, 0.5]}
  seed: {value: 7}
  warmup_steps: {min: 0, max: 2}
  loss_type: {values: [sigmoid, ipo]}
"""


def create(
    runs: Path,
    method: str,
    parameters: str,
    count: int | None = None,
    seed: int = 0,
    cap: int | None = None,
    storage: str | None = None,
    maximize: bool = False,
) -> Sweep:
    goal, metric = ("maximize", "eval/rewards/accuracies") if maximize else ("minimize", "eval/loss")
    head = f"method: {method}\nmetric: {{name: {metric}, goal: {goal}}}\n"
    head += f"run_cap: {cap}\n" if cap is not None else ""
    objective = Objective(metric, maximize, None)
    made = Sweep(store.new_id(runs, "try"), runs, (), count, seed, storage, objective, {}, time.time())
    store.create(made, f"{head}parameters:\n{parameters}")
    return made


def drain(found: Search) -> Iterator[Trial]:
    while (trial := found.ask()) is not None:
        yield trial


def points(made: Sweep, loss: Callable[[Any], float | None] = lambda _: 1.0) -> list[dict[str, Any]]:
    """The parameters of all trials of a sweep that one process runs."""
    found, asked = Search(made), []
    for trial in drain(found):
        asked.append(dict(trial.params))
        found.tell(trial.number, "finished", loss(trial.params))
    return asked


def bowl(params: Any) -> float:
    """0 at a learning rate of 10^-5.2 and beta 0.3, and round."""
    return ((math.log10(params["learning_rate"]) + 5.2) / 1.5) ** 2 + ((params["beta"] - 0.3) / 0.5) ** 2


def database(runs: Path) -> str:
    return f"sqlite:///{runs / 'studies.db'}"
