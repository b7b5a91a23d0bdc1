"""Two runs at once where cores and memory allow, one for each GPU, and never more than a container has room for."""

import pytest

from training.sweeps import room


def test_cores_are_shared_by_the_workers_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setattr(room.os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [room.threads(workers) for workers in (1, 3, 8, 20)] == [8, 2, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert room.threads(3) == 5


def test_the_gpus_are_those_that_the_process_may_use(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert room.devices() == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-a8")
    assert room.devices() == ("3", "GPU-a8")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert room.devices() == ()


@pytest.mark.parametrize(
    ("parameters", "cores", "free", "gpus", "expected"),
    [
        (10_000_000, 2, 6.56e9, 0, 2),
        (10_000_000, 2, 6.55e9, 0, 1),
        (10_000_000, 1, 64e9, 0, 1),
        (None, 16, 64e9, 0, 1),
        (124_000_000, 16, 64e9, 0, 2),
        (None, 16, 64e9, 3, 3),
    ],
)
def test_two_workers_share_a_processor_with_room_for_both(monkeypatch, parameters, cores, free, gpus, expected):
    """10 million parameters: 2 x (1 GB + 64 x 10 million bytes) = 3.28 GB are to be half of the free memory."""
    monkeypatch.setattr(room, "devices", lambda: tuple(map(str, range(gpus))))
    monkeypatch.setattr(room.os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(room, "free_memory", lambda: int(free))
    assert room.workers(parameters) == expected


@pytest.mark.parametrize(
    ("limit", "used"),
    [("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")],
)
def test_a_container_has_less_memory_than_its_machine(tmp_path, limit, used):
    machine = room.free_memory(tmp_path)
    (tmp_path / "memory").mkdir()
    (tmp_path / limit).write_text("3000000\n")
    (tmp_path / used).write_text("1000000\n")
    assert room.free_memory(tmp_path) == 2_000_000 < machine


def test_a_container_without_a_limit_has_the_machine_s_memory(tmp_path):
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert room.free_memory(tmp_path) > 10_000_000
