"""Trains one DPO run: python -m training.run [--config FILE] [--name NAME] [any argument of trl.DPOConfig]."""

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from training.record import metrics as names
from training.record.schema import RecordError

if TYPE_CHECKING:
    from training.dpo import Outcome

FINISHED, FAILED, MISUSED, STOPPED = 0, 1, 2, 130


def main(argv: list[str]) -> int:
    """Exit status: 0 finished, 130 stopped by Ctrl-C, 1 failed while training, 2 could not start."""
    try:
        return _run(argv)
    except KeyboardInterrupt:
        return _fail("stopped before training began; nothing was written", STOPPED)
    except OSError as error:
        about = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{about}", MISUSED)


def _run(argv: list[str]) -> int:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    warnings.filterwarnings("ignore")
    # Seconds of imports: a Ctrl-C meanwhile must not show a traceback.
    from training.arguments import ArgumentError, parse
    from training.checks import RunError
    from training.dpo import train
    from training.preferences import PreferenceError

    _quiet_libraries()
    try:
        run, model, config = parse(argv)
        if run.quiet:
            os.environ["TQDM_DISABLE"] = "1"
        outcome = train(run, model, config)
    except (ArgumentError, PreferenceError, RecordError, RunError) as error:
        return _fail(str(error), MISUSED)
    if outcome.status == "failed":
        return _fail(f"{outcome.error} (the run and its error.log: {_near(outcome.directory)})", FAILED)
    if not run.quiet:
        print(_closing(outcome))
    return STOPPED if outcome.status == "stopped" else FINISHED


def _closing(outcome: "Outcome") -> str:
    """Three lines: where the run is, its best evaluation, how to look at it."""
    best = "none yet"
    if outcome.best_step is not None:
        accuracy, loss = (outcome.best[f"eval/{name}"] for name in (names.ACCURACY, names.LOSS))
        best = f"step {outcome.best_step}: reward accuracy {accuracy:.3f} (n = {outcome.n_eval}), loss {loss:.4f}"
    return "\n".join(
        (
            f"run        {_near(outcome.directory)} ({outcome.status} in {outcome.seconds:.0f} s)",
            f"best       {best}",
            f"dashboard  python dashboard/app.py --runs {_near(outcome.directory.parent)}",
        )
    )


def _near(path: Path) -> str:
    """`path` as seen from here, if it lies below."""
    absolute = path.resolve()
    return os.fspath(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute)


def _fail(message: str, status: int) -> int:
    print(f"training.run: {message}", file=sys.stderr)
    return status


def _quiet_libraries() -> None:
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
