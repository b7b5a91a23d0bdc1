"""How long a sweep's runs are going to be: in steps, in pairs, in seconds."""

import json
import math
import statistics
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from training.arguments import Arguments, model_path
from training.data.arguments import EMBEDDED
from training.embedded import pairs as embedded
from training.recipe_list import recipes
from training.record import metrics as names
from training.record import reader, schema
from training.record.history import read_history
from training.record.schema import RecordError, Run

LENGTHS = ("max_steps", "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps")
DEFAULT_LENGTH = 1024  # TRL's --max_length
_NEWEST = 5


@dataclass(frozen=True)
class Length:
    """One run: optimizer steps, training pairs seen (one counts again in each epoch), evaluations."""

    steps: int
    pairs: int
    evaluations: int


@dataclass(frozen=True)
class Pace:
    """What a run costs, in seconds, and what that rests on, in words."""

    per_pair: float
    per_evaluation: float
    source: str

    def seconds(self, length: Length) -> float:
        return length.pairs * self.per_pair + length.evaluations * self.per_evaluation


def length(told: Arguments, params: Mapping[str, Any], rows: int | None) -> Length | None:
    """A run's length with `params` over what it was told, as Transformers counts on one device.

    `rows` are the training pairs; None where that is not known gives None unless --max_steps is told.
    """
    given = {name: params.get(name, getattr(told.config, name)) for name in LENGTHS}
    micro, accumulation = int(given["per_device_train_batch_size"]), int(given["gradient_accumulation_steps"])
    epochs, steps = float(given["num_train_epochs"]), int(given["max_steps"])
    if steps <= 0:
        if rows is None:
            return None
        steps = math.ceil(math.ceil(math.ceil(rows / micro) / accumulation) * epochs)
        return Length(steps, round(rows * epochs), _evaluations(told, steps, epochs))
    pairs = steps * micro * accumulation
    return Length(steps, pairs, _evaluations(told, steps, pairs / rows if rows else epochs))


def _evaluations(told: Arguments, steps: int, epochs: float) -> int:
    """With the one before training, and the one at its end."""
    strategy = getattr(told.config.eval_strategy, "value", told.config.eval_strategy)
    if strategy == "epoch":
        return 1 + math.ceil(epochs)
    every = float(told.config.eval_steps or 0)
    if strategy != "steps" or not every:
        return 2
    return 1 + math.ceil(steps / (math.ceil(steps * every) if every < 1 else every))


def matching(runs: Path, told: Arguments, batches: Iterable[int]) -> list[Run]:
    """The newest finished runs in `runs` of the same model, data and batch size, and as fast."""
    found = []
    for config in runs.glob(f"[!.]*/{schema.CONFIG}"):
        try:
            run = reader.read_run(config.parent)
        except RecordError:
            continue
        if run.status == "finished" and _alike(run.config, told, set(batches)):
            found.append(run)
    return sorted(found, key=lambda run: run.created or 0, reverse=True)[:_NEWEST]


def _alike(config: Mapping[str, Any], told: Arguments, batches: set[int]) -> bool:
    return (
        config.get("model_name_or_path") == told.model.model_name_or_path
        and config.get("dataset_name") == told.data.dataset_name
        and config.get("max_train_samples") == told.data.max_train_samples
        and bool(config.get("fast")) == told.run.fast
        and bool(config.get("use_peft")) == told.model.use_peft
        and config.get("per_device_train_batch_size") in batches
    )


def rows(told: Arguments, alike: Iterable[Run]) -> int | None:
    """Training pairs: of runs of the same data, of the built-in set, or as a recipe states them; None if none does."""
    for run in alike:
        if isinstance(count := run.data.get("n_train"), int):
            return count
    if told.data.dataset_name == EMBEDDED:
        count = embedded.N_TRAIN
    else:
        stated = [recipe.rows for recipe in recipes() if recipe.dataset == told.data.dataset_name]
        if not stated:
            return None
        count = round(stated[0] * (1 - told.data.dataset_test_size))
    most: int | None = told.data.max_train_samples
    return min(count, most or count)


def recorded(runs: Path, alike: Iterable[Run]) -> Pace | None:
    """The median pace of runs: from their pairs per second, the rest of their time shared among their evaluations."""
    paces = []
    for run in alike:
        history = read_history(runs / run.id)
        rate = history.get("train/pairs_per_second")
        evaluated = len(history.get(f"eval/{names.LOSS}", ()))
        if not rate or not evaluated or not run.seconds or not run.step:
            continue
        per_pair = 1 / statistics.median(rate.values)
        batch = (run.config.get(name) for name in LENGTHS[2:])
        trained = run.step * math.prod(int(part or 1) for part in batch) * per_pair
        paces.append((per_pair, max(0.0, run.seconds - trained) / evaluated))
    if not paces:
        return None
    per_pair, per_evaluation = (statistics.median(column) for column in zip(*paces, strict=True))
    plural = "s" if len(paces) > 1 else ""
    return Pace(
        per_pair,
        per_evaluation,
        f"from {len(paces)} finished run{plural} here of this model, data and batch size, {1 / per_pair:.3g} pairs/s",
    )


def arithmetic(told: Arguments) -> Pace | None:
    """Parameters x tokens x floating-point operations, at the rate of a matrix product measured now.

    Of a pair 2 answers of --max_length tokens, at most; 6 operations per parameter and token for the policy's forward
    and backward pass (Kaplan et al. 2020, arXiv:2001.08361, section 2.1), 2 more to repeat the forward pass under
    --gradient_checkpointing, 2 for the reference where its scores are not kept. Evaluations are left out. None if the
    model's size is not known here.
    """
    size = parameters(told.model.model_name_or_path or EMBEDDED)
    if size is None:
        return None
    work = 6 + 2 * bool(told.config.gradient_checkpointing) + 2 * (not told.run.fast)
    rate = _flop_per_second()
    flop = 2 * (told.config.max_length or DEFAULT_LENGTH) * size * work
    source = f"from arithmetic: {size / 1e6:.3g}M parameters, longest pairs, {rate / 1e9:.3g} GFLOP/s measured here"
    return Pace(flop / rate, 0.0, f"{source}, no evaluation")


def parameters(model: str) -> int | None:
    """A model's size, as a recipe states it, or as the heads of its safetensors files do; None if neither is here."""
    for recipe in recipes():
        if recipe.model == model:
            return recipe.parameters
    files = sorted(Path(model_path(model)).glob("*.safetensors"))
    try:
        return sum(map(_stored, files)) or None
    except (OSError, ValueError, KeyError, struct.error):
        return None


def _stored(path: Path) -> int:
    """Numbers in a safetensors file: 8 bytes give the length of a JSON head, which has every tensor's shape."""
    with path.open("rb") as file:
        head = json.loads(file.read(min(struct.unpack("<Q", file.read(8))[0], 2**26)))
    return sum(math.prod(tensor["shape"]) for name, tensor in head.items() if name != "__metadata__")


def _flop_per_second(seconds: float = 0.2, size: int = 1024) -> float:
    """Floating-point operations per second of square matrix products, on the device and in the precision of a run."""
    cuda = torch.cuda.is_available()
    matrix = torch.rand(size, size, device="cuda" if cuda else "cpu", dtype=torch.bfloat16 if cuda else torch.float32)
    products, before = 0, time.perf_counter()
    while (spent := time.perf_counter() - before) < seconds or not products:
        (matrix @ matrix)[0, 0].item()  # waits for the device
        products += 1
    return 2 * size**3 * products / spent
