"""What the files beside a trainer state tell of it, and what the name of its folder does."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainer_states import evaluation, file, one, read, state, train

from dashboard.sources import beside
from dashboard.sources.files import File

CARD = b"""---
base_model: org/model-7b
datasets:
- org/pairs
tags:
- dpo
---
# A model
- beta: 9
### Training hyperparameters

The following hyperparameters were used during training:
- learning_rate: 5e-07
- train_batch_size: 4
- lr_scheduler_type: cosine
- lr_scheduler_warmup_ratio: 0.1
- num_epochs: 3
- optimizer: Adam with betas=(0.9,0.999)

### Training results
- seed: 7
"""


def test_files_beside_tell_the_configuration_and_each_is_named():
    adapter = {
        "base_model_name_or_path": "org/adapted",
        "r": 16,
        "lora_alpha": 32,
        "target_modules": ["q", "v"],
        "odd": 1,
    }
    results = {"eval_loss": 0.4, "eval_samples": 2000, "train_runtime": 99.5, "train_loss": 0.6}
    run = one(
        state(train(20)),
        beside=(
            file("dpo/README.md", CARD),
            file("dpo/adapter_config.json", adapter),
            file("dpo/all_results.json", results),
            file("dpo/training_args.bin", b"\x80\x04never opened"),
            file("other/adapter_config.json", {"r": 64}),
        ),
    )
    assert run.config == {
        "model_name_or_path": "org/adapted",
        "lora_r": 16,
        "lora_alpha": 32,
        "lora_target_modules": ["q", "v"],
        "dataset_name": "org/pairs",
        "learning_rate": 5e-07,
        "train_batch_size": 4,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.1,
        "num_train_epochs": 3,
        "optimizer": "Adam with betas=(0.9,0.999)",
    }
    assert (run.n_eval, run.metrics["eval/loss"], run.seconds, run.status) == (2000, 0.4, 99.5, "finished")
    assert any(note.startswith("from dpo/adapter_config.json: model_name_or_path = org/adapted") for note in run.notes)
    assert any(note.startswith("from dpo/README.md: ") for note in run.notes)
    assert any("dpo/all_results.json" in note for note in run.notes)


def test_training_arguments_are_read_without_their_secrets():
    arguments = {"beta": 0.2, "learning_rate": 1e-6, "hub_token": "hf_secret", "deepspeed": None, "lr_kwargs": {}}
    assert one(state(train(10)), beside=(file("dpo/training_args.json", arguments),)).config == {
        "beta": 0.2,
        "learning_rate": 1e-6,
    }


def test_the_models_own_configuration_names_the_base_model():
    run = one(state(train(10)), beside=(file("dpo/config.json", {"_name_or_path": "org/base", "hidden_size": 8}),))
    assert run.config == {"model_name_or_path": "org/base"}


def test_results_with_a_bare_nan_and_broken_files_beside_do_no_harm():
    run = one(
        state(train(10)),
        beside=(
            file("dpo/all_results.json", b'{"eval_loss": NaN, "eval_runtime": 3.5}'),
            file("dpo/adapter_config.json", b"{"),
            file("dpo/README.md", b"\0\1"),
        ),
    )
    assert "eval/loss" not in run.metrics
    assert run.metrics["eval/runtime"] == 3.5
    assert "dpo/adapter_config.json beside it is passed over: it is no JSON object." in run.notes
    assert any(note.startswith("dpo/README.md beside it is passed over") for note in run.notes)


def test_files_beside_checkpoints_of_two_runs_are_given_to_neither():
    found = read(
        file("dpo/checkpoint-7/trainer_state.json", state(evaluation(7), max_steps=7)),
        file("dpo/checkpoint-20/trainer_state.json", state(train(20))),
        beside=(file("dpo/adapter_config.json", {"r": 16}), file("dpo/checkpoint-7/adapter_config.json", {"r": 8})),
    )
    assert [run.config for run in found.runs] == [{}, {"lora_r": 8}]
    assert "the files in dpo may be of another of its runs and are not used." in found.runs[0].notes


@pytest.mark.parametrize(
    ("name", "beta"),
    [
        ("recovery_beta_0.05", 0.05),
        ("dpo-lr1e-6-beta0.1", 0.1),
        ("Beta=1", 1.0),
        ("beta.5", 0.5),
        ("beta_1e-1", 0.1),
        ("beta_01", None),
        ("adam_beta1_0.9", None),
        ("beta1_0.9", None),
        ("alphabeta_0.1", None),
        ("beta_0.1_beta_0.2", None),
        ("beta", None),
        ("beta_0", None),
        ("v1.beta-release", None),
    ],
)
def test_a_folders_name_hints_at_beta(name, beta):
    assert beside.beta_of(name) == beta


def test_a_beta_from_a_folders_name_is_said_to_be_a_hint_and_yields_to_a_file():
    run = one(state(train(10)), "dpo_beta_0.05/checkpoint-10/trainer_state.json")
    assert run.config["beta"] == 0.05
    assert any('only the name of its folder, "dpo_beta_0.05": a hint' in note for note in run.notes)
    run = one(
        state(train(10)),
        "dpo_beta_0.05/trainer_state.json",
        beside=(file("dpo_beta_0.05/args.json", {"beta": 0.1}),),
    )
    assert run.config["beta"] == 0.1
    assert any(note.startswith("beta is 0.1 by the files beside it, but 0.05 by the name") for note in run.notes)


@given(st.text(st.sampled_from("#-* :\n\tahyperparameters`0e1._"), max_size=200))
def test_no_model_card_raises(text):
    one(state(train(1)), beside=(file("dpo/README.md", text.encode()),))


def test_a_pickle_beside_the_state_is_never_opened():
    def opened(_: int) -> bytes:
        raise AssertionError("training_args.bin was opened")

    pickle = File(PurePosixPath("dpo/training_args.bin"), 5_000, None, opened)
    (run,) = read(file("dpo/trainer_state.json", state(train(10), evaluation(10))), beside=(pickle,)).runs
    assert run.config == {}
