"""Going on with a run ends where the run would have ended."""

import json
import os
import random
import shutil
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import commands
import pytest
import torch
from safetensors.torch import load_file

from training import checkpoints, inputs
from training.callback import StopCallback
from training.record import reader, schema
from training.record.history import read_history
from training.run import main

STEPS = 24


def flags(**arguments: object) -> list[str]:
    return [f"--{key}={value}" for key, value in arguments.items()]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs to resume")


@pytest.fixture(scope="module")
def told(runs, tiny_model, pairs_file) -> dict[str, object]:
    return {
        "runs": runs,
        "model_name_or_path": tiny_model,
        "dataset_name": pairs_file,
        "max_steps": STEPS,
        "learning_rate": 1e-3,
        "logging_steps": 2,
        "eval_steps": 4,
        "save_steps": 4,
        "per_device_train_batch_size": 4,
        "sample_max_new_tokens": 4,
    }


@pytest.fixture(scope="module")
def whole(told, runs) -> Path:
    """The run that nobody disturbed."""
    assert main(["-q", *flags(**told, name="whole")]) == 0
    return runs / "whole"


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / f"checkpoint-{STEPS}" / "model.safetensors")


def curves(run: Path, *left_out: str) -> dict[str, dict[int, float]]:
    """Every metric but those that tell of time and machine, and the mean loss of one process's steps."""
    left_out = (*left_out, "train/train_loss")
    return {
        key: dict(zip(series.steps, series.values, strict=True))
        for key, series in read_history(run).items()
        if not key.startswith("system/") and "per_second" not in key and "runtime" not in key and key not in left_out
    }


def start(told: dict[str, object], name: str, resumed: bool) -> ForkServerProcess:
    words = flags(resume=name, runs=told["runs"]) if resumed else flags(**told, name=name)
    return commands.begin("training.run", ["-q", *words], commands.ROOT, said(told["runs"], name))


def said(runs: object, name: str) -> Path:
    """Where what the run's command printed is kept."""
    return Path(str(runs)).with_name(f"{name}.log")


def kill(process: ForkServerProcess) -> None:
    process.kill()
    process.join()


def wait_for_line(process: ForkServerProcess, run: Path, lines: int) -> None:
    """Until the run has so many lines of metrics, or has ended."""
    end = time.monotonic() + 120
    while process.is_alive() and time.monotonic() < end:
        try:
            if (run / schema.METRICS).read_bytes().count(b"\n") >= lines:
                return
        except OSError:
            pass
        time.sleep(0.005)


def test_killed_again_and_again_a_run_ends_with_the_weights_of_one_that_was_left_alone(told, runs, whole):
    """kill -9 after a few lines, at a moment of chance, three times; largest difference of any weight: exactly 0."""
    chance = random.Random(7)
    run = runs / "killed"
    for attempt in range(3):
        process = start(told, "killed", resumed=attempt > 0)
        written = (run / schema.METRICS).read_bytes().count(b"\n") if attempt else 0
        wait_for_line(process, run, written + 5)
        time.sleep(chance.uniform(0, 0.15))
        kill(process)
        assert reader.read_run(run).status == "running"
    process = start(told, "killed", resumed=True)
    process.join()
    assert process.exitcode == 0, said(runs, "killed").read_text()
    mine, theirs = weights(run), weights(whole)
    assert max(float((mine[name] - theirs[name]).abs().max()) for name in theirs) == 0.0
    found = reader.read_run(run)
    assert (found.status, found.step, found.best_step) == ("finished", STEPS, reader.read_run(whole).best_step)
    assert {row["kind"] for row in reader.read_notices(run)} == {"resumed"}
    partial = ("train/num_tokens", "train/loss")  # a first line after a kill may cover fewer steps
    mine, theirs = curves(run, *partial), curves(whole, *partial)
    assert {key: value for key, value in mine.items() if key.startswith("eval/")} == {
        key: value for key, value in theirs.items() if key.startswith("eval/")
    }
    assert {key: list(steps) for key, steps in mine.items()} == {key: list(steps) for key, steps in theirs.items()}
    assert reader.read_samples(run) == reader.read_samples(whole)
    assert reader.read_scores(run, STEPS).equals(reader.read_scores(whole, STEPS))


def test_with_checkpoints_on_log_steps_every_training_line_is_the_same(told, runs, whole):
    """save_steps 4 is a multiple of logging_steps 2: also loss and token count go on as if nothing had been."""
    process = start(told, "cut", resumed=False)
    wait_for_line(process, runs / "cut", 9)
    kill(process)
    assert main(["-q", *flags(resume="cut", runs=runs)]) == 0
    mine, theirs = curves(runs / "cut"), curves(whole)
    assert mine.keys() == theirs.keys()
    for key, values in theirs.items():
        assert mine[key] == pytest.approx(values, nan_ok=True), key


@pytest.mark.parametrize("step", [5, 8, STEPS])
def test_stopped_by_ctrl_c_a_run_makes_up_for_its_evaluation(told, runs, whole, monkeypatch, step):
    """Stopped between two logs, where an evaluation is due (every 4 steps), and where only the last one is missing."""
    name, on_step_end = f"stopped at {step}", StopCallback.on_step_end

    def stopping(self, args, state, control, **options):
        self.asked |= state.global_step == step
        on_step_end(self, args, state, control, **options)

    monkeypatch.setattr(StopCallback, "on_step_end", stopping)
    assert main(["-q", *flags(**told, name=name)]) == 130
    assert step not in reader.score_steps(runs / name)
    monkeypatch.undo()
    assert main(["-q", *flags(resume=name, runs=runs)]) == 0
    found, undisturbed = reader.read_run(runs / name), reader.read_run(whole)
    assert (found.status, found.step, found.best_step) == ("finished", STEPS, undisturbed.best_step)
    mine, theirs = (
        {key: values for key, values in curves(run).items() if key.startswith("eval/")} for run in (runs / name, whole)
    )
    assert mine == theirs and "eval/num_tokens" in mine
    assert reader.read_samples(runs / name) == reader.read_samples(whole)
    assert all(bool((weights(runs / name)[key] == value).all()) for key, value in weights(whole).items())


def reopened(whole: Path, name: str, **other: object) -> Path:
    """A copy of a finished run as a kill before the summary leaves it; `other` goes into its configuration."""
    run = whole.with_name(name)
    shutil.copytree(whole, run)
    (run / schema.SUMMARY).rename(run / schema.LATEST)
    head = json.loads((run / schema.CONFIG).read_text())
    head["config"] |= other
    (run / schema.CONFIG).write_text(json.dumps(head))
    return run


def test_a_run_of_relative_paths_goes_on_from_any_folder(told, runs, tiny_model, pairs_file, tmp_path, monkeypatch):
    monkeypatch.chdir(pairs_file.parent)
    model = os.path.relpath(tiny_model)
    short = {**told, "model_name_or_path": model, "dataset_name": pairs_file.name, "max_steps": 4}
    assert main(["-q", *flags(**short, name="relative")]) == 0
    reopened(runs / "relative", "relative too")
    monkeypatch.chdir(tmp_path)
    assert main(["-q", *flags(resume="relative too", runs=runs)]) == 0
    assert reader.read_run(runs / "relative too").config["dataset_name"] == pairs_file.name


def test_a_reference_that_followed_the_policy_is_not_made_up(runs, whole, capsys):
    reopened(whole, "followed", sync_ref_model=True)
    assert main(flags(resume="followed", runs=runs)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "followed cannot go on: with --sync_ref_model" in line


def test_a_run_that_somebody_else_went_on_with_meanwhile_is_left_alone(runs, whole, monkeypatch, capsys):
    run, check_same = reopened(whole, "twice"), inputs.check_same

    def other_finishes(data, directory):
        (run / schema.LATEST).rename(run / schema.SUMMARY)
        check_same(data, directory)

    monkeypatch.setattr(inputs, "check_same", other_finishes)
    assert main(["-q", *flags(resume="twice", runs=runs)]) == 2
    assert "twice is finished: there is nothing to go on with" in capsys.readouterr().err


def test_a_half_written_checkpoint_is_passed_over(whole, tmp_path):
    folder = tmp_path / "checkpoints"
    good = folder / "checkpoint-8"
    shutil.copytree(whole / "checkpoints" / f"checkpoint-{STEPS}", good)
    assert checkpoints.newest(folder) == good
    for number, spoil in (
        (10, lambda path: (path / "trainer_state.json").unlink()),
        (12, lambda path: (path / "optimizer.pt").unlink()),
        (14, lambda path: os.truncate(path / "model.safetensors", 500)),
        (16, lambda path: (path / "trainer_state.json").write_text('{"log_hist')),
        (18, lambda path: (path / "model.safetensors").unlink()),
    ):
        later = folder / f"checkpoint-{number}"
        shutil.copytree(good, later)
        assert checkpoints.newest(folder) == later
        spoil(later)
        assert checkpoints.newest(folder) == good, number
    (folder / ".saving" / "checkpoint-20").mkdir(parents=True)
    assert checkpoints.newest(folder) == good


def test_checkpoints_hold_safetensors_and_no_pickled_arguments(whole):
    best = {path.name for path in (whole / "checkpoints" / "best").iterdir()}
    assert "model.safetensors" in best
    assert not {name for name in best if name.endswith((".bin", ".pt", ".pth", ".pkl"))}
    assert not list((whole / "checkpoints").glob("*/training_args.bin"))
    assert not (whole / "checkpoints" / checkpoints.STAGING).exists()


def test_a_run_killed_between_its_last_step_and_its_summary_is_only_ended(told, runs, whole):
    shutil.copytree(whole, runs / "unsummed")
    summary = json.loads((runs / "unsummed" / schema.SUMMARY).read_text())
    (runs / "unsummed" / schema.SUMMARY).unlink()
    (runs / "unsummed" / schema.LATEST).write_text(json.dumps(summary))
    before = (runs / "unsummed" / schema.METRICS).read_bytes()
    assert main(["-q", *flags(resume="unsummed", runs=runs)]) == 0
    assert (runs / "unsummed" / schema.METRICS).read_bytes() == before
    assert reader.read_run(runs / "unsummed").status == "finished"


def test_the_best_checkpoint_of_before_stays_best(told, runs, whole):
    """The step that was best is only replaced by a better one."""
    shutil.copytree(whole, runs / "stopped")
    latest = json.loads((runs / "stopped" / schema.SUMMARY).read_text())
    (runs / "stopped" / schema.SUMMARY).unlink()
    latest |= {"max_steps": STEPS, "best_step": 3, "best": {**latest["best"], "eval/rewards/accuracies": 2.0}}
    (runs / "stopped" / schema.LATEST).write_text(json.dumps(latest))
    assert main(["-q", *flags(resume="stopped", runs=runs)]) == 0
    assert reader.read_run(runs / "stopped").best_step == 3


def test_a_lora_run_goes_on_from_its_adapter(told, runs):
    """Stopped at step 12 and resumed, the adapter is that of the undisturbed run; only the adapter was saved."""
    lora = {**told, "use_peft": True, "lora_target_modules": "c_attn", "save_total_limit": 6}
    assert main(["-q", *flags(**lora, name="lora")]) == 0
    cut = runs / "lora-cut"
    shutil.copytree(runs / "lora", cut)
    for later in range(16, STEPS + 1, 4):
        shutil.rmtree(cut / "checkpoints" / f"checkpoint-{later}")
    (cut / schema.LATEST).write_text((cut / schema.SUMMARY).read_text())
    (cut / schema.SUMMARY).unlink()
    assert main(["-q", *flags(resume="lora-cut", runs=runs)]) == 0
    mine, theirs = (
        load_file(runs / name / "checkpoints" / f"checkpoint-{STEPS}" / "adapter_model.safetensors")
        for name in ("lora-cut", "lora")
    )
    assert max(float((mine[name] - theirs[name]).abs().max()) for name in theirs) == 0.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume=whole"], "whole is finished: there is nothing to go on with"),
        (["--resume=whale"], "no run 'whale' in "),
        (["--resume=whale"], "; runs there: whole"),
        (["--resume=whole", "--beta=0.3"], "leave out --beta=0.3, or start a new run"),
    ],
)
def test_what_cannot_go_on_is_told_in_one_line(runs, whole, words, message, capsys):
    assert main([*words, f"--runs={runs}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_run_that_is_being_trained_is_left_alone(told, runs, capsys):
    process = start({**told, "max_steps": 100000}, "busy", resumed=False)
    wait_for_line(process, runs / "busy", 2)
    assert main(flags(resume="busy", runs=runs)) == 2
    assert f"is being trained right now, by process {process.pid}" in capsys.readouterr().err
    kill(process)


def test_a_run_whose_data_has_changed_does_not_go_on(told, runs, pairs, tmp_path, capsys):
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    process = start({**told, "dataset_name": file, "max_steps": 100000}, "moved", resumed=False)
    wait_for_line(process, runs / "moved", 4)
    kill(process)
    file.write_text("".join(json.dumps({**pair, "chosen": " Other."}) + "\n" for pair in pairs))
    assert main(flags(resume="moved", runs=runs)) == 2
    assert "other training pairs than" in capsys.readouterr().err


def test_a_run_without_any_checkpoint_starts_anew(told, runs, whole):
    process = start({**told, "save_steps": 1000}, "bare", resumed=False)
    wait_for_line(process, runs / "bare", 4)
    kill(process)
    assert main(["-q", *flags(resume="bare", runs=runs)]) == 0
    assert reader.read_run(runs / "bare").status == "finished"
    assert "starts anew" in reader.read_notices(runs / "bare")[0]["message"]
    mine, theirs = (load_file(run / "checkpoints" / "best" / "model.safetensors") for run in (runs / "bare", whole))
    assert all(bool((mine[name] == theirs[name]).all()) for name in theirs)
