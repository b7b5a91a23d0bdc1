"""Going on with a run that was stopped or killed: as it was told, from its newest whole checkpoint."""

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from transformers import HfArgumentParser
from trl import DPOConfig, ModelConfig

from training import checkpoints
from training.arguments import ROOT, ArgumentError, Arguments, RunArguments
from training.checks import RunError
from training.data.arguments import DataArguments
from training.record import reader, schema
from training.record.schema import RecordError


@dataclass(frozen=True)
class Earlier:
    """What a run left behind: its progress, the checkpoint to go on from, and its evaluation before training."""

    directory: Path
    progress: Mapping[str, Any]
    checkpoint: Path | None
    base_scores: pa.Table | None
    base_answers: Mapping[str, str]

    @property
    def step(self) -> int:
        return checkpoints.step(self.checkpoint) if self.checkpoint else 0

    @property
    def trained_out(self) -> bool:
        """Whether every step was made: only the end of the record is missing."""
        return self.checkpoint is not None and self.step >= (self.progress.get("max_steps") or float("inf"))


def parse(argv: Sequence[str]) -> Arguments:
    """The arguments that the run after `--resume` was given.

    Raises ArgumentError, RecordError or RunError if it cannot go on.
    """
    parser = argparse.ArgumentParser(prog="python -m training.run", add_help=False)
    parser.add_argument("--resume", required=True)
    parser.add_argument("--runs", default=str(ROOT / "runs"))
    parser.add_argument("-q", "--quiet", action="store_true")
    told, others = parser.parse_known_args(argv)
    if others:
        raise ArgumentError(
            f"--resume goes on with the arguments that the run was given; leave out {' '.join(others)}, "
            "or start a new run"
        )
    directory = reader.find_run(told.resume, Path(told.runs))
    arguments = recorded(directory)
    arguments.run.quiet = told.quiet
    arguments.run.resume = os.fspath(directory)
    return arguments


def recorded(directory: Path) -> Arguments:
    """The arguments in a run's config.json. Raises RunError if they cannot be used by this code."""
    try:
        config = {key: value for key, value in reader.read_run(directory).config.items() if value != f"<{key.upper()}>"}
        parser = HfArgumentParser((RunArguments, DataArguments, ModelConfig, DPOConfig))
        told = Arguments(*parser.parse_dict(config, allow_extra_keys=True))
    except (RecordError, ValueError, TypeError, ImportError) as error:
        raise RunError(f"{directory.name} cannot go on here: {' '.join(str(error).split())}") from error
    told.run.name, told.run.runs = directory.name, os.fspath(directory.parent)
    return told


def earlier(directory: Path) -> Earlier:
    """What there is to go on with. Raises RunError if the run has finished, or is being trained right now."""
    try:
        progress, ended = reader.read_progress(directory)
    except RecordError as error:
        raise RunError(str(error)) from error
    if ended and progress.get("status") == "finished":
        raise RunError(f"{directory.name} is finished: there is nothing to go on with")
    pid = progress.get("pid")
    if not ended and progress.get("host") == socket.gethostname() and _trains(pid):
        raise RunError(f"{directory.name} is being trained right now, by process {pid}; stop that first")
    scores = reader.read_scores(directory, 0) if 0 in reader.score_steps(directory) else None
    answers = {repr(row["prompt"]): row["base"] for row in reader.read_samples(directory) if row.get("step") == 0}
    return Earlier(directory, progress, checkpoints.newest(directory / schema.CHECKPOINTS), scores, answers)


def _trains(pid: Any) -> bool:
    """Whether a process of this machine has that number, and is Python: numbers are used again."""
    try:
        return isinstance(pid, int) and pid != os.getpid() and "python" in psutil.Process(pid).name().lower()
    except psutil.Error:
        return False
