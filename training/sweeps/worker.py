"""Runs tasks of a sweep, one after another, in a process that loads libraries, data and base model once."""

import gc
import os
import queue
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import orjson

from training.sweeps.trial import Ended, Task

if TYPE_CHECKING:
    from training.arguments import Arguments
    from training.kept import Kept


def main() -> int:
    """Tasks come as JSON lines on stdin, how each ended goes out as JSON lines on stdout; all else that is printed goes
    to stderr. When stdin closes, because its sweep ended or was killed, so does the worker: a run that trains
    stops after its current step, with a checkpoint.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # a KeyboardInterrupt is swallowed by some imports
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    try:
        load_libraries()
        from training.kept import Kept

        signal.signal(signal.SIGTERM, _interrupt)
        kept = Kept(lasting=True)
        while True:
            task = tasks.get()
            with suppress(OSError):  # a full disk
                print(f"--- {task.name}", file=sys.stderr, flush=True)
            answers.write(orjson.dumps(asdict(run(task, kept))) + b"\n")
    except (KeyboardInterrupt, BrokenPipeError):
        return 0


def run(task: Task, kept: "Kept") -> Ended:
    """Runs one task in this process; whatever goes wrong is told by what it returns, with a traceback on stderr if it
    is no mistake of the user's.
    """
    from training.checks import one_line

    try:
        return _train(task, kept)
    except KeyboardInterrupt:
        return Ended(task.number, "stopped")
    except Exception as error:
        with suppress(OSError):
            traceback.print_exc()
        return Ended(task.number, "failed", one_line(error))
    finally:
        _clear()


def _train(task: Task, kept: "Kept") -> Ended:
    from training.arguments import ArgumentError
    from training.checks import RunError, one_line, unwritable
    from training.dpo import train
    from training.preferences import PreferenceError
    from training.record.schema import RecordError
    from training.sweeps.pruning import Judge, Rules

    sys.orig_argv = [sys.executable, "-m", "training.run", *task.argv]  # what the record names as its command
    try:
        told = parse(task.argv)
        judge = Judge(Rules.of(task.rules), Path(told.run.runs), told.run.sweep or "", task.name)
        outcome = train(told, kept, judge)
    except (ArgumentError, PreferenceError, RecordError, RunError, OSError) as error:
        reason = unwritable(error)
        return Ended(task.number, "stopped" if reason else "refused", reason or one_line(error))
    if outcome.can_go_on:
        return Ended(task.number, "stopped", outcome.error)
    if outcome.status in ("finished", "pruned", "stopped", "failed"):
        return Ended(task.number, outcome.status, outcome.error)
    return Ended(task.number, "failed", f"the run ended as {outcome.status}")


def parse(argv: Sequence[str]) -> "Arguments":
    """The arguments of a training.run. What argparse prints before it ends the process is an ArgumentError here."""
    from training import resume
    from training.arguments import ArgumentError
    from training.arguments import parse as parse_new

    resumes = any(word.split("=")[0] == "--resume" for word in argv)
    said = StringIO()
    try:
        with redirect_stderr(said):
            return (resume.parse if resumes else parse_new)(argv)
    except SystemExit as error:
        raise ArgumentError(said.getvalue().strip().rpartition("error: ")[2] or "--help is no run") from error


def load_libraries() -> None:
    """All that a run imports, quiet."""
    os.environ |= {"TQDM_DISABLE": "1", "WANDB_SILENT": "true"}
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    warnings.filterwarnings("ignore")
    from training import dpo as dpo
    from training.run import quiet_libraries

    quiet_libraries()


def _clear() -> None:
    """Gives back what a run has taken and the next one does not need."""
    import torch

    wandb = sys.modules.get("wandb")
    if wandb is not None and getattr(wandb, "run", None) is not None:
        wandb.finish()
    gc.collect()
    gc.freeze()  # what is left stays: Trainer collects garbage at every start, a second of it among loaded libraries
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _listen(tasks: queue.SimpleQueue[Task]) -> None:
    source = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115  a buffer's lock would outlive the interpreter
    for line in source:
        content = orjson.loads(line)
        tasks.put(Task(content["number"], content["name"], tuple(content["argv"]), content["rules"]))
    os.kill(os.getpid(), signal.SIGTERM)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM outside training; while a run trains, its StopCallback has the signal."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
