"""A sweep's tasks on Ray: nodes and workers that die cost one task each, and stopping ends runs after their step."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.record import reader
from training.sweeps.ray_engine import RayEngine
from training.sweeps.ray_worker import at_home
from training.sweeps.trial import SweepError, Task

ROOT = Path(__file__).resolve().parent.parent
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install ray")
needs_workers = pytest.mark.skipif(
    " " in sys.executable, reason="Ray starts no worker with a Python in a folder whose name has a space"
)


def play(scenario: str, folder: Path) -> dict[str, object]:
    """What a scenario of ray_scenarios.py found out. Ray runs in a process of its own, on loopback."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "tests" / "ray_scenarios.py"), scenario, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@needs_ray
@needs_workers
def test_when_a_node_is_killed_its_run_goes_on_elsewhere_and_none_is_doubled(tmp_path):
    """Six runs of 12 steps on two nodes. One node dies when its run has a third checkpoint in the store: that run ends
    twice, first as died and then as finished, the five others once. It goes on from a checkpoint, not from the start,
    and each run's curve has each step once.
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
            assert max(line["begun"] for line in lines) >= (3 if run.name == killed else 0)
            assert run.name == killed or len(lines) == 12
    assert not list((tmp_path / "store").rglob(".*"))


@needs_ray
@needs_workers
def test_a_killed_worker_is_replaced_and_stopping_ends_tasks_after_their_step(tmp_path):
    found = play("kill_and_stop", tmp_path)
    (died, *stopped) = found["ended"]
    assert died[:2] == [0, "died"]
    assert "\n" not in died[2]
    assert stopped == [[1, "stopped", "after its step"], [2, "stopped", "after its step"], [3, "stopped", None]]
    assert not found["begun"]
    assert found["open_to"]
    assert set(found["open_to"]) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert found["left"] == []


SWEEP = """
name: tiny
method: grid
metric: {name: eval/rewards/accuracies, goal: maximize}
parameters:
  learning_rate: {values: [1.0e-3, 1.0e-4]}
  beta: {values: [0.1, 0.5]}
"""


@needs_ray
@needs_workers
def test_a_sweep_on_ray_is_in_the_store_and_with_its_driver_and_shares_reference_scores(
    tmp_path, tiny_model, pairs_file
):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    told = {"model_name_or_path": tiny_model, "dataset_name": pairs_file, "runs": tmp_path / "runs"}
    told |= {"store": f"file://{tmp_path}/store", "engine": "ray", "workers": 1, "prune": "none"}
    told |= {"max_steps": 4, "eval_steps": 2, "save_steps": 2, "sample_max_new_tokens": 4}
    done = subprocess.run(
        [sys.executable, "-m", "training.sweep", "sweep.yaml", *(f"--{name}={value}" for name, value in told.items())],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    for folder in (tmp_path / "store", tmp_path / "runs"):
        runs = [reader.read_run(path) for path in sorted(folder.glob("[!.]*"))]
        assert [run.status for run in runs] == ["finished"] * 4
        assert all(reader.score_steps(folder / run.name) == [0, 2, 4] for run in runs)
        computed = [sum(run.data["reference"][part]["computed"] for part in ("train", "eval")) for run in runs]
        assert computed[0] > 0
        assert computed[-1] == 0
        assert (folder / ".shared" / runs[0].data["eval"] / "pairs.parquet").is_file()
    assert (tmp_path / "store" / runs[0].name / "checkpoints" / "best" / "config.json").is_file()


@needs_ray
def test_a_cluster_without_room_for_one_worker_says_so(tmp_path):
    error = play("no_room", tmp_path)["error"]
    assert error.startswith("a worker needs 1 CPU and 1000 GPU, the cluster has ")


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:99999999"])
def test_an_address_where_nothing_answers_is_told_at_once(address):
    with pytest.raises(SweepError, match=r"^no Ray cluster answers at [^\n]+ `ray start` has told, or auto$"):
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
        (("--resume=/a/s-1", "-q"), ("--resume=s-1", "-q", "--runs=/node")),
    ],
)
def test_a_task_gets_the_folder_of_its_node(argv, there):
    assert at_home(Task(1, "s-1", argv, {}), Path("/node")) == there
