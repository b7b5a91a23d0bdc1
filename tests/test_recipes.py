"""Every recipe is understood, and says what it changes and why."""

import re
from dataclasses import fields

import pytest
from recipe_data import NAMES, PROJECTS, content

from training.recipe_list import RECIPES, recipes

ABOUT = {"model_parameters": int, "rows": int, "task": str}
# What each project had, and got wrong: the comment at the argument must name it.
WRONG = {
    "gpt2-orca": {
        "where": "all 12,859 rows",
        "learning_rate": "1e-6 .. 1e-3",
        "beta": "0.01, 0.1, 0.2, 0.5",
        "per_device_train_batch_size": "2, 4, 8",
        "gradient_accumulation_steps": "1, 2, 4",
        "max_steps": "100, 200, 500",
    },
    "qwen2-full-hh": {
        "learning_rate": "2e-5",
        "beta": "Published as 1",
        "per_device_train_batch_size": "1 x 1",
        "num_train_epochs": "3 epochs",
    },
    "t5-human-like": {
        "dataset_test_size": "no evaluation",
        "num_train_epochs": "a tenth of the data",
        "eval_strategy": '"no"',
    },
    "gpt2-human-like": {
        "dataset_test_size": "no evaluation",
        "per_device_train_batch_size": "1 x 8 over 109 rows",
        "num_train_epochs": "3 epochs",
        "optim": "adamw_bnb_8bit",
        "eval_strategy": '"no"',
    },
    "gpt2-static-hh": {
        "dataset_test_split": "5 rows",
        "learning_rate": "1e-3",
        "per_device_train_batch_size": "8 x 1",
        "num_train_epochs": "5 epochs",
        "eval_strategy": "loaded the checkpoint of epoch 4",
    },
    "gpt2-rm-single-context": {
        "dataset_test_split": "10 rows",
        "learning_rate": "1e-3",
        "per_device_train_batch_size": "8 x 1",
        "max_steps": "500 epochs",
        "eval_strategy": "every 500 steps",
    },
}


def comment(name: str, argument: str) -> str:
    """What the recipe says beside an argument, and in the comment lines right above it or above its neighbours."""
    lines = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(f"{argument}:"))
    found = [lines[at].partition("  # ")[2]]
    above = at
    while lines[above - 1].startswith("# "):
        above -= 1
        found.insert(0, lines[above][2:])
    return " ".join(found)


def test_the_recipes_are_those_of_the_five_projects_and_the_built_in_one():
    assert tuple(recipe.name for recipe in recipes()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_names_only_arguments_that_exist(name):
    from trl import DPOConfig, ModelConfig

    from training.arguments import RunArguments
    from training.data.arguments import DataArguments

    known = {field.name for owner in (RunArguments, DataArguments, ModelConfig, DPOConfig) for field in fields(owner)}
    assert content(name).keys() - {"about"} <= known


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_understood_and_every_value_arrives(name):
    """bf16 is the exception: a machine without it trains in float32, and says so."""
    from training.arguments import parse

    told = parse(["--config", str(RECIPES / f"{name}.yaml")])
    owners = (told.run, told.data, told.model, told.config)
    for argument, value in content(name).items():
        if argument not in ("about", "bf16"):
            owner = next(owner for owner in owners if hasattr(owner, argument))
            found = getattr(owner, argument)
            assert getattr(found, "value", found) == value, argument


@pytest.mark.parametrize("name", NAMES)
def test_no_number_of_a_recipe_is_a_text(name):
    """YAML 1.1 reads 1e-6 as a text, and 1.0e-6 as a number."""
    texts = [value for value in content(name).values() if isinstance(value, str)]
    assert not [text for text in texts if re.fullmatch(r"[-+\d.eE]+", text)]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_what_it_is_about(name):
    about = content(name)["about"]
    assert ABOUT.items() <= {key: type(value) for key, value in about.items()}.items()
    assert about.keys() <= {*ABOUT, "eval_rows"}
    assert re.fullmatch(r"[A-Z][^.]+\.", about["task"]), "one sentence"


@pytest.mark.parametrize(("name", "argument"), [(name, argument) for name in PROJECTS for argument in WRONG[name]])
def test_a_changed_value_says_what_the_project_had(name, argument):
    assert WRONG[name][argument] in comment(name, argument)


@pytest.mark.parametrize("name", PROJECTS)
def test_a_recipe_evaluates_often_and_keeps_its_best_checkpoint(name):
    """At least five evaluations, each with a checkpoint; as many pairs that an accuracy means something; a seed."""
    found, (recipe,) = content(name), [recipe for recipe in recipes() if recipe.name == name]
    every = found["eval_steps"] if found["eval_steps"] >= 1 else found["eval_steps"] * recipe.steps
    assert recipe.steps / every >= 5
    assert found["save_steps"] == found["eval_steps"]
    assert found["eval_strategy"] == found["save_strategy"] == "steps"
    assert found["seed"] == 42
    assert found.get("warmup_steps", 0) < recipe.steps / 2, "the learning rate is reached"
    assert len(found["sample_prompts"]) >= 3


def test_the_parameters_that_are_stated_are_those_of_the_architectures():
    """The configuration classes' defaults are those of gpt2 and t5-small; Qwen2-0.5B as published with its weights."""
    import torch
    from safetensors import safe_open
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        Qwen2Config,
        Qwen2ForCausalLM,
        T5Config,
        T5ForConditionalGeneration,
    )

    from training.arguments import EMBEDDED_MODEL

    half_billion = Qwen2Config(
        vocab_size=151936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        models = {
            "gpt2": GPT2LMHeadModel(GPT2Config()),
            "t5-small": T5ForConditionalGeneration(T5Config()),
            "Qwen/Qwen2-0.5B-Instruct": Qwen2ForCausalLM(half_billion),
        }
    counts = {name: sum(weight.numel() for weight in model.parameters()) for name, model in models.items()}
    with safe_open(EMBEDDED_MODEL / "model.safetensors", "pt") as weights:
        counts["embedded"] = sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118
    for recipe in recipes():
        assert recipe.parameters == counts[recipe.model], recipe.name


def test_the_built_in_recipe_counts_the_built_in_pairs():
    from training.embedded import pairs

    about = content("embedded")["about"]
    assert (about["rows"], about["eval_rows"]) == (pairs.N_TRAIN + pairs.N_EVAL, pairs.N_EVAL)
