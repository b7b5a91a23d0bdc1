"""DPO for encoder-decoder models: TRL's trainer with a forward that encodes a prompt once and decodes both answers."""

import functools
import types
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from trl.trainer import dpo_trainer
from trl.trainer.utils import FusedCausalLMOutput, disable_dropout_in_model

from training.scoring import ScoringTrainer

LORA_TASK_TYPE = "SEQ_2_SEQ_LM"

_STATISTICS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "entropy": lambda logits, logps, tokens: torch.special.entr(logps.exp()).sum(dim=-1),
    "log_sum_sq_probs": lambda logits, logps, tokens: (2 * logps).logsumexp(dim=-1),
    "mean_logits": lambda logits, logps, tokens: logits.mean(dim=-1),
    "is_top1": lambda logits, logps, tokens: logits.argmax(dim=-1) == tokens,
}


class Seq2SeqScoringTrainer(ScoringTrainer):
    """ScoringTrainer for encoder-decoder models (T5, BART), which TRL 1.16 does not train.

    The column `prompt_ids` is the encoder's input, `chosen_ids` and `rejected_ids` are the decoder's targets. Loss,
    collator, metrics and loop are TRL's: a row stays [prompt | answer | padding].

    Raises ValueError for truncation_mode "keep_end" and for an adapter of another task type than LORA_TASK_TYPE.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        config, adapter = options.get("args"), options.get("peft_config")
        if config is not None and config.truncation_mode == "keep_end":
            raise ValueError(
                "truncation_mode keep_end cuts the two prompts of a pair differently, and an encoder-decoder model "
                "reads a pair's prompt once: use keep_start"
            )
        if adapter is not None and adapter.task_type != LORA_TASK_TYPE:
            raise ValueError(f"an encoder-decoder model needs lora_task_type {LORA_TASK_TYPE}, not {adapter.task_type}")
        # TRL calls both inside its constructor: before autocast wraps the reference and before it is precomputed.
        with patch.multiple(dpo_trainer, add_fused_lm_head=add_seq2seq_head, disable_dropout_in_model=disable_dropout):
            super().__init__(*args, **options)


def disable_dropout(model: nn.Module) -> None:
    """Sets every dropout rate to 0, also those a module keeps as a number: in T5's attention, in BART's layers."""
    disable_dropout_in_model(model)
    for module in model.modules():
        for name in [name for name, value in vars(module).items() if "drop" in name and isinstance(value, float)]:
            setattr(module, name, 0.0)


def add_seq2seq_head(model: PreTrainedModel, outputs: tuple[str, ...] = ("log_probs",)) -> None:
    """What trl.trainer.utils.add_fused_lm_head is for causal models: `model(..., fused_lm_head=True)` scores answers.

    `outputs` are the fields of FusedCausalLMOutput to compute. A call without `fused_lm_head` is as before, so
    generation is unchanged. Raises ValueError for a model that does not say how its decoder's input is made of targets.
    """
    if not hasattr(model, "prepare_decoder_input_ids_from_labels"):
        raise ValueError(f"{type(model).__name__} has no prepare_decoder_input_ids_from_labels: it cannot be trained")
    forward = model.forward

    @functools.wraps(type(model).forward)  # `generate` checks its arguments against the signature
    def scoring_forward(self: PreTrainedModel, *args: Any, fused_lm_head: bool = False, **inputs: Any) -> Any:
        if not fused_lm_head:
            return forward(*args, **inputs)
        return _score(self, forward, inputs["input_ids"], inputs["attention_mask"], inputs["labels"], outputs)

    model.forward = types.MethodType(scoring_forward, model)


def _score(
    model: PreTrainedModel,
    forward: Callable[..., Any],
    input_ids: Tensor,
    attention_mask: Tensor,
    labels: Tensor,
    outputs: tuple[str, ...],
) -> FusedCausalLMOutput:
    """Statistics of the answers' tokens, each of shape (2 * pairs, length - 1): column t is about token t + 1.

    The arguments have shape (2 * pairs, length), chosen rows first; `labels` are -100 outside the answers.
    """
    is_answer = labels != -100
    tokens = labels[is_answer]
    logits = _logits(model, forward, input_ids, attention_mask, labels)
    normalizer = logits.logsumexp(dim=-1)
    per_token = {"log_probs": logits.gather(-1, tokens[:, None])[:, 0] - normalizer}
    with torch.no_grad():
        logps = logits - normalizer[:, None]
        per_token |= {name: _STATISTICS[name](logits, logps, tokens) for name in outputs if name in _STATISTICS}
    in_rows = {name: x.new_zeros(labels.shape).masked_scatter(is_answer, x)[:, 1:] for name, x in per_token.items()}
    return FusedCausalLMOutput(label_mask=is_answer[:, 1:], **in_rows)


def _logits(
    model: PreTrainedModel, forward: Callable[..., Any], input_ids: Tensor, attention_mask: Tensor, labels: Tensor
) -> Tensor:
    """Logits of the answers' tokens, row by row, shape (tokens, vocabulary), float32."""
    is_answer = labels != -100
    answer_lengths = is_answer.sum(dim=1)
    pairs = len(labels) // 2
    prompt_mask = _first((attention_mask.sum(dim=1) - answer_lengths)[:pairs])  # a pair shares its prompt
    prompts = input_ids[:pairs, : prompt_mask.shape[1]]
    encoded = model.get_encoder()(input_ids=prompts, attention_mask=prompt_mask.long()).last_hidden_state
    target_mask = _first(answer_lengths)
    padding = labels.new_full(target_mask.shape, model.config.pad_token_id)
    targets = padding.masked_scatter(target_mask, labels[is_answer])
    logits: Tensor = forward(
        encoder_outputs=BaseModelOutput(last_hidden_state=encoded.repeat(2, 1, 1)),
        attention_mask=prompt_mask.repeat(2, 1).long(),
        decoder_input_ids=model.prepare_decoder_input_ids_from_labels(labels=targets),  # causal: padding is not seen
        use_cache=False,
    ).logits
    return logits[target_mask].float()


def _first(lengths: Tensor) -> Tensor:
    """The mask of the first positions of each row, shape (rows, longest)."""
    return torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]
