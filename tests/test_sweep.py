"""`python -m training.sweep`, as its user meets it; and what the driver makes of every way in which a run can end."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from training.record import reader, schema
from training.record.history import read_history
from training.record.writer import RunWriter
from training.sweep import main
from training.sweeps import store
from training.sweeps.driver import Driver
from training.sweeps.plan import Objective
from training.sweeps.search import Search
from training.sweeps.table import Screen
from training.sweeps.trial import Ended, SweepError, Task

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


def begin(folder: Path, *words: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "training.sweep", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


def wait_for(condition, process: "subprocess.Popen[str]", seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.01)


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
    process = begin(tmp_path, "kills.yaml", *flags(tmp_path, tiny_model, pairs_file, 120, 40), "--prune=none")
    first = tmp_path / f"kills-{time.strftime('%Y-%m-%d')}-00"
    second = first.with_name(f"{first.name[:-2]}01")
    wait_for(lambda: trainer_of(first) and (first / "checkpoints" / "checkpoint-40").exists(), process)
    os.kill(trainer_of(first), signal.SIGKILL)
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    assert err.count("its worker was killed by SIGKILL, which looks like the machine running out of memory") == 1
    assert err.count("it is tried once more") == 1
    assert "(2 runs: 2 finished)" in out
    assert runs_in(tmp_path) == sorted(["kills.yaml", first.name, second.name])
    for directory in (first, second):
        assert reader.read_run(directory).status == "finished"
        check_whole(directory, 120, 40)
    notices = [notice["message"] for notice in reader.read_notices(first) if notice["kind"] == "resumed"]
    assert notices in (["going on from checkpoint-40"], ["going on from checkpoint-80"])


def test_ctrl_c_and_kill_9_of_the_sweep_lose_nothing(tmp_path, tiny_model, pairs_file, capsys):
    """Ctrl-C in the first run: it is saved, exit 130, told how to go on. Gone on with, killed -9 in the second run: its
    worker ends by itself, with a checkpoint. Gone on with again: two runs, each whole, none twice."""
    (tmp_path / "stops.yaml").write_text(BETAS % "0.1, 0.2")
    process = begin(tmp_path, "stops.yaml", *flags(tmp_path, tiny_model, pairs_file, 120, 40), "--prune=none")
    first = tmp_path / f"stops-{time.strftime('%Y-%m-%d')}-00"
    second = first.with_name(f"{first.name[:-2]}01")
    wait_for(lambda: (first / "scores" / "step-40.parquet").exists(), process)
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

    process = begin(tmp_path, "--resume", id, "--runs", str(tmp_path))
    wait_for(lambda: (second / "scores" / "step-40.parquet").exists(), process)
    process.kill()
    process.communicate()
    end = time.monotonic() + 60
    while trainer_of(second):
        assert time.monotonic() < end, "the worker goes on without its sweep"
        time.sleep(0.05)
    assert reader.read_run(first).status == "finished"
    assert reader.read_run(second).status == "stopped"

    assert main(["--resume", id, "--runs", str(tmp_path)]) == 0
    assert "(2 runs: 2 finished)" in capsys.readouterr().out
    assert [known.state for known in Search(store.load(tmp_path, id)).trials()] == ["finished"] * 2
    assert len(runs_in(tmp_path)) == 3
    for number in range(2):
        check_whole(first.with_name(f"{id}-{number:02d}"), 120, 40)


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


def test_ctrl_c_counts_even_where_a_library_swallows_it(tmp_path):
    """Some do while they are imported: the sweep would go on as if nobody had asked."""
    code = """if True:
        import os, signal, sys, time
        from training import sweep
        def swallows(told):
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)
            except KeyboardInterrupt:
                raise SystemExit("swallowed")
        sweep._new = swallows
        sys.exit(sweep.main(["x.yaml"]))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "training.sweep: stopped\n")


class FakeEngine:
    """Runs each task at once, in this process, by `train(task)`, and remembers the tasks."""

    def __init__(self, train, workers: int = 1) -> None:
        self.workers = workers
        self.train = train
        self.tasks: list[Task] = []
        self.stopped = False
        self._ended: list[Ended] = []

    def free(self) -> int:
        return self.workers - len(self._ended)

    def start(self, task: Task) -> None:
        self.tasks.append(task)
        self._ended.append(self.train(task))

    def ended(self, timeout: float) -> list[Ended]:
        found, self._ended = self._ended, []
        return found

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        pass


@pytest.fixture
def sweep(tmp_path) -> store.Sweep:
    objective = Objective("eval/rewards/accuracies", True, None)
    runs = tmp_path / "runs"
    made = store.Sweep(store.new_id(runs, "s"), runs, ("--max_steps=4",), None, 0, None, objective, {}, 0.0)
    store.create(made, BETAS % "0.1, 0.2, 0.3")
    return made


def drive(sweep: store.Sweep, train) -> tuple[Driver, FakeEngine]:
    engine = FakeEngine(train)
    driver = Driver(sweep, Search(sweep), engine, Screen(quiet=True), 3)
    driver.run()
    return driver, engine


def trained(sweep: store.Sweep, task: Task, *accuracies: float, status: str | None = "finished") -> Path:
    """A run as training leaves it, evaluated once a step from 0 on."""
    writer = RunWriter(sweep.runs, task.name)
    writer.publish({"sweep": sweep.id, "config": {}, "data": {}})
    for step, accuracy in enumerate(accuracies):
        writer.log(step, None, {"eval/rewards/accuracies": accuracy})
    if status is not None:
        writer.finish(status)  # type: ignore[arg-type]
    return writer.directory


def studied(sweep: store.Sweep) -> list[tuple[str, float | None]]:
    return [(known.state, known.value) for known in Search(sweep).trials()]


def test_the_study_is_told_the_best_evaluation_after_step_0(sweep):
    """0.9 at step 0 is the untrained model's; NaN is never best."""

    def train(task: Task) -> Ended:
        trained(sweep, task, 0.9, 0.5, 0.7, float("nan"), 0.6)
        return Ended(task.number, "finished")

    driver, engine = drive(sweep, train)
    assert studied(sweep) == [("finished", 0.7)] * 3
    assert set(driver.states.values()) == {"finished"}
    assert engine.tasks[1].argv == (
        *("--max_steps=4", "--beta=0.2", f"--name={sweep.id}-01", f"--sweep={sweep.id}", f"--runs={sweep.runs}"),
    )


def test_a_pruned_run_is_told_with_what_it_reached(sweep):
    def train(task: Task) -> Ended:
        trained(sweep, task, 0.5, 0.4, 0.6, status="pruned")
        return Ended(task.number, "pruned", "behind")

    drive(sweep, train)
    assert studied(sweep) == [("pruned", 0.6)] * 3


def test_why_a_run_was_pruned_stays_above_the_table(sweep, monkeypatch):
    def train(task: Task) -> Ended:
        trained(sweep, task, 0.5, 0.6, status="pruned" if task.number else "finished")
        return Ended(task.number, "pruned", "0.600 accuracy [red]behind")

    said: list[str] = []
    monkeypatch.setattr(Screen, "say", lambda _, *lines: said.extend(lines))
    monkeypatch.setattr(Screen, "note", lambda *_: None)
    drive(sweep, train)
    assert [line.rpartition("; ")[2] for line in said] == ["0.600 accuracy [red]behind"] * 2


def test_a_run_that_was_never_evaluated_failed(sweep, capsys):
    def train(task: Task) -> Ended:
        trained(sweep, task, 0.5)
        return Ended(task.number, "finished")

    drive(sweep, train)
    assert studied(sweep) == [("failed", None)] * 3
    assert "eval/rewards/accuracies was not evaluated after step 0" in capsys.readouterr().err


def test_a_run_that_fails_by_itself_is_not_retried(sweep, capsys):
    def train(task: Task) -> Ended:
        trained(sweep, task, 0.5, 0.6, status="failed")
        return Ended(task.number, "failed", "the loss is NaN at step 2")

    _, engine = drive(sweep, train)
    assert len(engine.tasks) == 3
    assert studied(sweep) == [("failed", None)] * 3


def test_a_dead_worker_before_the_run_appeared_starts_it_anew_and_its_leftovers_go(sweep):
    def train(task: Task) -> Ended:
        if len(engine.tasks) == 1:
            (sweep.runs / f".{task.name}.4711").mkdir()
            return Ended(task.number, "died", "killed")
        trained(sweep, task, 0.5, 0.6)
        return Ended(task.number, "finished")

    engine = FakeEngine(train)
    Driver(sweep, Search(sweep), engine, Screen(quiet=True), 3).run()
    assert [task.number for task in engine.tasks] == [0, 0, 1, 2]
    assert engine.tasks[0] == engine.tasks[1]
    assert [path.name for path in sweep.runs.glob(".*")] == [".shared"]


def test_a_dead_worker_later_goes_on_from_its_run_and_fails_the_second_time(sweep):
    def train(task: Task) -> Ended:
        if task.argv[0] != "--resume":
            trained(sweep, task, 0.5, 0.6, status=None)
        return Ended(task.number, "died", "killed by SIGKILL")

    _, engine = drive(sweep, train)
    assert engine.tasks[1].argv == ("--resume", str(sweep.runs / f"{sweep.id}-00"))
    assert studied(sweep) == [("failed", None)] * 3
    for number in range(3):
        run = reader.read_run(sweep.runs / f"{sweep.id}-{number:02d}")
        assert (run.status, run.error, run.step) == ("failed", "killed by SIGKILL", 1)


def test_a_worker_that_dies_after_its_run_ended_has_done_its_work(sweep):
    def train(task: Task) -> Ended:
        trained(sweep, task, 0.5, 0.6)
        return Ended(task.number, "died", "killed")

    _, engine = drive(sweep, train)
    assert len(engine.tasks) == 3
    assert studied(sweep) == [("finished", 0.6)] * 3


def test_what_refuses_the_first_run_refuses_the_sweep(sweep):
    with pytest.raises(SweepError, match=r"s-.*-00 cannot be trained: data set 'x' cannot be read"):
        drive(sweep, lambda task: Ended(task.number, "refused", "data set 'x' cannot be read"))


def test_a_sweep_whose_first_run_is_refused_leaves_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "ok.yaml").write_text(GRID)
    engine = FakeEngine(lambda task: Ended(task.number, "refused", "data set 'x' cannot be read"))
    monkeypatch.setattr("training.sweep._engine", lambda *_: engine)
    assert main([str(tmp_path / "ok.yaml"), "--runs", str(tmp_path / "runs"), "-q"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("-00 cannot be trained: data set 'x' cannot be read")
    assert list((tmp_path / "runs" / ".shared" / "sweeps").iterdir()) == []


def test_a_sweep_of_which_every_run_failed_says_so_by_its_exit_status(sweep, monkeypatch, capsys):
    def train(task: Task) -> Ended:
        trained(sweep, task, 0.5, 0.6, status="failed")
        return Ended(task.number, "failed", "the loss is NaN")

    monkeypatch.setattr("training.sweep._engine", lambda *_: FakeEngine(train))
    assert main(["--resume", sweep.id, "--runs", str(sweep.runs)]) == 1
    out, err = capsys.readouterr()
    assert "(3 runs: 3 failed)\nbest       none: no run has finished" in out
    assert err.count("failed: the loss is NaN") == 3


def test_resume_can_extend_a_sweep(sweep, monkeypatch, capsys):
    def train(task: Task) -> Ended:
        trained(sweep, task, 0.5, 0.6)
        return Ended(task.number, "finished")

    monkeypatch.setattr("training.sweep._engine", lambda *_: FakeEngine(train))
    resume = ["--resume", sweep.id, "--runs", str(sweep.runs), "-q", "--count"]
    assert main([*resume, "1"]) == 0
    assert studied(sweep) == [("finished", 0.6)]
    assert main([*resume, "3"]) == 0
    assert studied(sweep) == [("finished", 0.6)] * 3
    assert capsys.readouterr() == ("", "")


def test_a_later_run_that_is_refused_fails_alone(sweep):
    def train(task: Task) -> Ended:
        if task.number == 1:
            return Ended(1, "refused", "--beta is too large")
        trained(sweep, task, 0.5, 0.6)
        return Ended(task.number, "finished")

    drive(sweep, train)
    assert studied(sweep) == [("finished", 0.6), ("failed", None), ("finished", 0.6)]


def test_ctrl_c_starts_nothing_more_and_leaves_the_trial_to_be_gone_on_with(sweep):
    def train(task: Task) -> Ended:
        os.kill(os.getpid(), signal.SIGINT)
        trained(sweep, task, 0.5, 0.6, status="stopped")
        return Ended(task.number, "stopped")

    before = signal.getsignal(signal.SIGINT)
    driver, engine = drive(sweep, train)
    assert driver.stopped
    assert len(engine.tasks) == 1
    assert studied(sweep) == [("running", None)]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_wait(sweep):
    def train(task: Task) -> Ended:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return Ended(task.number, "stopped")

    with pytest.raises(KeyboardInterrupt):
        drive(sweep, train)
