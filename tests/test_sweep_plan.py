"""What a sweep says it is going to do: its objective, its runs, its steps, its time."""

import math
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from transformers import Trainer

from training import arguments
from training.arguments import Arguments
from training.record import schema
from training.record.writer import RunWriter
from training.sweeps import estimate, plan
from training.sweeps.estimate import Length
from training.sweeps.file import SweepFile, read
from training.sweeps.plan import Objective

BETAS = {"values": [0.01, 0.1, 0.2, 0.5]}
LOSS = {"name": "eval/loss", "goal": "minimize"}


def sweep(folder: Path, method: str = "random", metric: Any = LOSS, **content: Any) -> SweepFile:
    path = folder / "sweep.yaml"
    parameters = content.pop("parameters", {"beta": BETAS})
    path.write_text(
        yaml.safe_dump({"method": method, "metric": metric, "parameters": parameters, **content}, sort_keys=False)
    )
    return read(path)


def told(*words: str) -> Arguments:
    return arguments.parse(words)


def printed(
    file: SweepFile, given: Arguments, runs: Path, count: int | None = None, workers: int = 1
) -> dict[str, str]:
    """The plan by its labels; lines without one belong to the label above."""
    objective, _ = plan.objective(file, given)
    found = plan.lines(file, given, objective, count, workers, runs)
    assert all(len(line) <= 120 and line.isprintable() for line in found)
    return {line[:10].strip(): line[11:] for line in found if line[:10].strip()}


def test_a_raw_loss_gives_way_where_beta_varies(tmp_path: Path) -> None:
    """The middle two of 0.01, 0.1, 0.2, 0.5 have the geometric mean sqrt(0.1 x 0.2) = 0.1414."""
    found, lines = plan.objective(sweep(tmp_path), told())
    assert found == Objective("eval/common_beta_loss", False, 0.141)
    assert lines == (
        "beta varies, so eval/loss cannot be compared across runs: the loss at beta 0.141 takes its place",
    )


@pytest.mark.parametrize(
    ("content", "beta"),
    [
        ({"values": [0.05, 0.1, 0.4]}, 0.1),
        ({"distribution": "log_uniform_values", "min": 0.01, "max": 1}, 0.1),
        ({"min": 0.1, "max": 0.5}, 0.3),
        ({"values": [0.1, 0.5], "probabilities": [0.3, 0.7]}, 0.5),
    ],
)
def test_the_common_beta_is_the_median_of_the_searched(tmp_path: Path, content: dict[str, Any], beta: float) -> None:
    assert plan.objective(sweep(tmp_path, parameters={"beta": content}), told())[0].common_beta == beta


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("loss_type", ["sigmoid", "ipo"]),
        ("label_smoothing", [0.0, 0.1]),
        ("f_divergence_type", ["reverse_kl", "js_divergence"]),
    ],
)
def test_every_part_of_the_loss_makes_it_incomparable(tmp_path: Path, name: str, values: list[Any]) -> None:
    file = sweep(tmp_path, parameters={name: {"values": values}, "seed": {"values": [1, 2]}})
    found, lines = plan.objective(file, told("--beta=0.3"))
    assert found == Objective("eval/common_beta_loss", False, 0.3) and name in lines[0]


def test_a_beta_fixed_in_the_file_or_told_is_the_common_one(tmp_path: Path) -> None:
    types = {"values": ["sigmoid", "ipo"]}
    file = sweep(tmp_path, parameters={"beta": {"value": 0.2}, "loss_type": types})
    assert plan.objective(file, told("--beta=0.3"))[0].common_beta == 0.2
    assert plan.objective(file, told("--common_beta=0.7"))[0].common_beta == 0.7


def test_a_loss_of_one_kind_stays_the_objective(tmp_path: Path) -> None:
    file = sweep(
        tmp_path,
        parameters={
            "learning_rate": {"min": 1e-6, "max": 1e-4},
            "beta": {"value": 0.1},
            "loss_type": {"values": ["ipo"]},
        },
    )
    assert plan.objective(file, told()) == (Objective("eval/loss", False, None), ())


def test_accuracy_stays_the_objective_whatever_varies(tmp_path: Path) -> None:
    metric = {"name": "eval/rewards/accuracies", "goal": "maximize"}
    found, lines = plan.objective(sweep(tmp_path, metric=metric), told())
    assert found == Objective("eval/rewards/accuracies", True, None) and lines == ()


def test_the_common_loss_asked_for_gets_its_beta(tmp_path: Path) -> None:
    metric = {"name": "eval/common_beta_loss", "goal": "minimize"}
    assert plan.objective(sweep(tmp_path, metric=metric), told())[0] == Objective("eval/common_beta_loss", False, 0.141)


def test_what_a_metric_favours_is_told(tmp_path: Path) -> None:
    margins = sweep(tmp_path, metric={"name": "eval/rewards/margins", "goal": "maximize"})
    assert "favours large betas" in plan.objective(margins, told())[1][0]
    seeds = {"seed": {"values": [1, 2]}}
    assert (
        "overfitting" in plan.objective(sweep(tmp_path, metric={"name": "train/loss"}, parameters=seeds), told())[1][0]
    )


def test_the_number_of_runs_is_the_least_of_what_limits_it(tmp_path: Path) -> None:
    grid = {"beta": BETAS, "seed": {"min": 1, "max": 3}, "learning_rate": {"value": 1e-5}}
    assert plan.runs_in_all(sweep(tmp_path, "grid", parameters=grid), None) == 4 * 3
    assert plan.runs_in_all(sweep(tmp_path, "grid", parameters=grid), 5) == 5
    assert plan.runs_in_all(sweep(tmp_path, "grid", parameters=grid, run_cap=7), 50) == 7
    assert plan.runs_in_all(sweep(tmp_path), None) == plan.DEFAULT_COUNT
    assert plan.runs_in_all(sweep(tmp_path, run_cap=30), None) == 30
    assert plan.runs_in_all(sweep(tmp_path, run_cap=30), 8) == 8


def test_steps_are_those_of_the_runs_that_will_be_made(tmp_path: Path) -> None:
    """A grid of (100, 300 steps) x 4 betas: 4 x 100 + 4 x 300 = 1,600."""
    file = sweep(tmp_path, "grid", parameters={"max_steps": {"values": [100, 300]}, "beta": BETAS})
    shown = printed(file, told(), tmp_path / "runs")
    assert shown["sweep"] == "sweep: the whole grid, 8 runs"
    assert shown["steps"] == "100 to 300 a run, about 1,600 in all"
    fixed = printed(sweep(tmp_path), told("--max_steps=50"), tmp_path / "runs", count=6)
    assert fixed["steps"] == "50 a run, 300 in all"


def test_steps_of_a_search_over_a_list_are_its_mean(tmp_path: Path) -> None:
    """Runs of 100, 200 or 500 steps have 266.7 in the mean; 20 of them 5,333."""
    file = sweep(tmp_path, "bayes", parameters={"max_steps": {"values": [100, 200, 500]}})
    assert printed(file, told(), tmp_path / "runs")["steps"] == "100 to 500 a run, about 5,333 in all"


@pytest.mark.parametrize("rows", [1, 639, 3200])
@pytest.mark.parametrize(("epochs", "batch", "accumulation"), [(0.5, 7, 4), (1, 16, 1), (3, 1, 4), (3, 16, 3)])
def test_steps_are_counted_as_transformers_counts_them(rows: int, epochs: float, batch: int, accumulation: int) -> None:
    words = (
        f"--num_train_epochs={epochs}",
        f"--per_device_train_batch_size={batch}",
        "--max_steps=-1",
        "--eval_strategy=no",
    )
    given = told(*words, f"--gradient_accumulation_steps={accumulation}")
    loader = DataLoader(range(rows), batch_size=batch)
    trainer = Trainer(torch.nn.Linear(1, 1), given.config)
    found = estimate.length(given, {}, rows)
    assert found is not None and found.steps == trainer.set_initial_training_values(given.config, loader)[-1]


def test_evaluations_are_counted_with_those_at_both_ends() -> None:
    """Every 30 of 100 steps: at 0, 30, 60, 90 and 100. A fifth of 120 steps, 24: at 0, 24, ... 120."""

    def count(*words: str) -> int:
        found = estimate.length(told(*words), {}, 3200)
        assert found is not None
        return found.evaluations

    assert count("--max_steps=100", "--eval_steps=30") == 5
    assert count("--max_steps=120", "--eval_steps=0.2") == 6
    assert count("--eval_strategy=no") == 2
    assert count("--eval_strategy=epoch", "--max_steps=-1", "--num_train_epochs=3") == 4


def test_steps_of_data_nobody_knows_are_not_guessed(tmp_path: Path) -> None:
    given = told("--config", str(_recipe(tmp_path)), "--num_train_epochs=2")
    shown = printed(sweep(tmp_path), given, tmp_path / "runs")
    assert shown["steps"] == "known once the data is loaded: 2 epochs a run"
    assert shown["time"].startswith("not known before the first run")


def _recipe(folder: Path) -> Path:
    path = folder / "recipe.yaml"
    path.write_text("model_name_or_path: nobody/knows\ndataset_name: nobody/knows\n")
    return path


def recorded(runs: Path, name: str, rate: float, seconds: float, status: str = "finished", **config: Any) -> None:
    """A run of 100 steps of 16 pairs with 4 evaluations, as training.run records it."""
    runs.mkdir(exist_ok=True)
    writer = RunWriter(runs, name)
    stated = {"model_name_or_path": "embedded", "dataset_name": "embedded", "per_device_train_batch_size": 16}
    stated |= {"gradient_accumulation_steps": 1, "fast": True, **config}
    writer.publish({"config": stated, "data": {"n_train": 3000, "n_eval": 640}})
    for step in (10, 50, 100):
        writer.log(step, None, {"train/loss": 0.6, "train/pairs_per_second": rate})
    for step in (0, 30, 60, 100):
        writer.log(step, None, {"eval/loss": 0.6})
    writer.log(100, None, {"eval/loss": 0.6})
    writer.finish(status)  # type: ignore[arg-type]
    summary = runs / name / schema.SUMMARY
    summary.write_bytes(orjson.dumps({**orjson.loads(summary.read_bytes()), "seconds": seconds}))


def test_time_is_taken_from_runs_of_the_same_kind(tmp_path: Path) -> None:
    """100 steps x 16 pairs at 40 pairs/s are 40 s of 60 s: 5 s for each of 4 evaluations. A run of 120 steps with an
    evaluation every 30 takes 120 x 16 / 40 + 5 x 5 = 73 s, four of them 292 s = 4.9 min.
    """
    runs = tmp_path / "runs"
    recorded(runs, "alike", rate=40, seconds=60)
    recorded(runs, "other-batch", rate=1, seconds=9000, per_device_train_batch_size=4)
    recorded(runs, "other-model", rate=1, seconds=9000, model_name_or_path="gpt2")
    recorded(runs, "slow-path", rate=1, seconds=9000, fast=False)
    recorded(runs, "stopped", rate=1, seconds=9000, status="stopped")
    shown = printed(sweep(tmp_path), told(), runs, count=4)
    assert shown["time"] == (
        "about 4.9 min, rough: from 1 finished run here of this model, data and batch size, 40 pairs/s"
    )


def test_rows_are_those_that_a_run_of_the_same_data_had(tmp_path: Path) -> None:
    """3,000 pairs in batches of 16 are 188 steps an epoch; the built-in set itself has 3,200, 200 steps."""
    given = told("--max_steps=-1", "--num_train_epochs=1")
    assert printed(sweep(tmp_path), given, tmp_path / "none", count=1)["steps"] == "200 a run, 200 in all"
    recorded(tmp_path / "runs", "alike", rate=40, seconds=60)
    assert printed(sweep(tmp_path), given, tmp_path / "runs", count=1)["steps"] == "188 a run, 188 in all"


def test_without_runs_time_is_arithmetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 answers x 256 tokens x 2,262,144 parameters x 6 = 6.949e9 operations a pair; 20 runs x 120 steps x 16 pairs at
    1e12 a second are 266.9 s = 4.4 min."""
    monkeypatch.setattr(estimate, "_flop_per_second", lambda: 1e12)
    shown = printed(sweep(tmp_path), told(), tmp_path / "runs")["time"]
    assert shown.startswith("about 4.4 min, rough: from arithmetic: 2.26M parameters") and "1e+03 GFLOP/s" in shown


def test_a_matrix_product_is_measured() -> None:
    assert 1e6 < estimate._flop_per_second(seconds=0.01, size=64) < 1e17


def test_the_size_of_a_local_model_is_in_its_safetensors_head(tmp_path: Path) -> None:
    """The built-in model, as a folder that no recipe names."""
    assert estimate.parameters(arguments.model_path("embedded")) == 2262144 == estimate.parameters("embedded")
    assert estimate.parameters(str(tmp_path)) is None
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 20)
    assert estimate.parameters(str(tmp_path)) is None


def test_the_plan_lists_what_is_searched(tmp_path: Path) -> None:
    parameters = {
        "learning_rate": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-3},
        "beta": {"distribution": "beta", "a": 2, "b": 5},
        "loss_type": {"values": ["sigmoid", "ipo"], "probabilities": [0.25, 0.75]},
        "optim": {"value": "adamw_torch"},
    }
    file = sweep(tmp_path, "bayes", parameters=parameters, name="\x1b[31mred" + "x" * 200)
    objective, _ = plan.objective(file, told())
    found = plan.lines(file, told(), objective, 3, 1, tmp_path)
    assert found[0].startswith("sweep      ?[31mred") and len(found[0]) == 120
    assert found[1:6] == [
        "search     learning_rate  1e-06 .. 0.001, log_uniform_values",
        "           beta           beta(2, 5)",
        "           loss_type      sigmoid (25%), ipo (75%)",
        "fixed      optim          adamw_torch",
        f"objective  eval/common_beta_loss, minimized, at beta {objective.common_beta:g}",
    ]


@given(st.floats(0.01, 1e7))
def test_a_duration_has_two_digits(seconds: float) -> None:
    shown, unit = plan._duration(seconds).split()
    size = {"s": 1, "min": 60, "h": 3600, "d": 86400}[unit]
    assert math.isclose(float(shown) * size, max(seconds, 1), rel_tol=0.05, abs_tol=0.5)


def test_a_length_costs_its_pairs_and_its_evaluations() -> None:
    assert estimate.Pace(0.5, 3, "").seconds(Length(steps=10, pairs=80, evaluations=4)) == 80 * 0.5 + 4 * 3


def test_workers_are_as_many_as_the_largest_of_the_models_allows(tmp_path: Path, monkeypatch: Any) -> None:
    """Two for up to 10 million parameters here. The built-in model has 2.3; of a model elsewhere nothing is known."""
    monkeypatch.setattr(plan.room, "workers", lambda size: 2 if size and size < 10_000_000 else 1)
    monkeypatch.setattr(
        plan.estimate, "parameters", {"embedded": 2_300_000, "small": 9_000_000, "large": 11_000_000}.get
    )

    def found(*models: str, count: int | None = None) -> int:
        more = {"model_name_or_path": {"values": list(models)}} if models else {}
        return plan.workers(sweep(tmp_path, parameters={"beta": BETAS, **more}), told(), count)

    assert found() == 2
    assert found("embedded", "small") == 2
    assert found("small", "large") == 1
    assert found("small", "elsewhere") == 1
    assert found(count=1) == 1


def test_a_cluster_decides_how_many_workers_there_are(tmp_path: Path) -> None:
    file = sweep(tmp_path)
    objective, _ = plan.objective(file, told())
    lines = plan.lines(file, told(), objective, None, None, tmp_path)
    assert "workers    as many as the nodes have room for" in lines
