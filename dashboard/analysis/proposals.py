"""The runs worth trying as W&B sweep files that run exactly these, each beside all that the best run had set."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from dashboard.analysis.hyperparameters import text
from dashboard.analysis.numbers import one_line
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.suggestions import Suggestion
from training.record.metrics import describe
from training.record.schema import Run

STEM = "next-runs"

SETTINGS = (
    *("model_name_or_path", "model_revision", "dtype", "attn_implementation"),
    *("dataset_name", "dataset_config", "dataset_train_split", "dataset_test_split", "dataset_test_size"),
    *("prompt_column", "chosen_column", "rejected_column", "system_column", "where"),
    *("max_train_samples", "max_eval_samples", "max_length", "max_prompt_length", "truncation_mode"),
    *("beta", "loss_type", "loss_weights", "f_divergence_type", "f_alpha_divergence_coef", "discopop_tau"),
    *("label_smoothing", "ld_alpha", "use_weighting", "disable_dropout"),
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "optim", "weight_decay", "adam_beta1", "adam_beta2"),
    *("adam_epsilon", "max_grad_norm", "neftune_noise_alpha", "max_steps", "num_train_epochs"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "bf16", "fp16"),
    *("use_peft", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "use_rslora", "use_dora"),
    *("sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps", "precompute_ref_log_probs", "padding_free"),
    *("eval_strategy", "eval_steps", "per_device_eval_batch_size", "seed", "data_seed"),
)
"""Arguments of training.run that decide what a run learns and what it is judged on; nothing that loads code."""

_LORA = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "use_rslora", "use_dora")
_NEEDED = ("model_name_or_path", "dataset_name")
_SEARCHED = (EVAL_ACCURACY, EVAL_LOSS)

Grid = Mapping[str, list[Any]]


@dataclass(frozen=True)
class SweepFile:
    """One file to be written: its name, its content, and how many runs it makes."""

    name: str
    content: str
    runs: int


@dataclass(frozen=True)
class Proposal:
    """All files; `unknown` are hyper-parameters that no argument of training.run sets, `unstated` those it needs
    besides and the best run's source does not say.
    """

    files: tuple[SweepFile, ...]
    unknown: tuple[str, ...]
    unstated: tuple[str, ...]


def proposal(found: Sequence[Suggestion], best: Run, key: str) -> Proposal:
    """The suggestions as sweep files: a grid is the product of its values, so one file where that is exactly them.

    What a suggestion leaves open is set as in the `best` run, for the new runs are to be compared with it. `key` is
    the metric that they are to be judged by.
    """
    fixed = _fixed(best.config)
    whole = [{**fixed, **_set(one)} for one in found]
    made = grids(config for config, one in zip(whole, found, strict=True) if _set(one))
    names = [f"{STEM}.yaml"] if len(made) == 1 else [f"{STEM}-{number}.yaml" for number in range(1, len(made) + 1)]
    files = []
    for name, grid in zip(names, made, strict=True):
        mine = [one for config, one in zip(whole, found, strict=True) if _set(one) and _among(config, grid)]
        files.append(SweepFile(name, _content(name, grid, key, mine), math.prod(map(len, grid.values()))))
    unknown = dict.fromkeys(name for one in found for name in one.config if name not in SETTINGS)
    return Proposal(tuple(files), tuple(unknown), tuple(name for name in _NEEDED if name not in fixed))


def _set(suggestion: Suggestion) -> dict[str, Any]:
    """What a sweep file can state of a suggestion."""
    return {name: value for name, value in suggestion.config.items() if _writable(name, value)}


def _fixed(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the run's source states of the settings; those of LoRA only where it is used."""
    found = {name: config[name] for name in SETTINGS if name in config and _writable(name, config[name])}
    if not config.get("use_peft"):
        found = {name: value for name, value in found.items() if name not in _LORA}
    if not found.get("label_smoothing"):
        found.pop("label_smoothing", None)
    return found


def _writable(name: str, value: Any) -> bool:
    """Whether training.run has the argument and a sweep file can state the value."""
    if name not in SETTINGS or value is None:
        return False
    parts = list(value) if isinstance(value, list | tuple) else [value]
    return bool(parts) and all(
        isinstance(part, str | bool | int) or (isinstance(part, float) and math.isfinite(part)) for part in parts
    )


def grids(configs: Iterable[Mapping[str, Any]]) -> list[Grid]:
    """Grids, products of lists of values, that together hold exactly these configurations, each once.

    Two grids that differ in one parameter alone are one, as long as there are such.
    """
    found: list[dict[str, list[Any]]] = []
    for config in configs:
        grid = {name: [list(value) if isinstance(value, tuple) else value] for name, value in config.items()}
        if not any(_among(config, known) for known in found):
            found.append(grid)
    while (pair := next(filter(_joint, itertools.combinations(found, 2)), None)) is not None:
        first, second = pair
        name = _joint(pair)
        first[name] = [*first[name], *second[name]]
        found.remove(second)
    return list(found)


def _joint(pair: tuple[Grid, Grid]) -> str:
    """The one parameter in which two grids differ, with no value in common; empty if they differ in more."""
    first, second = pair
    if first.keys() != second.keys():
        return ""
    differing = [name for name in first if set(map(text, first[name])) != set(map(text, second[name]))]
    apart = len(differing) == 1 and not {*map(text, first[differing[0]])} & {*map(text, second[differing[0]])}
    return differing[0] if apart else ""


def _among(config: Mapping[str, Any], grid: Grid) -> bool:
    """Whether the grid holds the configuration."""
    return all(name in grid and text(value) in map(text, grid[name]) for name, value in config.items())


def _content(name: str, grid: Grid, key: str, found: Sequence[Suggestion]) -> str:
    """The file: first what the suggestions in it state, then what is kept as the best run had it."""
    stated = [setting for setting in SETTINGS if any(setting in one.config for one in found)]
    tried = {setting: {"values": grid[setting]} for setting in stated if setting in grid}
    kept = {setting: {"value": values[0]} for setting, values in grid.items() if setting not in tried}
    head: dict[str, Any] = {"name": name.removesuffix(".yaml"), "method": "grid"}
    if key in _SEARCHED:
        head["metric"] = {"name": key, "goal": "maximize" if describe(key).better == "higher" else "minimize"}
    reasons = [f"# {one_line(one.reason, 400)}\n" for one in found]
    body = yaml.safe_dump({**head, "parameters": {**tried, **kept}}, sort_keys=False, allow_unicode=False, width=110)
    return f"# python -m training.sweep {name}\n{''.join(reasons)}{body}"


def as_yaml(config: Mapping[str, Any]) -> str:
    """A configuration as YAML, one line for each hyper-parameter."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()}
    return yaml.safe_dump(plain, sort_keys=False, default_flow_style=False, allow_unicode=True).rstrip("\n")
