"""Going on with a run that was stopped or killed: as it was told, from its newest whole checkpoint."""

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers import HfArgumentParser
from trl import DPOConfig, ModelConfig

from training import checkpoints
from training.alive import trains
from training.arguments import ROOT, ArgumentError, Arguments, RunArguments
from training.checks import RunError
from training.data.arguments import EMBEDDED, DataArguments
from training.record import reader, schema
from training.record.schema import RecordError


@dataclass(frozen=True)
class Earlier:
    """What a run left behind: its progress, the checkpoint to go on from, and its evaluation before training.

    `unevaluated`: Ctrl-C came before the evaluation that was due at the checkpoint.
    """

    directory: Path
    progress: Mapping[str, Any]
    checkpoint: Path | None
    base_scores: pa.Table | None
    base_answers: Mapping[str, str]
    unevaluated: bool = False

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
        run = reader.read_run(directory)
        config = {key: value for key, value in run.config.items() if value != f"<{key.upper()}>"}
        parser = HfArgumentParser((RunArguments, DataArguments, ModelConfig, DPOConfig))
        told = Arguments(*parser.parse_dict(config, allow_extra_keys=True))
    except (RecordError, ValueError, TypeError, ImportError) as error:
        raise RunError(f"{directory.name} cannot go on here: {' '.join(str(error).split())}") from error
    told.run.name, told.run.runs = directory.name, os.fspath(directory.parent)
    began = Path(run.environment.get("folder") or ".")
    told.model.model_name_or_path = _from(began, told.model.model_name_or_path or EMBEDDED)
    told.data.dataset_name = _from(began, told.data.dataset_name)
    return told


def _from(folder: Path, name: str) -> str:
    """A model or data set as `folder` knows it: a relative path is one of that folder, whoever asks from elsewhere."""
    return os.fspath(folder / name) if name != EMBEDDED and (folder / name).exists() else name


def earlier(directory: Path, config: DPOConfig) -> Earlier:
    """What there is to go on with, of a run of `config`.

    Raises RunError if the run has finished, is being trained right now, or has a reference that is not in a checkpoint.
    """
    try:
        progress, ended = reader.read_progress(directory)
    except RecordError as error:
        raise RunError(str(error)) from error
    if ended and progress.get("status") == "finished":
        raise RunError(f"{directory.name} is finished: there is nothing to go on with")
    pid = progress.get("pid")
    if not ended and progress.get("host") == socket.gethostname() and trains(pid):
        raise RunError(f"{directory.name} is being trained right now, by process {pid}; stop that first")
    checkpoint = checkpoints.newest(directory / schema.CHECKPOINTS)
    if checkpoint is not None and config.sync_ref_model:
        raise RunError(
            f"{directory.name} cannot go on: with --sync_ref_model its reference has changed, and no checkpoint holds "
            "that; start a new run"
        )
    scores = reader.read_scores(directory, 0) if 0 in reader.score_steps(directory) else None
    answers = {repr(row["prompt"]): row["base"] for row in reader.read_samples(directory) if row.get("step") == 0}
    unevaluated = checkpoint is not None and _unevaluated(directory, checkpoint, config)
    return Earlier(directory, progress, checkpoint, scores, answers, unevaluated)


def _unevaluated(directory: Path, checkpoint: Path, config: DPOConfig) -> bool:
    """Whether an evaluation was due at the checkpoint, and is not there."""
    state = checkpoints.state(checkpoint)
    due = state.global_step >= state.max_steps
    if config.eval_strategy == "steps":
        due |= state.global_step % state.eval_steps == 0
    elif config.eval_strategy == "epoch":
        due |= float(state.epoch or 0).is_integer()
    return due and state.global_step not in reader.score_steps(directory)
