"""What is proposed becomes files that training.sweep reads, and that make exactly these runs."""

import itertools
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis.proposals import SETTINGS, Proposal, as_yaml, grids, proposal
from dashboard.analysis.ranking import EVAL_ACCURACY
from dashboard.analysis.suggestions import Suggestion
from training import arguments
from training.record.schema import Run
from training.sweeps import file as files
from training.sweeps import plan, targets

OWN = {
    "model_name_or_path": "embedded",
    "dataset_name": "embedded",
    "loss_type": ["sigmoid"],
    "beta": 0.1,
    "learning_rate": 3e-4,
    "max_steps": 80,
    "warmup_steps": 10.0,
    "use_peft": False,
    "lora_r": 16,
    "label_smoothing": 0.0,
    "bf16": False,
    "seed": 42,
    "hub_token": "<HUB_TOKEN>",
    "trust_remote_code": True,
    "output_dir": "checkpoints",
}


def best(**config: object) -> Run:
    return Run(id="best", name="best", source="runs", status="finished", config={**OWN, **config})


def suggested(*configs: dict[str, object]) -> list[Suggestion]:
    return [Suggestion(config, f"because {n}", "source") for n, config in enumerate(configs)]


def read(made: Proposal, folder: Path) -> list[files.SweepFile]:
    """The files as training.sweep reads them."""
    found = []
    for one in made.files:
        path = folder / one.name
        path.write_text(one.content)
        found.append(files.read(path))
    return found


def runs_of(file: files.SweepFile) -> list[dict[str, object]]:
    """Every run of a grid: its parameters by name."""
    names = [parameter.name for parameter in file.parameters]
    values = [parameter.values if parameter.constant else parameter.grid() for parameter in file.parameters]
    return [dict(zip(names, row, strict=True)) for row in itertools.product(*values)]


def test_every_setting_that_may_be_written_is_one_that_a_sweep_may_set():
    """`resolve` raises for a name that is no argument of training.run, and for one that the sweep sets itself."""
    assert {targets.resolve(name) for name in SETTINGS} == set(SETTINGS)


def test_one_configuration_is_a_sweep_of_one_run_beside_what_the_best_run_had(tmp_path):
    made = proposal(suggested({"beta": 0.1, "learning_rate": 1e-3}), best(), EVAL_ACCURACY)
    (file,) = read(made, tmp_path)
    assert [one.name for one in made.files] == ["next-runs.yaml"]
    assert (file.method, file.metric, file.maximize) == ("grid", EVAL_ACCURACY, True)
    (only,) = runs_of(file)
    assert only == {
        **{key: OWN[key] for key in ("model_name_or_path", "dataset_name", "loss_type", "max_steps", "warmup_steps")},
        "beta": 0.1,
        "learning_rate": 1e-3,
        "seed": 42,
        "use_peft": False,
        "bf16": False,
    }
    assert plan.runs_in_all(file, None) == 1


def test_a_sweep_file_is_planned_as_training_sweep_plans_it(tmp_path):
    (file,) = read(proposal(suggested({"beta": 0.1}, {"beta": 0.3}), best(), EVAL_ACCURACY), tmp_path)
    fixed = [f"--{name}={value}" for name, value in (("dataset_name", "embedded"), ("model_name_or_path", "embedded"))]
    told = arguments.parse(fixed)
    objective, _ = plan.objective(file, told)
    shown = plan.lines(file, told, objective, None, 1, tmp_path)
    assert "the whole grid, 2 runs" in shown[0]
    assert any("beta" in line and "0.1, 0.3" in line for line in shown)


def test_what_is_no_grid_is_several_files_that_hold_each_run_once(tmp_path):
    """(0.1, 1e-4), (0.3, 1e-4) differ in beta alone: one grid; (0.5, 1e-3) is another."""
    wanted = [(0.1, 1e-4), (0.5, 1e-3), (0.3, 1e-4)]
    made = proposal(suggested(*({"beta": b, "learning_rate": lr} for b, lr in wanted)), best(), EVAL_ACCURACY)
    found = [(run["beta"], run["learning_rate"]) for file in read(made, tmp_path) for run in runs_of(file)]
    assert [one.runs for one in made.files] == [2, 1]
    assert [one.name for one in made.files] == ["next-runs-1.yaml", "next-runs-2.yaml"]
    assert sorted(found) == sorted(wanted)


def test_a_parameter_that_one_suggestion_changes_stays_as_it_was_in_the_others(tmp_path):
    made = proposal(suggested({"beta": 0.1, "seed": 43}, {"beta": 0.3}), best(), EVAL_ACCURACY)
    found = [(run["beta"], run["seed"]) for file in read(made, tmp_path) for run in runs_of(file)]
    assert sorted(found) == [(0.1, 43), (0.3, 42)]


def test_a_seed_that_is_the_same_in_all_runs_of_a_file_is_a_constant_of_it(tmp_path):
    made = proposal(suggested({"beta": 0.1, "seed": 43}, {"beta": 0.3}), best(), EVAL_ACCURACY)
    second, first = ({one.name: one for one in file.parameters} for file in read(made, tmp_path))
    assert (first["seed"].constant, first["beta"].constant) == (True, False)
    assert not second["seed"].constant


def test_what_training_run_cannot_be_told_is_named_and_never_written():
    made = proposal(suggested({"beta": 0.1, "warmup_ratio": 0.1}), best(), EVAL_ACCURACY)
    assert made.unknown == ("warmup_ratio",)
    content = made.files[0].content
    assert not any(word in content for word in ("warmup_ratio", "hub_token", "trust_remote_code", "output_dir"))


def test_a_log_that_names_no_model_and_no_data_says_so():
    made = proposal(suggested({"beta": 0.1}), Run(id="a", name="a", source="t.csv", status="finished"), EVAL_ACCURACY)
    assert made.unstated == ("model_name_or_path", "dataset_name")


def test_settings_of_lora_go_with_lora(tmp_path):
    with_lora = proposal(suggested({"beta": 0.1}), best(use_peft=True), EVAL_ACCURACY)
    without = proposal(suggested({"beta": 0.1}), best(), EVAL_ACCURACY)
    assert "lora_r" in runs_of(read(with_lora, tmp_path)[0])[0]
    assert "lora_r" not in runs_of(read(without, tmp_path)[0])[0]


@pytest.mark.parametrize("name", ["a\nb: !!python/object/apply:os.system [x]", "a\x1b[31m", "# [}", "\N{BOM}'\""])
def test_names_and_values_of_others_stay_words(tmp_path, name):
    made = proposal([Suggestion({"beta": 0.1}, f"{name} is best", "source")], best(dataset_config=name), EVAL_ACCURACY)
    (only,) = runs_of(read(made, tmp_path)[0])
    assert only["dataset_config"] == name
    assert "\x1b" not in made.files[0].content


betas = st.sampled_from([0.01, 0.1, 0.3, 1e-7])
configurations = st.lists(
    st.fixed_dictionaries({"beta": betas, "max_steps": st.integers(1, 4), "seed": st.integers(0, 2)}), max_size=9
)


@given(configurations)
def test_grids_hold_each_configuration_once_and_nothing_else(configs):
    made = grids(configs)
    products = [itertools.product(grid["beta"], grid["max_steps"], grid["seed"]) for grid in made]
    found = [row for product in products for row in product]
    assert len(found) == len(set(found)) == sum(math.prod(map(len, grid.values())) for grid in made)
    assert set(found) == {(one["beta"], one["max_steps"], one["seed"]) for one in configs}


def test_a_configuration_as_yaml_is_read_as_it_was():
    config = {"beta": 0.1, "learning_rate": 1e-7, "loss_type": ["sigmoid"], "lr_scheduler_type": "no"}
    assert yaml.safe_load(as_yaml(config)) == config
