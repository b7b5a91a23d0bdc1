"""What the driver of a sweep makes of every way in which a run can end."""

import os
import signal
from pathlib import Path

import pytest

from tests.fake_engine import FakeEngine
from training.record import reader
from training.record.writer import RunWriter
from training.sweep import main
from training.sweeps import store
from training.sweeps.driver import Driver
from training.sweeps.plan import Objective
from training.sweeps.search import Search
from training.sweeps.table import Screen
from training.sweeps.trial import Ended, SweepError, Task

BETAS = """
method: grid
parameters:
  beta: {values: [%s]}
"""


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
    (tmp_path / "ok.yaml").write_text(BETAS % "0.1, 0.2")
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


def test_a_model_named_in_the_file_counts_for_the_plan_and_is_found_from_anywhere(
    tmp_path, tiny_model, pairs_file, monkeypatch, capsys
):
    """Without the file's model the built-in recipe would be planned: another beta and length. TRL's beta is 0.1."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (home / "small").symlink_to(tiny_model)
    (home / "models.yaml").write_text(
        "method: grid\nmetric: {name: eval/loss, goal: minimize}\n"
        "parameters: {model_name_or_path: {values: [small]}, seed: {values: [1, 2]}, max_steps: {value: 7}}\n"
    )
    runs = tmp_path / "runs"

    def train(task: Task) -> Ended:
        if task.number == 1 and len(engine.tasks) == 2:
            return Ended(1, "stopped", "No space left on device")
        trained(store.load(runs, store.ids(runs)[0]), task, 0.5, 0.6)
        return Ended(task.number, "finished")

    engine = FakeEngine(train)
    monkeypatch.setattr("training.sweep._engine", lambda *_: engine)
    monkeypatch.chdir(home)
    assert main(["models.yaml", f"--runs={runs}", f"--dataset_name={pairs_file}", "--eval_steps=7"]) == 1
    assert "steps      7 a run, 14 in all" in capsys.readouterr().out
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(store, "lives", lambda *_: False)
    main(["--resume", store.ids(runs)[0], "--runs", str(runs), "-q"])
    assert [task.number for task in engine.tasks] == [0, 1, 1]
    for task in engine.tasks:
        assert task.rules["common_beta"] == 0.1
        assert f"--model_name_or_path={tiny_model.resolve()}" in task.argv


def test_a_sweep_that_a_full_disk_stops_has_failed(sweep, monkeypatch, capsys):
    def train(task: Task) -> Ended:
        trained(sweep, task, 0.5, status="stopped")
        return Ended(task.number, "stopped", "No space left on device")

    monkeypatch.setattr("training.sweep._engine", lambda *_: FakeEngine(train))
    assert main(["--resume", sweep.id, "--runs", str(sweep.runs)]) == 1
    out, err = capsys.readouterr()
    assert f"resume     python -m training.sweep --resume {sweep.id}" in out
    assert err.endswith(f"{sweep.id}-00 stopped, and the sweep with it: No space left on device\n")
