"""Trains one DPO run: python -m training.run [--config FILE] [--name NAME] [any argument of trl.DPOConfig]."""

import logging
import os
import shlex
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # run as a file, as `wandb agent` does with `program: training/run.py`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from training.kept import Kept
from training.processes import is_first
from training.record import metrics as names
from training.record.schema import RecordError

if TYPE_CHECKING:
    from training.dpo import Outcome

FINISHED, FAILED, MISUSED, STOPPED = 0, 1, 2, 130


def main(argv: list[str], kept: Kept | None = None) -> int:
    """Exit status: 0 finished, 130 stopped by Ctrl-C, 1 failed while training, 2 could not start.

    `kept` is what a process that trains several runs keeps of one for the next.
    """
    try:
        return _run(argv, kept)
    except KeyboardInterrupt:
        return _fail("stopped before training began; nothing was written", STOPPED)
    except OSError as error:
        about = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{about}", MISUSED)


def _run(argv: list[str], kept: Kept | None) -> int:
    if "--list" in argv:
        from training.recipe_list import RecipeError, recipes, table

        try:
            print(table(recipes()))
        except RecipeError as error:
            return _fail(str(error), MISUSED)
        return FINISHED
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # tokenizing is over before anything forks
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    warnings.filterwarnings("ignore")
    # Seconds of imports: a Ctrl-C meanwhile must not show a traceback.
    from training import resume
    from training.arguments import ArgumentError, parse
    from training.checks import RunError
    from training.dpo import train
    from training.preferences import PreferenceError

    quiet_libraries()
    try:
        told = (resume.parse if _resumes(argv) else parse)(argv)
        if told.run.quiet:
            os.environ |= {"TQDM_DISABLE": "1", "WANDB_SILENT": "true"}
        outcome = train(told, kept)
    except (ArgumentError, PreferenceError, RecordError, RunError) as error:
        return _fail(str(error), MISUSED)
    if outcome.status == "failed":
        log = " and its error.log" if (outcome.directory / "error.log").exists() else ""
        return _fail(f"{outcome.error} (the run{log}: {_near(outcome.directory)})", FAILED)
    if not told.run.quiet and is_first():
        print(_closing(outcome))
    return STOPPED if outcome.status == "stopped" else FINISHED


def _closing(outcome: "Outcome") -> str:
    """Where the run is, its best evaluation, how to go on with it if it was stopped, how to look at it."""
    best = "none yet"
    if outcome.best_step is not None:
        accuracy, loss = (outcome.best[f"eval/{name}"] for name in (names.ACCURACY, names.LOSS))
        best = f"step {outcome.best_step}: reward accuracy {accuracy:.3f} (n = {outcome.n_eval}), loss {loss:.4f}"
    run, runs = _near(outcome.directory), _near(outcome.directory.parent)
    resume = [f"resume     python -m training.run --resume {shlex.quote(run)}"] if outcome.status == "stopped" else []
    return "\n".join(
        (
            f"run        {run} ({outcome.status} in {outcome.seconds:.0f} s)",
            f"best       {best}",
            *resume,
            f"dashboard  python dashboard/app.py --runs {shlex.quote(runs)}",
        )
    )


def _near(path: Path) -> str:
    """`path` as seen from here, if it lies below."""
    absolute = path.resolve()
    return os.fspath(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute)


def _resumes(argv: list[str]) -> bool:
    return any(word.split("=")[0] == "--resume" for word in argv)


def _fail(message: str, status: int) -> int:
    """What went wrong, in one line; of several processes that all fail the same way, only one says so."""
    if is_first() or status == FAILED:
        print(f"training.run: {message}", file=sys.stderr)
    return status


def quiet_libraries() -> None:
    """Libraries speak of their own affairs; what matters to the user is told by us."""
    import datasets
    import transformers
    from huggingface_hub.utils.tqdm import disable_progress_bars

    datasets.disable_progress_bars()
    disable_progress_bars()
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    for library in ("trl", "datasets", "accelerate", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
