"""`python -m training.sweep`, as its user meets it."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import commands
import pytest

from training import sweep
from training.record import reader, schema
from training.record.history import read_history
from training.sweep import main
from training.sweeps import store
from training.sweeps.search import Search

ROOT = Path(__file__).resolve().parent.parent
GRID = """
name: demo
method: grid
metric: {name: eval/loss, goal: minimize}
parameters:
  learning_rate: {values: [1.0e-3, 1.0e-2]}
  beta: {values: [0.1, 0.5]}
"""
BETAS = """
method: grid
parameters:
  beta: {values: [%s]}
"""


@dataclass
class Finished:
    """A command that has ended."""

    runs: Path
    status: int
    out: str
    err: str

    @property
    def id(self) -> str:
        return store.ids(self.runs)[0]


def flags(runs: Path, model: Path, pairs: Path, steps: int, every: int) -> list[str]:
    told = {
        "runs": runs,
        "model_name_or_path": model,
        "dataset_name": pairs,
        "max_steps": steps,
        "eval_steps": every,
        "save_steps": every,
        "logging_steps": every,
        "per_device_train_batch_size": 4,
        "sample_max_new_tokens": 4,
        "gradient_checkpointing": False,
    }
    return [f"--{name}={value}" for name, value in told.items()]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def begin(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """The command as its user begins it; where that is not what a test is about, `commands.begin` is quicker."""
    command = [sys.executable, "-m", "training.sweep", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment(), stdout=pipe, stderr=pipe, text=True)


def wait_for(condition, lives, seconds: float = 180.0) -> None:
    """Until the condition holds, as long as the process that should bring it about `lives`."""
    end = time.monotonic() + seconds
    while not condition():
        assert lives(), "the command has ended"
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.01)


def first_two(folder: Path, lives) -> tuple[Path, Path]:
    """Where the first two runs of the sweep that has begun there are, or will be."""
    wait_for(lambda: store.ids(folder), lives)
    (id,) = store.ids(folder)
    return folder / f"{id}-00", folder / f"{id}-01"


def trainer_of(directory: Path) -> int:
    """The process that trains a run; 0 if none is known."""
    try:
        progress, ended = reader.read_progress(directory)
    except schema.RecordError:
        return 0
    return 0 if ended else int(progress.get("pid", 0))


def check_whole(directory: Path, steps: int, every: int) -> None:
    """Every evaluation is there once, in order, and nothing half written is left."""
    history = read_history(directory)["eval/rewards/accuracies"]
    assert list(history.steps) == list(range(0, steps + 1, every))
    assert not list(directory.rglob(".*.*"))
    assert reader.read_run(directory).step == steps


def runs_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.fixture(scope="module")
def grid(tmp_path_factory, tiny_model, pairs_file) -> Finished:
    """A grid of four, two workers, from another folder, with paths as seen from there and spaces in them."""
    folder = tmp_path_factory.mktemp("a grid")
    (folder / "my sweep.yaml").write_text(GRID)
    (folder / "recipe.yaml").write_text("max_steps: 9\nlogging_steps: 2\n")
    (folder / "pairs.jsonl").symlink_to(pairs_file)
    words = flags(Path("my runs"), tiny_model, Path("pairs.jsonl"), 4, 2)
    process = begin(folder, "my sweep.yaml", "--config", "recipe.yaml", "--workers=2", *words)
    out, err = process.communicate(timeout=280)
    return Finished(folder / "my runs", process.returncode, out, err)


def test_a_grid_is_trained_whole_every_run_once(grid):
    assert grid.status == 0, grid.err
    assert runs_in(grid.runs) == [f"{grid.id}-{number:02d}" for number in range(4)]
    runs = [reader.read_run(grid.runs / name) for name in runs_in(grid.runs)]
    assert {run.status for run in runs} == {"finished"}
    assert {run.sweep for run in runs} == {grid.id}
    drawn = {(run.config["learning_rate"], run.config["beta"]) for run in runs}
    assert drawn == {(rate, beta) for rate in (1e-3, 1e-2) for beta in (0.1, 0.5)}
    for run in runs:
        check_whole(grid.runs / run.id, 4, 2)
        assert "eval/common_beta_loss" in run.metrics


def test_the_plan_is_printed_first_and_the_ranked_summary_last(grid):
    lines = grid.out.splitlines()
    assert lines[0].startswith("beta varies, so eval/loss cannot be compared across runs")
    assert "sweep      demo: the whole grid, 4 runs" in lines
    assert any(
        line.startswith("pruning    broken runs; those that fall behind (bound, by the loss at beta") for line in lines
    )
    closing = lines[lines.index(f"sweep      {grid.id} (4 runs: 4 finished)") :]
    best = min(runs_in(grid.runs), key=lambda name: min(read_history(grid.runs / name)["eval/common_beta_loss"].values))
    assert closing[1].startswith(f"best       {best}: learning_rate 0.01, beta ")
    assert closing[3].split()[:2] == ["1", best]
    assert "n = 4" in closing[1]
    assert any(line.startswith("tied       ") for line in closing)
    assert closing[-1] == "dashboard  python dashboard/app.py --runs 'my runs'"


def test_without_a_terminal_each_run_has_a_line_at_start_and_end(grid):
    for name in runs_in(grid.runs):
        assert f"start  {name}  learning_rate " in grid.err
        assert f"end    {name}  finished: best eval/common_beta_loss " in grid.err
    assert "Traceback" not in grid.err


def test_the_study_knows_every_value_as_the_record_has_it(grid):
    for known in Search(store.load(grid.runs, grid.id)).trials():
        values = list(read_history(grid.runs / known.trial.name)["eval/common_beta_loss"].values)
        assert (known.state, known.value) == ("finished", min(values[1:]))


def test_what_libraries_print_goes_to_a_log_file(grid):
    logs = sorted((grid.runs / ".shared" / "sweeps" / grid.id / "logs").iterdir())
    assert [log.name for log in logs] == ["worker-0.log", "worker-1.log"]
    text = "".join(log.read_text() for log in logs)
    assert all(f"--- {name}\n" in text for name in runs_in(grid.runs))


def test_resuming_a_finished_sweep_says_so(grid, capsys):
    before = runs_in(grid.runs)
    assert main(["--resume", grid.id, "--runs", str(grid.runs)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"sweep {grid.id} has finished: there is nothing to go on with\n")
    assert f"sweep      {grid.id} (4 runs: 4 finished)" in out
    assert runs_in(grid.runs) == before


def test_a_worker_that_is_killed_costs_its_trial_only(tmp_path, tiny_model, pairs_file):
    """The first run's worker is killed: the run goes on from its checkpoint in another, which trains the second too."""
    (tmp_path / "kills.yaml").write_text(BETAS % "0.1, 0.2")
    words = ["kills.yaml", *flags(tmp_path, tiny_model, pairs_file, 120, 40), "--prune=none", "--workers=1"]
    process = commands.begin("training.sweep", words, tmp_path, tmp_path / "said.log", environment())
    first, second = first_two(tmp_path, process.is_alive)
    wait_for(lambda: trainer_of(first) and (first / "checkpoints" / "checkpoint-40").exists(), process.is_alive)
    os.kill(trainer_of(first), signal.SIGKILL)
    process.join(280)
    said = (tmp_path / "said.log").read_text()
    assert process.exitcode == 0, said
    assert said.count("its worker was killed by SIGKILL, which looks like the machine running out of memory") == 1
    assert said.count("it is tried once more") == 1
    assert "(2 runs: 2 finished)" in said
    assert runs_in(tmp_path) == sorted(["kills.yaml", "said.log", first.name, second.name])
    for directory in (first, second):
        assert reader.read_run(directory).status == "finished"
        check_whole(directory, 120, 40)
    notices = [notice["message"] for notice in reader.read_notices(first) if notice["kind"] == "resumed"]
    assert notices in (["going on from checkpoint-40"], ["going on from checkpoint-80"])


def test_ctrl_c_and_kill_9_of_the_sweep_lose_nothing(tmp_path, tiny_model, pairs_file, capsys):
    """Ctrl-C in the first run: it is saved, exit 130, told how to go on. Gone on with, killed -9 in the second run: its
    worker ends by itself, with a checkpoint. Gone on with again: two runs, each whole, none twice."""
    (tmp_path / "stops.yaml").write_text(BETAS % "0.1, 0.2")
    process = begin(
        tmp_path, "stops.yaml", *flags(tmp_path, tiny_model, pairs_file, 280, 40), "--prune=none", "--workers=1"
    )
    first, second = first_two(tmp_path, lambda: process.poll() is None)
    wait_for(lambda: (first / "scores" / "step-40.parquet").exists(), lambda: process.poll() is None)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    id = store.ids(tmp_path)[0]
    assert process.returncode == 130, err
    assert f"resume     python -m training.sweep --resume {id} --runs ." in out
    assert "Traceback" not in err
    stopped = reader.read_run(first)
    assert stopped.status == "stopped"
    assert stopped.step is not None
    assert (first / "checkpoints" / f"checkpoint-{stopped.step}").is_dir() or stopped.step % 40

    again = ["--resume", id, "--runs", str(tmp_path), "--workers=1"]
    resumed = commands.begin("training.sweep", again, tmp_path, tmp_path / "said.log", environment())
    wait_for(lambda: (second / "scores" / "step-40.parquet").exists(), resumed.is_alive)
    resumed.kill()
    resumed.join()
    end = time.monotonic() + 60
    while trainer_of(second):
        assert time.monotonic() < end, "the worker goes on without its sweep"
        time.sleep(0.05)
    assert reader.read_run(first).status == "finished"
    assert reader.read_run(second).status == "stopped"

    assert main(["--resume", id, "--runs", str(tmp_path)]) == 0
    assert "(2 runs: 2 finished)" in capsys.readouterr().out
    assert [known.state for known in Search(store.load(tmp_path, id)).trials()] == ["finished"] * 2
    assert runs_in(tmp_path) == sorted(["stops.yaml", "said.log", first.name, second.name])
    for number in range(2):
        check_whole(first.with_name(f"{id}-{number:02d}"), 280, 40)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "the sweep file comes first: python -m training.sweep SWEEP.yaml"),
        (["missing.yaml"], "missing.yaml: No such file or directory"),
        (["ok.yaml", "--count", "0"], "argument --count: 0 is no number of 1 or more"),
        (["ok.yaml", "--workers", "two"], "argument --workers: two is no number of 1 or more"),
        (["ok.yaml", "--prune", "asha"], "argument --prune: invalid choice: 'asha'"),
        (["ok.yaml", "--lerning_rate=1"], "unknown argument --lerning_rate (did you mean --learning_rate?)"),
        (["ok.yaml", "--max_steps=many"], "--max-steps: invalid int value: 'many'"),
        (["ok.yaml", "--weight_decay", "x"], "invalid float value: 'x'"),
        (["ok.yaml", "--name=a"], "--name cannot be given to a sweep: runs are named after the sweep"),
        (["ok.yaml", "--model_name_or_path=nobody/nothing"], "model 'nobody/nothing' cannot be loaded"),
        (["ok.yaml", "--config=nothing"], "--config nothing does not exist; recipes here: "),
        (["ok.yaml", "--learning-rate", "1e-4"], "--learning_rate is also a parameter of the sweep file"),
        (
            ["ok.yaml", "--resume_from_checkpoint=x"],
            "--resume_from_checkpoint cannot be given to a sweep: see --resume",
        ),
        (["ok.yaml", "--seed=-1"], "--seed must be from 0 to 4294967295, got -1"),
        (["ok.yaml", "--runs="], "--runs is empty"),
        (["ok.yaml", "--address=auto"], "--address is for --engine ray"),
        (["ok.yaml", "--prune=hyperband"], "hyperband needs min_iter, or max_iter and s"),
        (["empty.yaml"], "empty.yaml: "),
        (["typo.yaml"], "did you mean learning_rate?"),
        (["--resume", "demo"], "no sweep 'demo' in "),
        (["ok.yaml", "--resume", "demo"], "leave out ok.yaml"),
        (["--resume", "demo", "--beta=0.2", "--prune=none"], "leave out --beta=0.2 --prune"),
    ],
)
def test_a_mistake_is_one_line_before_anything_starts(tmp_path, words, told, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ok.yaml").write_text(GRID)
    Path("empty.yaml").write_text("")
    Path("typo.yaml").write_text(GRID.replace("learning_rate", "learning_rat"))
    assert main(["--runs=runs", *words] if words[:1] == ["--resume"] else [*words[:1], "--runs=runs", *words[1:]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("training.sweep: ")
    assert told in line
    assert not Path("runs").exists()


def _swallow(_: object) -> None:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    except KeyboardInterrupt:
        raise SystemExit("swallowed") from None


def _sweep_that_swallows(output: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with output.open("w", buffering=1) as sys.stdout:
        sys.stderr = sys.stdout
        sweep._new = _swallow
        status = main(["x.yaml"])
    os._exit(status)


def test_ctrl_c_counts_even_where_a_library_swallows_it(tmp_path):
    """Some do while they are imported: the sweep would go on as if nobody had asked."""
    process = commands.start(_sweep_that_swallows, tmp_path / "said")
    process.join(60)
    assert (process.exitcode, (tmp_path / "said").read_text()) == (130, "training.sweep: stopped\n")
