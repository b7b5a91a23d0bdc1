"""What a run costs beside training and evaluation, in a warm process: python -m tests.bench.rival.share FOLDER

Trains the built-in recipe twice in one process. Of both runs it prints, as JSON: seconds to the first step, from being
told or, of the first, from the start of the process; seconds in all; and the seconds of record, callbacks, exact
scoring and samples, each outermost call timed.
"""

import functools
import json
import logging
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from transformers.trainer_callback import CallbackHandler

from training import scoring
from training.answers import Answers
from training.arguments import parse
from training.callback import RecordCallback
from training.dpo import train
from training.kept import Kept
from training.record.writer import RunWriter
from training.run import quiet_libraries
from training.system import SystemCallback
from training.watch import WatchCallback

BEGUN = time.perf_counter() - (time.time() - psutil.Process().create_time())  # of this process, on the same clock
TIMED = {
    "samples": [(Answers, "draw")],
    "scores": [(scoring.ScoringTrainer, "_table"), (scoring, "exact_metrics")],
    "callbacks": [(RecordCallback, "on_log"), (RecordCallback, "on_evaluate")]
    + [(owner, name) for owner in (WatchCallback, SystemCallback) for name in ("on_log", "on_evaluate")],
    "record": [(RunWriter, name) for name in ("publish", "log", "samples", "scores", "notice", "best", "finish")],
}


class Stopwatch:
    """Seconds by kind, of the outermost calls only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = False

    def timed(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            if self._inside:
                return function(*args, **options)
            self._inside, start = True, time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                self.seconds[kind] += time.perf_counter() - start
                self._inside = False

        return call


def main(folder: Path) -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    quiet_libraries()
    watch, steps = Stopwatch(), []
    for kind, functions in TIMED.items():
        for owner, name in functions:
            if hasattr(owner, name):
                setattr(owner, name, watch.timed(kind, getattr(owner, name)))
    begin = CallbackHandler.on_step_begin

    def first_step(*args: Any, **options: Any) -> Any:
        steps.append(time.perf_counter())
        return begin(*args, **options)

    CallbackHandler.on_step_begin = first_step
    kept, found = Kept(lasting=True), {}
    for name, beta in (("first", 0.1), ("second", 0.3)):
        steps.clear()
        watch.seconds.clear()
        start = BEGUN if name == "first" else time.perf_counter()
        outcome = train(parse(["-q", f"--runs={folder}", f"--name={name}", f"--beta={beta}"]), kept)
        if outcome.status != "finished":
            raise SystemExit(outcome.error)
        total = time.perf_counter() - start
        found[name] = {"start": steps[0] - start, "total": total, **watch.seconds}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
