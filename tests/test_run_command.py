"""The command and the recipe on the Run page repeat the run."""

import shlex
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dashboard.components.run import command as run_command
from dashboard.components.run.defaults import ALIASES, DEFAULTS, OF, OF_ONE_RUN
from training.arguments import new_parser, parse
from training.record.writer import plain

ROOT = Path(__file__).resolve().parent.parent

CHOSEN = [
    *("--model_name_or_path", "a model/with space", "--dataset_name", "my data's.jsonl", "--learning_rate", "3e-4"),
    *("--beta", "0.5", "--max_steps", "80", "--loss_type", "sigmoid", "sft", "--loss_weights", "1.0", "0.5"),
    *("--use_peft", "--lora_target_modules", "q_proj", "v_proj", "--max_length", "256", "--warmup_steps", "10"),
    *("--gradient_checkpointing", "false", "--sample_prompts", "Why?", "What's up; $HOME", "--seed", "7"),
    *("--model_init_kwargs", '{"revision": "x"}', "--name", "first", "--eval_steps", "20", "--fast", "false"),
    *("--lr_scheduler_type", "cosine", "--where", "score > 8"),
]


def recorded(words: list[str]) -> dict:
    """The configuration as `training.dpo` writes it to config.json."""
    told = parse(words)
    found = {**asdict(told.run), **asdict(told.data), **asdict(told.model), **told.config.to_dict()}
    return plain({**found, "pad_token": told.config.pad_token})


def of_a_run(config: dict) -> dict:
    return {key: value for key, value in config.items() if key not in OF_ONE_RUN}


@pytest.fixture(scope="module")
def config() -> dict:
    return recorded(CHOSEN)


def test_the_table_of_defaults_is_that_of_the_parser():
    usual = recorded(["--model_name_or_path", "m", "--dataset_name", "d"])
    left_out = OF_ONE_RUN | ALIASES | {"model_name_or_path", "dataset_name", "bf16"}
    assert {key: value for key, value in usual.items() if value is not None and key not in left_out} == DEFAULTS
    import trl

    assert OF.split()[1] == ".".join(trl.__version__.split(".")[:2])


def test_the_command_gives_the_same_configuration(config):
    again = run_command.command(run_command.changed(config))
    words = shlex.split(again.text)
    assert words[:3] == ["python", "-m", "training.run"] and not again.unsaid
    assert of_a_run(recorded(words[3:])) == of_a_run(config)


def test_the_recipe_gives_the_same_configuration(config, tmp_path):
    path = tmp_path / "again.yaml"
    path.write_text(run_command.recipe(run_command.changed(config)))
    assert of_a_run(recorded(["--config", str(path)])) == of_a_run(config)


def test_the_built_in_recipe_is_repeated_without_naming_it(monkeypatch):
    config = recorded([])
    words = shlex.split(run_command.command(run_command.changed(config)).text)[3:]
    assert "--config" not in words
    assert of_a_run(recorded(words)) == of_a_run(config)


def test_only_what_was_chosen_is_said(config):
    chosen = run_command.changed(config)
    assert {"max_steps", "loss_weights", "where", "fast"} <= chosen.keys()
    assert not {"name", "weight_decay", "optim", "hub_token", "gradient_checkpointing"} & chosen.keys()


def test_a_value_that_no_command_can_say_is_named_and_stands_in_the_recipe():
    """max_length None is 'no limit', where saying nothing means 1024; a list item `--beta` would be a flag."""
    arguments = run_command.changed({"max_length": None, "sample_prompts": ["--beta", "x"], "max_steps": 3})
    again = run_command.command(arguments)
    assert set(again.unsaid) == {"max_length", "sample_prompts"}
    assert again.text == "python -m training.run --max_steps 3"
    assert yaml.safe_load(run_command.recipe(arguments)) == arguments


@given(st.text(min_size=1, max_size=40).filter(lambda text: "\0" not in text))
def test_any_text_reaches_the_parser_as_it_is(text):
    """A value of any letters, quotes, dashes and line breaks included, is one word of the shell, or two."""
    words = shlex.split(run_command.command({"dataset_name": text}, runs="r").text)[3:]
    assert words[-2:] == ["--runs", "r"]
    parsed, left = new_parser_once().parse_known_args(words)
    assert parsed.dataset_name == text and not left


_PARSERS = []


def new_parser_once():
    if not _PARSERS:
        _PARSERS.append(new_parser())
    return _PARSERS[0]
