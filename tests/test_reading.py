"""Every file is told by its content, in any company and under any name; what is no log is passed over in few words."""

import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources import reading
from dashboard.sources.files import File
from dashboard.sources.imported import Corrections, Imported, SourceError
from tests.make_runs import make_run
from tests.test_event_file import file_of
from tests.test_tensorboard import ARGS, events, training
from tests.test_trainer_state import evaluation, state, train
from tests.test_wandb_offline import ROWS, trained

TABLE = (
    b"Name,State,beta,eval/loss,eval/rewards/accuracies,eval/runtime,eval/samples_per_second\n"
    b"swift-1,finished,0.1,0.5123,0.7123,50,20\nslow-2,crashed,0.2,0.6123,0.6123,50,20\n"
)
PANEL = b"Step,swift-1 - eval/loss,swift-1 - eval/loss__MIN,swift-1 - eval/loss__MAX\n10,0.65,0.65,0.65\n20,0.5123,,\n"
SCALARS = b"Wall time,Step,Value\n1700000000.5,10,0.6\n1700000001.5,20,0.5\n"
BY_HAND = b"run,beta,rewards/accuracies\nmine,0.3,0.75\n"
STATE = json.dumps(state(train(10), evaluation(10), train(20), evaluation(20, 0.45))).encode()
BARE = json.dumps([train(10), evaluation(10)]).encode()
LINES = (
    b'{"current_steps": 10, "total_steps": 20, "loss": 0.6, "accuracy": 0.7, "lr": 1e-06, "epoch": 0.1}\n'
    b'{"current_steps": 20, "total_steps": 20, "eval_loss": 0.5, "epoch": 0.2, "percentage": 100.0}\n'
)
EVENTS = events(training(10, 30), ARGS)
LOGS: dict[reading.Kind, bytes] = {
    "runs table": TABLE, "panel": PANEL, "scalars": SCALARS, "trainer state": STATE, "events": EVENTS,
}  # fmt: skip
SPARSE = 3 * 2**30


def one_file(name: str, content: bytes) -> File:
    return File(PurePosixPath(name), len(content), None, lambda count: content[:count])


def packed(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def write(folder: Path, **members: bytes | str) -> Path:
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def names(found: Imported) -> list[str]:
    return [run.name for run in found.runs]


@pytest.mark.parametrize("name", ["data.bin.csv", "trainer_state.json", "events.out.tfevents.1", "README.md", "x"])
@pytest.mark.parametrize("kind", LOGS)
def test_the_content_tells_what_a_file_is_and_its_name_does_not(kind, name):
    assert reading.kind(one_file(name, LOGS[kind])) == kind
    assert reading.kind(one_file(name, LOGS[kind]), alone=True) == kind


@pytest.mark.parametrize("content", [BARE, LINES, b"\xef\xbb\xbf" + STATE, b"\n " + LINES])
def test_a_trainers_log_is_known_in_every_form(content):
    assert reading.kind(one_file("x.txt", content)) == "trainer state"


@pytest.mark.parametrize("content", [TABLE, PANEL, SCALARS])
@pytest.mark.parametrize("change", [
    lambda text: text.replace(",", ";").replace("0.", "0,"), lambda text: text.replace(",", "\t"),
    lambda text: "\n\n" + text.replace("\n", "\r\n"),
    lambda text: "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines()),
])  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_exports_dress_does_not_matter(content: bytes, change: Callable[[str], str], encoding: str):
    changed = change(content.decode()).encode(encoding)
    assert reading.kind(one_file("x.json", changed)) == reading.kind(one_file("x.csv", content))


@pytest.mark.parametrize(
    ("name", "alone", "kind"),
    [
        ("results.csv", False, "table"), ("results.TSV", False, "table"),
        ("results", False, "other"), ("train.py", False, "other"), ("results.md", False, "prose"),
        ("results", True, "table"), ("results.dat", True, "table"), ("results.md", True, "table"),
    ],
)  # fmt: skip
def test_a_table_kept_by_hand_is_told_by_its_name_too_in_company_and_by_its_columns_alone(name, alone, kind):
    assert reading.kind(one_file(name, BY_HAND), alone) == kind


@pytest.mark.parametrize(
    "content", [b'{"a": 1}', b'{"prompt": "x", "chosen": "y"}\n' * 2, b"import torch\n", b"%PDF-1.7\n"]
)
@pytest.mark.parametrize("alone", [True, False])
def test_what_is_no_log_is_none(content, alone):
    assert reading.kind(one_file("x.json", content), alone) == "other"


@pytest.mark.parametrize("kind", LOGS)
def test_every_kind_is_read_from_a_file_a_folder_an_archive_and_an_upload(kind, tmp_path):
    name, content = "odd name.json", LOGS[kind]
    write(tmp_path, **{f"folder/deep/er/{name}": content, name: content, "x.csv": packed(**{f"in/{name}": content})})
    found = [
        reading.read([tmp_path / name]),
        reading.read([tmp_path / "folder"]),
        reading.read([tmp_path / "x.csv"]),
        reading.read_bytes(name, content, "key"),
        reading.read_bytes("some.zip", packed(**{name: content}), "key"),
    ]
    assert {len(one.runs) for one in found} == {2 if kind == "runs table" else 1}
    assert len({tuple(sorted(run.metrics.items())) for one in found for run in one.runs[:1]}) == 1


def test_ids_are_the_same_in_every_call_and_no_two_are_equal(tmp_path):
    write(
        tmp_path, **{"a.csv": TABLE, "b.csv": TABLE.replace(b"0.", b"0.9"), "c/trainer_state.json": STATE, "d": EVENTS}
    )
    first, second = (reading.read([tmp_path]) for _ in range(2))
    ids = [run.id for run in first.runs]
    assert ids == [run.id for run in second.runs]
    assert len(set(ids)) == len(ids) == 6
    uploads = [reading.read_bytes("a.csv", TABLE, key).runs[0].id for key in ("one", "one", "other")]
    assert uploads[0] == uploads[1] != uploads[2]


def test_a_source_that_is_named_twice_is_read_once(tmp_path):
    seeds = b"Name,State,seed,eval/loss\na,finished,1,0.51\na,finished,2,0.52\n"
    path = write(tmp_path, **{"a.csv": seeds}) / "a.csv"
    assert len(reading.read([path, path]).runs) == 2


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


def test_a_correction_is_reported_once_and_only_if_no_file_has_the_name(tmp_path):
    write(tmp_path, **{"a.csv": TABLE, "b.csv": BY_HAND, "c/events.out": EVENTS, "d/trainer_state.json": STATE})
    told = Corrections(
        frozenset({"beta", "eval/runtime"}), frozenset({"eval/los"}), {"train/epoch": "e", "zzz": "eval/loss"}
    )
    notes = [note for note in reading.read([tmp_path], told).notes if "no column or metric" in note]
    assert notes == [
        'There is no column or metric "eval/los". Did you mean "eval/loss" or "eval_loss"?',
        'There is no column or metric "zzz".',
    ]
    (note,) = [note for note in reading.read_bytes("a.csv", TABLE, "k", told).notes if '"zzz"' in note]
    assert note == notes[1]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (TABLE, "eval/runtime"), (PANEL, "eval/loss"), (EVENTS, "train/loss"), (STATE, "eval_loss"),
        (LINES, "eval_loss"), (BY_HAND, "beta"), (SCALARS, "x"),
    ],
)  # fmt: skip
def test_every_reader_tells_the_names_that_a_correction_may_use(content, name):
    assert name in reading.read_bytes("x.csv", content, "k").named


def test_a_readers_own_fault_and_a_lack_of_memory_take_nothing_else_down(tmp_path, monkeypatch, caplog):
    write(tmp_path, **{"a.csv": TABLE, "b.csv": BY_HAND})
    for fault, said in (
        (RuntimeError("x"), "b.csv cannot be read (RuntimeError)."),
        (MemoryError(), "b.csv needs more"),
    ):

        def fail(*_: object, fault: Exception = fault) -> Imported:
            raise fault

        monkeypatch.setitem(reading._ONE_BY_ONE, "table", fail)
        with caplog.at_level("DEBUG"):
            found = reading.read([tmp_path])
        assert names(found) == ["swift-1", "slow-2"]
        assert any(said in note for note in found.notes)
    assert "Traceback" in caplog.text
    assert {record.levelname for record in caplog.records} == {"DEBUG"}, "a terminal shows WARNING and above"


@pytest.mark.parametrize("place", ["kind", "_calls"])
def test_a_fault_before_any_reader_takes_nothing_else_down(tmp_path, monkeypatch, place):
    write(tmp_path, **{"a.csv": TABLE, "b.csv": BY_HAND})
    known = getattr(reading, place)

    def fail(first: object, *more: object) -> object:
        if "b.csv" in str(first):
            raise KeyError("x")
        return known(first, *more)

    monkeypatch.setattr(reading, place, fail)
    found = reading.read([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert names(found) == ["swift-1", "slow-2"]
    assert any("b.csv cannot be read (KeyError)." in note for note in found.notes)


def test_names_that_are_no_text_and_control_characters_come_out_printable(tmp_path):
    folder = os.fsencode(tmp_path)
    for name in (b"bad\xff\xfe.csv", b"new\nline\x1b[31m.csv"):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(TABLE.replace(b"swift-1", b"run-" + name[:3]))
    found = reading.read([tmp_path])
    texts = [text for run in found.runs for text in (run.source, run.id)] + list(found.notes)
    assert len(found.runs) >= 3
    assert all(text.isprintable() for text in texts)
    assert all(text.encode() for text in texts)


_PARTS = [TABLE, PANEL, SCALARS, STATE, LINES, BY_HAND, EVENTS, b":W&B", b"PK\x03\x04", b"\x1f\x8b", b"\0", b"\xff\xfe"]


@given(st.data())
def test_any_mixture_of_pieces_is_read_or_refused_in_one_line(data):
    draw = random.Random(data.draw(st.integers(0, 2**32)))
    content = b"".join(
        part[: draw.randrange(len(part) + 1)] for part in draw.choices(_PARTS[:7] + _PARTS[8:], k=draw.randrange(1, 4))
    )
    name = draw.choice(["x.csv", "x.md", "x.json", "x", "x.zip"])
    try:
        found = reading.read_bytes(name, content, "k")
    except SourceError as problem:
        assert "\n" not in str(problem)
    else:
        assert len({run.id for run in found.runs}) == len(found.runs) > 0
        assert found.histories.keys() <= {run.id for run in found.runs}


def test_every_real_log_is_read_and_data_is_not(shared_data):
    """Of the 5 runs tables and charts 4 belong to training; the T5 run and three of four GPT-2 starts have scalars."""
    found = reading.read([shared_data])
    sources = {run.name for run in found.runs}
    assert {"t5_small_DPO_ds302", "recovery_beta_0.05", "recovery_beta_0.1", "recovery_beta_0.5"} <= sources
    assert not any(name in run.source for run in found.runs for name in ("preference_data", "sweeps"))
    assert not any("Traceback" in note or "Error)" in note for note in found.notes)


def test_a_table_with_a_column_name_that_w_and_b_did_not_write_is_one_kept_by_hand():
    found = reading.read_bytes("x.csv", b"Name,beta,accuracy (640 pairs),loss\na,0.1,82.9%,0.5\n", "k")
    assert found.runs[0].metrics == {"eval/rewards/accuracies": 0.829, "eval/loss": 0.5}
    assert found.runs[0].n_eval == 640


@pytest.mark.parametrize(
    ("log", "why"),
    [
        ([], "it was saved before the first log"),
        ([{"step": 1, "loss": "x"}], "of its 1 entries none has step"),
    ],
)
def test_a_state_without_a_value_says_why(log, why):
    content = json.dumps({"log_history": log, "global_step": 1, "max_steps": 1, "epoch": 1.0}).encode()
    with pytest.raises(SourceError, match=why):
        reading.read_bytes("trainer_state.json", content, "k")
