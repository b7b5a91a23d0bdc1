"""Hub ids are named, the folders of a machine are not."""

import pytest

from training.publishing.public import hub_id, public, without_paths


@pytest.mark.parametrize("name", ["gpt2", "Qwen/Qwen2-0.5B-Instruct", "Dahoas/full-hh-rlhf"])
def test_a_hub_id_is_named_as_it_is(name):
    assert hub_id(name) == public(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/home/somebody/models/my gpt2/", "my gpt2"),
        ("C:\\models\\mine", "mine"),
        ("../models/mine", "mine"),
        ("pairs/hh.jsonl.gz", "hh.jsonl.gz"),
        ("a/b/c", "c"),
        ("embedded", "embedded"),
    ],
)
def test_of_a_path_only_the_last_part_is_named(name, shown):
    assert hub_id(name) is None
    assert public(name) == shown


def test_a_folder_that_exists_is_no_hub_id(tmp_path, monkeypatch):
    (tmp_path / "org" / "model").mkdir(parents=True)
    assert hub_id("org/model") == "org/model"
    monkeypatch.chdir(tmp_path)
    assert hub_id("org/model") is None


def test_absolute_paths_lose_their_folders_and_metrics_keep_their_names():
    text = (
        "eval/rewards/accuracies is nan; see /home/me/runs/a/checkpoints/best, C:\\runs\\a\\b and ~/x/y at 3 tokens/s"
    )
    assert without_paths(text) == "eval/rewards/accuracies is nan; see best, b and y at 3 tokens/s"
