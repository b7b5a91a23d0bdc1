"""What a run ran on, for its record."""

import functools
import platform
import subprocess
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "transformers", "trl", "datasets", "accelerate", "peft", "tokenizers")
ERROR_LOG = "error.log"


def describe(model: Any) -> dict[str, Any]:
    """Package versions, git commit, device, the model's size and type of numbers, and where the run was started."""
    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages(),
        "git_commit": git_commit(),
        "device": torch.cuda.get_device_name() if cuda else (platform.processor() or platform.machine()),
        "device_type": str(model.device.type),
        "devices": torch.cuda.device_count() if cuda else 0,
        "threads": torch.get_num_threads(),
        "architecture": type(_bare(model)).__name__,
        "dtype": str(model.dtype).removeprefix("torch."),
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "command": sys.orig_argv,
        "folder": str(Path.cwd()),
    }


def _bare(model: Any) -> Any:
    """The model below its adapter, if it has one."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@functools.cache
def packages() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


@functools.cache
def git_commit() -> str | None:
    """The commit of this code, with `+` after it if files differ from it; None outside a repository."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=5)
        status = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if commit.returncode:
        return None
    return commit.stdout.strip() + ("+" if status.stdout.strip() else "")


def keep_traceback(directory: Path) -> None:
    """Writes the exception being handled to error.log, for whoever mends it."""
    try:
        (directory / ERROR_LOG).write_text(traceback.format_exc(), encoding="utf-8")
    except OSError:
        return
