"""Trackers get what the record gets, under the same names and steps; W&B's agent can start runs."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import commands
import pytest

from training.arguments import parse
from training.record import reader, schema
from training.record.schema import NOT_METRICS

ROOT = Path(__file__).resolve().parent.parent
# Theirs alone: the step, and what TRL counts and the record leaves out.
NOT_COMPARED = {"train/epoch", "train/global_step", "train/total_flos"}
# Transformers gives these to a tracker once, at the end, without a step.
SUMMARY = {f"train/train_{name}" for name in ("runtime", "samples_per_second", "steps_per_second", "loss")}

Points = dict[tuple[int, str], float]


@pytest.fixture
def arguments(tmp_path, tiny_model, pairs_file) -> dict[str, object]:
    return {
        "runs": tmp_path / "my runs",
        "model_name_or_path": tiny_model,
        "dataset_name": pairs_file,
        "max_steps": 4,
        "logging_steps": 1,
        "eval_steps": 2,
        "per_device_train_batch_size": 4,
        "sample_max_new_tokens": 4,
    }


@pytest.fixture
def environment(tmp_path, monkeypatch) -> dict[str, str]:
    """No network, and every tracker's files below `tmp_path`; `python` is this one."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    changed = {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "TRACKIO_DIR": str(tmp_path / "trackio")}
    for name, value in (changed | {"HF_HUB_OFFLINE": "1", "PATH": path}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)  # left by -q in this process
    return dict(os.environ)


def run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr


def run_module(words: list[str], environment: dict[str, str], output: Path) -> None:
    process = commands.begin("training.run", words, ROOT, output, environment)
    process.join(200)
    assert process.exitcode == 0, output.read_text()


def train(arguments: dict[str, object], environment: dict[str, str]) -> Path:
    folder = Path(str(arguments["runs"]))
    run_module([f"--{key}={value}" for key, value in arguments.items()], environment, folder.with_name("said.log"))
    return folder / str(arguments["name"])


def recorded(folder: Path, without: set[str] = frozenset()) -> Points:
    """The training and evaluation metrics of our record."""
    rows = [json.loads(line) for line in (folder / schema.METRICS).read_text().splitlines()]
    return points(((row["step"], row) for row in rows), without | NOT_METRICS)


def points(rows, without) -> Points:
    kept = ("train/", "eval/")
    return {
        (step, key): value
        for step, row in rows
        for key, value in row.items()
        if key.startswith(kept) and key not in without
    }


def wandb_records(folder: Path) -> list[dict]:
    """What W&B kept of its one run, by W&B's own reader of its files."""
    (log,) = folder.glob("wandb/offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log)]
    quiet = os.environ | {"WANDB_ERROR_REPORTING": "false"}
    found = subprocess.run(command, env=quiet, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) for line in found.stdout.splitlines()]


def of_type(records: list[dict], kind: str) -> list[dict]:
    return [record[kind] for record in records if record["type"] == kind]


def wandb_config(records: list[dict]) -> dict:
    config: dict = {}
    for record in of_type(records, "config"):
        config |= record.get("update", {})
    return config


def wandb_points(records: list[dict]) -> Points:
    rows = [row["item"] for row in of_type(records, "history")]
    return points(((row["train/global_step"], row) for row in rows), NOT_COMPARED)


def test_wandb_gets_the_same_names_steps_and_values(tmp_path, arguments, environment):
    arguments |= {"report_to": "wandb", "name": "my-run", "beta": 0.3, "learning_rate": 1e-3}
    folder = train(arguments, environment)
    records = wandb_records(tmp_path)
    ours = recorded(folder, without=SUMMARY)
    assert wandb_points(records) == pytest.approx(ours)
    for step, key in ((0, "eval/loss"), (1, "train/loss"), (4, "eval/rewards/accuracies"), (4, "train/grad_norm")):
        assert (step, key) in ours
    assert any(run.get("display_name") == "my-run" for run in of_type(records, "run"))
    config = wandb_config(records)
    assert (config["beta"], config["learning_rate"]) == (0.3, 1e-3)
    assert config["dataset_name"] == str(arguments["dataset_name"])
    assert config["model_name_or_path"] == str(arguments["model_name_or_path"])


def test_tensorboard_gets_the_same_names_steps_and_values(arguments, environment):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = train(arguments | {"report_to": "tensorboard", "name": "a"}, environment)
    (events,) = folder.rglob("events.out.tfevents.*")
    found = EventAccumulator(str(events), size_guidance={"scalars": 0}).Reload()
    theirs = {
        (point.step, key): point.value
        for key in found.Tags()["scalars"]
        if key not in NOT_COMPARED
        for point in found.Scalars(key)
    }
    assert theirs == pytest.approx(recorded(folder), rel=1e-6)


def test_trackio_gets_the_same_names_steps_and_values_without_a_network(arguments, environment):
    folder = train(arguments | {"report_to": "trackio", "name": "my-run", "beta": 0.3}, environment)
    from trackio.sqlite_storage import SQLiteStorage  # takes its folder from the environment

    (project,) = SQLiteStorage.get_projects()
    assert SQLiteStorage.get_runs(project) == ["my-run"]
    rows = SQLiteStorage.get_logs(project, "my-run")
    assert points(((row["train/global_step"], row) for row in rows), NOT_COMPARED) == pytest.approx(
        recorded(folder, without=SUMMARY)
    )
    config = SQLiteStorage.get_run_config(project, "my-run")
    assert config is not None
    assert config["beta"] == 0.3


@pytest.fixture
def agent(environment, monkeypatch):
    """W&B's own agent: gives the command line and the environment with which it would start a run of a sweep."""
    from wandb import wandb_agent

    started = []

    def keep(command: list[str], env: dict[str, str], **_: object) -> SimpleNamespace:
        started.append((command, env))
        return SimpleNamespace()

    monkeypatch.setattr(wandb_agent, "AgentProcess", keep)
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):  # the agent sets them
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")

    def start(parameters: dict[str, object], command: list[str] | None = None) -> tuple[list[str], dict[str, str]]:
        found = wandb_agent.Agent(api=None, queue=None, sweep_id="sweep1")
        found._sweep_command = command
        told = {name: {"value": value} for name, value in parameters.items()}
        found._command_run({"run_id": "abc123", "program": "training/run.py", "args": told})
        return started.pop()

    return start


SEARCHED = {
    "learning_rate": 0.00021544346900318823,
    "beta": 0.3,
    "per_device_train_batch_size": 4,
    "loss_type": "ipo",
    "gradient_checkpointing": False,
}


@pytest.mark.parametrize(
    "command", [None, ["${env}", "${interpreter}", "-m", "training.run", "${args}"]], ids=["program", "module"]
)
def test_an_agent_trains_a_run_of_its_sweep(tmp_path, arguments, agent, command):
    """The run is W&B's, with the name, the sweep and the arguments that ours has."""
    fixed = {name: value if isinstance(value, int) else str(value) for name, value in arguments.items()}
    line, environment = agent(fixed | SEARCHED, command)
    where = ["training/run.py"] if command is None else ["-m", "training.run"]
    assert line[: 2 + len(where)] == ["/usr/bin/env", "python", *where]
    if command is None:
        run(line, environment)
    else:
        run_module(line[4:], environment, tmp_path / "said.log")
    (folder,) = (path for path in (tmp_path / "my runs").iterdir() if not path.name.startswith("."))
    found = reader.read_run(folder)
    assert (found.status, found.sweep) == ("finished", "sweep1")
    assert found.config["learning_rate"] == SEARCHED["learning_rate"]
    assert found.config["loss_type"] == ["ipo"]
    assert found.metrics["eval/loss"] != pytest.approx(math.log(2), abs=0.1)
    records = wandb_records(tmp_path)
    (start, *_) = of_type(records, "run")
    assert (start["run_id"], start["sweep_id"], start["display_name"]) == ("abc123", "sweep1", folder.name)
    assert wandb_points(records) == pytest.approx(recorded(folder, without=SUMMARY))


@pytest.mark.parametrize("checkpointing", [True, False])
@pytest.mark.parametrize(
    "macros",
    [["${args}"], ["${args_no_equals}"], ["${args_no_boolean_flags}"], ["--config", "${args_json_file}"]],
    ids=lambda macros: macros[-1],
)
def test_every_way_in_which_an_agent_writes_arguments_is_understood(agent, macros, checkpointing):
    searched = SEARCHED | {"gradient_checkpointing": checkpointing}
    line, _ = agent(searched, ["${interpreter}", "training/run.py", *macros])
    told = parse(line[2:]).config
    assert (told.learning_rate, told.beta) == (SEARCHED["learning_rate"], 0.3)
    assert (told.per_device_train_batch_size, told.loss_type) == (4, ["ipo"])
    assert told.gradient_checkpointing == checkpointing


def test_a_run_of_a_sweep_reports_to_wandb_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    assert parse([]).config.report_to == []
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    assert parse([]).config.report_to == ["wandb"]
    assert parse(["--report_to", "none"]).config.report_to == []
