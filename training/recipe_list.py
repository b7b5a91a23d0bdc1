"""The recipes in `training/recipes/`: what each trains, on what, and roughly at what cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from training.data.arguments import EMBEDDED

RECIPES = Path(__file__).resolve().parent / "recipes"
# What the program does where a recipe says nothing: TRL's defaults, of the arguments that the cost depends on.
DEFAULTS = {
    "model_name_or_path": EMBEDDED,
    "dataset_test_size": 0.1,
    "max_train_samples": None,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 3.0,
    "max_steps": -1,
    "max_length": 1024,
    "gradient_checkpointing": True,
}
FLOP_PER_SECOND = 100e12
WIDTH = 120
_HEAD = ("recipe", "model", "size", "data set", "rows", "steps", "pairs", "FLOP", "min")
_LEFT = (0, 1, 3)  # columns of words; the others are numbers
_DATA = 3
_FOOT = """
Arithmetic, nothing measured. pairs: seen in training, before any is dropped. min: minutes at 100 TFLOP/s. FLOP: pairs
x 2 answers x max_length tokens (most are shorter) x parameters x 8 (6 policy, 2 reference; 2 more with activation
checkpointing), from C = 6ND, arXiv:2001.08361, section 2.1. Evaluations come on top.
Run one: python -m training.run --config gpt2-orca"""


class RecipeError(Exception):
    """A recipe that cannot be listed; the message says which, and why."""


@dataclass(frozen=True)
class Recipe:
    """One recipe: its names, and what training it once takes.

    `rows` are those of the data set, training and evaluation together, before any filter. `steps` are optimizer steps,
    `pairs_seen` counts a pair once per epoch. `flop`: pairs x 2 answers x max_length x parameters x 8 (6 for the
    policy's forward and backward pass, 2 for the reference's forward pass), or x 10 with activation checkpointing,
    which repeats the policy's forward pass (Kaplan et al. 2020, arXiv:2001.08361, section 2.1: C = 6ND; attention's own
    products left out).
    """

    name: str
    path: Path
    task: str
    model: str
    parameters: int
    dataset: str
    rows: int
    steps: int
    pairs_seen: int
    flop: float


def recipes(folder: Path = RECIPES) -> list[Recipe]:
    """All recipes, by name. Raises RecipeError if one lacks its `about:` or is no YAML."""
    return [_recipe(path) for path in sorted(folder.glob("*.yaml"))]


def table(recipes: Sequence[Recipe]) -> str:
    """The recipes as text, one line each under a head, and what the numbers mean; at most 120 columns wide."""
    rows = [_HEAD, *map(_cells, recipes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[_DATA] -= max(0, sum(widths) + 2 * (len(widths) - 1) - WIDTH)
    return "\n".join([*(_line(row, widths) for row in rows), _FOOT])


def _recipe(path: Path) -> Recipe:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        about, arguments = content["about"], DEFAULTS | content
        steps, pairs_seen = _length(about, arguments)
        work = 10 if arguments["gradient_checkpointing"] else 8
        return Recipe(
            name=path.stem,
            path=path,
            task=about["task"],
            model=arguments["model_name_or_path"],
            parameters=about["model_parameters"],
            dataset=arguments["dataset_name"],
            rows=about["rows"],
            steps=steps,
            pairs_seen=pairs_seen,
            flop=float(pairs_seen * 2 * arguments["max_length"] * work * about["model_parameters"]),
        )
    except KeyError as error:
        raise RecipeError(f"{path} has no {error.args[0]}; see `about:` in training/recipes/embedded.yaml") from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, AttributeError) as error:
        raise RecipeError(f"{path} is no recipe: {' '.join(str(error).split())}") from error


def _length(about: Mapping[str, Any], arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Optimizer steps and pairs seen, as Transformers counts them: the last batch of an epoch may be smaller."""
    micro, accumulation = arguments["per_device_train_batch_size"], arguments["gradient_accumulation_steps"]
    if arguments["max_steps"] > 0:
        return arguments["max_steps"], arguments["max_steps"] * micro * accumulation
    held_out = about.get("eval_rows", round(arguments["dataset_test_size"] * about["rows"]))
    pairs = min(about["rows"] - held_out, arguments["max_train_samples"] or about["rows"])
    steps = math.ceil(math.ceil(pairs / micro) / accumulation)
    return math.ceil(steps * arguments["num_train_epochs"]), round(pairs * arguments["num_train_epochs"])


def _cells(recipe: Recipe) -> tuple[str, ...]:
    minutes = recipe.flop / FLOP_PER_SECOND / 60
    return (
        recipe.name,
        recipe.model.split("/")[-1],
        f"{recipe.parameters / 1e6:.0f}M",
        recipe.dataset.split("/")[-1],
        f"{recipe.rows:,}",
        f"{recipe.steps:,}",
        f"{recipe.pairs_seen:,}",
        f"{recipe.flop:.1e}".replace("e+", "e"),
        f"{minutes:.0f}" if minutes >= 10 else f"{minutes:.1f}",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, cut where they do not fit; numbers to the right."""
    parts = []
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        text = cell if len(cell) <= width else f"{cell[: width - 2]}.."
        parts.append(text.ljust(width) if column in _LEFT else text.rjust(width))
    return "  ".join(parts).rstrip()
