"""How many of a sweep's runs this machine trains at once, and what each gets of it."""

import os
from contextlib import suppress
from pathlib import Path

import psutil

# Bytes a worker takes on a processor: its libraries, and per parameter weights, gradient, Adam's two moments, the
# kept base weights and activations. Measured peaks at TRL's batch of 8 pairs: 0.9 GB with 5.5 million parameters and
# short texts, 2.9 GB with 30 million and pairs of some 420 tokens.
LIBRARIES, PER_PARAMETER = 1_000_000_000, 64
_CGROUPS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def workers(parameters: int | None) -> int:
    """Runs at once, of models of so many parameters: one for each GPU; on a processor two if that is sure to fit.

    Two processes on half of the cores each are faster than one on all, which waits for the other cores at every
    operation; both together take at most half of the free memory. One where the size is not known.
    """
    if gpus := devices():
        return len(gpus)
    if parameters is None or _cores() < 2:
        return 1
    return 2 if 4 * (LIBRARIES + PER_PARAMETER * parameters) <= free_memory() else 1


def devices() -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(named.split(",") if named else map(str, range(count)))[:count]


def threads(workers: int) -> int:
    """The processor's threads for each of so many workers, unless OMP_NUM_THREADS says it."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdecimal() and int(stated) else max(1, _cores() // workers)


def free_memory(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of memory that this machine, or the container that this process is in, has left."""
    free: int = psutil.virtual_memory().available
    for limit, used in _CGROUPS:
        with suppress(OSError, ValueError):  # no container, or "max"
            free = min(free, int((cgroup / limit).read_text()) - int((cgroup / used).read_text()))
    return free


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
