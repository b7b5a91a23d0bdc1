"""Writes run folders with plausible curves, to try the dashboard on: python tests/make_runs.py DIR [count] [steps]"""

import json
import math
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

START = 1_790_000_000.0


def spelled(value: Any) -> Any:
    """A number as the record writes it: NaN and infinity as strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value


def evaluation(step: int, total: int, beta: float, skill: float, n: int, noise: random.Random) -> dict[str, float]:
    """One evaluation of a run that learns towards `skill` reward accuracy; the accuracy is a multiple of 1 / n."""
    share = 1 - math.exp(-4 * step / total)
    accuracy = round(n * (0.5 + (skill - 0.5) * share + noise.gauss(0, 0.004) * (step > 0))) / n
    margin = beta * 60 * share * skill
    chosen = -0.4 * margin + noise.gauss(0, 0.01) * (step > 0)
    return {
        "eval/loss": math.log(2) * (1 - share) + share * (1.6 - 1.4 * skill + 0.3 * beta),
        "eval/rewards/accuracies": accuracy,
        "eval/rewards/margins": margin,
        "eval/rewards/chosen": chosen,
        "eval/rewards/rejected": chosen - margin,
        "eval/logps/chosen": -120 + chosen / beta,
        "eval/logps/rejected": -135 + (chosen - margin) / beta,
    }


def lines(steps: int, beta: float, skill: float, n: int, seed: int, every: int = 5) -> list[dict[str, Any]]:
    """The log events of a run: training every `every` steps, evaluation at step 0 and ten times."""
    noise, out = random.Random(seed), []
    for step in range(0, steps + 1, every):
        at = {"step": step, "epoch": round(2 * step / steps, 3), "time": START + 0.2 * step}
        if step:
            seen = evaluation(step, steps, beta, min(0.99, skill + 0.03), n, noise)
            rough = {key.replace("eval/", "train/"): value + noise.gauss(0, 0.04) for key, value in seen.items()}
            rough["train/rewards/accuracies"] = min(1.0, max(0.0, rough["train/rewards/accuracies"]))
            out.append({**at, **rough, "train/learning_rate": 5e-5 * (1 - step / steps), "train/grad_norm": 3.0})
        if step % max(every, steps // 10 // every * every) == 0:
            out.append({**at, **evaluation(step, steps, beta, skill, n, noise)})
    return out


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Whole, by rename, as the record does."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


def write_latest(directory: Path, events: list[dict[str, Any]], max_steps: int, status: str, error: str | None) -> None:
    """latest.json of a running run, summary.json of an ended one."""
    metrics: dict[str, Any] = {}
    for event in events:
        metrics.update({k: spelled(v) for k, v in event.items() if k not in ("step", "epoch", "time")})
    evaluations = [event for event in events if math.isfinite(float(event.get("eval/loss", math.nan)))]
    best = min(evaluations, key=lambda event: event["eval/loss"], default={"step": 0})
    content = {
        "step": events[-1]["step"] if events else 0,
        "epoch": events[-1]["epoch"] if events else 0,
        "time": events[-1]["time"] if events else START,
        "max_steps": max_steps,
        "metrics": metrics,
        "best": {k: v for k, v in best.items() if k.startswith("eval/")},
        "best_step": best["step"],
        "best_metric": "eval/loss",
    }
    if status != "running":
        content |= {"status": status, "seconds": 60.0, "error": error}
    write_json(directory / ("latest.json" if status == "running" else "summary.json"), content)


def make_run(
    root: Path,
    name: str,
    *,
    beta: float = 0.1,
    learning_rate: float = 5e-5,
    skill: float = 0.8,
    steps: int = 200,
    done: float = 1.0,
    status: str = "finished",
    error: str | None = None,
    n: int = 600,
    seed: int = 0,
    every: int = 5,
) -> Path:
    """A run folder under `root`; `done` is the share of its steps that has been logged."""
    directory = root / name
    directory.mkdir(parents=True)
    config = {
        "beta": beta,
        "learning_rate": learning_rate,
        "max_steps": steps,
        "per_device_train_batch_size": 8,
        "loss_type": ["sigmoid"],
        "dataset_name": "built-in",
        "output_dir": name,
    }
    data = {"dataset": "built-in", "train": "t" * 16, "eval": "e" * 16, "n_train": 3000, "n_eval": n}
    head = {"format": 1, "created": START + seed, "sweep": "demo", "config": config, "environment": {}, "data": data}
    events = [event for event in lines(steps, beta, skill, n, seed, every) if event["step"] <= done * steps]
    with (directory / "metrics.jsonl").open("w") as file:
        file.writelines(json.dumps({k: spelled(v) for k, v in event.items()}) + "\n" for event in events)
    write_latest(directory, events, steps, status, error)
    write_json(directory / "config.json", head)
    return directory


def demo(root: Path, count: int = 6, steps: int = 200) -> None:
    """A sweep: most runs finished, one running, one quiet for three hours, one failed, one diverged."""
    for i in range(count):
        make_run(
            root,
            f"beta{(0.05, 0.1, 0.3)[i % 3]}-lr{(5e-5, 2e-4)[i // 3 % 2]:g}-{i}",
            beta=(0.05, 0.1, 0.3)[i % 3],
            learning_rate=(5e-5, 2e-4)[i // 3 % 2],
            skill=(0.82, 0.84, 0.83, 0.74, 0.9, 0.86)[i % 6],
            steps=steps,
            seed=i,
        )
    make_run(root, "still-running", done=0.4, status="running", steps=steps, seed=count)
    quiet = make_run(root, "gone-quiet", done=0.6, status="running", steps=steps, seed=count + 1)
    old = time.time() - 3 * 3600 - 60
    os.utime(quiet / "metrics.jsonl", (old, old))
    make_run(root, "out-of-memory", done=0.2, status="failed", error="CUDA out of memory", seed=count + 2)


if __name__ == "__main__":
    demo(Path(sys.argv[1]), *(int(text) for text in sys.argv[2:4]))
