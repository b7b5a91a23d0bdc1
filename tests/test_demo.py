"""`make demo` trains what is missing and nothing else."""

import os
import time

from training import demo
from training.record.writer import RunWriter


def make(runs, name, status=None, age=0.0):
    writer = RunWriter(runs, name)
    writer.publish({"config": {}})
    writer.log(1, None, {"m": 1.0})
    if status:
        writer.finish(status)
    os.utime(writer.directory / "metrics.jsonl", (time.time() - age,) * 2)


def test_finished_runs_are_kept_and_others_trained_again(tmp_path, monkeypatch, capsys):
    names = [demo.name(beta, lr) for beta, lr in demo.RUNS]
    for name in names[:3]:
        make(tmp_path, name, "finished")
    make(tmp_path, names[3], "stopped")
    make(tmp_path, names[4], age=3600)
    trained = []
    monkeypatch.setattr(demo, "train", lambda argv, kept: trained.append(argv) or 0)
    assert demo.main(["--runs", str(tmp_path)]) == 0
    assert [next(word for word in argv if word.startswith("--name=")) for argv in trained] == [
        f"--name={name}" for name in names[3:]
    ]
    assert capsys.readouterr().out.count("was not finished: it is trained again") == 2


def test_a_complete_demo_starts_no_training(tmp_path, monkeypatch):
    for beta, lr in demo.RUNS:
        make(tmp_path, demo.name(beta, lr), "finished")
    monkeypatch.setattr(demo, "train", lambda argv, kept: 1 / 0)
    assert demo.main(["--runs", str(tmp_path)]) == 0


def test_a_run_that_fails_ends_the_demo_with_its_status(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "train", lambda argv, kept: 130)
    assert demo.main(["--runs", str(tmp_path)]) == 130


def test_a_run_that_is_being_trained_is_left_alone(tmp_path, monkeypatch, capsys):
    name = demo.name(*demo.RUNS[0])
    make(tmp_path, name, age=5)
    monkeypatch.setattr(demo, "train", lambda argv, kept: 1 / 0)
    assert demo.main(["--runs", str(tmp_path)]) == 1
    assert "is being trained (last line 5 s ago)" in capsys.readouterr().err
    assert (tmp_path / name / "metrics.jsonl").exists()


def test_the_sweep_is_six_different_runs():
    assert len({demo.name(beta, lr) for beta, lr in demo.RUNS}) == 6
    assert demo.name(0.05, 2e-3) == "demo-beta0.05-lr2e-3"
