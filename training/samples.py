"""Answers of base and policy to the same fixed prompts, again at every evaluation: numbers may lie, these show."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

Prompt = str | list[dict[str, str]]
Gold = Callable[[Prompt, str], float]


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn. The same seed for base and policy, so that only the weights differ."""

    temperature: float = 0.7
    top_p: float = 0.95
    max_new_tokens: int = 64
    seed: int = 0


@dataclass(frozen=True)
class Answer:
    """One answer without its prompt. `ended`: by itself, before the token limit."""

    text: str
    ids: Sequence[int]
    ended: bool


@dataclass
class Sampler:
    """Draws the answers, remembers the base model's, and measures the policy's.

    The base's answers are those of the first call, made before training, when policy and base are the same; a resumed
    run gives the texts it recorded then, in the order of `prompts`.
    """

    prompts: Sequence[Prompt]
    tokenizer: PreTrainedTokenizerBase
    sampling: Sampling = field(default_factory=Sampling)
    gold: Gold | None = None
    base: list[str] | None = None

    def draw(self, model: PreTrainedModel, step: int) -> tuple[list[dict[str, Any]], dict[str, float]]:
        """The rows for samples.jsonl, and the metrics of the policy's answers."""
        answers = generate(model, self.tokenizer, self.prompts, self.sampling)
        if self.base is None:
            self.base = [answer.text for answer in answers]
        rows = [
            {
                "step": step,
                "prompt": prompt,
                "base": before,
                "dpo": after.text,
                "ended": after.ended,
                "tokens": len(after.ids),
                "sampling": asdict(self.sampling),
            }
            for prompt, before, after in zip(self.prompts, self.base, answers, strict=True)
        ]
        return rows, self._metrics(answers)

    def _metrics(self, answers: list[Answer]) -> dict[str, float]:
        found = {
            "samples/repetition": _mean(repetition(answer.ids) for answer in answers),
            "samples/tokens": _mean(len(answer.ids) for answer in answers),
            "samples/ended": _mean(answer.ended for answer in answers),
        }
        if self.gold is not None:
            pairs = zip(self.prompts, answers, strict=True)
            found["samples/gold"] = _mean(self.gold(prompt, answer.text) for prompt, answer in pairs)
        return found


def repetition(ids: Sequence[int], n: int = 3) -> float:
    """rep-n: 1 - distinct n-grams / all n-grams; 0 for a text shorter than n (Welleck et al., arXiv:1908.04319)."""
    grams = [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
    """A prompt as the model sees it: messages through the chat template, text as it is."""
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    return list(tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=True)["input_ids"])


@torch.no_grad()
def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], sampling: Sampling
) -> list[Answer]:
    """One answer for each prompt, in one batch. Leaves the global random state as it was.

    A prompt too long for the model keeps its end.
    """
    batch, mask = _batch(model, tokenizer, prompts, sampling.max_new_tokens)
    ends = _end_ids(model, tokenizer)
    config = GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        do_sample=True,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=sorted(ends),
        remove_invalid_values=True,  # a diverged model still shows what it says
    )
    training = model.training
    model.eval()
    with torch.random.fork_rng():
        torch.manual_seed(sampling.seed)
        drawn = model.generate(input_ids=batch, attention_mask=mask, generation_config=config)
    model.train(training)
    before = 1 if model.config.is_encoder_decoder else batch.shape[1]  # the decoder's start token, or the prompt
    return [_answer(tokenizer, row, ends) for row in drawn[:, before:].tolist()]


def _batch(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], max_new_tokens: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, shape (prompts, longest).

    A causal model goes on where the prompt ends: padding is on the left, and the answer takes room. An encoder counts
    positions from the left and has its room to itself.
    """
    ids = [prompt_ids(tokenizer, prompt) for prompt in prompts]
    positions = getattr(model.config, "max_position_embeddings", None) or sys.maxsize
    if model.config.is_encoder_decoder:
        side, room = "right", positions
    else:
        side, room = "left", max(1, positions - max_new_tokens)
    rows = [torch.tensor(row[-room:], dtype=torch.long, device=model.device) for row in ids]
    batch = pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id, padding_side=side)
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True, padding_side=side)
    return batch, mask


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    stated = getattr(model.generation_config, "eos_token_id", None)
    ends = stated if isinstance(stated, list) else [stated]
    return {end for end in (*ends, tokenizer.eos_token_id) if end is not None}


def _answer(tokenizer: PreTrainedTokenizerBase, row: list[int], ends: set[int]) -> Answer:
    stop = next((at for at, token in enumerate(row) if token in ends), None)
    ids = row if stop is None else row[:stop]
    return Answer(tokenizer.decode(ids, skip_special_tokens=True).strip(), ids, stop is not None)


def _mean(values: Iterable[float]) -> float:
    found = [float(value) for value in values]
    return sum(found) / len(found)
