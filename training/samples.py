"""Answers of base and policy to the same fixed prompts, again at every evaluation: numbers may lie, these show."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
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

    The base's answers are those of the first call, made before training, when policy and base are the same.
    """

    prompts: Sequence[Prompt]
    tokenizer: PreTrainedTokenizerBase
    sampling: Sampling = field(default_factory=Sampling)
    gold: Gold | None = None
    base: list[Answer] | None = None

    def draw(self, model: PreTrainedModel, step: int) -> tuple[list[dict[str, Any]], dict[str, float]]:
        """The rows for samples.jsonl, and the metrics of the policy's answers."""
        answers = generate(model, self.tokenizer, self.prompts, self.sampling)
        if self.base is None:
            self.base = answers
        rows = [
            {
                "step": step,
                "prompt": prompt,
                "base": before.text,
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
    """One answer for each prompt, in one left-padded batch. Leaves the global random state as it was.

    A prompt too long for the model keeps its end.
    """
    ids = [prompt_ids(tokenizer, prompt) for prompt in prompts]
    if room := getattr(model.config, "max_position_embeddings", None):
        ids = [row[-max(1, room - sampling.max_new_tokens) :] for row in ids]
    width = max(map(len, ids))
    padding = tokenizer.pad_token_id
    batch = torch.tensor([[padding] * (width - len(row)) + row for row in ids], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids], device=model.device)
    ends = _end_ids(model, tokenizer)
    config = GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        do_sample=True,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        pad_token_id=padding,
        eos_token_id=sorted(ends),
        remove_invalid_values=True,  # a diverged model still shows what it says
    )
    training = model.training
    model.eval()
    with torch.random.fork_rng():
        torch.manual_seed(sampling.seed)
        drawn = model.generate(input_ids=batch, attention_mask=mask, generation_config=config)
    model.train(training)
    return [_answer(tokenizer, row, ends) for row in drawn[:, width:].tolist()]


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
