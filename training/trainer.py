"""The trainer of a run: model, reference, adapter and precision as they were asked for."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import PretrainedConfig
from trl import ModelConfig, get_peft_config, get_quantization_config
from trl.trainer.utils import create_model_from_path

from training.arguments import Arguments, model_path
from training.checks import RunError, one_line
from training.fast.forward import PairForward
from training.fast.references import References
from training.inputs import Inputs
from training.kept import Kept
from training.record import schema
from training.reference import UnreadableWeights
from training.scoring import Evaluated, ScoringTrainer
from training.seq2seq import LORA_TASK_TYPE, Seq2SeqScoringTrainer

Tell = Callable[[str], None]


def build(
    told: Arguments, about: PretrainedConfig, data: Inputs, evaluated: Evaluated, kept: Kept, tell: Tell
) -> ScoringTrainer:
    """The trainer for a model of this kind, causal or encoder-decoder.

    The reference has the policy's dtype; with --use_peft it is the policy without its adapter. `tell` gets a line
    where --fast cannot be had. Raises RunError if the model cannot be trained as asked.
    """
    model, config = told.model, told.config
    if config.activation_offloading and not torch.accelerator.is_available():
        raise RunError("--activation_offloading moves activations from an accelerator (a GPU): there is none here")
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
    base = _base(told)
    references, head = _fast(told, about, data, kept, base, tell)
    config.precompute_ref_log_probs = config.precompute_ref_log_probs or references is not None
    try:
        trainer: ScoringTrainer = kind(
            _model(told, kept, base),
            args=config,
            train_dataset=data.train,
            eval_dataset=data.evaluation,
            processing_class=data.tokenizer,
            quantization_config=get_quantization_config(model),
            peft_config=_adapter(model),
            pair_ids=[pair["pair_id"] for pair in data.kept],
            limits=data.limits,
            evaluated=evaluated,
            references=references,
            head=head.install if head else None,
            kept=kept,
        )
    except UnreadableWeights as error:
        raise RunError(f"{one_line(error)}; use --fast false") from error
    except (OSError, ValueError, TypeError, KeyError, ImportError, RuntimeError, TemplateError) as error:
        raise RunError(one_line(error)) from error
    return trainer


def _base(told: Arguments) -> str:
    """All that the base model depends on."""
    quantized = told.model.load_in_4bit, told.model.load_in_8bit, told.model.bnb_4bit_quant_type
    loaded = told.config.model_init_kwargs, told.config.trust_remote_code
    return json.dumps([model_path(told.model.model_name_or_path), loaded, quantized], default=str)


def _model(told: Arguments, kept: Kept, base: str) -> Any:
    """The model to train: where it is, or a copy of the one that a warm process keeps."""
    path = model_path(told.model.model_name_or_path)
    if not kept.lasting or told.model.load_in_4bit or told.model.load_in_8bit:
        return path
    options = {"trust_remote_code": told.config.trust_remote_code, **told.config.model_init_kwargs, "device_map": None}
    return copy.deepcopy(kept.get("model", base, lambda: create_model_from_path(path, **options), most=1))


def _fast(
    told: Arguments, about: PretrainedConfig, data: Inputs, kept: Kept, base: str, tell: Tell
) -> tuple[References | None, PairForward | None]:
    """What makes steps and evaluations cheaper, as far as it gives the same numbers."""
    config = told.config
    if not told.run.fast:
        return None, None
    hindrances = {
        "--sync_ref_model": config.sync_ref_model,
        "--ld_alpha": config.ld_alpha is not None,
        "--disable_dropout false": not config.disable_dropout,
        "--neftune_noise_alpha": config.neftune_noise_alpha is not None,  # noise by the length of padded rows
        "FSDP or DeepSpeed": config.distributed_state.distributed_type not in ("NO", "MULTI_CPU", "MULTI_GPU"),
    }
    hindering = [name for name, hinders in hindrances.items() if hinders]
    if hindering:
        tell(f"with {' and '.join(hindering)} TRL's own steps are taken, as with --fast false")
        return None, None
    references = References(Path(told.run.runs) / schema.SHARED, data.limits, kept, base, tell)
    if about.is_encoder_decoder:
        return references, None
    compared = (base, told.model.use_peft, config.gradient_checkpointing, config.bf16, config.fp16)
    trusted = kept.find("compared", compared) is not None
    return references, PairForward(tell, trusted, lambda: kept.keep("compared", compared, True))


def _adapter(model: ModelConfig) -> Any:
    """The adapter that was asked for, if any; a single layer's name names it, although PEFT expects a pattern there."""
    adapter: Any = get_peft_config(model)
    if adapter is not None and isinstance(adapter.target_modules, str) and adapter.target_modules.isidentifier():
        adapter.target_modules = {adapter.target_modules}
    return adapter
