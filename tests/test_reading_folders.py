"""A folder or an archive of everything gives every run once, and what is no log is passed over in few words."""

import json
import shutil
from pathlib import Path

import pytest

from dashboard.sources import reading
from dashboard.sources.imported import SourceError
from tests.logs import BY_HAND, EVENTS, PANEL, TABLE, names, packed, write
from tests.make_runs import make_run
from tests.test_event_file import file_of
from tests.test_trainer_state import evaluation, state, train
from tests.test_wandb_offline import ROWS, trained

SPARSE = 3 * 2**30


def mixed(folder: Path, offline: Path) -> Path:
    """A project's folder as people have it: logs of seven kinds, and much that is none."""
    checkpoint = {
        "adapter_config.json": '{"base_model_name_or_path": "org/base", "r": 8}',
        "tokenizer.json": '{"version": "1.0", "model": {"vocab": {"loss": 1}}}',
        "optimizer.pt": b"PK\x03\x04 no archive",
        "training_args.bin": b"\x80\x04.",
    }
    rows = [train(5), train(10), evaluation(10, 0.55), train(15), train(20), evaluation(20, 0.45, 0.8)]
    for step, count in ((10, 3), (20, 6)):
        content = checkpoint | {"trainer_state.json": json.dumps(state(*rows[:count], global_step=step))}
        write(folder / "dpo-lora" / f"checkpoint-{step}", **content)
    write(
        folder,
        **{
            "exports/wandb.csv": TABLE,
            "exports/panel.csv": PANEL,
            "dpo-lora/README.md": "# card\n\n### Training hyperparameters\n\n- learning_rate: 5e-07\n\n"
            "| Training Loss | Step | Validation Loss |\n|---|---|---|\n| 0.5 | 10 | 0.55 |\n",
            "board/runs/Feb27_04-45-11_host/events.out.tfevents.1.host.1.0": EVENTS,
            "board/runs/Feb27_04-44-11_host/events.out.tfevents.1.host.1.0": file_of([])[:-3],
            "results.csv": BY_HAND,
            "data/pairs.csv": 'prompt,chosen,rejected\n"a\nb",c,d\n',
            "data/train.jsonl": '{"prompt": "a", "chosen": "b", "rejected": "c"}\n',
            "README.md": "# project\n\n| run | loss |\n|---|---|\n| README | 2 |\n",
            "train.py": "from losses import loss, accuracy\n",
            "notes.txt": "loss, accuracy\n1, 2\n",
            "requirements.txt": "torch\n",
            "config.yaml": "beta: 0.1\n",
            "plot.png": b"\x89PNG\r\n\x1a\n" + bytes(64),
            ".git/config": "x",
        },
    )
    with (folder / "dpo-lora" / "model.safetensors").open("wb") as weights:
        weights.truncate(SPARSE)
    shutil.copytree(offline, folder / "wandb" / offline.name)
    make_run(folder / "runs", "ours", steps=50)
    return folder


@pytest.fixture(scope="module")
def offline(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("wandb"), ROWS).parent


def test_a_folder_of_everything_gives_every_run_once_and_says_no_more_than_it_must(tmp_path, offline):
    found = reading.read([mixed(tmp_path / "project", offline)])
    assert sorted(names(found)) == ["a run", "board", "dpo-lora", "mine", "ours", "slow-2", "swift-1"]
    runs = {run.name: run for run in found.runs}
    assert runs["dpo-lora"].config == {"model_name_or_path": "org/base", "lora_r": 8, "learning_rate": 5e-07}
    assert (runs["dpo-lora"].step, runs["dpo-lora"].best_step, runs["swift-1"].n_eval) == (20, 20, 1000)
    assert {run.name: run.source for run in found.runs} == {
        "ours": "runs", "swift-1": "exports/wandb.csv", "slow-2": "exports/wandb.csv", "mine": "results.csv",
        "dpo-lora": "project", "board": "project", "a run": "project",
    }  # fmt: skip
    assert list(found.folders) == ["ours"]
    assert list(found.histories[runs["swift-1"].id]["eval/loss"].values) == [0.65, 0.5123]
    assert [note for note in found.notes if "README" in note or "data/" in note] == [
        '"dpo-lora": from dpo-lora/README.md: learning_rate = 5e-07.',
        "data/pairs.csv is no table of runs: it seems to be preference pairs (training data) (its columns: prompt, "
        "chosen, rejected).",
    ]
    assert "swift-1 is in both exports/wandb.csv and exports/panel.csv: shown once." in found.notes
    assert sum("holds no scalars (it was cut" in note for note in found.notes) == 1
    passed_over = ("train.py", "notes.txt", "requirements", "tokenizer", "safetensors", ".bin", "plot", "train.jsonl")
    assert not any(name in note for note in found.notes for name in passed_over)
    assert len(found.notes) <= 14


def test_an_archive_of_everything_gives_the_same_runs(tmp_path, offline):
    folder = mixed(tmp_path / "project", offline)
    (folder / "dpo-lora" / "model.safetensors").unlink()
    members = [path for path in folder.rglob("*") if path.is_file()]
    content = packed(**{str(path.relative_to(tmp_path)): path.read_bytes() for path in members})
    (tmp_path / "p.zip").write_bytes(content)
    there, inside = reading.read([folder]), reading.read([tmp_path / "p.zip"])
    assert sorted(names(there)) == sorted(names(inside))
    values = [{run.name: repr(sorted(run.metrics.items())) for run in found.runs} for found in (there, inside)]
    assert values[0] == values[1]


def test_two_sources_are_one_study_and_a_bad_one_among_them_is_told(tmp_path):
    write(tmp_path, **{"a.csv": TABLE, "b.csv": BY_HAND, "bad.csv": b"\0\1", "none": b""})
    found = reading.read([tmp_path / name for name in ("a.csv", "bad.csv", "gone.csv", "none", "b.csv")])
    assert names(found) == ["swift-1", "slow-2", "mine"]
    assert [note.split("/")[-1] for note in found.notes[:3]] == [
        "bad.csv is a binary file, but no log of runs that this code knows: " + reading._KNOWN + ".",
        "gone.csv cannot be read: No such file or directory.",
        "none: The file is empty.",
    ]


def test_one_bad_file_does_not_hide_the_good_ones_of_its_folder(tmp_path):
    write(tmp_path, **{"a.csv": TABLE, "b.csv": b"Name,State,eval/loss\n", "c.zip": b"PK\x03\x04", "d.csv": b""})
    found = reading.read([tmp_path])
    assert names(found) == ["swift-1", "slow-2"]
    assert sum("b.csv is a W&B runs table without a single run" in note for note in found.notes) == 1
    assert sum("c.zip is a damaged .zip archive" in note for note in found.notes) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "x.csv: The file is empty."),
        (b"text,score\n" + b'"many\nlines",1\n' * 1200, "x.csv is no table of runs: it seems to be a list of texts"),
        (b"\x80\x04K\x01.", "x.csv is no table of runs: no column is a metric known here"),
        (b"PK\x03\x04", "x.csv is a damaged .zip archive"),
        (b'{"log_history": []}', "x.csv is a trainer's state without a logged value"),
        (file_of([]), "x.csv holds no scalars (it has none)."),
    ],
)  # fmt: skip
def test_a_single_file_without_a_run_is_refused_in_one_sentence_that_says_why(tmp_path, content, sentence):
    path = write(tmp_path, **{"x.csv": content}) / "x.csv"
    for read in (lambda: reading.read([path]), lambda: reading.read_bytes("x.csv", content, "k")):
        with pytest.raises(SourceError) as problem:
            read()
        assert sentence in str(problem.value)
        assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({}, "has nothing to read."),
        ({"train.py": "import torch\n"}, "holds no run: its only file is no log that this code knows"),
        ({"a.txt": "x", "b.bin.txt": "y"}, "holds no run: none of its 2 files is a log that this code knows"),
        ({"data.csv": "prompt,chosen,rejected\na,b,c\n"}, "it seems to be preference pairs"),
    ],
)
def test_a_folder_without_a_run_says_what_would_be_one(tmp_path, members, sentence):
    with pytest.raises(SourceError) as problem:
        reading.read([write(tmp_path, **members)])
    assert sentence in str(problem.value)


def test_a_link_that_is_not_followed_is_told_where_nothing_else_is_there(tmp_path):
    (tmp_path / "x.csv").symlink_to("/etc/passwd")
    with pytest.raises(SourceError, match=r"x\.csv: a link that leads out of the folder, which is not followed"):
        reading.read([tmp_path])


def test_a_folder_of_nothing_but_model_cards_is_read_from_these(tmp_path):
    card = "# card\n\n| Training Loss | Step | Rewards/accuracies |\n|-|-|-|\n| 0.6 | 9 | 0.7 |\n"
    write(tmp_path, **{"one/README.md": card, "two/README.md": card.replace("0.7", "0.8"), "LICENSE.txt": "mit"})
    found = reading.read([tmp_path])
    assert [(run.source, run.metrics["eval/rewards/accuracies"]) for run in found.runs] == [
        ("one/README.md", 0.7), ("two/README.md", 0.8),
    ]  # fmt: skip
    assert not any("LICENSE" in note for note in found.notes)
    assert found.notes[0] == ("There is no log of a run: what is shown is from tables in one/README.md, two/README.md.")


def test_a_projects_text_whose_tables_are_no_evaluations_gives_no_run(tmp_path):
    write(tmp_path, **{"README.md": "| temperature | score |\n|---|---|\n| 0.7 | 0.5 |\n", "a.py": "import os\n"})
    with pytest.raises(SourceError, match="holds no run: none of its 2 files"):
        reading.read([tmp_path])
