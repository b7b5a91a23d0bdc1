"""What a step, an evaluation and a sweep of 8 runs cost, against stock TRL: python -m tests.bench.sweep [PART ...]

Parts: short, long (training step, evaluation pass and peak memory; CPU seconds, the same batches in turn, in one
process), sweep (8 whole runs, learning rate x beta, against 8 processes of stock TRL one after the other; wall clock),
sweep-by-two (the same with stock TRL two at a time), share (how long a second trial in a warm process takes to its
first step, and what record, callbacks, scores and samples take of a run).
"""

import functools
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench.rival import workload
from training.embedded import pairs
from training.record.reader import read_run

ROOT = Path(__file__).resolve().parents[2]
BETAS, LEARNING_RATES = (0.05, 0.1, 0.3, 0.5), (1e-4, 5e-4)
STEPS, EVERY, BATCH, EVALUATION_BATCH, EVALUATION = 40, 20, 16, 16, 160
SHARED = {
    "max_steps": STEPS,
    "eval_steps": EVERY,
    "logging_steps": 5,
    "per_device_train_batch_size": BATCH,
    "per_device_eval_batch_size": EVALUATION_BATCH,
    "max_length": 256,
    "gradient_checkpointing": False,
    "save_total_limit": 1,
    "save_steps": EVERY,
    "eval_strategy": "steps",
}


def measure(name: str, folder: Path, *alone: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.rival.steps", name, str(folder), *alone]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(what: str, stock: float, ours: float, unit: str) -> None:
    print(f"{what:34} {stock:10.3f} {ours:10.3f} {unit:6} {stock / ours:6.2f} x", flush=True)


def steps(name: str) -> None:
    work = workload.WORKLOADS[name]
    print(
        f"{name}: {work.layers} layers x {work.width}, vocabulary {work.vocabulary}, prompts about {work.prompt[0]} "
        f"tokens, answers about {work.answer[0]}, {workload.BATCH} pairs a batch"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        found = measure(name, folder / "both")
        row("training step", found["stock step"], found["ours step"], "CPU s")
        row("evaluation pass", found["stock evaluation"], found["ours evaluation"], "CPU s")
        peaks = [measure(name, folder / kind, kind)["peak MB"] for kind in ("stock", "ours")]
        row("peak memory", *peaks, "MB")
        print(f"largest difference of losses {found['largest difference of losses']:.1e}")


def write_data(folder: Path) -> dict[str, Path]:
    """The built-in pairs as people keep them, and a model of the short workload's size."""
    files = {}
    for split, rows in pairs.build().items():
        files[split] = folder / f"{split}.jsonl"
        kept = ("prompt", "chosen", "rejected")
        used = rows[:EVALUATION] if split == "eval" else rows
        files[split].write_text("".join(json.dumps({key: row[key] for key in kept}) + "\n" for row in used))
    files["model"] = workload.save_model(workload.WORKLOADS["short"], folder / "model")
    return files


def stock_sweep(files: dict[str, Path], folder: Path, at_once: int) -> tuple[float, list[float]]:
    """Seconds of all eight processes, `at_once` side by side on equal shares of the processor, and of each."""
    threads = str(max(1, (os.cpu_count() or 1) // at_once))
    environment = {**os.environ, "HF_DATASETS_CACHE": str(folder / "cache")}
    environment |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads} if at_once > 1 else {}

    def run(place: tuple[int, tuple[float, float]]) -> float:
        number, (beta, rate) = place
        told = {
            **SHARED,
            "beta": beta,
            "learning_rate": rate,
            "output_dir": str(folder / str(number)),
            "model": str(files["model"]),
            "train_file": str(files["train"]),
            "eval_file": str(files["eval"]),
            "eval_on_start": True,
            "report_to": "none",
            "disable_tqdm": True,
            "bf16": False,
        }
        start = time.perf_counter()
        command = [sys.executable, "-m", "tests.bench.rival.stock_run", json.dumps(told)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=environment)
        return time.perf_counter() - start

    start = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        each = list(pool.map(run, enumerate(itertools.product(BETAS, LEARNING_RATES))))
    return time.perf_counter() - start, each


def our_sweep(files: dict[str, Path], folder: Path, *more: str) -> tuple[float, list[float]]:
    """Seconds of the whole command, and of each run by its own clock."""
    sweep = folder / "sweep.yaml"
    parameters = {"beta": {"values": list(BETAS)}, "learning_rate": {"values": list(LEARNING_RATES)}}
    metric = {"name": "eval/rewards/accuracies", "goal": "maximize"}
    sweep.write_text(json.dumps({"method": "grid", "metric": metric, "parameters": parameters}))
    fixed = {
        **SHARED,
        "model_name_or_path": files["model"],
        "dataset_name": files["train"].parent / "data",
        "runs": folder / "runs",
    }
    command = [sys.executable, "-m", "training.sweep", str(sweep), "--prune", "none", *more]
    start = time.perf_counter()
    subprocess.run(
        [*command, *(f"--{key}={value}" for key, value in fixed.items())], cwd=ROOT, check=True, capture_output=True
    )
    took = time.perf_counter() - start
    runs = [read_run(path) for path in sorted((folder / "runs").iterdir()) if (path / "config.json").exists()]
    if len(runs) != 8 or any(run.status != "finished" for run in runs):
        raise SystemExit(f"not 8 finished runs: {[(run.name, run.status) for run in runs]}")
    return took, [run.seconds or 0.0 for run in runs]


def sweep(at_once: int = 1) -> None:
    work = f"{STEPS} steps of {BATCH} pairs, 3 evaluations of {EVALUATION} pairs"
    print(f"sweep of 8 runs: 4 layers x 256, built-in pairs, {work}; stock TRL {at_once} at a time")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = write_data(folder)
        (folder / "data").mkdir()
        (folder / "data" / "train.jsonl").symlink_to(files["train"])
        (folder / "data" / "test.jsonl").symlink_to(files["eval"])
        ours, our_runs = our_sweep(files, folder)
        stock, stock_runs = stock_sweep(files, folder, at_once)
        row("sweep of 8, wall clock", stock, ours, "s")
        print("stock runs " + " ".join(f"{seconds:.0f}" for seconds in stock_runs))
        print("our runs   " + " ".join(f"{seconds:.1f}" for seconds in our_runs))


def share() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "tests.bench.rival.share", temporary]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    print("the built-in recipe: record, callbacks, exact scores and samples, beside training and evaluation")
    for name, found in json.loads(done.stdout.splitlines()[-1]).items():
        start, total = found.pop("start"), found.pop("total")
        parts = ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in found.items())
        together = f"{parts}; together {sum(found.values()) / total:.1%}"
        print(f"{name:6} {start:5.2f} s to the first step, {total:.1f} s in all, of it {together}")


def main(parts: list[str]) -> None:
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    others = {"sweep": sweep, "sweep-by-two": functools.partial(sweep, 2), "share": share}
    for part in parts or ["short", "long", "sweep", "share"]:
        others.get(part, functools.partial(steps, part))()


if __name__ == "__main__":
    main(sys.argv[1:])
