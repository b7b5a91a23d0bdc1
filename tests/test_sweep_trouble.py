"""Sweeps and runs that meet trouble which is not their own: a full disk; and what a person is told of it."""

import errno
import os
from collections import namedtuple
from pathlib import Path

import pytest
from safetensors import SafetensorError
from transformers import Trainer

from tests.fake_engine import FakeEngine
from training import checks, dpo
from training.arguments import parse
from training.callback import Stopped
from training.kept import Kept
from training.record import reader
from training.record.history import read_history
from training.record.writer import RunWriter
from training.run import main
from training.sweeps import file, store, worker
from training.sweeps.driver import Driver
from training.sweeps.plan import Objective
from training.sweeps.search import Search
from training.sweeps.table import Screen
from training.sweeps.trial import Ended, SweepError, Task

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
OF_TORCH = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")
# Training warns where there is no GPU; the commands leave it out.
pytestmark = pytest.mark.filterwarnings("ignore:'pin_memory'")
GO_ON = "; make room to write, and go on with --resume"


@pytest.fixture
def told(tmp_path, tiny_model, pairs_file) -> list[str]:
    """A run of 4 steps, evaluated and saved at every second one, quiet."""
    stated = {
        "runs": tmp_path,
        "name": "a",
        "model_name_or_path": tiny_model,
        "dataset_name": pairs_file,
        "max_steps": 4,
        "eval_steps": 2,
        "save_steps": 2,
        "per_device_train_batch_size": 4,
        "sample_max_new_tokens": 4,
        "gradient_checkpointing": False,
        "quiet": True,
    }
    return [f"--{name}={value}" for name, value in stated.items()]


@pytest.fixture
def full_at_4(monkeypatch):
    """The disk is full when the optimizer's state of step 4 is written: the weights are there by then."""
    save = Trainer._save_optimizer_and_scheduler

    def fill(trainer: Trainer, folder: str) -> None:
        if trainer.state.global_step == 4:
            raise OF_TORCH
        save(trainer, folder)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_save_optimizer_and_scheduler", fill)
        yield patched


def raising(error: BaseException):
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_a_full_disk_stops_a_run_and_once_there_is_room_it_goes_on(tmp_path, told, full_at_4, capsys):
    assert main(told) == 1
    line = "a checkpoint could not be written, as when no space is left" + GO_ON
    assert capsys.readouterr().err == f"training.run: {line} (the run and its error.log: {tmp_path / 'a'})\n"
    run = reader.read_run(tmp_path / "a")
    assert (run.status, run.error) == ("failed", line)
    assert not list((tmp_path / "a").rglob(".*.*"))  # half a checkpoint would keep the room that summary.json needs
    full_at_4.undo()
    assert main(["--resume", str(tmp_path / "a"), "-q"]) == 0
    run = reader.read_run(tmp_path / "a")
    assert (run.status, run.error) == ("finished", None)
    assert list(read_history(tmp_path / "a")["eval/loss"].steps) == [0, 2, 4]


def test_a_run_whose_end_cannot_be_written_has_not_ended(tmp_path, told, monkeypatch):
    monkeypatch.setattr(RunWriter, "finish", raising(FULL))
    outcome = dpo.train(parse(told))
    assert (outcome.can_go_on, outcome.error) == (True, os.strerror(errno.ENOSPC) + GO_ON)
    assert reader.read_progress(tmp_path / "a")[1] is False


def test_ctrl_c_on_a_full_disk_is_told_and_recorded(tmp_path, told, full_at_4):
    def interrupt(step: int, *_: object) -> None:
        if step == 4:
            raise Stopped

    outcome = dpo.train(parse(told), judge=interrupt)
    assert outcome.can_go_on
    assert outcome.error is not None
    assert outcome.error.startswith("a checkpoint could not be written")
    assert reader.read_run(tmp_path / "a").status == "failed"


def test_a_pruned_run_records_and_tells_why(tmp_path, told):
    outcome = dpo.train(parse(told), judge=lambda step, *_: "it is behind" if step == 2 else None)
    assert (outcome.status, outcome.error) == ("pruned", "it is behind")
    run = reader.read_run(tmp_path / "a")
    assert (run.status, run.error, run.step) == ("pruned", "it is behind", 2)


def test_a_worker_without_room_for_checkpoints_leaves_the_trial_to_be_gone_on_with(tmp_path, told, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: usage(300_000))
    task = Task(3, "a", tuple(told), {"method": "none"})
    ended = worker.run(task, Kept())
    assert (ended.number, ended.status) == (3, "stopped")
    assert ended.error is not None
    assert ended.error.startswith(f"no disk space: {tmp_path} has 0 MB free, the checkpoints need about 18 MB; ")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FULL, os.strerror(errno.ENOSPC)),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "x"), os.strerror(errno.EROFS) + ": x"),
        (SafetensorError("No space left on device (os error 28)"), "No space left on device (os error 28)"),
        (OF_TORCH, "a checkpoint could not be written, as when no space is left"),
    ],
)
def test_writing_that_fails_is_told_from_a_run_that_fails(error, words):
    assert checks.unwritable(error) == words + GO_ON


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "x"), RuntimeError("shapes differ")]
)
def test_other_errors_are_the_runs_own(error):
    assert checks.unwritable(error) is None


def hindered(task: Task) -> Ended:
    return Ended(task.number, "stopped", "No space left on device")


@pytest.fixture
def sweep(tmp_path) -> store.Sweep:
    objective = Objective("eval/rewards/accuracies", True, None)
    made = store.Sweep(store.new_id(tmp_path, "s"), tmp_path, (), None, 0, None, objective, {}, 0.0)
    store.create(made, "method: grid\nparameters: {beta: {values: [0.1, 0.2, 0.3]}}\n")
    return made


def test_a_full_disk_costs_a_sweep_no_trial(sweep, capsys, monkeypatch):
    """The next run would meet it as well, so that the sweep stops. Gone on with, all three runs are trained."""

    def begin(task: Task) -> Ended:
        writer = RunWriter(sweep.runs, task.name)
        writer.publish({"sweep": sweep.id, "config": {}, "data": {}})
        writer.finish("failed", "No space left on device")
        return hindered(task)

    engine = FakeEngine(begin)
    driver = Driver(sweep, Search(sweep), engine, Screen(quiet=True), 3)
    driver.run()
    assert driver.stopped
    assert [task.number for task in engine.tasks] == [0]
    assert [known.state for known in Search(sweep).trials()] == ["running"]
    name = f"{sweep.id}-00"
    assert reader.read_run(sweep.runs / name).status == "failed"
    assert driver.states == {name: "stopped"}
    assert capsys.readouterr().err == f"{name} stopped, and the sweep with it: No space left on device\n"

    def train(task: Task) -> Ended:
        writer = RunWriter(sweep.runs, task.name) if task.number else RunWriter.reopen(sweep.runs / name, {})
        if task.number:
            writer.publish({"sweep": sweep.id, "config": {}, "data": {}})
        writer.log(1, None, {"eval/rewards/accuracies": 0.6})
        writer.finish("finished")
        return Ended(task.number, "finished")

    again = FakeEngine(train)
    monkeypatch.setattr(store, "lives", lambda *_: False)  # the first driver's process has ended
    Driver(sweep, Search(sweep), again, Screen(quiet=True), 3).run()
    assert again.tasks[0].argv == ("--resume", str(sweep.runs / name))
    assert [known.state for known in Search(sweep).trials()] == ["finished"] * 3


def test_a_sweep_that_has_no_room_for_its_first_run_does_not_begin(sweep):
    driver = Driver(sweep, Search(sweep), FakeEngine(hindered), Screen(quiet=True), 3)
    with pytest.raises(SweepError, match=r"-00 cannot be trained: No space left on device"):
        driver.run()


def test_a_sweep_over_seeds_says_that_the_evaluation_pairs_differ(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("method: grid\nparameters: {seed: {values: [1, 2]}}\n")
    assert any(note.startswith("seed varies: ") for note in file.read(tmp_path / "a.yaml").notes)
