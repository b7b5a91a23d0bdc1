"""The trainer of a run: model, reference, adapter and precision as they were asked for."""

from typing import Any

from jinja2 import TemplateError
from transformers import PretrainedConfig
from trl import ModelConfig, get_peft_config, get_quantization_config

from training.arguments import Arguments, model_path
from training.checks import RunError, one_line
from training.inputs import Inputs
from training.scoring import Evaluated, ScoringTrainer
from training.seq2seq import LORA_TASK_TYPE, Seq2SeqScoringTrainer


def build(told: Arguments, about: PretrainedConfig, data: Inputs, evaluated: Evaluated) -> ScoringTrainer:
    """The trainer for a model of this kind, causal or encoder-decoder.

    The reference has the policy's dtype; with --use_peft it is the policy without its adapter. Raises RunError if the
    model cannot be trained as asked.
    """
    model, config = told.model, told.config
    config.disable_tqdm = True
    config.eval_on_start = True
    config.model_init_kwargs = {
        "revision": model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
        **(config.model_init_kwargs or {}),
    }
    kind: Any = ScoringTrainer
    if about.is_encoder_decoder:
        kind, model.lora_task_type = Seq2SeqScoringTrainer, LORA_TASK_TYPE
    try:
        trainer: ScoringTrainer = kind(
            model_path(model.model_name_or_path),
            args=config,
            train_dataset=data.train,
            eval_dataset=data.evaluation,
            processing_class=data.tokenizer,
            quantization_config=get_quantization_config(model),
            peft_config=_adapter(model),
            pair_ids=[pair["pair_id"] for pair in data.kept],
            limits=data.limits,
            evaluated=evaluated,
        )
    except (OSError, ValueError, TypeError, KeyError, ImportError, RuntimeError, TemplateError) as error:
        raise RunError(one_line(error)) from error
    return trainer


def _adapter(model: ModelConfig) -> Any:
    """The adapter that was asked for, if any; a single layer's name names it, although PEFT expects a pattern there."""
    adapter: Any = get_peft_config(model)
    if adapter is not None and isinstance(adapter.target_modules, str) and adapter.target_modules.isidentifier():
        adapter.target_modules = {adapter.target_modules}
    return adapter
