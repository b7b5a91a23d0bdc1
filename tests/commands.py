"""Commands of ours as processes that can be killed, begun in no time by a server that has imported all before."""

import atexit
import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER = multiprocessing.get_context("forkserver")
# To import these takes a command some five seconds of processor time.
SERVER.set_forkserver_preload(["training.dpo", "training.resume", "training.arguments", "training.sweep"])


def _run(module: str, words: Sequence[str], folder: Path, output: Path, environment: Mapping[str, str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with output.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    status = importlib.import_module(module).main(list(words))
    atexit._run_exitfuncs()  # a process of multiprocessing ends without them
    sys.exit(status)


def begin(
    module: str, words: Sequence[str], folder: Path, output: Path, environment: Mapping[str, str] = os.environ
) -> ForkServerProcess:
    """`python -m module words` in `folder`, started: what it prints goes to `output`. It ends when the tests do."""
    return start(_run, module, words, folder, output, dict(environment))


def start(target: Callable[..., None], *args: object) -> ForkServerProcess:
    """A process of the server, which begins with the first: what lies in ROOT is imported, and tqdm with its bars."""
    process = SERVER.Process(target=target, args=args, daemon=True)
    here, quiet = Path.cwd(), os.environ.pop("TQDM_DISABLE", None)  # left by -q in this process
    os.chdir(ROOT)
    try:
        process.start()
    finally:
        os.chdir(here)
        os.environ |= {} if quiet is None else {"TQDM_DISABLE": quiet}
    return process
