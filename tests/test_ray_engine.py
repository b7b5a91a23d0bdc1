"""A sweep's tasks on Ray: nodes and workers that die cost one task each, and stopping ends runs after their step."""

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from training.record import reader
from training.record.history import read_history
from training.record.writer import RunWriter
from training.sweeps.ray_engine import RayEngine
from training.sweeps.ray_worker import Worker, at_home, own_folder
from training.sweeps.trial import Ended, SweepError, Task

ROOT = Path(__file__).resolve().parent.parent
# Ray's workers give way to all else, by a niceness of 15: beside other tests they would hardly run.
HURRIED = {"RAY_worker_niceness": "0"}
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install ray")
needs_nodes = pytest.mark.skipif(
    " " in sys.executable, reason="Ray starts no node's workers if Python's path has a space"
)


def play(scenario: str, folder: Path, *words: str, python: Path = Path(sys.executable)) -> dict[str, object]:
    """What a scenario of ray_scenarios.py found out, which prints nothing else. Ray runs in a process of its own, on
    loopback.
    """
    paths = os.pathsep.join((str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    environment = {**os.environ, **HURRIED, "PYTHONPATH": paths, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    done = subprocess.run(
        [str(python), "-W", "ignore", str(ROOT / "tests" / "ray_scenarios.py"), scenario, str(folder), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout)
    return found


@needs_ray
@needs_nodes
def test_when_a_node_is_killed_its_run_goes_on_elsewhere_and_none_is_doubled(tmp_path):
    """Six runs of 12 steps on two nodes. One node dies when its run has a third checkpoint in the store: that run ends
    twice, first as died and then as finished, the five others once. It goes on from a checkpoint, not from the start,
    and each run's curve has each step once. So do the two that had two steps before: one begun without the store, one
    in the store that the driver was killed too early to see.
    """
    found = play("two_nodes", tmp_path)
    assert found["workers"] == 2
    (killed,) = found["killed"]
    died = [ended for ended in found["ended"] if ended[1] != "finished"]
    assert [(f"sweep-{number:02}", status) for number, status, _ in died] == [(killed, "died")]
    assert died[0][2]
    assert "\n" not in died[0][2]
    assert sorted(number for number, status, _ in found["ended"] if status == "finished") == list(range(6))
    for folder in (tmp_path / "store", tmp_path / "runs"):
        runs = sorted(folder.glob("[!.]*"))
        assert [run.name for run in runs] == [f"sweep-{number:02}" for number in range(6)]
        assert {reader.read_run(run).status for run in runs} == {"finished"}
        for run in runs:
            lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            assert {line["step"] for line in lines} == set(range(1, 13))
            before = 3 if run.name == killed else 2 if run.name in ("sweep-00", "sweep-01") else 0
            assert max(line["begun"] for line in lines) >= before
            assert run.name == killed or len(lines) == 12
    assert not list((tmp_path / "store").rglob(".*"))


@needs_ray
def test_a_killed_worker_is_replaced_and_stopping_ends_tasks_after_their_step(tmp_path):
    """All of it with a Python in a folder whose name has a space, a quote and a dollar sign."""
    python = tmp_path / "it's $HOME" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    found = play("kill_and_stop", tmp_path, python=python)
    (died, *stopped) = found["ended"]
    assert died[:2] == [0, "died"]
    assert died[2].startswith("its worker process has died. ")
    assert "\n" not in died[2]
    assert stopped == [[1, "stopped", "after its step"], [2, "stopped", "after its step"], [3, "stopped", None]]
    assert not found["begun"]
    assert found["known"] == [True, True]  # as processes that train: their runs must not be gone on with meanwhile
    assert found["open_to"]
    assert set(found["open_to"]) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert found["left"] == []


SWEEP = """
name: tiny
method: grid
metric: {name: eval/rewards/accuracies, goal: maximize}
parameters:
  learning_rate: {values: [1.0e-3, 1.0e-4]}
  beta: {values: [0.1]}
"""


@needs_ray
def test_a_sweep_on_ray_is_in_the_store_and_with_its_driver_and_shares_reference_scores(
    tmp_path, tiny_model, pairs_file
):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    told = {"model_name_or_path": tiny_model, "dataset_name": pairs_file, "runs": tmp_path / "runs"}
    told |= {"store": f"file://{tmp_path}/store", "engine": "ray", "workers": 1, "prune": "none"}
    told |= {"max_steps": 4, "eval_steps": 2, "save_steps": 2, "sample_max_new_tokens": 4}
    done = subprocess.run(
        [sys.executable, "-m", "training.sweep", "sweep.yaml", *(f"--{name}={value}" for name, value in told.items())],
        env={**os.environ, **HURRIED, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    for folder in (tmp_path / "store", tmp_path / "runs"):
        runs = [reader.read_run(path) for path in sorted(folder.glob("[!.]*"))]
        assert [run.status for run in runs] == ["finished"] * 2
        assert all(reader.score_steps(folder / run.name) == [0, 2, 4] for run in runs)
        computed = [sum(run.data["reference"][part]["computed"] for part in ("train", "eval")) for run in runs]
        assert computed[0] > 0
        assert computed[-1] == 0
        assert (folder / ".shared" / runs[0].data["eval"] / "pairs.parquet").is_file()
    assert (tmp_path / "store" / runs[0].name / "checkpoints" / "best" / "config.json").is_file()


@needs_ray
@needs_nodes
def test_a_node_killed_during_a_sweep_costs_none_of_its_runs(tmp_path, tiny_model, pairs_file):
    """Its run goes on from its checkpoint on the node that is left; each run has each of its evaluations once."""
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    told = {"model_name_or_path": tiny_model, "dataset_name": pairs_file, "runs": tmp_path / "runs", "prune": "none"}
    told |= {"max_steps": 600, "eval_steps": 150, "save_steps": 50, "logging_steps": 50, "sample_max_new_tokens": 4}
    found = play("sweep", tmp_path, "sweep.yaml", *(f"--{name}={value}" for name, value in told.items()))
    out, err = str(found["out"]), str(found["err"])
    assert found["status"] == 0, err
    assert "(raylet)" not in out + err
    assert "Traceback" not in err
    (killed,) = found["killed"]
    assert [line for line in err.splitlines() if "it is tried once more" in line] == [
        f"{killed}: its node has died or cannot be reached; it is tried once more"
    ]
    names = [f"{killed[:-2]}{number:02}" for number in range(2)]
    assert "(2 runs: 2 finished)" in out
    assert sorted(line.split()[1] for line in out.splitlines() if line.split()[0] in "12") == names
    for folder in (tmp_path / "store", tmp_path / "runs"):
        assert sorted(path.name for path in folder.glob("[!.]*")) == names
        for name in names:
            run, history = reader.read_run(folder / name), read_history(folder / name)
            assert (run.status, run.step) == ("finished", 600)
            assert list(history["eval/rewards/accuracies"].steps) == list(range(0, 601, 150))
            assert list(history["train/loss"].steps) == list(range(50, 601, 50))
            assert reader.score_steps(folder / name) == list(range(0, 601, 150))
            resumed = [one["message"] for one in reader.read_notices(folder / name) if one["kind"] == "resumed"]
            assert len(resumed) == (name == killed)
            assert all(message.startswith("going on from checkpoint-") for message in resumed)


@needs_ray
def test_a_cluster_without_room_for_one_worker_says_so(tmp_path):
    error = play("no_room", tmp_path)["error"]
    assert error.startswith("a worker needs 1 CPU and 1000 GPU, the cluster has ")


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:99999999"])
def test_an_address_where_nothing_answers_is_told_at_once(address):
    with pytest.raises(SweepError, match=r"^no Ray cluster answers at [^\n]+ `ray start` has told, or auto$"):
        RayEngine(address)


@needs_ray
@pytest.mark.parametrize("address", ["auto", "127.0.0.1:1"])
def test_a_node_whose_python_ray_cannot_start_is_told_at_once(address, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/my tools/bin/python")
    with pytest.raises(SweepError, match=r"^Ray starts no worker with a Python in /my tools/bin: [^\n]+$"):
        RayEngine(address)


def test_without_ray_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SweepError, match=r"pip install ray$"):
        RayEngine()


@pytest.mark.parametrize(
    ("argv", "there"),
    [
        (("--name=s-1", "--runs=/a"), ("--name=s-1", "--runs=/a", "--runs=/node")),
        (("--resume", "/a/s-1"), ("--resume=s-1", "--runs=/node")),
        (("--resume=/a/s-1",), ("--resume=s-1", "--runs=/node")),
    ],
)
def test_a_task_gets_the_folder_of_its_node(argv, there):
    assert at_home(Task(1, "s-1", argv, {}), Path("/node")) == there


def test_a_run_that_the_store_has_is_gone_on_with_though_its_driver_takes_it_for_new(tmp_path):
    """The driver was killed before it had seen it: begun again, it would be refused, its name being taken."""
    RunWriter(tmp_path, "s-1").publish({"config": {}, "sweep": "s"})
    there = at_home(Task(1, "s-1", ("--beta=0.1", "--name=s-1", "--runs=/a"), {}), tmp_path)
    assert there == ("--resume=s-1", f"--runs={tmp_path}")


def test_a_node_keeps_the_checkpoints_of_no_run_that_has_ended(tmp_path, monkeypatch):
    """They are in the store; a node's disk would be full after some trials."""

    def train(task: Task) -> Ended:
        run = RunWriter(Path(task.argv[-1].removeprefix("--runs=")), task.name)
        run.publish({"config": {}, "sweep": "s"})
        (run.checkpoints / "best").mkdir()
        (run.checkpoints / "best" / "config.json").write_text("{}")
        run.finish("finished")
        return Ended(task.number, "finished")

    (tmp_path / "node").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "node"))
    monkeypatch.setattr(Worker, "_wait_for", lambda *_: None)
    worker = Worker(None, lambda: train, f"file://{tmp_path}/store", str(tmp_path))
    worker.begin()
    assert worker.run(Task(1, "s-1", (), {})) == Ended(1, "finished")
    (node,) = (tmp_path / "node").glob("prefscope-ray-worker-*/s-1")
    assert reader.read_run(node).status == "finished"
    assert not (node / "checkpoints").exists()
    assert (tmp_path / "store" / "s-1" / "checkpoints" / "best" / "config.json").is_file()
    worker.leave()
    assert not list((tmp_path / "node").iterdir())


def test_what_a_killed_worker_left_on_its_node_is_removed_by_the_next_but_not_what_a_live_one_has(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "prefscope-ray-worker-dead" / "s-1").mkdir(parents=True)
    (tmp_path / "prefscope-notes").mkdir()
    live = own_folder()
    (live / "s-2").mkdir()
    second = own_folder()
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "prefscope-notes", live, second])
    assert (live / "s-2").is_dir()
