"""What a sweep is going to do, told before it starts: its objective, its runs, its steps, its time."""

import itertools
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch

from training.arguments import Arguments
from training.data.arguments import EMBEDDED
from training.record import metrics as names
from training.record.schema import Run
from training.sweeps import estimate, room
from training.sweeps.estimate import Length, Pace
from training.sweeps.file import SweepFile
from training.sweeps.parameters import Parameter
from training.sweeps.pruning import Rules

DEFAULT_COUNT = 20
WIDTH = 120
COMMON_BETA_LOSS = f"eval/{names.COMMON_BETA_LOSS}"
# What a loss is computed with: across its values raw losses do not compare.
_OF_THE_LOSS = (
    *("beta", "loss_type", "loss_weights", "label_smoothing", "f_divergence_type", "f_alpha_divergence_coef"),
    *("discopop_tau", "use_weighting", "ld_alpha"),
)
_IN_BETAS = (names.MARGIN, names.CHOSEN, names.REJECTED)
_MOST = 4096
_DRAWS = 500


@dataclass(frozen=True)
class Objective:
    """What a sweep's runs are judged by: a W&B key; `common_beta` is what eval/common_beta_loss is computed with."""

    metric: str
    maximize: bool
    common_beta: float | None


def objective(file: SweepFile, told: Arguments) -> tuple[Objective, tuple[str, ...]]:
    """What the runs are judged by, and lines that say why where it is not the file's metric.

    A raw loss is not comparable across beta or loss type: it gives way to the mean of softplus(-b h), h a pair's margin
    of log-ratios in nats, with one b for all runs, the median of the searched betas on a log scale.
    """
    varied = [parameter.name for parameter in file.parameters if len(parameter.values) != 1]
    scales = [name for name in varied if name in _OF_THE_LOSS]
    split, name = names.split_key(file.metric)
    if file.metric == COMMON_BETA_LOSS:
        return Objective(file.metric, False, _common_beta(file, told)), ()
    if name == names.LOSS and scales:
        beta = _common_beta(file, told)
        verb = "varies" if len(scales) == 1 else "vary"
        line = f"{' and '.join(scales)} {verb}, so {file.metric} cannot be compared across runs: "
        return Objective(COMMON_BETA_LOSS, False, beta), (f"{line}the loss at beta {beta:g} takes its place",)
    lines = []
    if name in _IN_BETAS and "beta" in varied:
        lines.append(f"{file.metric} is in nats x beta and beta varies: it favours large betas; accuracy would not")
    if split == "train":
        lines.append(f"{file.metric} judges runs by pairs they have learned: it favours overfitting")
    return Objective(file.metric, file.maximize, None), tuple(lines)


def _common_beta(file: SweepFile, told: Arguments) -> float:
    """Told, or the median of the sweep's betas on a log scale, to three digits."""
    if told.run.common_beta is not None:
        return told.run.common_beta
    found = next((parameter for parameter in file.parameters if parameter.name == "beta"), None)
    if found is None:
        return float(told.config.beta)
    if found.values and not found.probabilities:
        return float(f"{math.exp(statistics.median(math.log(beta) for beta in found.values)):.3g}")
    return float(f"{found.quantile(0.5):.3g}")


def rules(prune: str, file: SweepFile, told: Arguments, objective: Objective) -> Rules:
    """When runs are stopped early: as the file says, else by the bound; by what compares across runs.

    Where the objective is neither reward accuracy nor the sigmoid loss at one beta, only broken runs are stopped,
    unless --prune asks for more: then accuracy compares them.
    """
    constants = {parameter.name: parameter.grid()[0] for parameter in file.parameters if parameter.constant}
    sigmoid = told.config.loss_type == ["sigmoid"] and not {"loss_type", "label_smoothing"} & constants.keys()
    beta = objective.common_beta if objective.metric == COMMON_BETA_LOSS else None
    if objective.metric == f"eval/{names.LOSS}" and sigmoid:
        beta = float(constants.get("beta", told.config.beta))
    judged = beta is not None or objective.metric == f"eval/{names.ACCURACY}"
    method = prune if prune != "auto" else "none" if not judged else "hyperband" if file.early_terminate else "bound"
    given = file.early_terminate if method == "hyperband" and file.early_terminate else {}
    limits = {name: given[name] for name in ("min_iter", "eta", "s", "max_iter") if name in given}
    plain = {"method": method, "objective": "accuracy" if beta is None else "common_beta_loss", "common_beta": beta}
    return Rules.of({**plain, **limits})


def pruning(rules: Rules) -> str:
    """The plan's line on runs that are stopped early."""
    what = "reward accuracy" if rules.common_beta is None else f"the loss at beta {rules.common_beta:g}"
    others = "" if rules.method == "none" else f"; those that fall behind ({rules.method}, by {what})"
    return f"pruning    broken runs{others}"


def runs_in_all(file: SweepFile, count: int | None) -> int:
    """How many runs the sweep makes: the grid, --count, run_cap, whichever is least; DEFAULT_COUNT if none is given."""
    limits = [limit for limit in (count, file.run_cap) if limit is not None]
    if file.method == "grid":
        limits.append(math.prod(len(parameter.grid()) for parameter in file.parameters))
    return min(limits, default=DEFAULT_COUNT)


def workers(file: SweepFile, told: Arguments, count: int | None) -> int:
    """Runs at once on this machine, where the user does not say how many."""
    searched = [parameter for parameter in file.parameters if parameter.name == "model_name_or_path"]
    models = [str(model) for parameter in searched for model in parameter.grid()]
    sizes = [estimate.parameters(model) for model in models or [told.model.model_name_or_path or EMBEDDED]]
    known = [size for size in sizes if size is not None]
    return min(room.workers(max(known) if len(known) == len(sizes) else None), runs_in_all(file, count))


def lines(
    file: SweepFile, told: Arguments, objective: Objective, count: int | None, workers: int | None, runs: Path
) -> list[str]:
    """The plan as it is printed, at most WIDTH columns wide.

    `workers` is None where the nodes of a cluster decide it; `runs` is the folder of all runs.
    """
    number = runs_in_all(file, count)
    alike = _alike(file, told, runs)
    lengths, ends = _lengths(file, told, estimate.rows(told, alike))
    told_lines = [
        ("sweep", f"{file.name}: {_runs(file, count, number)}"),
        *_search(file),
        ("objective", _judged(objective)),
        ("steps", _steps(lengths, ends, number, told)),
        ("workers", "as many as the nodes have room for" if workers is None else str(workers)),
        ("time", _time(lengths, number, workers or 1, estimate.recorded(runs, alike) or estimate.arithmetic(told))),
    ]
    return [_cut(f"{label:<10} {text}") for label, text in told_lines]


def _runs(file: SweepFile, count: int | None, number: int) -> str:
    if file.method == "grid":
        size = math.prod(len(parameter.grid()) for parameter in file.parameters)
        return f"the whole grid, {number:,} runs" if number == size else f"{number:,} runs of a grid of {size:,}"
    limited = "" if count or file.run_cap else " (neither --count nor run_cap says how many)"
    return f"{file.method} search, {number:,} runs{limited}"


def _search(file: SweepFile) -> Iterator[tuple[str, str]]:
    """A line for each parameter, the searched ones first."""
    width = max(len(parameter.name) for parameter in file.parameters)
    for constant, label in ((False, "search"), (True, "fixed")):
        for parameter in file.parameters:
            if parameter.constant == constant:
                yield label, f"{parameter.name:<{width}}  {_range(parameter)}"
                label = ""


def _range(parameter: Parameter) -> str:
    if parameter.values:
        shares = [f" ({share:.0%})" for share in parameter.probabilities] or [""] * len(parameter.values)
        return ", ".join(f"{value}{share}" for value, share in zip(parameter.values, shares, strict=True))
    steps = f", in steps of {parameter.q:g}" if parameter.q is not None else ""
    if math.isfinite(parameter.low + parameter.high) and not parameter.kind.endswith("beta"):
        return f"{parameter.low:.6g} .. {parameter.high:.6g}, {parameter.kind}{steps}"
    return f"{parameter.kind}({parameter.shape[0]:g}, {parameter.shape[1]:g}){steps}"


def _judged(objective: Objective) -> str:
    at = f", at beta {objective.common_beta:g}" if objective.common_beta is not None else ""
    return f"{objective.metric}, {'maximized' if objective.maximize else 'minimized'}{at}"


def _lengths(file: SweepFile, told: Arguments, rows: int | None) -> tuple[list[Length], list[Length]]:
    """Lengths of runs as the search draws them, and of the shortest and longest; empty where they are not known."""
    sized = [parameter for parameter in file.parameters if parameter.name in estimate.LENGTHS]

    def length(params: dict[str, Any]) -> Length | None:
        return estimate.length(told, params, rows)

    ends = [
        length(dict(zip((p.name for p in sized), values, strict=True)))
        for values in itertools.product(*(parameter.extremes() for parameter in sized))
    ]
    drawn = [length(params) for params in _draws(file, sized)]
    return [found for found in drawn if found], [found for found in ends if found]


def _draws(file: SweepFile, sized: list[Parameter]) -> list[dict[str, Any]]:
    """Points of the search, of these parameters alone: all where each is a list or a grid, or some by a fixed seed."""
    listed = [parameter.name for parameter in sized]
    if file.method == "grid" or all(parameter.values and not parameter.probabilities for parameter in sized):
        grids = [parameter.grid() for parameter in sized]
        if math.prod(map(len, grids)) <= _MOST:
            return [dict(zip(listed, values, strict=True)) for values in itertools.product(*grids)]
    dice = Random(0)
    return [{parameter.name: parameter.quantile(dice.random()) for parameter in sized} for _ in range(_DRAWS)]


def _alike(file: SweepFile, told: Arguments, runs: Path) -> list[Run]:
    sizes = [parameter for parameter in file.parameters if parameter.name == "per_device_train_batch_size"]
    batches = {int(size) for parameter in sizes for size in parameter.values or parameter.extremes()}
    return estimate.matching(runs, told, batches or {told.config.per_device_train_batch_size})


def _steps(lengths: list[Length], ends: list[Length], number: int, told: Arguments) -> str:
    if not lengths:
        return f"known once the data is loaded: {told.config.num_train_epochs:g} epochs a run"
    least, most = min(end.steps for end in ends), max(end.steps for end in ends)
    if least == most:
        return f"{least:,} a run, {number * least:,} in all"
    mean = statistics.mean(length.steps for length in lengths)
    return f"{least:,} to {most:,} a run, about {round(number * mean):,} in all"


def _time(lengths: list[Length], number: int, workers: int, pace: Pace | None) -> str:
    """Workers on one processor share it: only GPUs beyond the first make the sweep shorter."""
    if pace is None or not lengths:
        return "not known before the first run: nothing here says how large the model or the data is"
    side_by_side = max(1, min(workers, torch.cuda.device_count(), number))
    seconds = number * statistics.mean(map(pace.seconds, lengths)) / side_by_side
    return f"about {_duration(seconds)}, rough: {pace.source}"


def _duration(seconds: float) -> str:
    """Two digits of the largest unit that fits."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{float(f'{seconds / size:.2g}'):g} {unit}"
    return f"{max(1, round(seconds))} s"


def _cut(line: str) -> str:
    """A line for a terminal: printable, not too long."""
    shown = "".join(character if character.isprintable() else "?" for character in line).rstrip()
    return shown if len(shown) <= WIDTH else f"{shown[: WIDTH - 3]}..."
