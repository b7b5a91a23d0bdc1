"""Tables are told apart by their header alone."""

import pytest

from dashboard.sources import headers


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (["Step", "a - eval/loss", "a - eval/loss__MIN", "a - eval/loss__MAX"], "panel"),
        (["epoch", "a - eval/loss"], "panel"),
        (["Wall time", "Step", "Value"], "scalars"),
        (["Name", "State", "lr"], "runs"),
        (["beta", "Name", "eval/loss"], "runs"),
        (["Name", "data.classes", "val_loss"], "runs"),
        (["Name", "_step", "loss"], "runs"),
        (["Name", "eval/loss", "Step"], ""),
        (["Name", "beta", "loss", "accuracy"], ""),
        (["Name", "beta", "rewards/accuracies", "Notes"], ""),
        (["run", "eval/loss"], ""),
        (["text", "score"], ""),
        ([""], ""),
        ([], ""),
    ],
)
def test_each_kind_is_told_by_its_columns(header, kind):
    tests = {"panel": headers.is_panel, "scalars": headers.is_scalars, "runs": headers.is_runs_table}
    assert [name for name, test in tests.items() if test(header)] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["text", "score"], "a list of texts and scores"),
        (["prompt", "chosen", "rejected"], "preference pairs (training data)"),
        (["Instruction", "input", "OUTPUT"], "instructions and answers (training data)"),
        (["Name", "State"], "a W&B runs table"),
        (["run", "eval_loss"], ""),
    ],
)
def test_what_a_file_seems_to_be_has_a_name(header, words):
    assert headers.seems(header) == words
