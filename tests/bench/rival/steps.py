"""One process that measures: python -m tests.bench.rival.steps long|short FOLDER [stock|ours]

Without the last word it takes the same training batches and evaluation passes in turn, stock TRL and ours, and prints
CPU seconds as JSON; with it, one of them alone takes one step, and its peak memory in MB is printed.
"""

import json
import logging
import resource
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from tests.bench.rival import workload

WARM_UP = 1  # steps that are not counted


def prepare(trainer: Any) -> None:
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1


def step(trainer: Any, rows: list[dict[str, Any]]) -> float:
    """One training step as Trainer's loop makes it; returns the loss."""
    trainer.model.train()
    loss = trainer.training_step(trainer.model, trainer.data_collator(rows))
    trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), trainer.args.max_grad_norm)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    return float(loss)


def main(name: str, folder: Path, alone: str | None = None) -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    work = workload.WORKLOADS[name]
    model = workload.save_model(work, folder / "model")
    count = 1 if alone else work.steps + WARM_UP
    train = workload.pairs(work, workload.BATCH * count, seed=1)
    evaluation = workload.pairs(work, work.evaluation, seed=2)
    makers = {"stock": workload.stock, "ours": workload.ours}
    trainers = {
        kind: make(model, train, evaluation, folder / kind) for kind, make in makers.items() if alone in (None, kind)
    }
    for trainer in trainers.values():
        prepare(trainer)
    took: dict[str, list[float]] = defaultdict(list)
    worst = 0.0
    for number in range(count):
        losses = []
        for kind, trainer in trainers.items():
            rows = [trainer.train_dataset[number * workload.BATCH + place] for place in range(workload.BATCH)]
            start = time.process_time()
            losses.append(step(trainer, rows))
            if number >= WARM_UP:
                took[f"{kind} step"].append(time.process_time() - start)
        worst = max(worst, abs(losses[0] - losses[-1]))
    for kind, trainer in trainers.items() if not alone else ():
        trainer.state.global_step = 1
        start = time.process_time()
        trainer.evaluate()
        took[f"{kind} evaluation"].append(time.process_time() - start)
    found: dict[str, Any] = {key: sum(values) / len(values) for key, values in took.items()}
    found["largest difference of losses"] = worst
    found["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    found["threads"] = torch.get_num_threads()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:4])
