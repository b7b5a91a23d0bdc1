"""What each metric means: the one source of the words shown beside it."""

from dataclasses import dataclass
from typing import Literal

SPLITS = ("eval", "train")

LOSS = "loss"
CHOSEN = "rewards/chosen"
REJECTED = "rewards/rejected"
ACCURACY = "rewards/accuracies"
MARGIN = "rewards/margins"
COMMON_BETA_LOSS = "common_beta_loss"
CALIBRATED_LOSS = "calibrated_loss"
LOGPS_CHOSEN = "logps/chosen"
LOGPS_REJECTED = "logps/rejected"


@dataclass(frozen=True)
class Metric:
    """One metric, named without its split (`loss` for `eval/loss` and `train/loss`).

    `better` is "lower", "higher" or None where neither is better by itself. `meaning` is plain words with the formula.
    """

    name: str
    label: str
    unit: str
    better: Literal["lower", "higher"] | None
    meaning: str


_KNOWN = (
    Metric(
        LOSS,
        "loss",
        "nats",
        "lower",
        "DPO loss; for the sigmoid loss the mean of -log sigmoid(beta * margin of log-ratios), ln 2 = 0.693 before "
        "training. Its scale depends on beta and on the loss type: compare it only where both are equal.",
    ),
    Metric(
        ACCURACY,
        "reward accuracy",
        "",
        "higher",
        "Share of pairs whose chosen answer has the higher implicit reward; ties count half. 0.5 before training. "
        "Comparable across beta.",
    ),
    Metric(
        MARGIN,
        "reward margin",
        "nats x beta",
        None,
        "Mean of chosen reward minus rejected reward: beta * (log-ratio of chosen - log-ratio of rejected). "
        "Grows with beta and with over-optimisation: larger is not better by itself.",
    ),
    Metric(
        COMMON_BETA_LOSS,
        "loss at a common beta",
        "nats",
        "lower",
        "Mean of -log sigmoid(b * margin of log-ratios) with one b for all runs of a sweep: comparable across beta and "
        "loss type, where the loss itself is not. ln 2 = 0.693 before training.",
    ),
    Metric(
        CALIBRATED_LOSS,
        "calibrated loss",
        "nats",
        "lower",
        "Mean of -log sigmoid(b * margin of log-ratios) at the b that makes it smallest for this run: how well the "
        "margins order the pairs, whatever their scale. Comparable across beta and loss type. At most ln 2 = 0.693.",
    ),
    Metric(
        CHOSEN,
        "chosen reward",
        "nats x beta",
        None,
        "Implicit reward of the chosen answers: beta * log(policy / reference), summed over the answer's tokens. "
        "Below zero the policy gives them less probability than the base model did.",
    ),
    Metric(
        REJECTED,
        "rejected reward",
        "nats x beta",
        None,
        "Implicit reward of the rejected answers: beta * log(policy / reference), summed over the answer's tokens.",
    ),
    Metric(
        LOGPS_CHOSEN,
        "chosen log-probability",
        "nats",
        None,
        "Mean log-probability of the chosen answers under the policy, summed over tokens.",
    ),
    Metric(
        LOGPS_REJECTED,
        "rejected log-probability",
        "nats",
        None,
        "Mean log-probability of the rejected answers under the policy, summed over tokens.",
    ),
    Metric("learning_rate", "learning rate", "", None, "The scheduler's learning rate at this step."),
    Metric("grad_norm", "gradient norm", "", None, "Length of the gradient before clipping."),
    Metric(
        "pairs_per_second",
        "pairs per second",
        "pairs/s",
        "higher",
        "Training pairs per second, all processes; loading of batches counted, evaluations and saving left out.",
    ),
    Metric(
        "tokens_per_second",
        "tokens per second",
        "tokens/s",
        "higher",
        "Tokens of prompts and both answers per second of training, padding left out; same clock as pairs per second.",
    ),
    Metric(
        "system/cpu",
        "processor load",
        "%",
        None,
        "Share of the machine's processor time in use since the last log, by all programs.",
    ),
    Metric("system/memory", "memory", "GB", None, "Resident memory of the main training process; GB are 10^9 bytes."),
    Metric(
        "system/gpu",
        "GPU load",
        "%",
        None,
        "Share of the last sample period (1 s or less) in which the GPU computed.",
    ),
    Metric(
        "system/gpu_memory",
        "GPU memory",
        "GB",
        None,
        "The most memory that this process's tensors have held on the GPU at once so far; GB are 10^9 bytes.",
    ),
    Metric(
        "samples/repetition",
        "repetition in samples",
        "",
        "lower",
        "1 - distinct 3-grams / all 3-grams, mean over the policy's answers to the fixed prompts. "
        "Compare with the value at step 0: it rises when a model degenerates.",
    ),
    Metric(
        "samples/tokens",
        "length of samples",
        "tokens",
        None,
        "Mean length of the policy's answers to the fixed prompts.",
    ),
    Metric(
        "samples/ended",
        "samples that end",
        "",
        "higher",
        "Share of the policy's answers to the fixed prompts that end by themselves before the token limit.",
    ),
    Metric(
        "samples/gold",
        "gold score of samples",
        "",
        "higher",
        "Mean gold score (0 to 1) of the policy's answers to the fixed prompts; only the built-in data has one.",
    ),
)
METRICS = {metric.name: metric for metric in _KNOWN}


def split_key(key: str) -> tuple[str, str]:
    """A W&B key as (split, name): `eval/rewards/chosen` gives ("eval", "rewards/chosen"); no split gives ("", key)."""
    split, _, name = key.partition("/")
    return (split, name) if split in SPLITS and name else ("", key)


def describe(key: str) -> Metric:
    """The metric under a W&B key; one that is not known describes itself by its name."""
    _, name = split_key(key)
    return METRICS.get(name) or Metric(name, name, "", None, f"{name}, as logged by the run's source.")
