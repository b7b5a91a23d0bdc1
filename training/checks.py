"""What is asked of model, tokenizer and disk before a run begins."""

import errno
import os
import shutil
from pathlib import Path

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from trl import DPOConfig, ModelConfig

from training import hub
from training.arguments import model_path

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_TORCH_WRITES = "inline_container.cc"  # its only sign of a write that failed


class RunError(Exception):
    """A run that cannot be made as asked; the message says why, and what to do."""


class SpaceError(RunError):
    """No room for what a run writes."""


def load_tokenizer(model: ModelConfig, config: DPOConfig) -> tuple[PretrainedConfig, PreTrainedTokenizerBase]:
    """The model's configuration and tokenizer; also lowers `max_length` to what the model can take.

    Raises RunError if the model cannot be loaded or does not generate text.
    """
    name = model_path(model.model_name_or_path or "")
    options = {"revision": model.model_revision, "trust_remote_code": config.trust_remote_code}
    hub.prepare(name)
    try:
        about = AutoConfig.from_pretrained(name, **options)
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
    except (OSError, ValueError, ImportError, KeyError) as error:
        advice = "" if Path(name).exists() else "; a Hub model needs a network, or give a local folder"
        raise RunError(f"model {name!r} cannot be loaded: {one_line(error)}{advice}") from error
    if not about.is_encoder_decoder and type(about) not in MODEL_FOR_CAUSAL_LM_MAPPING and not _own_code(about):
        raise RunError(f"model {name!r} ({about.model_type}) does not generate text: it cannot be trained with DPO")
    if tokenizer.eos_token is None:
        raise RunError(
            f"the tokenizer of {name!r} has no end-of-sequence token, so no answer could end; set its eos_token"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    room = getattr(about, "max_position_embeddings", None)
    if room and (config.max_length is None or config.max_length > room):
        config.max_length = room
    return about, tokenizer


def _own_code(about: PretrainedConfig) -> bool:
    """Whether the model brings its own classes (--trust_remote_code), of which nothing is known here."""
    return bool(getattr(about, "auto_map", None))


def check_space(runs: Path, model: torch.nn.Module, config: DPOConfig) -> None:
    """Refuses to start when the disk cannot hold the checkpoints: a full one costs the run's end."""
    weights = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    kept = (config.save_total_limit or 2) + 1
    needed = weights * (2 + 3 * kept) + 2**24  # best and its successor; weights and two moments per checkpoint
    free = shutil.disk_usage(runs).free
    if free < needed:
        raise SpaceError(
            f"no disk space: {runs} has {_size(free)} free, the checkpoints need about {_size(needed)}; "
            "free some, or give another --runs"
        )


def _size(bytes: float) -> str:
    return f"{bytes / 1e9:.1f} GB" if bytes >= 1e9 else f"{bytes / 1e6:.0f} MB"


def unwritable(error: BaseException) -> str | None:
    """Why nothing can be written where the run is, in one line, if that is what went wrong: no fault of the run's.

    Libraries in Rust give the system's words without its number, and torch neither.
    """
    if isinstance(error, SpaceError):
        return str(error)
    text = str(error)
    if _TORCH_WRITES in text:
        said = "a checkpoint could not be written, as when no space is left"
    elif any(os.strerror(code) in text for code in _UNWRITABLE):
        said = one_line(error)
    else:
        return None
    return f"{said}; make room to write, and go on with --resume"


def one_line(error: BaseException) -> str:
    """What went wrong, for a person, without line breaks."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, torch.OutOfMemoryError):
        return "out of memory; lower --per_device_train_batch_size or --max_length"
    text = " ".join(str(error).split())
    return text if len(text) < 300 else f"{text[:297]}..."
