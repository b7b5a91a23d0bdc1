"""Checkpoints that are whole or not there: saved under a hidden name, found again after a crash."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import TrainerState
from transformers.trainer_utils import rotate_checkpoints

STAGING = ".checkpoint.new"
STATE = "trainer_state.json"
_OF_TRAINING = frozenset({"trainer_state.json", "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt"})
_NEEDED = (STATE, "optimizer.pt", "scheduler.pt")


@contextmanager
def staged(trainer: Any, appears: Callable[[Path], None]) -> Iterator[None]:
    """What the trainer saves meanwhile goes to a hidden folder, and from there, whole, to where it belongs.

    `appears` is called with the checkpoint just before.
    """
    folder = Path(trainer.args.output_dir)
    staging = folder / STAGING
    if trainer.args.should_save:
        shutil.rmtree(staging, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    trainer.args.output_dir = str(staging)
    try:
        yield
    finally:
        trainer.args.output_dir = str(folder)
    trainer.accelerator.wait_for_everyone()
    appears(staging / f"checkpoint-{trainer.state.global_step}")
    if trainer.args.should_save:
        for saved in staging.iterdir():
            shutil.rmtree(folder / saved.name, ignore_errors=True)
            saved.rename(folder / saved.name)
        staging.rmdir()
        rotate_checkpoints(str(folder), save_total_limit=trainer.args.save_total_limit)


def newest(folder: Path) -> Path | None:
    """The newest checkpoint in `folder` from which training can go on; half-written ones are passed over."""
    found = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return next((path for path in sorted(found, key=step, reverse=True) if is_whole(path)), None)


def link_model(checkpoint: Path, folder: Path) -> None:
    """Makes `folder` of a checkpoint's model alone, by hard links where the file system has them."""
    folder.mkdir()
    for file in checkpoint.iterdir():
        if file.is_file() and file.name not in _OF_TRAINING and not file.name.startswith("rng_state"):
            try:
                os.link(file, folder / file.name)
            except OSError:
                shutil.copyfile(file, folder / file.name)


def remove(folder: Path, step: int) -> None:
    """Deletes the checkpoint of `step`, if there is one."""
    shutil.rmtree(folder / f"checkpoint-{step}", ignore_errors=True)


def step(checkpoint: Path) -> int:
    """The optimizer step at which a checkpoint was saved."""
    return int(checkpoint.name.rsplit("-", 1)[1])


def is_whole(checkpoint: Path) -> bool:
    """Whether training can go on from here: state, optimizer, scheduler, random state and weights, none of them cut."""
    weights = list(checkpoint.glob("*.safetensors"))
    if not weights or not all((checkpoint / name).is_file() for name in _NEEDED):
        return False
    if not list(checkpoint.glob("rng_state*.pth")):
        return False
    try:
        json.loads((checkpoint / STATE).read_bytes())
        for path in weights:
            with safe_open(path, framework="pt"):  # checks the header against the file's size
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    return True


def state(checkpoint: Path) -> TrainerState:
    """Where training stood; `num_input_tokens_seen` has the tokens trained on."""
    return TrainerState.load_from_json(os.fspath(checkpoint / STATE))
