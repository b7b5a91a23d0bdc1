"""The command line is TRL's, with sound defaults and mistakes told in words."""

import pytest

from training import arguments
from training.arguments import ArgumentError, parse


def test_without_arguments_the_built_in_recipe_is_used():
    _, data, model, config, _ = parse([])
    assert (data.dataset_name, model.model_name_or_path) == ("embedded", "embedded")
    assert arguments.model_path("embedded") == str(arguments.EMBEDDED_MODEL)
    assert arguments.model_path("gpt2") == "gpt2"
    assert config.max_steps > 0
    assert config.eval_strategy == "steps"


def test_flags_win_over_the_recipe_and_the_recipe_over_defaults(tmp_path):
    recipe = tmp_path / "my recipe.yaml"
    recipe.write_text("beta: 0.3\nlearning_rate: 5e-5\nmax_steps: 7\ndataset_name: mine\n")
    told = parse(["--config", str(recipe), "--beta=0.5", "--max_steps", "9"])
    assert (told.config.beta, told.config.learning_rate) == (0.5, 5e-5)
    assert (told.config.max_steps, told.data.dataset_name) == (9, "mine")


def test_the_command_line_of_a_wandb_agent_is_understood(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model_name_or_path: gpt2\n")
    _, _, model, config, _ = parse([f"--config={recipe}", "--learning_rate=5e-05", "--beta=0.2", "--bf16=False"])
    assert (model.model_name_or_path, config.learning_rate, config.beta, config.bf16) == ("gpt2", 5e-5, 0.2, False)


@pytest.mark.parametrize(
    "argv", [["--model_name_or_path", "gpt2"], ["--model_name_or_path=gpt2"], ["--model-name-or-path", "gpt2"]]
)
def test_with_a_model_and_no_recipe_trls_own_defaults_hold(argv):
    config = parse(argv).config
    assert (config.learning_rate, config.max_steps, config.beta) == (1e-6, -1, 0.1)


def test_a_nan_is_not_filtered_from_the_log():
    assert parse([]).config.logging_nan_inf_filter is False


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--beta", "0"], "--beta must be above 0, got 0.0; 0.1 is a good start"),
        (["--beta", "-1"], "--beta must be above 0"),
        (["--learning_rate", "0"], "--learning_rate must be above 0"),
        (["--learnin_rate", "1e-5"], r"unknown argument --learnin_rate \(did you mean --learning_rate\?\)"),
        (["--load_in_4bit"], "--load_in_4bit needs the package bitsandbytes; install it, or leave --load_in_4bit out"),
        (["--optim", "adamw_bnb_8bit"], "--optim adamw_bnb_8bit needs the package bitsandbytes"),
        (["--eval_steps", "-3"], "--eval_steps must be above 0, got -3"),
        (["--max_prompt_length", "0"], "--max_prompt_length must be at least 1, got 0"),
        (["--config", "no.yaml"], r"--config no.yaml does not exist; recipes here: embedded, gpt2"),
        (["--config"], "--config needs a file"),
        (["--loss_type", "sigmoidal"], "sigmoidal"),
        (["--sample_max_new_tokens", "0"], "must be at least 1"),
        (["--max_length", "0"], "--max_length must be at least 1, got 0"),
        (["--num_train_epochs", "0"], "--num_train_epochs must be above 0, got 0.0; 1 is a good start"),
        (["--sample_prompts", "Why?", " "], "--sample_prompts holds an empty prompt"),
        (["train"], "^unknown argument train; --help lists all$"),
        (["--eval_steps", "1.5"], "^--eval_steps must be an integer"),
        (["--loss_type", "robust", "--label_smoothing", "0.5"], "--label_smoothing must be .* below 0.5, got 0.5"),
        (["--label_smoothing", "0.1"], "--label_smoothing does nothing with --loss_type sigmoid; it is for aot, "),
    ],
)
def test_a_mistake_is_told_in_words(argv, words, monkeypatch):
    monkeypatch.setattr(arguments, "find_spec", lambda package: None)
    with pytest.raises(ArgumentError, match=words):
        parse(argv)


@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_half_precision_that_is_not_there_becomes_float32_with_one_line(half, monkeypatch):
    monkeypatch.setattr(arguments, "_bf16_works", lambda: False)
    monkeypatch.setattr(arguments.torch.cuda, "is_available", lambda: False)
    told = parse([f"--{half}", "true"])
    assert (told.config.bf16, told.config.fp16) == (False, False)
    assert told.notes == (f"{half} is not supported by this machine's processor: training in float32",)
    assert parse([]).notes == ()


def test_quantised_weights_are_refused_where_they_cannot_be_trained(monkeypatch):
    monkeypatch.setattr(arguments, "find_spec", lambda package: object())
    monkeypatch.setattr(arguments.torch.cuda, "is_available", lambda: False)
    with pytest.raises(ArgumentError, match="--load_in_8bit needs an NVIDIA GPU"):
        parse(["--load_in_8bit", "--use_peft"])


def test_a_recipe_goes_by_its_bare_name_and_its_about_is_no_argument(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("about: {task: a test}\nbeta: 0.7\nmodel_name_or_path: gpt2\n")
    monkeypatch.setattr(arguments, "RECIPES", tmp_path)
    assert parse(["--config", "mine"]).config.beta == 0.7
    with pytest.raises(ArgumentError, match="--config yours does not exist; recipes here: mine"):
        parse(["--config", "yours"])


def test_a_recipe_may_give_a_list_of_one_as_its_value_and_a_number_as_a_name(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("where: status != tie\nsample_prompts: Why?\nloss_type: ipo\nname: 3\nbf16: no\n")
    told = parse(["--config", str(recipe)])
    assert (told.data.where, told.run.sample_prompts) == (["status != tie"], ["Why?"])
    assert (told.config.loss_type, told.run.name, told.config.bf16) == (["ipo"], "3", False)


def test_a_switch_needs_no_value():
    told = parse(["--use_chat_template", "--gradient_checkpointing"])
    assert (told.data.use_chat_template, told.config.gradient_checkpointing) == (True, True)


def test_label_smoothing_is_taken_where_a_loss_type_reads_it():
    assert parse(["--loss_type", "sigmoid", "robust", "--label_smoothing", "0.1"]).config.label_smoothing == 0.1


def test_a_run_of_a_wandb_sweep_reports_to_wandb(monkeypatch):
    assert parse([]).config.report_to == []
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    assert parse([]).config.report_to == ["wandb"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("beta: [", "is not valid YAML"),
        ("just text", "holds no 'argument: value' lines"),
        ("betta: 0.1", r"unknown argument --betta \(did you mean --beta\?\)"),
        ("beta: zero", "beta"),
        ("beta: [1]", "--beta must be above 0"),
        ("max_steps: 2.5", "invalid int value: '2.5'"),
        ("env: 3", "env holds no 'NAME: value' lines"),
    ],
)
def test_a_mistake_in_the_recipe_is_told_in_words(tmp_path, content, words, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    try:
        parse(["--config", str(path)])
    except ArgumentError as error:
        told = str(error)
    except SystemExit as exit_:
        assert exit_.code == 2
        told = capsys.readouterr().err
        assert len(told.splitlines()) <= 2
    else:
        told = ""
    import re

    assert re.search(words, told), told
