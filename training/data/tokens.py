"""Pairs as token ids, the same that TRL makes of them, with long prompts cut so that the answers stay."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl.data_utils import common_prefix_length

from training.data.pairs import Pair, PreferenceError

SIDES = ("chosen", "rejected")
_IDS = pa.list_(pa.int32())
_SCHEMA = pa.schema({"prompt_ids": _IDS, "chosen_ids": _IDS, "rejected_ids": _IDS, "prompt_cut": pa.int32()})
_BATCH = 1000  # pairs: what is held as Python integers at a time

Ids = list[int]


@dataclass(frozen=True)
class Limits:
    """How many tokens a row, prompt and answer, may have, and what goes when it has more; None is no limit.

    A prompt is cut to its last `prompt_limit` tokens where prompt and longer answer exceed `max_length`. What is still
    too long is left to TRL's collator, which keeps the row's start or, with truncation_mode "keep_end", its end.
    The same prompt serves both answers, as in the code of Rafailov et al. 2023 (arXiv:2305.18290).
    """

    max_length: int | None
    max_prompt_length: int | None = None
    truncation_mode: Literal["keep_start", "keep_end"] = "keep_start"

    @property
    def prompt_limit(self) -> int | None:
        """`max_prompt_length`; where there is none, half of `max_length`."""
        if self.max_prompt_length is None and self.max_length is not None:
            return self.max_length // 2
        return self.max_prompt_length

    @property
    def keeps_end(self) -> bool:
        """Whether the collator takes what is too long from the start of the row."""
        return self.truncation_mode == "keep_end"

    def cuts(self, prompt: int, answer: int) -> bool:
        """Whether a row of so many tokens is too long."""
        return self.max_length is not None and prompt + answer > self.max_length

    def leaves_room(self, prompt: int) -> bool:
        """Whether any answer is left after this prompt; TRL drops the pairs where none is."""
        return self.keeps_end or self.max_length is None or prompt < self.max_length


@dataclass(frozen=True)
class Encoded:
    """Tokenized pairs. `kept` are the positions, in what was encoded, of the rows of `dataset`; `given` is how many
    there were: the others' prompts fill `max_length`.
    """

    dataset: Dataset
    kept: list[int]
    given: int


def encode(
    pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase, limits: Limits, encoder_decoder: bool = False
) -> Encoded:
    """The pairs, all text or all messages, as int32 lists prompt_ids, chosen_ids and rejected_ids, and prompt_cut.

    `prompt_cut` counts tokens taken from the prompt's start; a beginning-of-sequence token there stays. For causal
    models an uncut row equals TRL 1.16's (DPOTrainer._prepare_dataset). For encoder-decoder models prompt and answers
    are tokenized each on its own, and answers end with the end-of-sequence token.
    Raises PreferenceError for a tokenizer without end-of-sequence token.
    """
    if tokenizer.eos_token is None:
        raise PreferenceError("the tokenizer has no end-of-sequence token, so no answer could end; set its eos_token")
    tokenize = _targets if encoder_decoder else _continuations
    kept: list[int] = []
    tables = [_SCHEMA.empty_table()]
    for start in range(0, len(pairs), _BATCH):
        rows = []
        for index, (prompt, *answers) in enumerate(tokenize(pairs[start : start + _BATCH], tokenizer), start):
            left = _cut(prompt, max(map(len, answers)), limits, tokenizer.bos_token_id)
            if limits.leaves_room(len(left)):
                kept.append(index)
                rows.append(dict(zip(_SCHEMA.names, (left, *answers, len(prompt) - len(left)), strict=True)))
        tables.append(pa.Table.from_pylist(rows, schema=_SCHEMA))
    return Encoded(Dataset(pa.concat_tables(tables)), kept, len(pairs))


def kept_tokens(prompt: int, answer: int, limits: Limits) -> int:
    """How many of an answer's tokens are scored once TRL's collator has cut the row; all arguments count tokens."""
    if limits.max_length is None:
        return answer
    # A row that starts within the answer has no context for its first token, so that one is not scored.
    room = limits.max_length - (1 if limits.keeps_end else prompt)
    return min(answer, max(0, room))


def _cut(prompt: Ids, longer_answer: int, limits: Limits, bos: int | None) -> Ids:
    limit = limits.prompt_limit
    too_long = limits.max_length is None or limits.cuts(len(prompt), longer_answer)
    if limit is None or not too_long or len(prompt) <= limit:
        return prompt
    head = prompt[:1] if prompt[0] == bos else []
    return head + prompt[len(prompt) - limit + len(head) :]


def _continuations(pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[Ids, Ids, Ids]]:
    """(prompt, chosen, rejected) for a causal model: an answer is what follows the prompt when both are tokenized."""
    prompts = _prompts(pairs, tokenizer)
    if isinstance(pairs[0]["prompt"], str):
        eos = tokenizer.eos_token
        whole = [
            _ids(tokenizer, [pair["prompt"] + pair[side].removesuffix(eos) + eos for pair in pairs]) for side in SIDES
        ]
    else:
        whole = [_chat_ids(tokenizer, [pair["prompt"] + pair[side] for pair in pairs]) for side in SIDES]
    for prompt, chosen, rejected in zip(prompts, *whole, strict=True):
        shared = min(common_prefix_length(prompt, chosen), common_prefix_length(prompt, rejected))
        yield prompt[:shared], chosen[shared:], rejected[shared:]


def _targets(pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[Ids, Ids, Ids]]:
    """(prompt, chosen, rejected) for an encoder-decoder model: the encoder's input and two targets of the decoder."""
    end = tokenizer.eos_token_id
    answers = []
    for side in SIDES:
        texts = [answer if isinstance(answer, str) else answer[-1]["content"] for answer in (p[side] for p in pairs)]
        targets = tokenizer(text_target=texts, return_attention_mask=False, verbose=False)["input_ids"]
        answers.append([ids if ids and ids[-1] == end else [*ids, end] for ids in targets])
    yield from zip(_prompts(pairs, tokenizer), *answers, strict=True)


def _prompts(pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase) -> list[Ids]:
    prompts = [pair["prompt"] for pair in pairs]
    if isinstance(prompts[0], str):
        return _ids(tokenizer, prompts)
    return _chat_ids(tokenizer, prompts, add_generation_prompt=True)


def _ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[Ids]:
    found: list[Ids] = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
    return found


def _chat_ids(tokenizer: PreTrainedTokenizerBase, chats: list[Any], **options: Any) -> list[Ids]:
    quiet = {"return_attention_mask": False, "verbose": False}
    chat = tokenizer.apply_chat_template(chats, return_dict=True, tokenizer_kwargs=quiet, **options)
    found: list[Ids] = chat["input_ids"]
    return found
