"""Trains many DPO runs from one W&B sweep file: python -m training.sweep SWEEP.yaml [--config RECIPE] [--count N]."""

import argparse
import os
import shlex
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from training.record.schema import RecordError
from training.run import FAILED, FINISHED, MISUSED, STOPPED
from training.sweeps import room
from training.sweeps.local import LocalEngine
from training.sweeps.trial import Engine, SweepError

if TYPE_CHECKING:
    from training.arguments import Arguments
    from training.sweeps.driver import Driver
    from training.sweeps.parameters import Parameter
    from training.sweeps.store import Sweep

ROOT = Path(__file__).resolve().parent.parent
RULES = ("auto", "none", "bound", "median", "hyperband")
_OF_RAY = ("address", "gpus_per_trial", "store")
_OURS = {
    "name": "runs are named after the sweep",
    "sweep": "it is named after its file",
    "output_dir": "see --runs",
    "resume_from_checkpoint": "see --resume",
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise SweepError(message)


class _Told(NamedTuple):
    """The sweep's own arguments, and those left, which are training.run's."""

    own: argparse.Namespace
    flags: tuple[str, ...]


def main(argv: Sequence[str]) -> int:
    """Exit status: 0 every run ended, 130 stopped by Ctrl-C, 1 every run failed, 2 could not start."""
    try:
        return _run(list(argv))
    except KeyboardInterrupt:
        return _fail("stopped", STOPPED)
    except (SweepError, RecordError) as error:
        return _fail(str(error), MISUSED)
    except OSError as error:
        about = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{about}", MISUSED)


def _run(argv: list[str]) -> int:
    told = _parse(argv)
    warnings.filterwarnings("ignore")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    with _stopped_at_once():
        from training.sweeps import driver as driver
        from training.sweeps import store

        sweep, text = (_earlier(told), None) if told.own.resume else _new(told)
    if text is None:
        return _drive(sweep, told.own)
    try:
        store.create(sweep, text)
        return _drive(sweep, told.own)
    except SweepError:
        if not store.runs_of(sweep):
            shutil.rmtree(sweep.folder, ignore_errors=True)
        raise


@contextmanager
def _stopped_at_once() -> Iterator[None]:
    """Ctrl-C ends the process while there is nothing to clean up: some libraries swallow it when they are imported."""
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(_fail("stopped", STOPPED)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _parse(argv: list[str]) -> _Told:
    parser = _Parser(prog="python -m training.sweep", allow_abbrev=False, usage=_USAGE, description=_DESCRIPTION)
    parser.add_argument("--count", type=_positive, help="how many runs, at most; with --resume, of the whole sweep")
    parser.add_argument(
        "--workers", type=_positive, help="runs at once; default: one for each GPU; without one two, if memory allows"
    )
    parser.add_argument("--resume", metavar="SWEEP_ID", help="go on with a sweep that was stopped or killed")
    parser.add_argument("--runs", default=str(ROOT / "runs"), help="folder of all runs")
    parser.add_argument("--prune", choices=RULES, default="auto", help="when runs that fall behind are stopped")
    parser.add_argument("--storage", metavar="URL", help="a database for the study instead of a file")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where the runs are trained")
    parser.add_argument("--address", help="of the Ray cluster")
    parser.add_argument("--gpus_per_trial", type=float, help="GPUs of a run, or a share of one (Ray)")
    parser.add_argument("--store", help="a folder or URL that all nodes reach, if they do not reach --runs (Ray)")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    file = argv[:1] if argv and not argv[0].startswith("-") else []
    own, flags = parser.parse_known_args(argv[len(file) :])
    own.file = Path(file[0]) if file else None
    if not own.runs:
        raise SweepError("--runs is empty; name a folder")
    if own.engine == "local" and (wrong := [name for name in _OF_RAY if getattr(own, name) is not None]):
        raise SweepError(f"--{wrong[0]} is for --engine ray")
    if own.resume:
        _check_resume(own, file, flags)
    elif not file:
        raise SweepError(f"the sweep file comes first: {_USAGE}")
    return _Told(own, tuple(flags))


_USAGE = "python -m training.sweep SWEEP.yaml [--config RECIPE] [--count N] [any argument of training.run]"
_DESCRIPTION = "SWEEP.yaml is a W&B sweep file; arguments of training.run are the same for all runs."


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of 1 or more")
    return int(text)


def _check_resume(own: argparse.Namespace, file: list[str], flags: list[str]) -> None:
    others = [*file, *flags]
    others += [f"--{name}" for name, value in (("prune", "auto"), ("storage", None)) if getattr(own, name) != value]
    if others:
        raise SweepError(
            f"--resume goes on with the sweep as it was started; leave out {' '.join(others)} (only --runs, --workers, "
            "--count, -q, --engine and what belongs to it may differ)"
        )


def _earlier(told: _Told) -> "Sweep":
    from training.sweeps.store import load

    sweep = load(Path(told.own.runs).resolve(), told.own.resume)
    return sweep if told.own.count is None else replace(sweep, count=told.own.count)


def _new(told: _Told) -> tuple["Sweep", str]:
    """The sweep, checked, its plan printed, and its file's text."""
    from training.sweeps import file as files
    from training.sweeps import plan, store

    own, runs = told.own, Path(told.own.runs).resolve()
    file = files.read(own.file)
    argv, arguments = _fixed(told.flags, file.parameters)
    objective, notes = plan.objective(file, arguments)
    rules = plan.rules(own.prune, file, arguments, objective)
    if not own.quiet:
        local = own.engine == "local"
        workers = own.workers or (plan.workers(file, arguments, own.count) if local else None)
        planned = plan.lines(file, arguments, objective, own.count, workers, runs)
        print(*file.notes, *notes, *planned, plan.pruning(rules), sep="\n", flush=True)
    sweep = store.Sweep(
        id=store.new_id(runs, file.name),
        runs=runs,
        argv=argv,
        count=plan.runs_in_all(file, own.count),
        seed=arguments.config.seed,
        storage=own.storage,
        objective=objective,
        rules=rules.plain(),
        created=time.time(),
        home=str(Path.cwd()),
    )
    return sweep, file.text


def _fixed(flags: Sequence[str], parameters: Sequence["Parameter"]) -> tuple[tuple[str, ...], "Arguments"]:
    """What all runs are told by flags, as words that mean the same in any folder, and parsed. Raises SweepError."""
    from training.checks import RunError, load_tokenizer

    named = {word.split("=")[0].lstrip("-").replace("-", "_") for word in flags if word.startswith("--")}
    if wrong := sorted(named & _OURS.keys()):
        raise SweepError(f"--{wrong[0]} cannot be given to a sweep: {_OURS[wrong[0]]}")
    if twice := sorted(named & {parameter.name for parameter in parameters}):
        raise SweepError(
            f"--{twice[0]} is also a parameter of the sweep file, which would set it; leave one of them out"
        )
    try:
        arguments = _parsed(flags, parameters)
        if not 0 <= arguments.config.seed < 2**32:
            raise SweepError(f"--seed must be from 0 to {2**32 - 1}, got {arguments.config.seed}")
        load_tokenizer(arguments.model, arguments.config)
    except RunError as error:
        raise SweepError(str(error)) from error
    return (*_anchored(flags), *_places(arguments, {parameter.name for parameter in parameters})), arguments


def _parsed(flags: Sequence[str], parameters: Sequence["Parameter"]) -> "Arguments":
    """Flags with what the file tells all runs: its constants, and the first of its models, without which the built-in
    one would be meant. Raises SweepError.
    """
    from training.arguments import ArgumentError
    from training.sweeps.targets import argv
    from training.sweeps.worker import parse

    shared = [each for each in parameters if each.constant or each.name == "model_name_or_path"]
    try:
        return parse([*flags, *argv({each.name: each.values[0] for each in shared})])
    except ArgumentError as error:
        raise SweepError(str(error)) from error


def _anchored(flags: Sequence[str]) -> list[str]:
    """The words, with the file after --config named from the root."""
    words = [part for word in flags for part in (word.split("=", 1) if word.startswith("--config=") else [word])]
    for at, word in enumerate(words[:-1]):
        if word == "--config" and Path(words[at + 1]).is_file():
            words[at + 1] = str(Path(words[at + 1]).resolve())
    return words


def _places(arguments: "Arguments", searched: set[str]) -> list[str]:
    """Model and data, where flags name files: named from the root, too."""
    from training.sweeps.targets import anchored

    stated = {"model_name_or_path": arguments.model.model_name_or_path, "dataset_name": arguments.data.dataset_name}
    found = anchored(stated, Path.cwd())
    return [f"--{name}={value}" for name, value in found.items() if value != stated[name] and name not in searched]


def _drive(sweep: "Sweep", own: argparse.Namespace) -> int:
    from training.sweeps.driver import Driver
    from training.sweeps.plan import runs_in_all
    from training.sweeps.search import Search
    from training.sweeps.table import Screen

    search = Search(sweep)
    engine = _engine(sweep, own)
    try:
        with Screen(own.quiet) as screen:
            driver = Driver(sweep, search, engine, screen, runs_in_all(sweep.file(), sweep.count))
            driver.run()
    except KeyboardInterrupt:
        return _fail(f"stopped at once; go on with: {_resume(sweep, own)}", STOPPED)
    finally:
        engine.close()
    return _end(sweep, driver, own)


def _end(sweep: "Sweep", driver: "Driver", own: argparse.Namespace) -> int:
    """The closing lines, and the exit status."""
    if not own.quiet:
        if own.resume and not driver.worked:
            print(f"sweep {sweep.id} has finished: there is nothing to go on with")
        print(*driver.closing(), sep="\n")
        if driver.stopped:
            print(f"resume     {_resume(sweep, own)}")
        print(f"dashboard  python dashboard/app.py --runs {shlex.quote(_near(sweep.runs))}")
    if driver.stopped:
        return FAILED if driver.hindered else STOPPED
    return FAILED if driver.states and set(driver.states.values()) == {"failed"} else FINISHED


def _resume(sweep: "Sweep", own: argparse.Namespace) -> str:
    words = ["python", "-m", "training.sweep", "--resume", sweep.id]
    words += ["--runs", _near(sweep.runs)] if sweep.runs != ROOT / "runs" else []
    words += ["--count", str(own.count)] if own.resume and own.count else []
    if own.engine == "ray":
        given = {name: getattr(own, name) for name in ("engine", *_OF_RAY)}
        words += [part for name, value in given.items() if value is not None for part in (f"--{name}", str(value))]
    return shlex.join(words)


def _near(path: Path) -> str:
    """`path` as seen from here, if it lies below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _engine(sweep: "Sweep", own: argparse.Namespace) -> Engine:
    if own.engine == "ray":
        from training.sweeps.ray_engine import RayEngine

        return RayEngine(own.address, own.workers, own.gpus_per_trial, store=own.store, runs=sweep.runs)
    workers = own.workers or _workers(sweep)
    return LocalEngine(workers, room.threads(workers), sweep.folder / "logs", room.devices())


def _workers(sweep: "Sweep") -> int:
    from training.sweeps import plan

    file = sweep.file()
    return plan.workers(file, _parsed(sweep.argv, file.parameters), sweep.count)


def _fail(message: str, status: int) -> int:
    print(f"training.sweep: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
