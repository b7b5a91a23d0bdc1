"""W&B sweep files as people write them, and the mistakes that are told before anything starts."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training import arguments
from training.sweeps.file import SweepFile, argv, read
from training.sweeps.trial import SweepError

PARAMETERS: dict[str, Any] = {"beta": {"values": [0.05, 0.1]}}
ORCA = """\
program: train_dpo_wandb.py
name: nlp-sweep
method: bayes
metric:
  name: eval/loss
  goal: minimize
parameters:
  learning_rate:
    distribution: log_uniform
    min: -13.8155  # log(1e-6)
    max: -6.9078   # log(1e-3)
  per_device_train_batch_size:
    values: [2, 4, 8]
  beta:
    values: [0.01, 0.1, 0.2, 0.5]
  max_steps:
    values: [100, 200, 500]
command:
  - C:\\Users\\somebody\\.venv\\Scripts\\python.exe
  - ${program}
  - ${args}
"""


def written(folder: Path, content: Any) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def made(folder: Path, **content: Any) -> SweepFile:
    return read(written(folder, {"method": "random", "parameters": PARAMETERS, **content}))


def refused(folder: Path, content: Any = None, **keys: Any) -> str:
    path = written(folder, {"method": "random", "parameters": PARAMETERS, **keys} if content is None else content)
    with pytest.raises(SweepError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message


def searched(folder: Path, **parameters: Any) -> dict[str, Any]:
    """The parameters of a file, by the names that training.run knows."""
    return {found.name: found for found in made(folder, parameters=parameters).parameters}


def test_a_file_as_people_write_it_is_read_without_change(tmp_path: Path) -> None:
    file = read(written(tmp_path, ORCA))
    assert (file.name, file.method, file.metric, file.maximize) == ("nlp-sweep", "bayes", "eval/loss", False)
    assert [found.name for found in file.parameters] == [
        *("learning_rate", "per_device_train_batch_size"),
        *("beta", "max_steps"),
    ]
    assert file.parameters[0].low == pytest.approx(1e-6, rel=1e-4)
    assert file.text == ORCA and file.early_terminate is None and file.run_cap is None
    assert file.notes == ("program and command are not executed: every run is a training.run of this machine's Python",)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    flag = tmp_path / "executed"
    made(tmp_path, command=["touch", str(flag)], program=f"touch {flag}")
    assert "no valid YAML" in refused(tmp_path, f"method: !!python/object/apply:os.system ['touch {flag}']")
    assert not flag.exists()


def test_line_ends_and_a_byte_order_mark_are_kept_in_the_text(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(("\ufeff" + ORCA.replace("\n", "\r\n")).encode())
    assert read(path).text.encode() == path.read_bytes()


def test_a_file_without_a_name_goes_by_its_own(tmp_path: Path) -> None:
    assert made(tmp_path).name == "sweep"


@pytest.mark.parametrize(
    ("written_name", "near"),
    [
        ("lr", "learning_rate"),
        ("batch_size", "per_device_train_batch_size"),
        ("epochs", "num_train_epochs"),
        ("wd", "weight_decay"),
        ("grad_accum", "gradient_accumulation_steps"),
        ("warmup_ratio", "warmup_steps"),
        ("learnig_rate", "learning_rate"),
        ("Beta", "beta"),
    ],
)
def test_an_unknown_parameter_is_told_with_the_nearest_name(tmp_path: Path, written_name: str, near: str) -> None:
    message = refused(tmp_path, parameters={written_name: {"values": [1, 2]}})
    assert f"parameters.{written_name} is no argument of training.run; did you mean {near}?" in message


def test_every_suggested_name_is_an_argument() -> None:
    from training.sweeps import targets

    assert set(targets._COMMON.values()) <= targets.known()
    assert set(targets._REFUSED) - {"config"} <= targets.known()
    assert not set(targets._COMMON) & targets.known()


def test_dotted_and_nested_names_say_the_same(tmp_path: Path) -> None:
    values = {"values": [1, 2]}
    dotted = searched(tmp_path, **{"lr_scheduler_kwargs.num_cycles": values})
    nested = searched(tmp_path, lr_scheduler_kwargs={"parameters": {"num_cycles": values}})
    assert dotted == nested and list(dotted) == ["lr_scheduler_kwargs.num_cycles"]


def test_a_group_that_means_nothing_here_is_left_out_and_told(tmp_path: Path) -> None:
    file = made(tmp_path, parameters={"optimizer": {"parameters": {"learning-rate": {"values": [1e-5, 1e-4]}}}})
    assert [found.name for found in file.parameters] == ["learning_rate"]
    assert "optimizer.learning-rate is taken as learning_rate" in file.notes


def test_two_names_of_one_argument_are_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, parameters={"beta": {"value": 1}, "dpo.beta": {"values": [1, 2]}})
    assert "parameters.beta and parameters.dpo.beta both set beta" in message
    twice = "method: random\nparameters:\n  beta: {value: 0.1}\n  beta: {values: [0.1, 0.2]}\n"
    assert "line 4: no valid YAML: beta is there twice" in refused(tmp_path, twice)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("learning_rate", {"values": ["abc", "1e-5"]}, "invalid float value: 'abc'"),
        ("learning_rate", {"min": -1e-5, "max": 1e-5}, "--learning_rate must be above 0"),
        ("beta", {"values": [0.1, 0]}, "--beta must be above 0, got 0"),
        ("beta", {"distribution": "normal", "mu": 0.1, "sigma": 0.1}, "--beta must be above 0, got -0.2"),
        ("loss_type", {"values": ["sigmoid", "simpo"]}, "--loss_type simpo is unknown"),
        ("max_steps", {"min": 100.0, "max": 500.0}, "invalid int value"),
        ("max_steps", {"values": [100, 150.5]}, "invalid int value: '150.5'"),
        ("bf16", {"values": ["maybe", True]}, "maybe"),
        ("label_smoothing", {"values": [0.1, 0.7]}, "below 0.5, got 0.7"),
        ("loss_type", {"values": [[], ["sigmoid"]]}, "expected at least one argument"),
        ("beta", {"values": [None, 0.1]}, "null, which cannot be told"),
        ("use_peft", {"values": [[True, False], True]}, "unknown argument"),
    ],
)
def test_a_value_that_training_refuses_is_told_before_anything_starts(
    tmp_path: Path, name: str, content: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(tmp_path, parameters={name: content})
    assert f"parameters.{name} " in message and said in message
    assert capsys.readouterr() == ("", "")


def test_a_range_from_zero_is_allowed_where_zero_itself_is_not_drawn(tmp_path: Path) -> None:
    """W&B's own examples have learning rates from 0; in steps, 0 would be drawn."""
    assert searched(tmp_path, learning_rate={"distribution": "uniform", "min": 0, "max": 0.1})
    stepped = {"distribution": "q_uniform", "min": 0, "max": 0.1, "q": 0.01}
    assert "may be 0, which training.run refuses" in refused(tmp_path, parameters={"learning_rate": stepped})


def test_a_value_that_another_argument_allows_is_not_refused_for_itself(tmp_path: Path) -> None:
    """Label smoothing needs a loss type that reads it, which a recipe may set."""
    assert list(searched(tmp_path, label_smoothing={"values": [0.0, 0.1]})) == ["label_smoothing"]


@pytest.mark.parametrize(
    "name", ["name", "runs", "sweep", "resume", "output_dir", "config", "quiet", "run_name", "common_beta"]
)
def test_what_the_sweep_itself_sets_cannot_be_searched(tmp_path: Path, name: str) -> None:
    assert f"parameters.{name} cannot be searched: " in refused(tmp_path, parameters={name: {"values": [1, 2]}})


@pytest.mark.parametrize(
    ("stated", "key"),
    [
        ("eval/loss", "eval/loss"),
        ("eval_loss", "eval/loss"),
        ("eval_rewards/margins", "eval/rewards/margins"),
        ("train/loss", "train/loss"),
        ("train_loss", "train/loss"),
        ("eval/common_beta_loss", "eval/common_beta_loss"),
    ],
)
def test_a_metric_goes_by_its_wandb_key(tmp_path: Path, stated: str, key: str) -> None:
    goal = "maximize" if "margins" in stated else "minimize"
    assert made(tmp_path, metric={"name": stated, "goal": goal}).metric == key


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ({"name": "loss"}, "metric 'loss' is never logged; did you mean eval/loss?"),
        ({"name": "accuracies"}, "did you mean eval/rewards/accuracies?"),
        ({"name": "eval/rewards_accuracies"}, "did you mean eval/rewards/accuracies?"),
        ({"name": "val_loss"}, "did you mean eval/loss?"),
        ({"name": "eval/loss", "goal": "maximize"}, "lower is better for eval/loss; write goal: minimize"),
        ({"name": "eval/rewards/accuracies", "goal": "minimize"}, "write goal: maximize"),
        ({"name": "eval/loss", "goal": "minimise"}, "did you mean minimize?"),
        ({"name": "eval/rewards/margins"}, "needs a goal"),
        ({"goal": "minimize"}, "metric needs a name"),
        ([1], "metric needs a name"),
    ],
)
def test_a_metric_that_cannot_be_searched_by_is_told(tmp_path: Path, metric: Any, said: str) -> None:
    assert said in refused(tmp_path, metric=metric)


def test_what_is_left_open_of_the_metric_is_told(tmp_path: Path) -> None:
    file = made(tmp_path, method="bayes")
    assert (file.metric, file.maximize) == ("eval/rewards/accuracies", True) and "no metric is named" in file.notes[0]
    file = made(tmp_path, metric={"name": "eval/rewards/accuracies", "target": 0.9})
    assert file.maximize and any("has no goal: maximizing it" in note for note in file.notes)
    assert any("metric.target is not used" in note for note in file.notes)


@pytest.mark.parametrize("rule", [{"min_iter": 2}, {"min_iter": 2, "eta": 2}, {"max_iter": 27, "s": 2, "eta": 3}])
def test_hyperband_is_read(tmp_path: Path, rule: dict[str, Any]) -> None:
    stated = {"type": "hyperband", "strict": True, **rule}
    assert made(tmp_path, early_terminate=stated).early_terminate == stated


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"type": "median"}, "needs `type: hyperband`"),
        ({"min_iter": 3}, "needs `type: hyperband`"),
        ({"type": "hyperband"}, "needs either min_iter"),
        ({"type": "hyperband", "max_iter": 3}, "needs either min_iter"),
        ({"type": "hyperband", "min_iter": 3, "max_iter": 9, "s": 2}, "needs either min_iter"),
        ({"type": "hyperband", "min_iter": 3, "eta": 1}, "eta must be above 1"),
        ({"type": "hyperband", "min_iter": 0}, "min_iter must be a number of at least 1"),
        ({"type": "hyperband", "min_iter": 1.5}, "must be a whole number"),
        ({"type": "hyperband", "min_itr": 3}, "did you mean min_iter?"),
    ],
)
def test_a_wrong_early_terminate_is_told(tmp_path: Path, rule: dict[str, Any], said: str) -> None:
    assert said in refused(tmp_path, early_terminate=rule)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"method": "bayesian"}, "did you mean bayes?"),
        ({"method": None}, "`method` is missing"),
        ({"run_cap": 0}, "run_cap must be a whole number above 0"),
        ({"run_cap": "many"}, "run_cap must be"),
        ({"paramters": {}}, "`paramters` is unknown; did you mean parameters?"),
        ({"parameters": {}}, "`parameters` is missing or empty"),
        ({"parameters": [1]}, "`parameters` is missing or empty"),
        ({"parameters": {"beta": {"value": 0.1}}}, "every parameter is a constant"),
        ({"method": "grid", "parameters": {"beta": {"min": 0.1, "max": 0.5}}}, "a grid cannot list uniform"),
        ({"method": "grid", "parameters": {"beta": {"values": []}}}, "at least one value"),
        ({"parameters": {"a": {"parameters": {"beta": {}}, "value": 1}}}, "must be alone"),
    ],
)
def test_a_file_that_cannot_be_run_is_told(tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    assert said in refused(tmp_path, **keys)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty, where `method:`"),
        ("- a\n- b\n", "['a', 'b'], where `method:`"),
        ("method: random\nparameters: {beta: [1\n", "line 3: no valid YAML"),
        ("method: random\n\tparameters: x\n", "line 2: no valid YAML"),
        ("a: \x01", "no valid YAML"),
        ("[" * 3000, "no valid YAML"),
        ("when: 2024-13-45", "no valid YAML"),
        ("method: random\nparameters: &a {x: {parameters: *a}}", "5 deep at most"),
    ],
)
def test_what_is_no_sweep_file_is_told_in_one_line(tmp_path: Path, content: str, said: str) -> None:
    assert said in refused(tmp_path, content)


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    for prepare, said in (
        (lambda: None, "No such file or directory"),
        (lambda: path.write_bytes(os.urandom(64) + b"\xff\xfe"), "no text in UTF-8"),
        (lambda: path.write_text("a" * 300_000), "larger than 256 KB"),
    ):
        prepare()
        with pytest.raises(SweepError, match=said):
            read(path)
    with pytest.raises(SweepError, match="Is a directory"):
        read(tmp_path)


def test_aliases_that_grow_without_end_are_refused(tmp_path: Path) -> None:
    """Nine levels of nine aliases each are 9^9 = 387 million values in 400 characters."""
    levels = "".join(f"  - &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 10))
    bomb = f"method: random\ndescription:\n  - &l0 [1]\n{levels}parameters:\n  beta: {{values: [*l9, 1]}}\n"
    assert "parameters.beta" in refused(tmp_path, bomb)


def test_words_are_those_of_the_command_line() -> None:
    words = argv(
        {
            "learning_rate": 3e-4,
            "max_steps": 1e2,
            "bf16": False,
            "loss_type": ["sigmoid", "sft"],
            "lr_scheduler_kwargs.num_cycles": 2,
            "lr_scheduler_kwargs.last_epoch": -1,
            "optim": "adamw_torch",
        }
    )
    assert words == [
        *("--learning_rate=0.0003", "--max_steps=100", "--bf16=False", "--loss_type", "sigmoid", "sft"),
        *("--optim=adamw_torch", '--lr_scheduler_kwargs={"num_cycles": 2, "last_epoch": -1}'),
    ]
    told = arguments.parse(words)
    assert told.config.learning_rate == 3e-4 and told.config.max_steps == 100
    assert told.config.loss_type == ["sigmoid", "sft"]
    assert told.config.lr_scheduler_kwargs == {"num_cycles": 2, "last_epoch": -1}


def test_a_dictionary_and_keys_below_it_are_one() -> None:
    assert argv({"lr_scheduler_kwargs": {"a": 1}, "lr_scheduler_kwargs.b.c": 2}) == [
        '--lr_scheduler_kwargs={"a": 1, "b": {"c": 2}}'
    ]


def test_other_evaluation_pairs_are_remarked_on(tmp_path: Path) -> None:
    notes = made(tmp_path, parameters={"dataset_test_size": {"values": [0.1, 0.2]}}).notes
    assert "dataset_test_size varies: runs are evaluated on different pairs, so their metrics compare badly" in notes


@given(st.floats(1e-12, 1e3), st.integers(1, 10**6))
def test_numbers_come_through_the_command_line_whole(rate: float, steps: int) -> None:
    told = arguments.parse(argv({"learning_rate": rate, "max_steps": steps}))
    assert told.config.learning_rate == rate and told.config.max_steps == steps


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("name", "method", "metric", "parameters", "early_terminate", "run_cap", "command")
NAMES = ("beta", "learning_rate", "loss_type", "max_steps", "x", "lr_scheduler_kwargs")
KNOWN = st.dictionaries(
    st.sampled_from(("value", "values", "min", "max", "distribution", "parameters")), JUNK, max_size=3
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(st.sampled_from(KEYS), JUNK),
    st.none() | st.dictionaries(st.sampled_from(NAMES), KNOWN | JUNK, max_size=3),
)
def test_whatever_a_file_holds_it_is_read_or_refused_in_one_line(
    tmp_path: Path, content: dict[str, Any], parameters: Any
) -> None:
    path = written(tmp_path, {"method": "random", **content, **({"parameters": parameters} if parameters else {})})
    try:
        assert read(path).parameters
    except SweepError as error:
        assert "\n" not in str(error)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_bytes_a_file_holds_no_traceback_comes_of_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_bytes(content)
    with pytest.raises(SweepError):
        read(path)
