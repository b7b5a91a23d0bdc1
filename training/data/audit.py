"""What preference data is like before a run learns from it: sizes, doubles, lengths, and what truncation takes away."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.data import duplicates, transcripts
from training.data.pairs import Pair, PreferenceError, same
from training.data.tokens import Encoded, Ids, Limits, kept_tokens
from training.preferences import Preferences

FILLED = "prompt fills max_length"
QUANTILES = {"min": 0.0, "p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}
_NAMES = {"train": "training", "eval": "evaluation"}
_COLUMNS = ["prompt_ids", "chosen_ids", "rejected_ids", "prompt_cut"]


class _Row(NamedTuple):
    """A pair in tokens, and whether truncation takes from its prompt, from an answer, or all that differs."""

    prompt: int
    chosen: int
    rejected: int
    prompt_cut: bool
    answer_cut: bool
    difference_cut: bool
    equal: bool


def audit(preferences: Preferences, train: Encoded, evaluation: Encoded, limits: Limits) -> dict[str, Any]:
    """Everything worth knowing about the pairs, as plain JSON: "examples" holds texts, the rest is figures.

    `train` and `evaluation` are the tokens of `preferences.train` and `preferences.evaluation`. What is said of "train"
    and "eval" is about the pairs that are left there: lengths in tokens before truncation, shares of pairs.
    Raises PreferenceError if no pair is left of a side, or truncation leaves none of its pairs anything that differs.
    """
    pairs = {
        "train": [preferences.train[at] for at in train.kept],
        "eval": [preferences.evaluation[at] for at in evaluation.kept],
    }
    encoded = {"train": train, "eval": evaluation}
    about = {name: _side(name, pairs[name], encoded[name], limits) for name in pairs}
    found = duplicates.find(pairs["train"], pairs["eval"])
    return {
        "rows": _row_counts(preferences, train, evaluation),
        "limits": {**asdict(limits), "max_prompt_length": limits.prompt_limit},
        **about,
        "duplicates": {name: matches.count for name, matches in found.items()},
        "shared_prompts": preferences.shared_prompts,
        "examples": {
            "dropped": {reason: list(rows) for reason, rows in preferences.examples.items()},
            "duplicates": {name: matches.examples for name, matches in found.items() if matches.count},
        },
    }


def _row_counts(preferences: Preferences, *sides: Encoded) -> dict[str, Any]:
    kept = sum(len(side.kept) for side in sides)
    filled = sum(side.given for side in sides) - kept
    dropped = {**preferences.dropped, FILLED: filled}
    asked = [pair["prompt"] for pair in (*preferences.train, *preferences.evaluation)]
    return {
        "read": preferences.read,
        "multi_turn": preferences.dropped_multi_turn + sum(map(transcripts.is_multi_turn, asked)),
        "kept": kept,
        "dropped": {why: count for why, count in dropped.items() if count},
    }


def _side(name: str, pairs: Sequence[Pair], encoded: Encoded, limits: Limits) -> dict[str, Any]:
    if not pairs:
        raise PreferenceError(
            f"no {_NAMES[name]} pair is left: the prompt alone fills --max_length {limits.max_length} in all "
            f"{encoded.given:,}; raise --max_length, or lower --max_prompt_length ({limits.prompt_limit})"
        )
    rows = np.array(list(_rows(encoded, limits)))
    prompt, chosen, rejected, prompt_cut, answer_cut, difference_cut, equal = rows.T
    if difference_cut.all():
        raise PreferenceError(
            f"chosen and rejected are the same in all {len(pairs):,} {_NAMES[name]} pairs, since --max_length "
            f"{limits.max_length} cuts away what differs; raise --max_length"
        )
    lengths = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    return {
        "pairs": len(pairs),
        "prompts": len({same(pair["prompt"]) for pair in pairs}),
        "multi_turn": sum(transcripts.is_multi_turn(pair["prompt"]) for pair in pairs),
        "tokens": {text: quantiles(values) for text, values in lengths.items()},
        "truncated_prompt": float(prompt_cut.mean()),
        "truncated_answer": float(answer_cut.mean()),
        "truncated_difference": float(difference_cut.mean()),
        "equal_tokens": float(equal.mean()),
        "length": longer_wins(chosen, rejected),
    }


def quantiles(values: NDArray[np.int64]) -> dict[str, int]:
    """Of lengths: the smallest one that at least so large a share does not exceed (Hyndman and Fan 1996, type 1)."""
    return {name: int(np.quantile(values, share, method="inverted_cdf")) for name, share in QUANTILES.items()}


def longer_wins(chosen: NDArray[np.int64], rejected: NDArray[np.int64]) -> dict[str, float]:
    """How well length alone tells chosen from rejected answers; both are lengths in tokens, one entry for each pair.

    longer_wins is the accuracy of taking the longer answer, ties counting half: the baseline that a run's reward
    accuracy has to beat (Park et al. 2024, arXiv:2403.19159, on length in DPO).
    """
    return {
        "n": len(chosen),
        "chosen_longer": float(np.mean(chosen > rejected)),
        "mean_difference": float(np.mean(chosen - rejected)),
        "longer_wins": float(np.mean((chosen > rejected) + 0.5 * (chosen == rejected))),
    }


def _rows(encoded: Encoded, limits: Limits) -> Iterator[_Row]:
    for batch in encoded.dataset.iter(batch_size=1000):
        for prompt, chosen, rejected, start_cut in zip(*(batch[column] for column in _COLUMNS), strict=True):
            too_long = limits.cuts(len(prompt), max(len(chosen), len(rejected)))
            yield _Row(
                len(prompt) + start_cut,
                len(chosen),
                len(rejected),
                start_cut > 0 or (too_long and limits.keeps_end),
                any(kept_tokens(len(prompt), len(answer), limits) < len(answer) for answer in (chosen, rejected)),
                too_long and chosen != rejected and _left(prompt, chosen, limits) == _left(prompt, rejected, limits),
                chosen == rejected,
            )


def _left(prompt: Ids, answer: Ids, limits: Limits) -> tuple[Ids, int]:
    """A row as TRL's collator cuts it, and how many of its tokens are the answer's: what a model sees of an answer."""
    row = prompt + answer
    if limits.keeps_end and limits.max_length is not None:
        return row[-limits.max_length :], min(len(answer), limits.max_length)
    row = row[: limits.max_length]
    return row, len(row) - len(prompt)


def lines(audit: Mapping[str, Any]) -> list[str]:
    """What is said of the data before training: its size and lengths, and whatever speaks against it."""
    return [*_facts(audit), *(f"warning: {line}" for line in _warnings(audit))]


def _facts(audit: Mapping[str, Any]) -> Iterator[str]:
    rows, train, evaluation = audit["rows"], audit["train"], audit["eval"]
    turns = f"; of all rows {rows['multi_turn']:,} have more than one user turn" if rows["multi_turn"] else ""
    used = f"{rows['kept']:,} of {rows['read']:,} rows are used"
    yield f"{used}: {_size(train)} to train on, {_size(evaluation)} to evaluate on{turns}"
    if dropped := [f"{count:,} {reason}" for reason, count in rows["dropped"].items()]:
        yield f"left out: {', '.join(dropped)}"
    if shared := audit["shared_prompts"]:
        yield f"the given splits share {_counted(shared, 'prompt')}, left to evaluation alone"
    middle = ", ".join(f"{text} {of['p50']:,} ({of['p95']:,})" for text, of in train["tokens"].items())
    yield f"median tokens of a training pair (95% have no more than): {middle}"
    longer = train["length"]["longer_wins"] >= 0.5  # a rule drawn from the pairs it is tried on would flatter itself
    right = evaluation["length"]["longer_wins"]
    yield (
        f"length alone (take the {'longer' if longer else 'shorter'} answer, as in training) is right for "
        f"{right if longer else 1 - right:.1%} of {_counted(evaluation['pairs'], 'evaluation pair')}: runs must beat it"
    )


def _size(side: Mapping[str, Any]) -> str:
    return f"{_counted(side['pairs'], 'pair')} ({_counted(side['prompts'], 'prompt')})"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _warnings(audit: Mapping[str, Any]) -> Iterator[str]:
    limits, double = audit["limits"], audit["duplicates"]
    if cut := _shares(audit, "truncated_prompt"):
        kept = "" if limits["truncation_mode"] == "keep_end" else f": they keep {limits['max_prompt_length']} tokens"
        yield f"prompts lose their beginning in {cut}{kept}"
    if cut := _shares(audit, "truncated_answer"):
        yield f"--max_length {limits['max_length']} cuts an answer in {cut}"
    if cut := _shares(audit, "truncated_difference"):
        yield f"--max_length {limits['max_length']} leaves nothing that differs in {cut}: raise it"
    if cut := _shares(audit, "equal_tokens"):
        yield f"the tokenizer sees no difference between the answers in {cut}"
    for kind, how in (("exact", "equals"), ("near", "nearly equals")):
        if double[kind]:
            yield f"{_counted(double[kind], 'pair')} of which an earlier one {how} every text"
    if double["contradictions"]:
        yield f"{_counted(double['contradictions'], 'comparison')} made both ways (A > B and B > A)"
    if double["eval_prompts_in_train"]:
        answers = f" (of {double['eval_pairs_in_train']:,} the answers too)" if double["eval_pairs_in_train"] else ""
        yield (
            f"training has the prompt, or nearly, of {double['eval_prompts_in_train']:,} of the "
            f"{_counted(audit['eval']['pairs'], 'evaluation pair')}{answers}: evaluation may look better than it is"
        )


def _shares(audit: Mapping[str, Any], what: str) -> str:
    """Where something happens: "1.2% of the training and 0.9% of the evaluation pairs"; empty where it does not."""
    shares = {name: audit[name][what] for name in _NAMES}
    told = [f"{_percent(share)} of the {_NAMES[name]}" for name, share in shares.items() if share]
    return f"{' and '.join(told)} pairs" if told else ""


def _percent(share: float) -> str:
    return "under 0.1%" if share < 0.0005 else f"{share:.1%}"
