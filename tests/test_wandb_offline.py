"""Runs from the logs that W&B keeps on disk, whole, cut or broken, read by wandb's own reader."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from dashboard.sources import wandb_offline
from dashboard.sources.files import File
from dashboard.sources.imported import Corrections, Imported, SourceError
from dashboard.sources.wandb_offline import is_wandb_log, read

TRAINING = """
import json, sys, wandb
told = json.loads(sys.argv[1])
quiet = wandb.Settings(x_disable_stats=True, console="off", silent=True)
run = wandb.init(project="p", name=told["name"], config=told["config"], settings=quiet)
if told["defined"]:
    run.define_metric("train/global_step")
    run.define_metric("*", step_metric="train/global_step", step_sync=True)
for row in told["rows"]:
    run.log({key: float(value) if isinstance(value, str) else value for key, value in row.items()})
run.log({"histogram": wandb.Histogram([1, 2, 3]), "words": "text"}) if told["media"] else None
run.summary["train_runtime"] = 12.5
run.finish(exit_code=told["code"])
"""
CONFIG = {
    "beta": 0.1,
    "loss_type": ["sigmoid"],
    "nested": {"a": 1},
    "_name_or_path": "gpt2",
    "max_steps": 40,
    "no": None,
}
ROWS = [
    {"eval/loss": 0.69, "train/global_step": 0, "train/epoch": 0.0},
    {"train/loss": 0.5, "train/global_step": 10, "train/epoch": 0.5},
    {"train/loss": "nan", "train/global_step": 20, "train/epoch": 1.0},
    {"eval/loss": 0.4, "eval/runtime": 0.5, "eval/samples_per_second": 32.0, "train/global_step": 20},
]


def trained(folder: Path, rows: list[dict], code: int = 0, **told: object) -> Path:
    """The log that wandb writes of these rows, in a process of its own."""
    what = {"name": "a run", "config": CONFIG, "rows": rows, "code": code, "defined": False, "media": False} | told
    environment = os.environ | {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(folder),
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_CONFIG_DIR": str(folder / "config"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, json.dumps(what)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode in (0, code), done.stderr
    (log,) = folder.glob("wandb/offline-run-*/*.wandb")
    return log


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("wandb"), ROWS, media=True)


def on_disk(*paths: Path) -> list[File]:
    return [
        File(
            PurePosixPath(path.parent.name, path.name), path.stat().st_size, path, lambda n, p=path: p.read_bytes()[:n]
        )
        for path in paths
    ]


def archived(content: bytes, told: Corrections | None = None) -> Imported:
    file = File(PurePosixPath("offline-run-1/run-1.wandb"), len(content), None, lambda n: content[:n])
    return read([file], "wb", told or Corrections())


def test_a_log_gives_the_run_its_settings_and_its_curves(log):
    found = read(on_disk(log), "wb")
    (run,) = found.runs
    assert (run.id, run.name, run.status, run.source) == ("wb-1", "a run", "finished", log.parent.name)
    assert run.config == {"beta": 0.1, "loss_type": ["sigmoid"], "max_steps": 40, "model_name_or_path": "gpt2"}
    assert (run.step, run.epoch, run.max_steps, run.n_eval, run.error) == (20, 1.0, 40, 16, None)
    assert run.metrics["train_runtime"] == 12.5
    assert run.environment["project"] == "p"
    assert run.created is not None and run.updated is not None and run.created < run.updated
    curves = found.histories["wb-1"]
    assert set(curves) == {"train/loss", "eval/loss", "eval/runtime", "eval/samples_per_second"}
    assert (list(curves["eval/loss"].steps), list(curves["eval/loss"].values)) == ([0, 20], [0.69, 0.4])
    assert list(curves["eval/loss"].epochs) == [0.0, 1.0]
    assert list(curves["train/loss"].steps) == [10, 20]
    assert math.isnan(curves["train/loss"].values[1])
    assert found.notes == ()


def test_a_log_in_an_archive_is_read_as_well(log):
    assert archived(log.read_bytes()).runs[0].name == "a run"


def test_a_failed_run_says_its_exit_code(tmp_path):
    (run,) = read(on_disk(trained(tmp_path, ROWS, code=3)), "wb").runs
    assert (run.status, run.error) == ("failed", "The program ended with exit code 3, as W&B says.")


def test_without_the_optimizers_step_the_count_of_w_and_b_is_used_and_said(tmp_path):
    found = read(on_disk(trained(tmp_path, [{"loss": 1.0}, {"loss": 0.5}], config={})), "wb")
    (curve,) = found.histories["wb-1"].values()
    assert list(curve.steps) == [0, 1]
    assert "W&B's own count" in found.notes[0]


def test_a_row_without_the_optimizers_step_belongs_to_the_last_one(tmp_path):
    rows = [{"train/loss": 1.0, "train/global_step": 7}, {"extra": 2.0}]
    found = read(on_disk(trained(tmp_path, rows, defined=True)), "wb")
    assert list(found.histories["wb-1"]["extra"].steps) == [7]


def test_corrections_win(log):
    told = Corrections(config=frozenset({"eval/runtime"}), renamed={"train/loss": "train/other"})
    (run,) = archived(log.read_bytes(), told).runs
    assert run.config["eval/runtime"] == 0.5
    assert "eval/runtime" not in run.metrics
    assert "train/other" in run.metrics


def test_a_log_cut_anywhere_yields_what_is_whole(log):
    """The file is cut at 40 places; what is found never shrinks as more of it is there, and the end is said to lack."""
    content, counts = log.read_bytes(), []
    for cut in range(0, len(content), max(1, len(content) // 40)):
        try:
            found = archived(content[:cut])
        except SourceError as problem:
            assert "holds no run" in str(problem)
            counts.append(0)
            continue
        assert found.runs[0].status == "unknown"
        assert any("the log has no end" in note for note in found.notes)
        counts.append(1 + sum(map(len, found.histories["wb-1"].values())))
    assert counts == sorted(counts)
    assert counts[0] == 0 and counts[-1] > 1


def test_noise_is_refused_in_one_sentence():
    with pytest.raises(SourceError, match=r"^offline-run-1/run-1.wandb holds no run: .*\.$"):
        archived(b":W&B" + bytes(range(256)) * 20)


def test_a_broken_log_does_not_take_the_others_down(log, tmp_path):
    broken = tmp_path / "run-broken.wandb"
    broken.write_bytes(b":W&B")
    found = read(on_disk(broken, log), "wb")
    assert [run.id for run in found.runs] == ["wb-1"]
    assert "run-broken.wandb holds no run" in found.notes[0]


def test_a_log_that_takes_too_long_is_said_to(log, monkeypatch, tmp_path):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 20\n")
    slow.chmod(0o755)
    monkeypatch.setattr(wandb_offline, "_reader", lambda: slow)
    monkeypatch.setattr(wandb_offline, "SECONDS", 0.2)
    with pytest.raises(SourceError, match="took wandb's reader longer than 0 s"):
        read(on_disk(log), "wb")


def test_a_log_over_the_limit_is_left_out(log, monkeypatch):
    monkeypatch.setattr(wandb_offline, "LARGEST", 100)
    with pytest.raises(SourceError, match="the limit is"):
        read(on_disk(log), "wb")


@pytest.mark.parametrize("found", [None, "no such folder/wandb/__init__.py"])
def test_without_wandb_one_sentence_says_what_to_do(log, monkeypatch, found):
    spec = None if found is None else type("Spec", (), {"origin": found})()
    monkeypatch.setattr(wandb_offline.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(SourceError, match="pip install wandb"):
        read(on_disk(log), "wb")


def test_logs_are_known_by_their_first_bytes(log):
    assert is_wandb_log(log.read_bytes()[:4096])
    assert not is_wandb_log(b"Name,State\n:W&B")
