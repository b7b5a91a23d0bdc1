"""Which runs may be compared with each other, and by what."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dashboard.analysis.hyperparameters import text
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from training.record.history import number
from training.record.schema import Run

UNTRAINED = math.log(2)
"""Loss of the untrained policy, in nats: -log sigmoid(0), at every beta (DPO, arXiv:2305.18290, eq. 7)."""

_ROUNDING = 1e-3
"""Nats: what bf16 and 32-bit floats may add to ln 2 without any training."""

_LOGISTIC = frozenset({"sigmoid", "sigmoid_norm"})
_DEFAULTS: Mapping[str, Any] = {
    "label_smoothing": 0.0,
    "loss_weights": None,
    "use_weighting": False,
    "f_divergence_type": "reverse_kl",
}
"""TRL's defaults of the other arguments that change the loss."""


def beta(config: Mapping[str, Any]) -> float | None:
    """The run's beta, or None if its source does not say."""
    return number(config.get("beta"))


def loss_type(config: Mapping[str, Any]) -> str | None:
    """The loss type as one text (TRL takes a list: `["sigmoid", "sft"]` is "sigmoid+sft"); None if unknown."""
    found = config.get("loss_type")
    if isinstance(found, list | tuple) and found:
        return "+".join(str(part) for part in found)
    return found if isinstance(found, str) and found else None


def untrained_loss(run: Run) -> float | None:
    """ln 2 for the sigmoid loss, also where the type is unknown (it is TRL's default); None for any other loss.

    None too where the loss is weighted. Label smoothing and any f-divergence keep ln 2: both scores are equal then.
    """
    weighted = any(_loss_argument(run.config, key) != text(_DEFAULTS[key]) for key in ("loss_weights", "use_weighting"))
    return UNTRAINED if not weighted and (loss_type(run.config) or "sigmoid") in _LOGISTIC else None


def _loss_argument(config: Mapping[str, Any], key: str) -> str:
    """The argument `key` of `_DEFAULTS` as text, the same for all ways to write it; TRL's default if it is absent."""
    value = config.get(key)
    if value is None or str(value).lower() in ("none", "null"):
        value = _DEFAULTS[key]
    if key == "use_weighting":
        value = bool(value)
    if key == "loss_weights" and isinstance(value, list | tuple) and all(weight == 1 for weight in value):
        value = None
    if key == "f_divergence_type":
        value = str(value).rpartition(".")[2].lower()
    return text(value)


def worse_than_untrained(run: Run, loss: float | None) -> bool:
    """Whether `loss` (nats) is above what the model had before training, by more than rounding."""
    untrained = untrained_loss(run)
    return loss is not None and untrained is not None and loss > untrained + _ROUNDING


@dataclass(frozen=True)
class EvaluationSet:
    """Runs evaluated on the same pairs: by the hash of the pairs where it is known, else by source and number of pairs.

    `proven` tells which of the two. Metrics of different sets are never ranked against each other.
    """

    name: str
    runs: tuple[Run, ...]
    proven: bool


def evaluation_sets(runs: Iterable[Run]) -> tuple[EvaluationSet, ...]:
    """The runs grouped by evaluation set, the largest group first, equal ones in order of appearance."""
    groups: dict[tuple[str, bool], list[Run]] = {}
    names: dict[tuple[str, bool], str] = {}
    for run in runs:
        digest = run.data.get("eval")
        proven = isinstance(digest, str) and bool(digest)
        key = (str(digest), True) if proven else (f"{run.source}\0{run.n_eval}", False)
        groups.setdefault(key, []).append(run)
        names.setdefault(key, _set_name(run))
    ordered = sorted(groups, key=lambda key: -len(groups[key]))
    return tuple(EvaluationSet(names[key], tuple(groups[key]), key[1]) for key in ordered)


def _set_name(run: Run) -> str:
    pairs = f"{run.n_eval:,} pairs" if run.n_eval else "unknown number of pairs"
    dataset = run.data.get("dataset")
    return f"{pairs} of {dataset if isinstance(dataset, str) and dataset else run.source}"


@dataclass(frozen=True)
class LossScale:
    """Whether eval losses of some runs are on one scale; `reason` says why not, with the values."""

    comparable: bool
    reason: str = ""


def loss_scale(runs: Iterable[Run]) -> LossScale:
    """Loss is comparable only where beta, loss type and TRL's other loss arguments are the same.

    A beta or loss type that is not known counts as the same, any other argument as TRL's default.
    """
    known = list(runs)
    betas = sorted({value for run in known if (value := beta(run.config)) is not None})
    types = sorted({name for run in known if (name := loss_type(run.config)) is not None})
    reasons = []
    if len(betas) > 1:
        reasons.append(f"beta differs ({betas[0]:g}–{betas[-1]:g})")
    if len(types) > 1:
        reasons.append(f"the loss type differs ({', '.join(types)})")
    for key in _DEFAULTS:
        values = sorted({_loss_argument(run.config, key) for run in known})
        if len(values) > 1:
            reasons.append(f"{key} differs ({', '.join(values)})")
    return LossScale(not reasons, " and ".join(reasons))


def natural_metric(runs: Iterable[Run]) -> str:
    """The key to rank by: eval loss where it is comparable and present, else reward accuracy."""
    known = list(runs)
    has_loss = any(EVAL_LOSS in run.metrics for run in known)
    has_accuracy = any(EVAL_ACCURACY in run.metrics for run in known)
    return EVAL_LOSS if has_loss and (loss_scale(known).comparable or not has_accuracy) else EVAL_ACCURACY
