"""What a run learns from: pairs loaded, in the shape that its tokenizer takes, tokenised, and looked over."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from training import preferences
from training.arguments import Arguments, RunArguments
from training.checks import RunError
from training.data import audit, transcripts
from training.data.arguments import EMBEDDED
from training.data.pairs import Pair, Side, same
from training.data.tokens import Limits, encode
from training.data.transcripts import Formatter
from training.embedded import gold
from training.embedded import pairs as embedded
from training.record import reader
from training.scoring import PAIR_INDEX

SAMPLES = 8
CONTENT = ("prompt", "chosen", "rejected")


@dataclass(frozen=True)
class Inputs:
    """Everything that the trainer takes, and what the record says of it.

    `kept` are the evaluation pairs as they were loaded; a row of `evaluation` names its pair by its place there.
    `prompts` are those that base and policy answer, as the tokenizer takes them; `gold` scores an answer, if anything
    can. `audit` is what was found in the data.
    """

    name: str
    tokenizer: PreTrainedTokenizerBase
    limits: Limits
    train: Dataset
    evaluation: Dataset
    kept: list[Pair]
    prompts: list[Side]
    gold: Callable[[Any, str], float] | None
    digests: Mapping[str, str]
    audit: Mapping[str, Any]

    def about(self) -> dict[str, Any]:
        """What config.json says of the data; the audit's examples are in runs/.shared alone."""
        figures = {key: value for key, value in self.audit.items() if key != "examples"}
        return {
            "dataset": self.name,
            "train": self.digests["train"],
            "eval": self.digests["eval"],
            "n_train": len(self.train),
            "n_eval": len(self.kept),
            "read": figures["rows"]["read"],
            "dropped": figures["rows"]["dropped"],
            "audit": {"hash": self.digests["audit"], **figures},
        }

    def lines(self) -> list[str]:
        """What a person is told of the data before training begins."""
        return audit.lines(self.audit)


def key(told: Arguments) -> str:
    """All that the inputs of a run depend on, beside the files that they are read from."""
    model, config = told.model, told.config
    named = [model.model_name_or_path, model.model_revision, config.trust_remote_code, config.pad_token]
    cut = [config.max_length, config.truncation_mode, config.seed, told.run.sample_prompts]
    return repr([asdict(told.data), named, cut])


def load(told: Arguments, tokenizer: PreTrainedTokenizerBase, encoder_decoder: bool) -> Inputs:
    """The inputs of a run. Raises PreferenceError if the data cannot be used, or nothing of it is left."""
    found = preferences.load(told.data, told.config.seed)
    form = transcripts.formatter(tokenizer, told.data)
    limits = Limits(told.config.max_length, told.data.max_prompt_length, told.config.truncation_mode)
    dropped = Counter(found.dropped)
    train, evaluation = (_formed(side, form, dropped) for side in (found.train, found.evaluation))
    found = replace(found, train=train.loaded, evaluation=evaluation.loaded, dropped=+dropped)
    to_train, to_evaluate = (encode(s.formed, tokenizer, limits, encoder_decoder) for s in (train, evaluation))
    kept = [evaluation.loaded[place] for place in to_evaluate.kept]
    looked_over = audit.audit(found, to_train, to_evaluate, limits)
    digests = {
        "train": preferences.digest(train.loaded),
        "eval": preferences.digest(kept),
        "audit": sha256(orjson.dumps([looked_over], option=orjson.OPT_SORT_KEYS)).hexdigest()[:16],
    }
    built_in = found.name == EMBEDDED
    return Inputs(
        found.name,
        tokenizer,
        limits,
        to_train.dataset,
        _longest_first(to_evaluate.dataset),
        kept,
        _prompts(told.run, form, kept, built_in),
        gold.gold_score if built_in else None,
        digests,
        looked_over,
    )


def check_same(data: Inputs, run: Path) -> None:
    """Raises RunError if a run's pairs are not those that it began with."""
    recorded = reader.read_run(run).data
    for side, name in (("train", "training"), ("eval", "evaluation")):
        if recorded.get(side) != data.digests[side]:
            raise RunError(
                f"{data.name} has other {name} pairs than when {run.name} began: it cannot go on; start a new run"
            )


class _Side(NamedTuple):
    """The same pairs as they were loaded, and in the tokenizer's form."""

    loaded: list[Pair]
    formed: list[Pair]


def _formed(pairs: list[Pair], form: Formatter, dropped: Counter[str]) -> _Side:
    """The pairs that have a form for the tokenizer; the others are counted in `dropped`."""
    side = _Side([], [])
    for pair in pairs:
        found = form.pair(pair)
        if isinstance(found, str):
            dropped[found] += 1
        else:
            side.loaded.append(pair)
            side.formed.append(found)
    return side


def _longest_first(evaluation: Dataset) -> Dataset:
    """Numbered, and in batches of like lengths, which pad little; what is too long for the memory shows at once."""
    table = evaluation.data.table
    lengths = [pc.list_value_length(table[f"{side}_ids"]) for side in CONTENT]
    order = pc.sort_indices(pc.add(lengths[0], pc.max_element_wise(*lengths[1:])), sort_keys=[("", "descending")])
    numbered = table.append_column(PAIR_INDEX, pa.array(range(len(evaluation)), pa.int64()))
    return Dataset(numbered.take(order))


def _prompts(run: RunArguments, form: Formatter, kept: list[Pair], built_in: bool) -> list[Side]:
    """What is asked at every evaluation: the prompts stated, those of the built-in set, or some to be evaluated on."""
    if run.sample_prompts:
        bare = isinstance(kept[0]["prompt"], str) and not transcripts.is_transcript(kept[0]["prompt"])
        return [form.prompt(text if bare else [{"role": "user", "content": text}]) for text in run.sample_prompts]
    if built_in:
        return [form.prompt(prompt) for prompt in embedded.sample_prompts()]
    distinct = list({same(pair["prompt"]): pair["prompt"] for pair in kept}.values())
    return [form.prompt(prompt) for prompt in distinct[:SAMPLES]]
