"""Does the built-in recipe work, and how long does it take? python -m tests.bench.embedded [RUN ...]

Without an argument it trains the recipe first, as `python -m training.run` does. Then, for each run: the exact
evaluation accuracy, and how often the gold score prefers its answer to the base model's on 320 held-out prompts that
no training pair has (temperature 0.7, top-p 0.95, the same seed for both; ties count half; 95% Wilson interval).
"""

import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import logging as transformers_logging

from training.arguments import EMBEDDED_MODEL
from training.embedded import gold, pairs
from training.record.intervals import wilson
from training.record.reader import read_run
from training.samples import Sampling, generate, repetition

ROOT = Path(__file__).resolve().parents[2]
PROMPTS, BATCH = 320, 64


def answers(model: Path) -> list[tuple[float, float, str]]:
    """Gold score, repetition and text of the answer to each held-out prompt."""
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED_MODEL)
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype="float32")
    prompts = pairs.held_out()[:PROMPTS]
    found = []
    for start in range(0, PROMPTS, BATCH):
        batch = prompts[start : start + BATCH]
        for prompt, answer in zip(batch, generate(loaded, tokenizer, batch, Sampling(seed=start)), strict=True):
            found.append((gold.gold_score(prompt, answer.text), repetition(answer.ids), answer.text))
    return found


def train() -> Path:
    runs = Path(tempfile.mkdtemp())
    start = time.perf_counter()
    command = [sys.executable, "-m", "training.run", "-q", f"--runs={runs}", "--name=recipe"]
    subprocess.run(command, cwd=ROOT, check=True)
    print(f"python -m training.run: {time.perf_counter() - start:.0f} s from start to summary")
    return runs / "recipe"


def main(paths: list[str]) -> None:
    transformers_logging.disable_progress_bar()
    base = answers(EMBEDDED_MODEL)
    print(f"base                      gold {sum(row[0] for row in base) / PROMPTS:.3f}")
    for path in map(Path, paths) if paths else [train()]:
        run = read_run(path)
        policy = answers(path / "checkpoints" / "best")
        wins = sum(
            (mine[0] > theirs[0]) + 0.5 * (mine[0] == theirs[0]) for mine, theirs in zip(policy, base, strict=True)
        )
        low, high = wilson(wins, PROMPTS)
        accuracy, loss = (run.best.get(f"eval/{name}", math.nan) for name in ("rewards/accuracies", "loss"))
        print(
            f"{run.name:25} gold {sum(row[0] for row in policy) / PROMPTS:.3f}  win rate over base "
            f"{wins / PROMPTS:.3f} [{low:.3f}, {high:.3f}]  accuracy {accuracy:.3f}  loss {loss:.3f}  "
            f"margin {run.best.get('eval/rewards/margins', math.nan):.2f}  "
            f"repetition {sum(row[1] for row in policy) / PROMPTS:.3f}  "
            f"(best step {run.best_step}, {run.seconds or math.nan:.0f} s)"
        )
        for (before, _, theirs), (after, _, mine) in list(zip(base, policy, strict=True))[:4]:
            print(f"    {before:.2f} {theirs!r}\n    {after:.2f} {mine!r}")


if __name__ == "__main__":
    main(sys.argv[1:])
