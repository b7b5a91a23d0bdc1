"""`--list`: what each recipe trains, and what that costs, by arithmetic."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from recipe_data import NAMES, content

from training.recipe_list import DEFAULTS, Recipe, RecipeError, recipes, table

ROOT = Path(__file__).resolve().parent.parent


def recipe(folder: Path, text: str) -> Recipe:
    (folder / "one.yaml").write_text(text)
    (found,) = recipes(folder)
    return found


ONE = "about: {model_parameters: 1000, rows: 100, task: Try.}\ndataset_name: a/b\ngradient_checkpointing: false\n"


def test_steps_and_cost_of_a_recipe_with_epochs(tmp_path):
    """By hand: 100 rows, 10 held out, 90 pairs; batch 8 makes 12 batches, accumulation 5 makes 3 steps, 2 epochs 6
    steps and 180 pairs; 180 x 2 x 50 tokens x 8 x 1,000 parameters = 1.44e8 FLOP."""
    more = "per_device_train_batch_size: 8\ngradient_accumulation_steps: 5\nnum_train_epochs: 2\nmax_length: 50\n"
    found = recipe(tmp_path, ONE + more)
    assert (found.steps, found.pairs_seen, found.flop) == (6, 180, 1.44e8)


def test_steps_and_cost_of_a_recipe_with_max_steps(tmp_path):
    """By hand: 7 steps x 4 x 2 = 56 pairs; x 2 x 50 x 10 (activations computed twice) x 1,000 = 5.6e7 FLOP."""
    more = "per_device_train_batch_size: 4\ngradient_accumulation_steps: 2\nmax_steps: 7\nmax_length: 50\n"
    found = recipe(tmp_path, ONE.replace("false", "true") + more)
    assert (found.steps, found.pairs_seen, found.flop) == (7, 56, 5.6e7)


def test_pairs_of_an_own_evaluation_split_are_not_trained_on(tmp_path):
    """By hand: 100 - 36 = 64 pairs, 3 epochs of 8 batches; and at most max_train_samples: 3 epochs of 2."""
    own = ONE.replace("task:", "eval_rows: 36, task:")
    assert (recipe(tmp_path, own).steps, recipe(tmp_path, own).pairs_seen) == (24, 192)
    assert recipe(tmp_path, f"{own}max_train_samples: 16\n").steps == 6


@pytest.mark.parametrize("found", recipes(), ids=lambda found: found.name)
def test_steps_and_pairs_are_those_that_the_trainer_counts(found, tmp_path):
    """Transformers' own arithmetic, for as many pairs as the recipe trains on, on one device."""
    import torch
    from transformers import Trainer, TrainingArguments

    told = ("max_steps", "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps")
    settings = {name: (DEFAULTS | content(found.name))[name] for name in told}
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none", **settings)
    pairs = round(found.pairs_seen / args.num_train_epochs)
    loader = torch.utils.data.DataLoader(range(pairs), batch_size=args.per_device_train_batch_size)
    counted = Trainer(torch.nn.Linear(1, 1), args).set_initial_training_values(args, loader)
    assert (counted[-1], counted[3]) == (found.steps, found.pairs_seen)


def test_the_defaults_are_trls():
    from trl import DPOConfig

    from training.data.arguments import DataArguments

    known = {field.name: field.default for owner in (DPOConfig, DataArguments) for field in fields(owner)}
    known |= {"model_name_or_path": "embedded"}
    assert {name: known[name] for name in DEFAULTS} == DEFAULTS


def test_the_list_has_one_line_for_each_recipe_and_fits_a_terminal():
    lines = table(recipes()).splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0].split() == ["recipe", "model", "size", "data", "set", "rows", "steps", "pairs", "FLOP", "min"]
    assert [line.split()[0] for line in lines[1 : len(NAMES) + 1]] == list(NAMES)
    assert lines[len(NAMES) + 1] == ""
    assert "Arithmetic, nothing measured" in lines[len(NAMES) + 2]


def test_a_line_of_the_list():
    """By hand: 1,000 x 8 x 8 = 64,000 pairs x 2 x 1,024 x 8 x 124,439,808 = 1.3e17 FLOP = 1,305 s = 22 min."""
    (line,) = [line for line in table(recipes()).splitlines() if line.startswith("gpt2-rm-single-context")]
    assert line.split() == [
        *("gpt2-rm-single-context", "gpt2", "124M", "rm-single-context"),
        *("89,503", "1,000", "64,000", "1.3e17", "22"),
    ]


def test_a_long_name_is_cut_and_the_numbers_stay(tmp_path):
    found = recipe(tmp_path, ONE.replace("a/b", f"a/{'long' * 40}"))
    first, line, *_ = table([found]).splitlines()
    assert len(first) <= 120
    assert len(line) <= 120
    assert "longl.. " in line
    assert line.split()[-5:] == ["100", "36", "270", "4.4e09", "0.0"]


def test_the_list_can_be_piped_and_is_plain_text():
    """In the plainest locale, where only ASCII can be printed."""
    command = [sys.executable, "-X", "utf8=0", "-m", "training.run", "--list"]
    settings = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii", "PATH": ""}
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip("\n") == table(recipes())


def test_the_list_needs_no_torch():
    code = "import sys, training.recipe_list as r; r.table(r.recipes()); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dataset_name: a\n", "has no about"),
        ("about: {rows: 1, model_parameters: 1}\ndataset_name: a\n", "has no task"),
        ("about: 7\ndataset_name: a\n", "is no recipe"),
        ("just words", "is no recipe"),
        ("a: [", "is no recipe"),
    ],
)
def test_a_file_that_is_no_recipe_is_named(tmp_path, text, words):
    with pytest.raises(RecipeError, match=f"one.yaml {words}"):
        recipe(tmp_path, text)
