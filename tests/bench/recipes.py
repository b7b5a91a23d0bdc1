"""Does every recipe train? python -m tests.bench.recipes

Each recipe of a published project is trained for 30 steps, offline and in float32, on an untrained model of its
architecture with two layers of 32 dimensions and on about 50 rows in the columns and text shape of its data set (both
made by tests/recipe_data.py); learning rate 1e-3. The embedded recipe is trained as it stands. Loss at step 0 is due
to be ln 2 = 0.6931; accuracy is exact, over all evaluation pairs, of the best step; seconds are the run's own clock.
"""

import sys
import tempfile
from pathlib import Path

from training.record.history import read_history
from training.record.reader import read_run
from training.run import main as train

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from test_recipe_runs import MADE

STEPS = 30


def told(name: str, folder: Path) -> dict[str, object]:
    """The arguments beside the recipe's own."""
    if name == "embedded":
        return {}
    model, rows = MADE[name]
    made = rows()
    from recipe_data import texts, write

    return {
        "model_name_or_path": model(folder / name / "model", texts(made)),
        "dataset_name": write(folder / name / "data", made),
        "max_steps": STEPS,
        "eval_steps": 10,
        "warmup_steps": 0,
        "learning_rate": 1e-3,
        "use_cpu": True,
        "bf16": False,
    }


def main() -> None:
    print("recipe                  architecture                    steps  loss at 0   accuracy (n)   seconds")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name in (*MADE, "embedded"):
            own = {"config": name, "name": name, "runs": folder / "runs", **told(name, folder)}
            if train(["-q", *(f"--{key}={value}" for key, value in own.items())]):
                raise SystemExit(f"{name} failed")
            run = read_run(folder / "runs" / name)
            loss = read_history(folder / "runs" / name)["eval/loss"].values[0]
            accuracy = f"{run.best['eval/rewards/accuracies']:.3f} ({run.n_eval})"
            kind = run.environment["architecture"]
            print(f"{name:24}{kind:32}{run.step:5}{loss:11.4f}{accuracy:>15}{run.seconds:10.1f}", flush=True)


if __name__ == "__main__":
    main()
