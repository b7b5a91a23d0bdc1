"""Every spelling of a metric that logs use (TRL, LLaMA-Factory, original DPO code, H2O) as one W&B key."""

import re
from collections.abc import Iterable
from typing import Literal

Split = Literal["train", "eval"]

HINTS = frozenset({"rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins"})
"""Metrics, named without their split, that only preference training logs."""

LONGEST = 300
"""Characters of a metric's name; a longer text is none."""

_OF_PAIRS = {
    f"{group}/{side}" for group in ("rewards", "logps", "logits") for side in ("chosen", "rejected", "margins")
} | {"rewards/accuracies"}
_OF_SPEED = {"runtime", "samples_per_second", "steps_per_second"}
_OTHERS = {"loss", "accuracy", "grad_norm", "learning_rate", "entropy", "num_tokens", "mean_token_accuracy"}


def _letters(text: str) -> str:
    """What all spellings of a name share: lower case, without separators."""
    return re.sub(r"[\s_/.-]", "", text.lower())


_ALIASES = {
    "rewardsacc": "rewards/accuracies",
    "rewardsaccuracy": "rewards/accuracies",
    "rewardaccuracies": "rewards/accuracies",
    "rewardaccuracy": "rewards/accuracies",
    "rewardsmargin": "rewards/margins",
    "rewardmargins": "rewards/margins",
    "rewardmargin": "rewards/margins",
    "chosenrewards": "rewards/chosen",
    "rejectedrewards": "rewards/rejected",
}
_NAMES = {_letters(name): name for name in _OF_PAIRS | _OF_SPEED | _OTHERS} | _ALIASES
_H2O = frozenset({"chosen_rewards", "rejected_rewards", "reward_margin"})
_SPLITS: dict[str, Split] = {"train": "train", "training": "train", "eval": "eval", "validation": "eval"}

_SPLIT_FIRST = re.compile(r"(train|training|eval|validation)([\s/_])(.+)", re.IGNORECASE | re.DOTALL)
_CAMEL_CASE = re.compile(r"(Train|Eval|Validation)([A-Z]\w*)", re.ASCII)
_SPLIT_INSIDE = re.compile(r"(rewards|logps|logits)_(train|eval)/(\w+)|(loss)/(train|eval)", re.ASCII)
_ONE_OF_SEVERAL = re.compile(
    r"eval_(.+_(?:(?:rewards|logps|logits)/\w+|loss|accuracy|runtime|\w+_per_second))", re.ASCII
)
_MODEL_CARD = re.compile(r"(?:Rewards|Logps|Logits)/\w+", re.ASCII)


def key(name: str, default_split: Split | None = None) -> str:
    """The W&B key of a metric in any known spelling (`eval_rewards/chosen` is `eval/rewards/chosen`).

    A name that is not known passes through unchanged, as does one that does not tell its split, unless
    `default_split` does: `loss` in TRL's log is "train", in a table of evaluations "eval". `train_loss` stays: TRL
    means the mean over the whole run by it, not the curve `train/loss`. The loss on one of several evaluation sets,
    `eval_<set>_loss`, is `eval/<set>_loss` as in W&B, apart from `eval/loss`. Idempotent.
    """
    text = name.strip()
    found = (_with_split(text) or _by_place(text, default_split)) if len(text) <= LONGEST else None
    return found or name


def seems_dpo(keys: Iterable[str]) -> bool:
    """Whether metrics, under their W&B keys, are of preference training: one of them is a reward."""
    return any(key.endswith(hint) for key in keys for hint in HINTS)


def _with_split(text: str) -> str | None:
    """The key of a name that says its split itself."""
    if match := _SPLIT_FIRST.fullmatch(text):
        split, separator, rest = _SPLITS[match[1].lower()], match[2], _NAMES.get(_letters(match[3]))
        of_whole_run = split == "train" and separator == "_" and rest not in _OF_PAIRS
        if rest is not None and not of_whole_run:
            return f"{split}/{rest}"
    if (match := _CAMEL_CASE.fullmatch(text)) and (rest := _NAMES.get(_letters(match[2]))):
        return f"{_SPLITS[match[1].lower()]}/{rest}"
    if match := _SPLIT_INSIDE.fullmatch(text):
        return f"{match[5]}/loss" if match[4] else f"{match[2]}/{match[1]}/{match[3]}"
    if match := _ONE_OF_SEVERAL.fullmatch(text):
        return f"eval/{match[1]}"
    return None


def _by_place(text: str, default_split: Split | None) -> str | None:
    """The key of a name without split: model cards and H2O LLM Studio's tables write values of the evaluation."""
    rest = _NAMES.get(_letters(text))
    split = "eval" if _MODEL_CARD.fullmatch(text) else default_split or ("eval" if text in _H2O else None)
    return f"{split}/{rest}" if rest and split else None
