"""Several processes make the run that one process makes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import commands
import pytest

from training.record import reader
from training.record.history import read_history
from training.run import main

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def told(tmp_path_factory, tiny_model, pairs_file) -> dict[str, object]:
    """36 training and 4 evaluation pairs; evaluation batches of 3 on two processes are filled up by two pairs again."""
    return {
        "runs": tmp_path_factory.mktemp("runs of several"),
        "model_name_or_path": tiny_model,
        "dataset_name": pairs_file,
        "max_steps": 4,
        "optim": "sgd",  # Adam makes a whole step of a rounding error where the gradient is almost zero
        "learning_rate": 0.05,
        "logging_steps": 2,
        "eval_steps": 2,
        "per_device_eval_batch_size": 3,
        "sample_max_new_tokens": 4,
        "use_cpu": True,
    }


def flags(arguments: dict[str, object]) -> list[str]:
    return [f"--{key}={value}" for key, value in arguments.items()]


def launch(*words: str) -> subprocess.CompletedProcess:
    """training.run in two processes."""
    # --multi_gpu starts the processes; --use_cpu keeps them on the processor, where they talk by gloo.
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"]
    launcher += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"]
    return subprocess.run(
        [*launcher, "-m", "training.run", *words],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.fixture(scope="module")
def runs(told) -> tuple[Path, Path]:
    """Batches of 4 in one process, and of 2 in each of two: the same four pairs a step."""
    folder = Path(str(told["runs"]))
    assert main(["-q", *flags({**told, "name": "one", "per_device_train_batch_size": 4})]) == 0
    done = launch(*flags({**told, "name": "two", "per_device_train_batch_size": 2}))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run        ") == 1
    assert done.stderr.count("40 of 40 rows are used") == 1
    return folder / "one", folder / "two"


@pytest.mark.parametrize("step", [0, 2, 4])
def test_scores_are_those_of_one_process(runs, step):
    """Each pair once, no padded copy, log-probabilities to float32 rounding after the same steps."""
    one, two = (reader.read_scores(run, step) for run in runs)
    assert one["pair_id"].to_pylist() == two["pair_id"].to_pylist()
    assert len(set(two["pair_id"].to_pylist())) == 4
    for column in ("chosen_logp", "rejected_logp", "ref_chosen_logp", "ref_rejected_logp"):
        assert two[column].to_pylist() == pytest.approx(one[column].to_pylist(), abs=2e-4)


@pytest.mark.parametrize(
    "metric", ["eval/loss", "eval/rewards/accuracies", "eval/rewards/margins", "eval/logps/chosen"]
)
def test_metrics_count_no_pair_twice(runs, metric):
    one, two = (read_history(run)[metric] for run in runs)
    assert list(two.steps) == list(one.steps) == [0, 2, 4]
    assert list(two.values) == pytest.approx(list(one.values), abs=1e-4)


def test_only_one_process_writes(runs):
    """No line twice, one set of samples, one run in the folder."""
    one, two = runs
    assert (two / "metrics.jsonl").read_bytes().count(b"\n") == (one / "metrics.jsonl").read_bytes().count(b"\n")
    assert len((two / "samples.jsonl").read_bytes().splitlines()) == len(
        (one / "samples.jsonl").read_bytes().splitlines()
    )
    assert sorted(path.name for path in two.parent.iterdir() if not path.name.startswith(".shared")) == ["one", "two"]
    assert reader.read_run(two).status == "finished"


def test_a_name_that_is_taken_is_told_once(runs, told, tmp_path):
    """And by no process with a traceback, though only the first one looks. With the environment of a launcher."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    words, said = flags({**told, "name": "two"}), [tmp_path / "0", tmp_path / "1"]
    processes = [
        commands.begin(
            "training.run", words, ROOT, said[int(rank)], os.environ | group | {"RANK": rank, "LOCAL_RANK": rank}
        )
        for rank in "01"
    ]
    for process in processes:
        process.join(200)
    assert [process.exitcode for process in processes] == [2, 2]
    (line,) = said[0].read_text().splitlines()
    assert line.startswith("training.run: ") and "two already exists" in line
    assert said[1].read_text() == ""
