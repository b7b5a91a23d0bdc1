"""What the names and values of a sweep file mean to `python -m training.run`."""

import difflib
import json
import warnings
from collections.abc import Iterable, Mapping
from contextlib import redirect_stderr
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from trl import DPOConfig

from training import arguments
from training.data.arguments import EMBEDDED
from training.sweeps.numbers import short
from training.sweeps.parameters import Parameter
from training.sweeps.trial import SweepError

DICTIONARIES = frozenset(DPOConfig._VALID_DICT_FIELDS)
# What others call it.
_COMMON = {
    **dict.fromkeys(("lr", "step_size"), "learning_rate"),
    **dict.fromkeys(("batch_size", "train_batch_size", "bs"), "per_device_train_batch_size"),
    "eval_batch_size": "per_device_eval_batch_size",
    **dict.fromkeys(("grad_accum", "accumulation_steps", "accumulate_grad_batches"), "gradient_accumulation_steps"),
    **dict.fromkeys(("epochs", "epoch", "num_epochs", "max_epochs", "n_epochs"), "num_train_epochs"),
    **dict.fromkeys(("steps", "num_steps", "train_steps", "num_train_steps", "iterations"), "max_steps"),
    "wd": "weight_decay",
    **dict.fromkeys(("warmup", "warmup_ratio", "num_warmup_steps"), "warmup_steps"),
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_schedule"), "lr_scheduler_type"),
    **dict.fromkeys(("optimizer", "optimiser", "opt"), "optim"),
    **dict.fromkeys(("grad_clip", "gradient_clip_val", "clip_norm"), "max_grad_norm"),
    **dict.fromkeys(("dpo_beta", "kl_coef", "kl_beta", "temperature"), "beta"),
    **dict.fromkeys(("loss", "loss_fn"), "loss_type"),
    **dict.fromkeys(("model", "model_name", "base_model"), "model_name_or_path"),
    **dict.fromkeys(("dataset", "data"), "dataset_name"),
    **dict.fromkeys(("lora_rank", "rank", "r", "lora_dim"), "lora_r"),
    **dict.fromkeys(("max_seq_length", "max_seq_len", "seq_len", "context_length"), "max_length"),
    **dict.fromkeys(("random_seed", "random_state"), "seed"),
}
_OURS = "the sweep sets it for each run"
_REFUSED = {
    **dict.fromkeys(("name", "run_name", "sweep", "common_beta", "output_dir", "resume_from_checkpoint"), _OURS),
    "resume": "a sweep goes on by `python -m training.sweep --resume ID`",
    "runs": "one sweep has one folder of runs: give --runs to training.sweep",
    "config": "one sweep has one recipe: give --config to training.sweep",
    "quiet": "a sweep's runs have no terminal of their own",
}
_PLACES = ("model_name_or_path", "dataset_name")  # may be files
# What another argument must be for a value to be allowed; whether it is, is checked when the run is told all of them.
_BESIDE = {"label_smoothing": "--loss_type=robust"}


@cache
def known() -> frozenset[str]:
    """The arguments of training.run."""
    return frozenset(action.dest for action in arguments.new_parser()._actions) - {"help"}


def resolve(name: str) -> str:
    """The argument that a sweep file's dotted name sets: `optimizer.learning_rate` is learning_rate, below a group of
    no meaning here; `lr_scheduler_kwargs.num_cycles` is a key of a dict-typed argument.

    Raises SweepError, with the nearest name, if there is none, and if the sweep sets that argument itself.
    """
    parts = name.split(".")
    for at, part in enumerate(parts):
        head, below = part.replace("-", "_"), parts[at + 1 :]
        if not below and head in _REFUSED:
            raise SweepError(f"parameters.{name} cannot be searched: {_REFUSED[head]}; leave it out")
        if head in known() and (not below or head in DICTIONARIES):
            return ".".join((head, *below))
    leaf = parts[-1].lower().replace("-", "_")
    near = [_COMMON[leaf]] if leaf in _COMMON else difflib.get_close_matches(leaf, sorted(known()), n=1)
    hint = f"did you mean {near[0]}?" if near else "`python -m training.run --help` lists all"
    raise SweepError(f"parameters.{name} is no argument of training.run; {hint}")


def argv(params: Mapping[str, Any]) -> list[str]:
    """The words that tell training.run the parameters, by dotted name: `--learning_rate=0.0003`.

    Raises SweepError for a null, which no command line can say.
    """
    words: list[str] = []
    nested: dict[str, Any] = {}
    for name, value in params.items():
        head, *below = name.split(".")
        if below or isinstance(value, Mapping):
            _put(nested, [head, *below], value)
        elif isinstance(value, list):
            words += [f"--{head}", *(_word(name, item) for item in value)]
        else:
            words.append(f"--{head}={_word(name, value)}")
    return words + [f"--{head}={json.dumps(content)}" for head, content in nested.items()]


def anchored(params: Mapping[str, Any], home: Path) -> dict[str, Any]:
    """The parameters, with model and data named from the root where they are files, seen from `home`."""
    files = {name: home / str(params[name]) for name in _PLACES if params.get(name) not in (None, EMBEDDED)}
    return {**params, **{name: str(path.resolve()) for name, path in files.items() if path.exists()}}


def check(parameters: Iterable[Parameter]) -> None:
    """Raises SweepError for a parameter that may draw what training.run refuses. Nothing is loaded."""
    for parameter in parameters:
        for value in parameter.extremes():
            beside = [_BESIDE[parameter.name]] if parameter.name in _BESIDE else []
            if refusal := _refusal([*beside, *argv({parameter.name: value})]):
                draws = "is" if parameter.constant else "may be"
                raise SweepError(
                    f"parameters.{parameter.name} {draws} {short(value)}, which training.run refuses: {refusal}"
                )


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = {**tree.get(path[-1], {}), **value} if isinstance(value, Mapping) else value


def _word(name: str, value: Any) -> str:
    if value is None:
        raise SweepError(f"parameters.{name} has a null, which cannot be told to training.run; leave it out")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))  # 1e2 steps are 100
    return value if isinstance(value, str) else str(value)


def _refusal(words: list[str]) -> str | None:
    """Why training.run would not start with these words beside the built-in recipe; None if it would."""
    said = StringIO()
    try:
        with redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a run's own, told when it begins
            arguments.parse(words)
    except arguments.ArgumentError as error:
        return str(error)
    except SystemExit:
        return said.getvalue().strip().splitlines()[-1].partition("error: ")[2]
    return None
