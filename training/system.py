"""What training costs: load and memory of processor and GPU, pairs and tokens per second."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import psutil
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

Log = Callable[[int, float | None, Mapping[str, float]], None]


def figures() -> dict[str, float]:
    """Load and memory now, under W&B keys; GB are 10^9 bytes.

    system/cpu: percent of the machine's processor time since the last call; system/memory: GB resident in this process;
    system/gpu: percent of the last second or less in which the GPU computed, where the driver tells; system/gpu_memory:
    the most GB of tensors that this process has held at once. With several GPUs in use: system/gpu/0, ...
    """
    found = {"system/cpu": psutil.cpu_percent(), "system/memory": psutil.Process().memory_info().rss / 1e9}
    devices = [device for device in range(torch.cuda.device_count()) if torch.cuda.max_memory_allocated(device)]
    for device in devices:
        place = f"/{device}" if len(devices) > 1 else ""
        load = _gpu_load(device)
        found |= {} if load is None else {f"system/gpu{place}": load}
        found[f"system/gpu_memory{place}"] = torch.cuda.max_memory_allocated(device) / 1e9
    return found


def _gpu_load(device: int) -> float | None:
    """Needs nvidia-ml-py, a driver that answers, and no MIG: whatever is missing, training goes on without."""
    try:
        return float(torch.cuda.utilization(device))
    except Exception:
        return None


class SystemCallback(TrainerCallback):
    """Gives `log` (step, epoch, figures) the figures of this machine whenever the training metrics are logged."""

    def __init__(self, log: Log) -> None:
        self._log = log
        psutil.cpu_percent()  # the first call has nothing to compare with

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        if "loss" in logs and state.is_world_process_zero:
            self._log(state.global_step, state.epoch, figures())


class Throughput(TrainerCallback):
    """Pairs and tokens per second of training: evaluations and saving left out, loading of batches counted.

    `count` is told what each batch held, of all processes; `take` gives the rates since the last `take`.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._since: float | None = None
        self._seconds = 0.0
        self._pairs = self._tokens = 0

    def count(self, pairs: int, tokens: int) -> None:
        self._pairs += pairs
        self._tokens += tokens

    def take(self) -> dict[str, float]:
        """Rates per second, or nothing where nothing was trained."""
        seconds, pairs, tokens = self._seconds, self._pairs, self._tokens
        self._seconds, self._pairs, self._tokens = 0.0, 0, 0
        return {"pairs_per_second": pairs / seconds, "tokens_per_second": tokens / seconds} if pairs and seconds else {}

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._since = self._clock() if self._since is None else self._since

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        now = self._clock()
        if self._since is not None:
            self._seconds += now - self._since
        self._since = now

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._since = None

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._since = None
