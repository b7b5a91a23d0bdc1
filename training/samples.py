"""Answers of base and policy to the same fixed prompts, again at every evaluation: numbers may lie, these show."""

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from peft import PeftModel
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, GenerationConfig, GenerationMixin, PreTrainedModel, PreTrainedTokenizerBase

Prompt = str | list[dict[str, str]]
Gold = Callable[[Prompt, str], float]

_TOP_K = 50  # what transformers takes where neither caller nor model says anything
# What a model's generation settings may say without a processor of scores that `_decode` does not know.
_KNOWN_SETTINGS = frozenset(
    {
        *("bos_token_id", "eos_token_id", "pad_token_id", "_from_model_config", "transformers_version"),
        *("do_sample", "temperature", "top_k", "top_p", "max_length", "max_new_tokens"),
        *("use_cache", "output_attentions", "output_hidden_states"),
    }
)


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
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    training = model.training
    model.eval()
    with torch.random.fork_rng():
        torch.manual_seed(sampling.seed)
        if _is_plain(model, base):
            drawn = _decode(base, batch, mask, sampling, ends)
        else:
            drawn = _transformers_generate(model, batch, mask, sampling, ends, tokenizer.pad_token_id)
    model.train(training)
    return [_answer(tokenizer, row, ends) for row in drawn]


def _is_plain(model: Any, base: Any) -> bool:
    """Whether `_decode` does for this model what its own `generate` would do."""
    return (
        not base.config.is_encoder_decoder
        and type(base).prepare_inputs_for_generation is GenerationMixin.prepare_inputs_for_generation
        and base._supports_default_dynamic_cache()
        and not base._is_stateful
        and not (isinstance(model, PeftModel) and model.active_peft_config.is_prompt_learning)
        and base.generation_config.to_diff_dict().keys() <= _KNOWN_SETTINGS
    )


def _decode(model: Any, batch: torch.Tensor, mask: torch.Tensor, sampling: Sampling, ends: set[int]) -> list[list[int]]:
    """New token ids per row, the end with them: what `model.generate` draws with the same seed, at less expense.

    `batch` and `mask` have shape (rows, longest), with padding on the left. A row that has ended leaves the batch; its
    share of the random numbers is drawn all the same.
    """
    accepted = inspect.signature(type(model).forward).parameters
    options: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
    top_k = model.generation_config.top_k or _TOP_K
    cache = DynamicCache(config=model.config)
    drawn: list[list[int]] = [[] for _ in batch]
    live = list(range(len(batch)))
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    for _ in range(sampling.max_new_tokens):
        if "position_ids" in accepted:
            options["position_ids"] = positions
        logits = model(input_ids=batch, attention_mask=mask, past_key_values=cache, use_cache=True, **options).logits
        noise = logits.new_empty((len(drawn), logits.shape[-1]), dtype=torch.float32).exponential_()
        tokens = _draw(logits[:, -1].float(), noise[live], sampling, top_k)
        for row, token in zip(live, tokens.tolist(), strict=True):
            drawn[row].append(token)
        staying = [at for at, row in enumerate(live) if drawn[row][-1] not in ends]
        if not staying:
            break
        if len(staying) < len(live):
            live = [live[at] for at in staying]
            kept = torch.tensor(staying, device=batch.device)
            cache.batch_select_indices(kept)
            tokens, mask, positions = tokens[kept], mask[kept], positions[kept]
        batch, positions = tokens[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=1)
    return drawn


def _draw(logits: torch.Tensor, noise: torch.Tensor, sampling: Sampling, top_k: int) -> torch.Tensor:
    """A token for each row of `logits`, shape (rows, vocabulary), by temperature, then top-k, then top-p.

    The largest of p / e, with e from the exponential distribution, is a draw from p: the Gumbel-max trick, and what
    torch.multinomial does with the same `noise`. A diverged model's NaN counts as 0 and infinity as the largest number.
    """
    scores, tokens = (logits / sampling.temperature).nan_to_num(nan=0.0).topk(min(top_k, logits.shape[-1]))
    shares = scores.softmax(dim=-1)
    below = shares.flip(-1).cumsum(dim=-1).flip(-1)  # of a token and all that are less likely
    shares[:, 1:] = shares[:, 1:].masked_fill(below[:, 1:] <= 1 - sampling.top_p, 0.0)
    best = (shares / noise.gather(1, tokens)).argmax(dim=-1, keepdim=True)
    return tokens.gather(1, best)[:, 0]


def _transformers_generate(
    model: Any, batch: torch.Tensor, mask: torch.Tensor, sampling: Sampling, ends: set[int], padding: int
) -> list[list[int]]:
    """The same for any model: new token ids per row."""
    config = GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        do_sample=True,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        pad_token_id=padding,
        eos_token_id=sorted(ends),
        remove_invalid_values=True,  # a diverged model still shows what it says
    )
    rows = model.generate(input_ids=batch, attention_mask=mask, generation_config=config)
    before = 1 if model.config.is_encoder_decoder else batch.shape[1]  # the decoder's start token, or the prompt
    found: list[list[int]] = rows[:, before:].tolist()
    return found


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
