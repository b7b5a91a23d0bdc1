"""The loss that a run was trained with: its type, its other arguments, and its value before training."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dashboard.analysis.hyperparameters import text
from dashboard.analysis.study import Evidence
from training.record.history import number
from training.record.metrics import LOSS, MARGIN
from training.record.schema import Run, Series

UNTRAINED = math.log(2)
"""Loss of the untrained policy, in nats: -log sigmoid(0), at every beta (DPO, arXiv:2305.18290, eq. 7)."""

ROUNDING = 1e-3
"""Nats, and share of larger losses: what bf16 and 32-bit floats may add to the untrained loss without any training."""

DEFAULTS: Mapping[str, Any] = {
    "label_smoothing": 0.0,
    "loss_weights": None,
    "use_weighting": False,
    "f_divergence_type": "reverse_kl",
}
"""TRL's defaults of the other arguments that change the loss."""

_DEFAULT_WORDS = {key: text(value) for key, value in DEFAULTS.items()}

_FAR, _NEAR_IPO = 3 * UNTRAINED, (0.5, 1.05)
_FIRST_MARGIN, _FIRST_ERROR = 0.1, 0.03
"""Reward margin up to which a first logged training loss tells its type, and how far, as a share, it may be off."""


def beta(config: Mapping[str, Any]) -> float | None:
    """The run's beta, or None if its source does not say, or says no number."""
    found = number(config.get("beta"))
    return found if found is not None and math.isfinite(found) else None


def loss_type(config: Mapping[str, Any]) -> str | None:
    """The loss type as one text (TRL takes a list: `["sigmoid", "sft"]` is "sigmoid+sft"); None if unknown."""
    found = config.get("loss_type")
    if isinstance(found, list | tuple) and found:
        return "+".join(str(part) for part in found)
    return found if isinstance(found, str) and found else None


def loss_argument(config: Mapping[str, Any], key: str) -> str:
    """The argument `key` of DEFAULTS as text, the same for all ways to write it; TRL's default if it is absent."""
    value = config.get(key)
    if value is None:
        return _DEFAULT_WORDS[key]
    if str(value).lower() in ("none", "null"):
        value = DEFAULTS[key]
    if key == "use_weighting":
        value = bool(value)
    if key == "loss_weights" and isinstance(value, list | tuple) and all(weight == 1 for weight in value):
        value = None
    if key == "f_divergence_type":
        value = str(value).rpartition(".")[2].lower()
    return text(value)


def untrained_loss(run: Run) -> float | None:
    """The loss while policy and reference are the same, by TRL's formulas; the sigmoid loss, its default, if unknown.

    None where it depends on more than the log-ratios (`sft`, `use_weighting`), on a beta or a smoothing that is not
    stated, for a type that TRL has not, and where no type is stated and the loss has the size of the IPO loss. Label
    smoothing and f-divergences do not change it, but for `exo_pair`.
    """
    if loss_type(run.config) is None and _ipo_sized(run.metrics.get(f"eval/{LOSS}"), beta(run.config)):
        return None
    kinds = (loss_type(run.config) or "sigmoid").split("+")
    found = [_untrained(kind, run.config) for kind in kinds]
    weights = _weights(run.config, len(kinds))
    known = [value for value in found if value is not None]
    if weights is None or len(known) < len(kinds) or loss_argument(run.config, "use_weighting") != "False":
        return None
    return sum(weight * value for weight, value in zip(weights, known, strict=True))


def _untrained(kind: str, config: Mapping[str, Any]) -> float | None:
    """One loss type at log-ratios of 0 (trl/trainer/dpo_trainer.py, `_compute_loss`)."""
    if kind in ("sigmoid", "sigmoid_norm", "robust", "aot", "aot_unpaired"):
        return UNTRAINED
    if kind in ("hinge", "apo_zero", "apo_down"):
        return 1.0
    if kind in ("nca_pair", "bco_pair"):
        return 2 * UNTRAINED
    if kind == "discopop":
        return (UNTRAINED + 1) / 2
    if kind in ("ipo", "sppo_hard"):
        scale = beta(config)
        return (1 if kind == "ipo" else 2) / (4 * scale * scale) if scale and scale * scale > 0 else None
    epsilon = number(config.get("label_smoothing"))
    if kind == "exo_pair" and epsilon is not None and 0 < epsilon < 1:
        return -UNTRAINED - math.log(epsilon * (1 - epsilon)) / 2
    return None


def _weights(config: Mapping[str, Any], kinds: int) -> list[float] | None:
    """The weight of each loss; None where they do not fit a loss type that is stated."""
    if loss_argument(config, "loss_weights") == "None":
        return [1.0] * kinds
    given = config.get("loss_weights")
    weights = [number(weight) for weight in given] if isinstance(given, list | tuple) else []
    known = [weight for weight in weights if weight is not None]
    return known if loss_type(config) and len(known) == len(weights) == kinds else None


def worse_than_untrained(run: Run, loss: float | None) -> bool:
    """Whether `loss` is above what the model had before training, by more than rounding."""
    untrained = untrained_loss(run) if loss is not None else None
    return loss is not None and untrained is not None and loss > untrained + ROUNDING * max(1.0, untrained)


def untrained_words(run: Run) -> str:
    """The untrained loss for a sentence, with its condition: "ln 2 = 0.6931, if it is the sigmoid loss"."""
    untrained, kind = untrained_loss(run), loss_type(run.config)
    if untrained is None:
        return "a value that its source does not tell"
    shown = "ln 2 = 0.6931" if untrained == UNTRAINED else f"{untrained:.4f}"
    return shown if kind else f"{shown}, if it is the sigmoid loss (TRL's default: the loss type is not stated)"


@dataclass(frozen=True)
class Hint:
    """What the size of a loss says of a loss type that is not stated: these can be it; `proven` that no other can."""

    loss_types: tuple[str, ...]
    proven: bool
    sentence: str


def loss_hint(evidence: Evidence) -> Hint | None:
    """The loss types whose value before training the run shows, or a loss of IPO's size; None where stated or unclear.

    The evaluation at step 0, and the first training step, are computed before any update. A first training loss of
    later steps tells it too, while the margin is small, but proves nothing: noise could have made it.
    """
    run, scale = evidence.run, beta(evidence.run.config)
    if loss_type(run.config) is not None:
        return None
    start = _at(evidence, "eval", 0)
    start = _at(evidence, "train", 1) if start is None else start
    if start is not None:
        return _start_hint(run, start)
    found = _first_hint(evidence)
    if found is not None:
        return found
    first = evidence.history.get(f"eval/{LOSS}", Series())
    loss = first.values[0] if len(first) else run.metrics.get(f"eval/{LOSS}", math.nan)
    if not scale or not _ipo_sized(loss, scale):
        return None
    untrained = 1 / (4 * scale * scale)
    sentence = (
        f"{run.name}'s loss, {loss:.4g}, is near {untrained:.4g} = 1 / (4 beta^2), where the IPO loss starts at beta "
        f"{scale:g}, and far above the sigmoid loss's start, ln 2 = 0.6931: it looks like the IPO loss."
    )
    return Hint(("ipo",), False, sentence)


def _ipo_sized(loss: float | None, scale: float | None) -> bool:
    """Whether the loss is far above a sigmoid loss's start and near 1 / (4 beta^2), the IPO loss's."""
    if loss is None or scale is None:
        return False
    return loss > _FAR and _NEAR_IPO[0] <= loss * 4 * scale * scale <= _NEAR_IPO[1]


_KINDS = ("sigmoid", "hinge", "nca_pair", "discopop", "ipo", "sppo_hard")


def _first_hint(evidence: Evidence) -> Hint | None:
    """What the first logged training loss is near to, less what its margin takes off the loss at first order."""
    run, scale = evidence.run, beta(evidence.run.config) or math.nan
    curve = evidence.history.get(f"train/{LOSS}", Series())
    margin = _at(evidence, "train", curve.steps[0], MARGIN) if len(curve) else None
    if margin is None or not abs(margin) <= _FIRST_MARGIN:
        return None
    slopes = {"sigmoid": 0.5, "hinge": 1.0, "nca_pair": 0.25, "discopop": 0.75, "ipo": 1 / scale**2}
    loss, starts = curve.values[0], {kind: _untrained(kind, run.config) for kind in slopes}
    fits = tuple(
        kind
        for kind, start in starts.items()
        if start is not None and abs(loss + slopes[kind] * margin - start) <= _FIRST_ERROR * start
    )
    if not fits:
        return None
    sentence = f"{run.name}'s first training loss, {loss:.4f}, is near that of the loss type {' or '.join(fits)}."
    return Hint(fits, False, sentence)


def _start_hint(run: Run, start: float) -> Hint | None:
    values = {kind: _untrained(kind, run.config) for kind in _KINDS}
    fits = tuple(kind for kind, value in values.items() if value and abs(start - value) <= ROUNDING * max(1.0, value))
    if not fits:
        return None
    sentence = f"{run.name}'s loss before training, {start:.4f}, is that of the loss type {' or '.join(fits)}."
    return Hint(fits, True, sentence)


def _at(evidence: Evidence, split: str, step: int, name: str = LOSS) -> float | None:
    series = evidence.history.get(f"{split}/{name}", Series())
    return series.values[series.steps.index(step)] if step in series.steps else None
