"""What `python -m training.run` can be told: TRL's own arguments, and a few of ours."""

import difflib
import math
import os
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from trl import DPOConfig, ModelConfig, TrlParser
from trl.scripts._hf_argparser import string_to_bool

from training.data.arguments import EMBEDDED, DataArguments
from training.recipe_list import RECIPES
from training.record import metrics as names

ROOT = Path(__file__).resolve().parent.parent
BUILT_IN = RECIPES / "embedded.yaml"
EMBEDDED_MODEL = Path(__file__).resolve().parent / "embedded" / "model"
LOSS_TYPES = (
    *("sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired"),
    *("apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm"),
)
SMOOTHED = frozenset({"aot", "aot_unpaired", "exo_pair", "robust"})  # those that read --label_smoothing
F_DIVERGENCES = ("reverse_kl", "forward_kl", "js_divergence", "alpha_divergence")


class ArgumentError(Exception):
    """Arguments that cannot be used; the message says which, and what would do."""


@dataclass
class RunArguments:
    """Where a run goes, and what it shows."""

    name: str | None = field(default=None, metadata={"help": "Name of the run; made from data and time if not given."})
    runs: str = field(default=str(ROOT / "runs"), metadata={"help": "Folder of all runs."})
    sample_prompts: list[str] | None = field(
        default=None, metadata={"help": "Prompts answered at every evaluation; default: some of the evaluation set."}
    )
    sample_max_new_tokens: int = field(default=64, metadata={"help": "Longest sampled answer, in tokens."})
    sweep: str | None = field(default=None, metadata={"help": "Name of the sweep that this run belongs to."})
    resume: str | None = field(
        default=None,
        metadata={"help": "A run, by name or folder, to go on with: as it was told, from its newest checkpoint."},
    )
    fast: bool = field(
        default=True,
        metadata={"help": "The same numbers for less: reference scores kept, pairs packed. false: TRL's own steps."},
    )
    common_beta: float | None = field(
        default=None,
        metadata={"help": "Also log eval/common_beta_loss: the sigmoid loss at this beta, comparable across runs."},
    )
    quiet: bool = field(default=False, metadata={"aliases": ["-q"], "help": "Print nothing but errors."})


class Arguments(NamedTuple):
    """All that a run was told. `notes` are lines for the person at the terminal: what could not be had as asked."""

    run: RunArguments
    data: DataArguments
    model: ModelConfig
    config: DPOConfig
    notes: tuple[str, ...] = ()


# What differs from TRL's defaults where the user says nothing. A run without evaluation cannot be judged, a hidden NaN
# not be seen.
DEFAULTS = {
    "output_dir": "checkpoints",
    "eval_strategy": "steps",
    "eval_steps": 0.2,
    "save_strategy": "steps",
    "save_steps": 0.2,
    "save_total_limit": 1,
    "logging_nan_inf_filter": False,
    "metric_for_best_model": names.ACCURACY,
}


def model_path(name: str) -> str:
    """Where a model is loaded from: a Hub id or folder as it is, the built-in base model by its name, "embedded"."""
    return str(EMBEDDED_MODEL) if name == EMBEDDED else name


def parse(argv: Sequence[str]) -> Arguments:
    """The arguments of a command line, over those of `--config` or of the built-in recipe, over TRL's defaults.

    The built-in recipe is used when neither `--config` nor `--model_name_or_path` is given.
    Raises ArgumentError if they cannot be used; ends the process as argparse does for an unknown flag.
    """
    words = [part for word in argv for part in _words(word)]
    if not {"config", "model_name_or_path", "h", "help"} & {_flag(word) for word in words}:
        words += ["--config", str(BUILT_IN)]
    recipe, words = _recipe(words)
    parser = new_parser()
    parser.set_defaults(**DEFAULTS)
    if os.environ.get("WANDB_SWEEP_ID"):
        parser.set_defaults(report_to=["wandb"])
    try:
        unknown = parser.set_defaults_with_config(**_written(parser, recipe))
        asked, left = parser.parse_known_args(words)
        if unknown or left:
            raise ArgumentError(_unknown([*unknown, *left], list(parser._option_string_actions)))
        words, notes = _precision(asked, words)
        run, data, model, config = parser.parse_args_into_dataclasses(words)
    except (ValueError, TypeError, ImportError) as error:
        raise ArgumentError(" ".join(str(error).split())) from error
    model.model_name_or_path = model.model_name_or_path or EMBEDDED
    check(run, data, model, config)
    return Arguments(run, data, model, config, notes)


def new_parser() -> TrlParser:
    """The parser of everything that a run can be told."""
    parser = TrlParser(
        (RunArguments, DataArguments, ModelConfig, DPOConfig), prog="python -m training.run", allow_abbrev=False
    )
    parser.usage = (
        "python -m training.run [--config RECIPE] [--learning_rate 5e-5] [--beta 0.1] ...   (--help lists all)"
    )
    parser.description = (
        "--list prints the recipes that are here; --resume RUN goes on with a run that was stopped or killed."
    )
    for action in parser._actions:
        if action.type is string_to_bool:
            action.nargs, action.const = "?", True  # `--bf16` alone, as `--use_peft`
    return parser


def _written(parser: TrlParser, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's values as on a command line: text, which argparse converts and checks; a list where it wants one."""
    lists = {action.dest for action in parser._actions if action.nargs == "+"}

    def written(name: str, value: Any) -> Any:
        if value is None or isinstance(value, list | dict):
            return value
        return [value] if name in lists else str(value)

    return {name: written(name, value) for name, value in recipe.items()}


def _precision(asked: Namespace, words: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """`words` with the half precision that fits this machine, and a line where it is not the one that was asked for."""
    bf16_works, fp16_works = _bf16_works(), torch.cuda.is_available()
    lacking = [
        name for name, works in (("bf16", bf16_works), ("fp16", fp16_works)) if getattr(asked, name) and not works
    ]
    fp16 = asked.fp16 and fp16_works
    bf16 = bf16_works and (not fp16 if asked.bf16 is None else asked.bf16)
    note = f"{' and '.join(lacking)} is not supported by this machine's processor: training in float32"
    return [*words, "--bf16", str(bf16), "--fp16", str(fp16)], (note,) if lacking else ()


def _words(word: str) -> list[str]:
    """TrlParser looks for `--config FILE`, in two words."""
    return word.split("=", 1) if word.startswith("--config=") else [word]


def _flag(word: str) -> str:
    """The argument's name: `--learning-rate=1e-5` names learning_rate."""
    return word.split("=")[0].lstrip("-").replace("-", "_")


def _bf16_works() -> bool:
    return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported())


def _recipe(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The arguments of the file after `--config`, and the words without it. A recipe here goes by its bare name."""
    if "--config" not in words:
        return {}, words
    at = words.index("--config")
    if at + 1 == len(words):
        raise ArgumentError("--config needs a file, such as --config training/recipes/embedded.yaml")
    path = Path(words[at + 1])
    if not path.is_file():
        path = RECIPES / f"{path.name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        recipes = ", ".join(sorted(recipe.stem for recipe in RECIPES.glob("*.yaml")))
        raise ArgumentError(f"--config {words[at + 1]} does not exist; recipes here: {recipes}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ArgumentError(f"--config {path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ArgumentError(f"--config {path} holds no 'argument: value' lines")
    content.pop("about", None)  # for --list
    environment = content.pop("env", None) or {}
    if not isinstance(environment, dict):
        raise ArgumentError(f"--config {path}: env holds no 'NAME: value' lines")
    os.environ.update({str(name): str(value) for name, value in environment.items()})
    return content, words[:at] + words[at + 2 :]


def _unknown(words: list[str], known: list[str]) -> str:
    """What is said of words that are no arguments, nor their values."""
    flags = [word.split("=")[0] for word in words if word.startswith("--")]
    near = {flag: difflib.get_close_matches(flag, known, n=1) for flag in flags}
    hints = [f"{flag} (did you mean {match[0]}?)" if match else flag for flag, match in near.items()]
    return f"unknown argument {', '.join(hints or words)}; --help lists all"


def check(run: RunArguments, data: DataArguments, model: ModelConfig, config: DPOConfig) -> None:
    """Raises ArgumentError for a value that cannot work, and for a package that a value needs and that is not there."""
    for name, advice in (("beta", "0.1"), ("learning_rate", "5e-6"), ("num_train_epochs", "1")):
        value = getattr(config, name)
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ArgumentError(f"--{name} must be above 0, got {value}; {advice} is a good start")
    if run.common_beta is not None and not 0 < run.common_beta < math.inf:
        raise ArgumentError(f"--common_beta must be above 0, got {run.common_beta}; 0.1 is usual")
    for owner, name in (
        *((config, n) for n in ("per_device_train_batch_size", "per_device_eval_batch_size")),
        *((config, n) for n in ("gradient_accumulation_steps", "max_length")),
        (run, "sample_max_new_tokens"),
        (data, "max_prompt_length"),
    ):
        value = getattr(owner, name)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ArgumentError(f"--{name} must be at least 1, got {value}")
    for name in ("eval_steps", "save_steps", "logging_steps"):
        if (value := getattr(config, name)) is not None and value <= 0:
            raise ArgumentError(f"--{name} must be above 0, got {value:g}: steps, or below 1 a share of them")
    for name, found, allowed in (
        ("loss_type", config.loss_type, LOSS_TYPES),
        ("f_divergence_type", [config.f_divergence_type], F_DIVERGENCES),
    ):
        if unknown := set(found) - set(allowed):
            raise ArgumentError(f"--{name} {', '.join(sorted(unknown))} is unknown; known: {', '.join(allowed)}")
    if not all(prompt.strip() for prompt in run.sample_prompts or ()):
        raise ArgumentError("--sample_prompts holds an empty prompt, which nothing can answer; leave it out")
    _check_smoothing(config)
    _check_quantization(model, config)


def _check_smoothing(config: DPOConfig) -> None:
    """TRL takes any number, and passes over it where the loss type knows no flipped labels."""
    share, kinds = config.label_smoothing, ", ".join(config.loss_type)
    if not 0 <= share < 0.5:
        raise ArgumentError(f"--label_smoothing must be at least 0 and below 0.5, got {share}; it is a share of labels")
    if share and not SMOOTHED.intersection(config.loss_type):
        raise ArgumentError(
            f"--label_smoothing does nothing with --loss_type {kinds}; it is for {', '.join(sorted(SMOOTHED))}"
        )


def _check_quantization(model: ModelConfig, config: DPOConfig) -> None:
    optimiser = str(getattr(config.optim, "value", config.optim))
    asking = [f"--{name}" for name in ("load_in_4bit", "load_in_8bit") if getattr(model, name)]
    asking += [f"--optim {optimiser}"] if re.search("bnb|8bit|paged", optimiser) else []
    if not asking:
        return
    if find_spec("bitsandbytes") is None:
        raise ArgumentError(f"{asking[0]} needs the package bitsandbytes; install it, or leave {asking[0]} out")
    if not torch.cuda.is_available():
        raise ArgumentError(f"{asking[0]} needs an NVIDIA GPU, and none is found here; leave it out")
    if asking[0].startswith("--load") and not model.use_peft:
        raise ArgumentError(f"{asking[0]} trains only an adapter over the quantised weights: add --use_peft")
