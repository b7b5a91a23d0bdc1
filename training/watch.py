"""Trouble that a run shows while it trains, one line each: a wrong start, reversed labels, saturation, divergence."""

import math
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState
from trl import DPOConfig

Notice = Callable[[int, str, str], None]
Margins = npt.NDArray[np.float64]

# Policy and reference differ by rounding only where they are computed differently (in other batches, say). Relative
# error of the mean loss, and nats of a pair's margin, that rounding explains: in float32, and in 16 bits or TF32. In
# bf16 T5's attention takes another kernel when it trains: a tiny one was off by 1%.
LOSS_ERROR = {"float32": 1e-3, "lower": 0.05}
MARGIN_ERROR = {"float32": 0.01, "lower": 2.0}
MOVED = 0.05  # share of pairs beyond MARGIN_ERROR that no rounding explains
SIGNIFICANT = 1e-4  # some twenty evaluations of a run are tested, and none of a sound run may be told
SATURATED_WEIGHT, SATURATED_SHARE = 0.01, 0.99
DIVERGING = 2.0  # times the loss before training
SPIKE_Z, SPIKE_RATIO = 6.0, 10.0
SPIKE_NEEDS, SPIKE_WINDOW = 20, 50


class Diverged(Exception):
    """Training cannot go on: a number that must be finite is not."""

    def __init__(self, step: int, what: str = "a weight is NaN or infinite") -> None:
        advice = "lower --learning_rate, or raise --warmup_steps"
        if step == 0:
            advice = "the base model itself is not finite on this data; try --dtype float32, or another model"
        super().__init__(f"{what} at step {step}; {advice}")


def check_finite(loss: float, step: int, name: str = "loss") -> None:
    """Raises Diverged if the loss is NaN or infinite at `step`, the one being computed."""
    if not math.isfinite(loss):
        raise Diverged(step, f"the {name} is {'NaN' if math.isnan(loss) else 'infinite'}")


def precision(args: DPOConfig, model: Any) -> str:
    """Which of LOSS_ERROR and MARGIN_ERROR hold for this model as it is trained."""
    weights = model.parameters() if model is not None else ()
    lower = args.bf16 or args.fp16 or args.tf32 or any(p.dtype != torch.float32 for p in weights)
    return "lower" if lower else "float32"


def untrained_loss(config: DPOConfig, model: Any = None) -> float | None:
    """The loss while policy and reference are the same, so that every log-ratio is 0, by TRL's formulas.

    None where it depends on more than the log-ratios: loss type sft, WPO's weights (`use_weighting`), and the loss of a
    mixture of experts' router.
    """
    if getattr(getattr(model, "config", None), "output_router_logits", False):
        return None
    log2, beta, epsilon = math.log(2), config.beta, config.label_smoothing
    known = {
        **dict.fromkeys(("sigmoid", "sigmoid_norm", "robust", "aot", "aot_unpaired"), log2),
        **dict.fromkeys(("hinge", "apo_zero", "apo_down"), 1.0),
        **dict.fromkeys(("nca_pair", "bco_pair"), 2 * log2),
        "discopop": (log2 + 1) / 2,
        "ipo": 1 / (4 * beta**2),
        "sppo_hard": 1 / (2 * beta**2),
    }
    if 0 < epsilon < 1:
        known["exo_pair"] = -log2 - math.log(epsilon * (1 - epsilon)) / 2
    if config.use_weighting or not set(config.loss_type) <= known.keys():
        return None
    weights = config.loss_weights or [1.0] * len(config.loss_type)
    return float(sum(weight * known[kind] for weight, kind in zip(weights, config.loss_type, strict=True)))


def margins(scores: pa.Table) -> Margins:
    """Per pair h, in nats: the log-ratio policy / reference of the chosen answer less that of the rejected one."""
    policy, reference = (
        scores[f"{model}chosen_logp"].to_numpy() - scores[f"{model}rejected_logp"].to_numpy() for model in ("", "ref_")
    )
    found: Margins = policy - reference
    return found


def wrong_start(loss: float, due: float | None, h: Margins, precision: str) -> str | None:
    """Told of an untrained policy that is not its own reference; `due` is the loss that it should have, if known."""
    off = due is not None and not abs(loss - due) <= LOSS_ERROR[precision] * due
    if not off and np.mean(~(np.abs(h) <= MARGIN_ERROR[precision])) <= MOVED:
        return None
    accuracy = np.mean(h > 0) + np.mean(h == 0) / 2
    due_loss = "" if due is None else f" (due: {due:.4f})"
    return (
        f"before training the loss is {loss:.4f}{due_loss} and the reward accuracy {accuracy:.3f} (due: 0.500): policy "
        "and reference are not one model on one text; check the reference model, dropout and the chat template"
    )


def wrong_first_step(loss: float, due: float | None, precision: str) -> str | None:
    """Told where the loss of the first training step, computed before any update, is not that of the evaluation."""
    if due is None or abs(loss - due) <= LOSS_ERROR[precision] * due:
        return None
    return (
        f"the first training step has loss {loss:.4f} (due: {due:.4f}) although nothing is trained yet: dropout, or "
        "another noise, is on while training"
    )


def reversed_labels(h: Margins, right: float, pairs: int) -> str | None:
    """Told where the evaluation pairs are ranked worse than by chance while the training pairs are ranked better.

    `right` of the last `pairs` training pairs were ranked as labelled. Both by a one-sided sign test, ties left out.
    That training and evaluation labels are both reversed cannot be told from a run.
    """
    wins, losses = int(np.sum(h > 0)), int(np.sum(h < 0))
    if not (lower_tail(wins, wins + losses) < SIGNIFICANT and lower_tail(pairs - right, pairs) < SIGNIFICANT):
        return None
    return (
        f"evaluation labels look reversed: {wins} of {wins + losses} evaluation pairs are ranked as labelled, but "
        f"{right / pairs:.0%} of the training pairs; check which answer is chosen in the evaluation split"
    )


def lower_tail(wins: float, n: int) -> float:
    """P(at most `wins` of `n` fair coins), by the normal approximation with continuity correction."""
    return 0.5 * math.erfc(-(wins + 0.5 - n / 2) / math.sqrt(n / 2)) if n else 1.0


def saturated(h: Margins, beta: float, train_loss: float) -> str | None:
    """Told where 99% of the pairs have a gradient weight sigmoid(-beta h) below 0.01; for the sigmoid loss only.

    Exact for the evaluation pairs; of the training pairs only their mean loss is known, and a pair of weight 0.01 or
    more has a loss of at least -ln 0.99, so Markov's inequality bounds the share of those. (DPO's gradient: Rafailov et
    al. 2023, arXiv:2305.18290, section 4.)
    """
    share = np.mean(beta * h > math.log(1 / SATURATED_WEIGHT - 1))
    if share >= SATURATED_SHARE:
        what = f"{share:.0%} of the {len(h)} evaluation pairs"
    elif train_loss <= -math.log1p(-SATURATED_WEIGHT) * (1 - SATURATED_SHARE):
        what = f"at least {SATURATED_SHARE:.0%} of the training pairs (their mean loss is {train_loss:.1e})"
    else:
        return None
    return (
        f"{what} have a gradient weight below {SATURATED_WEIGHT}: nothing is left to learn; lower --learning_rate, or "
        "train fewer steps"
    )


def diverging(loss: float, start: float) -> str | None:
    """Told where the evaluation loss is NaN, or more than twice what it was before training."""
    if loss <= DIVERGING * start:
        return None
    if math.isnan(loss):
        return "the evaluation loss is NaN; lower --learning_rate"
    return (
        f"the evaluation loss {loss:.4g} is more than {DIVERGING:g} times its value before training ({start:.4g}): the "
        "run is worse than no training by its own measure; lower --learning_rate"
    )


def spike(norm: float, before: Collection[float]) -> str | None:
    """Told of a gradient norm far above those logged `before`: robust z > 6 of its logarithm, and 10 times the median.

    Gradient norms are right-skewed: of the norms themselves, z > 6 is common in sound runs.
    """
    if len(before) < SPIKE_NEEDS:
        return None
    logs = np.log(np.fromiter(before, float))
    middle = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - middle)))
    rise = math.log(norm) - middle
    if rise <= max(SPIKE_Z * spread, math.log(SPIKE_RATIO)):
        return None
    return (
        f"the gradient norm {norm:.3g} is a spike, {math.exp(rise):.0f} times the median of the {len(before)} logged "
        "before; if the loss rises too, lower --learning_rate"
    )


@dataclass
class _Seen:
    """Training pairs since the last evaluation: how many, how many ranked as labelled, the sum of their losses."""

    pairs: int = 0
    right: float = 0.0
    loss: float = 0.0


class WatchCallback(TrainerCallback):
    """Tells `notice` (step, kind, message) of trouble, each kind once: start, reversed, saturated, diverging, spike.

    `scores` gives the pairs of the last evaluation, in the columns of SCORE_COLUMNS.
    """

    def __init__(self, notice: Notice, scores: Callable[[], pa.Table]) -> None:
        self._notice = notice
        self._scores = scores
        self._told: set[str] = set()
        self._norms: deque[float] = deque(maxlen=SPIKE_WINDOW)
        self._seen = _Seen()
        self._logged = 0
        self._due: float | None = None
        self._start: float | None = None
        self._precision = "float32"

    def on_train_begin(
        self, args: DPOConfig, state: TrainerState, control: TrainerControl, model: Any = None, **_: Any
    ) -> None:
        self._logged = state.global_step
        self._due = untrained_loss(args, model)
        self._start = self._due
        self._precision = precision(args, model)

    def on_log(
        self, args: DPOConfig, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        if "loss" not in logs or not state.is_world_process_zero:
            return
        if state.global_step == 1 and args.disable_dropout and not args.neftune_noise_alpha:
            self._tell(1, "start", wrong_first_step(logs["loss"], self._due, self._precision))
        batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        pairs = (state.global_step - self._logged) * batch
        self._logged = state.global_step
        self._seen.pairs += pairs
        self._seen.right += pairs * logs.get("rewards/accuracies", math.nan)
        self._seen.loss += pairs * logs["loss"]
        norm = logs.get("grad_norm", math.nan)
        if math.isfinite(norm) and norm > 0:
            self._tell(state.global_step, "spike", spike(norm, self._norms))
            self._norms.append(norm)

    def on_evaluate(
        self, args: DPOConfig, state: TrainerState, control: TrainerControl, metrics: dict[str, float], **_: Any
    ) -> None:
        if not state.is_world_process_zero:
            return
        step, loss, h = state.global_step, metrics["eval_loss"], margins(self._scores())
        seen, self._seen = self._seen, _Seen()
        if step == 0:
            self._start = loss
            self._tell(step, "start", wrong_start(loss, self._due, h, self._precision))
            return
        if seen.pairs:
            self._tell(step, "reversed", reversed_labels(h, seen.right, seen.pairs))
            if args.loss_type == ["sigmoid"] and args.f_divergence_type == "reverse_kl":
                self._tell(step, "saturated", saturated(h, args.beta, seen.loss / seen.pairs))
        if self._start is not None and "reversed" not in self._told:  # against reversed labels the loss must rise
            self._tell(step, "diverging", diverging(loss, self._start))

    def _tell(self, step: int, kind: str, message: str | None) -> None:
        if message is not None and kind not in self._told:
            self._told.add(kind)
            self._notice(step, kind, message)
