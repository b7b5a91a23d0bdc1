"""What `python -m training.run` can be told: TRL's own arguments, and a few of ours."""

import difflib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml
from transformers import HfArgumentParser
from trl import DPOConfig, ModelConfig, TrlParser

from training.preferences import EMBEDDED
from training.record import metrics as names

ROOT = Path(__file__).resolve().parent.parent
RECIPES = Path(__file__).resolve().parent / "recipes"
BUILT_IN = RECIPES / "embedded.yaml"
EMBEDDED_MODEL = Path(__file__).resolve().parent / "embedded" / "model"
LOSS_TYPES = (
    *("sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired"),
    *("apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm"),
)
F_DIVERGENCES = ("reverse_kl", "forward_kl", "js_divergence", "alpha_divergence")


class ArgumentError(Exception):
    """Arguments that cannot be used; the message says which, and what would do."""


@dataclass
class RunArguments:
    """Where a run goes, what it learns from, what it shows."""

    name: str | None = field(default=None, metadata={"help": "Name of the run; made from data and time if not given."})
    runs: str = field(default=str(ROOT / "runs"), metadata={"help": "Folder of all runs."})
    dataset_name: str = field(
        default=EMBEDDED,
        metadata={
            "help": "Preference pairs: a Hub id, a local .jsonl/.json/.csv/.parquet file or folder, or 'embedded'."
        },
    )
    dataset_train_split: str = field(default="train", metadata={"help": "Split to train on."})
    dataset_test_split: str | None = field(
        default=None, metadata={"help": "Split to evaluate on; without one a tenth is held out by prompt."}
    )
    sample_prompts: list[str] | None = field(
        default=None, metadata={"help": "Prompts answered at every evaluation; default: some of the evaluation set."}
    )
    sample_max_new_tokens: int = field(default=64, metadata={"help": "Longest sampled answer, in tokens."})
    sweep: str | None = field(default=None, metadata={"help": "Name of the sweep that this run belongs to."})
    quiet: bool = field(default=False, metadata={"aliases": ["-q"], "help": "Print nothing but errors."})


Arguments = tuple[RunArguments, ModelConfig, DPOConfig]

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


def parse(argv: list[str]) -> Arguments:
    """The arguments of a command line, over those of `--config` or of the built-in recipe, over TRL's defaults.

    The built-in recipe is used when neither `--config` nor `--model_name_or_path` is given.
    Raises ArgumentError if they cannot be used; ends the process as argparse does for an unknown flag.
    """
    argv = [part for word in argv for part in _words(word)]
    if not {"config", "model_name_or_path", "h", "help"} & {_flag(word) for word in argv}:
        argv += ["--config", str(BUILT_IN)]
    _check_config(argv)
    parser: HfArgumentParser = TrlParser((RunArguments, ModelConfig, DPOConfig), prog="python -m training.run")
    parser.usage = "python -m training.run [--config FILE] [--learning_rate 5e-5] [--beta 0.1] ...   (--help lists all)"
    parser.set_defaults(**DEFAULTS, bf16=_bf16_works())
    try:
        run, model, config = parser.parse_args_and_config(argv)
    except (ValueError, TypeError, ImportError) as error:
        raise ArgumentError(_told(error, list(parser._option_string_actions))) from error
    _check(run, config)
    model.model_name_or_path = model.model_name_or_path or EMBEDDED
    return run, model, config


def _words(word: str) -> list[str]:
    """TrlParser looks for `--config FILE`, in two words."""
    return word.split("=", 1) if word.startswith("--config=") else [word]


def _flag(word: str) -> str:
    """The argument's name: `--learning-rate=1e-5` names learning_rate."""
    return word.split("=")[0].lstrip("-").replace("-", "_")


def _bf16_works() -> bool:
    return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported())


def _check_config(argv: list[str]) -> None:
    if "--config" not in argv:
        return
    at = argv.index("--config") + 1
    if at == len(argv):
        raise ArgumentError("--config needs a file, such as --config training/recipes/embedded.yaml")
    path = Path(argv[at])
    if not path.is_file():
        recipes = ", ".join(sorted(str(recipe.relative_to(ROOT)) for recipe in RECIPES.glob("*.yaml")))
        raise ArgumentError(f"--config {path} does not exist; recipes here: {recipes}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ArgumentError(f"--config {path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ArgumentError(f"--config {path} holds no 'argument: value' lines")


def _told(error: Exception, known: list[str]) -> str:
    text = " ".join(str(error).split())
    if "bf16" in text:
        return "--bf16 is not supported by this machine's processor; leave it out to train in float32"
    if "not used by" not in text and "Unknown arguments" not in text:
        return text
    unknown = re.findall(r"--[\w-]+", text)
    near = {flag: difflib.get_close_matches(flag, known, n=1) for flag in unknown}
    hints = [f"{flag} (did you mean {match[0]}?)" if match else flag for flag, match in near.items()]
    return f"unknown argument {', '.join(hints) or text}; --help lists all"


def _check(run: RunArguments, config: DPOConfig) -> None:
    for name, advice in (("beta", "0.1"), ("learning_rate", "5e-6")):
        value = getattr(config, name)
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ArgumentError(f"--{name} must be above 0, got {value}; {advice} is a good start")
    counts = ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps")
    for name, value in (
        *((n, getattr(config, n)) for n in counts),
        ("sample_max_new_tokens", run.sample_max_new_tokens),
    ):
        if not isinstance(value, int) or value < 1:
            raise ArgumentError(f"--{name} must be at least 1, got {value}")
    for name, found, known in (
        ("loss_type", config.loss_type, LOSS_TYPES),
        ("f_divergence_type", [config.f_divergence_type], F_DIVERGENCES),
    ):
        if unknown := set(found) - set(known):
            raise ArgumentError(f"--{name} {', '.join(sorted(unknown))} is unknown; known: {', '.join(known)}")
