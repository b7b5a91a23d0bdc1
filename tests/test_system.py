"""What training costs: load, memory, pairs and tokens per second."""

import os

import psutil
import pytest
import torch
from transformers import TrainerState

from training import system
from training.system import SystemCallback, Throughput


@pytest.fixture
def gpus(monkeypatch):
    """Fake GPUs: a function that is told, per device, the GB held at most and the load (or the driver's refusal)."""

    def install(*devices: tuple[float, float | Exception]) -> None:
        def load(device: int) -> float:
            answer = devices[device][1]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(devices))
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: int(devices[device][0] * 1e9))
        monkeypatch.setattr(torch.cuda, "utilization", load)

    return install


def test_without_a_gpu_processor_and_memory_are_told():
    system.figures()
    sum(n * n for n in range(300_000))
    found = system.figures()
    assert found.keys() == {"system/cpu", "system/memory"}
    assert 0 < found["system/cpu"] <= 100
    assert found["system/memory"] == pytest.approx(psutil.Process(os.getpid()).memory_info().rss / 1e9, rel=0.2)


def test_one_gpu_needs_no_number(gpus):
    gpus((12.5, 80))
    found = system.figures()
    assert (found["system/gpu"], found["system/gpu_memory"]) == (80.0, 12.5)


def test_of_several_gpus_those_in_use_are_told_by_number(gpus):
    gpus((12.5, 80), (0, 55), (3, 40))
    found = {key: value for key, value in system.figures().items() if "gpu" in key}
    assert found == {
        "system/gpu/0": 80.0,
        "system/gpu_memory/0": 12.5,
        "system/gpu/2": 40.0,
        "system/gpu_memory/2": 3.0,
    }


@pytest.mark.parametrize("refusal", [ModuleNotFoundError("pynvml"), RuntimeError("no driver"), Exception("MIG")])
def test_a_gpu_that_does_not_tell_its_load_costs_no_run(gpus, refusal):
    gpus((2, refusal))
    found = system.figures()
    assert "system/gpu" not in found
    assert found["system/gpu_memory"] == 2.0


def test_figures_come_with_each_training_log_of_the_first_process_only():
    logged = []
    callback = SystemCallback(lambda *line: logged.append(line))
    first = TrainerState(global_step=10, epoch=0.5, is_world_process_zero=True)
    callback.on_log(None, first, None, {"loss": 0.6, "grad_norm": 1.0})
    callback.on_log(None, first, None, {"eval_loss": 0.6})
    callback.on_log(None, first, None, {"train_runtime": 9.0, "train_loss": 0.6})
    callback.on_log(None, TrainerState(global_step=10, is_world_process_zero=False), None, {"loss": 0.6})
    ((step, epoch, figures),) = logged
    assert (step, epoch) == (10, 0.5)
    assert "system/cpu" in figures


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def step(throughput: Throughput, clock: Clock, seconds: float, batches: int = 1) -> None:
    throughput.on_step_begin(None, None, None)
    for _ in range(batches):
        throughput.count(8, 400)
    clock.now += seconds
    throughput.on_step_end(None, None, None)


def test_rates_are_of_the_steps_since_the_last_and_include_loading_of_batches():
    """Two steps of 2 s with 1 s between them: 2 x 2 batches of 8 pairs in 5 s = 6.4 pairs/s; 1600 tokens, 320/s."""
    clock = Clock()
    throughput = Throughput(clock)
    step(throughput, clock, 2, batches=2)
    clock.now += 1
    step(throughput, clock, 2, batches=2)
    assert throughput.take() == {"pairs_per_second": 6.4, "tokens_per_second": 320.0}
    step(throughput, clock, 4)
    assert throughput.take() == {"pairs_per_second": 2.0, "tokens_per_second": 100.0}


@pytest.mark.parametrize("event", ["on_evaluate", "on_save"])
def test_evaluations_and_saving_are_left_out(event):
    """Steps of 2 s around an evaluation of 100 s: 16 pairs in 4 s."""
    clock = Clock()
    throughput = Throughput(clock)
    step(throughput, clock, 2)
    clock.now += 100
    getattr(throughput, event)(None, None, None)
    clock.now += 5
    step(throughput, clock, 2)
    assert throughput.take()["pairs_per_second"] == 4.0


def test_nothing_trained_has_no_rate():
    assert Throughput().take() == {}
