"""The sweep of `make demo`: six runs on the built-in data, trained one after another in one process."""

import argparse
import shutil
import sys
import time
from pathlib import Path

from training.kept import Kept
from training.record.reader import read_run
from training.record.schema import RecordError
from training.run import main as train

SWEEP = "demo"
STEPS = {"max_steps": 80, "eval_steps": 20, "save_steps": 20}
ALIVE = 60.0  # seconds without a line after which a run that has not ended is taken for dead
# beta x learning rate: a good one, three that are hard to tell from it, and two that are too hot. Of these the first
# has a low loss and a fine accuracy, and only its answers betray it; the second is worse than no training by loss too.
RUNS = (
    (0.5, 3e-4),
    (0.3, 3e-4),
    (0.1, 3e-4),
    (0.5, 1e-4),
    (0.05, 2e-3),
    (0.1, 5e-3),
)


def name(beta: float, learning_rate: float) -> str:
    mantissa, exponent = f"{learning_rate:.0e}".split("e")
    return f"{SWEEP}-beta{beta:g}-lr{mantissa}e{int(exponent)}"


class DemoError(Exception):
    """The demo cannot go on; the message says why, and what to do."""


def finished(run: Path) -> bool:
    """Whether this run of the demo is complete. What is left of one that is not, is removed.

    Raises DemoError if it is being trained right now, by another process.
    """
    try:
        found = read_run(run)
    except RecordError:
        found = None
    if found and found.status == "finished":
        return True
    age = time.time() - (found.updated or 0) if found else ALIVE
    if found and found.status == "running" and age < ALIVE:
        raise DemoError(
            f"{run} is being trained (last line {age:.0f} s ago); wait for it, or say make demo in a minute"
        )
    if run.exists():
        print(f"{run} was not finished: it is trained again")
        shutil.rmtree(run)
    return False


def main(argv: list[str]) -> int:
    """Trains what is missing; exit status 0, or that of the first run that did not finish."""
    parser = argparse.ArgumentParser(prog="python -m training.demo", description=__doc__)
    parser.add_argument("--runs", default="runs", help="folder of all runs (default: runs)")
    runs = Path(parser.parse_args(argv).runs)
    try:
        missing = [(beta, lr) for beta, lr in RUNS if not finished(runs / name(beta, lr))]
    except DemoError as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 1
    kept = Kept(lasting=True)
    for number, (beta, lr) in enumerate(missing, 1):
        print(f"run {number} of {len(missing)}: beta {beta:g}, learning rate {lr:g}", flush=True)
        own = {"name": name(beta, lr), "runs": runs, "sweep": SWEEP, "beta": beta, "learning_rate": lr}
        status = train([f"--{key}={value}" for key, value in (STEPS | own).items()], kept)
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
