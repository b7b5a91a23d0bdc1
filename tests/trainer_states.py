"""Trainer states made row by row, and read: shared by the tests of their readers."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from dashboard.sources import trainer_state
from dashboard.sources.files import File


def file(path: str, content: Any, origin: Path | None = None) -> File:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return File(PurePosixPath(path), len(raw), origin, lambda count: raw[:count])


def train(step: int, loss: float = 0.6, **more: float) -> dict[str, float]:
    return {"epoch": step / 100, "step": step, "loss": loss, "rewards/chosen": 0.1, **more}


def evaluation(step: int, loss: float = 0.5, accuracy: float = 0.7, **more: float) -> dict[str, float]:
    row = {"eval_loss": loss, "eval_rewards/accuracies": accuracy, "eval_runtime": 0.5272}
    return {"epoch": step / 100, "step": step, **row, "eval_samples_per_second": 11.381, **more}


END = {"step": 20, "epoch": 0.2, "train_runtime": 12.5, "train_loss": 0.55, "total_flos": 1e9}


def state(*rows: object, max_steps: int = 20, **stated: object) -> dict[str, object]:
    steps = [row["step"] for row in rows if isinstance(row, dict) and isinstance(row.get("step"), int)]
    return {"global_step": max(steps, default=0), "max_steps": max_steps, "epoch": 0.2, "log_history": rows, **stated}


def read(*files: File, beside: tuple[File, ...] = (), **options):
    siblings = {found.path: found for found in (*files, *beside)}
    return trainer_state.read(files, siblings, "abcd1234", **options)


def one(content: Any, path: str = "dpo/trainer_state.json", **options):
    (run,) = read(file(path, content), **options).runs
    return run


def curve(found, key, run=0):
    series = found.histories[found.runs[run].id][key]
    return dict(zip(series.steps, series.values, strict=True))
