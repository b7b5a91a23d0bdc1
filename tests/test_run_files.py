"""What lies in a run's folder: nothing outside of it is ever looked at, whatever a browser or a link says."""

import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from make_runs import make_run

from dashboard.sources import run_files
from dashboard.sources.catalog import Catalog

SECRET = "the secret outside"

HOSTILE = st.one_of(
    st.sampled_from(
        [
            *(
                "..",
                ".",
                "",
                "/",
                "//",
                "../secret",
                "..\\secret",
                "%2e%2e",
                "%2e%2e%2fsecret",
                "..%00",
                "one/../secret",
            ),
            *("/etc/passwd", "C:\\secret", "CON", "NUL", "COM1", "\0", "one\0", "one/", "./one", "~", ".shared", "-rf"),
            *("\ud800", "oné", "one\u202e", "\u2025", "．．", "file:///etc/passwd", "one/checkpoints", ".hidden"),
        ]
    ),
    st.text(max_size=30),
    st.none()
    | st.integers()
    | st.lists(st.text(max_size=3), max_size=2)
    | st.dictionaries(st.text(max_size=2), st.none()),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A runs folder with one run, and beside it, and behind links in it, things that are nobody's business."""
    place = tmp_path_factory.mktemp("place")
    root = place / "runs"
    directory = make_run(root, "one")
    make_run(root, ".hidden")
    (place / "secret").mkdir()
    for name in ("error.log", "config.json", "notices.jsonl"):
        (place / "secret" / name).write_text(SECRET)
    (directory / "error.log").symlink_to(place / "secret" / "error.log")
    (directory / "outside").symlink_to(place / "secret", target_is_directory=True)
    (directory / "checkpoints").mkdir()
    (directory / "checkpoints" / "checkpoint-5").symlink_to(place / "secret", target_is_directory=True)
    os.mkfifo(directory / "notices.jsonl")
    return root


@given(run_id=HOSTILE)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_the_folder_of_a_listed_run_is_opened(root, run_id):
    runs = Catalog(root).snapshot().runs
    found = run_files.folder(runs, root, run_id)
    assert found == (root / "one" if run_id == "one" else None)


@given(name=HOSTILE)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_named_files_of_the_folder_are_read(root, name):
    found = run_files.text(root / "one", name)
    assert found is None or name in run_files.VIEWABLE
    assert found is None or SECRET not in found[0]


def test_links_and_pipes_are_listed_but_not_opened(root):
    items, whole = run_files.listing(root / "one")
    kinds = {item.path: item.kind for item in items}
    assert whole
    assert kinds["error.log"] == kinds["outside"] == kinds["checkpoints/checkpoint-5"] == "link"
    assert kinds["notices.jsonl"] == "other" and kinds["config.json"] == "file"
    assert not [path for path in kinds if path.startswith("outside/")]
    assert run_files.text(root / "one", "error.log") is None
    assert run_files.text(root / "one", "notices.jsonl") is None
    assert run_files.checkpoints(root / "one", None) == []
    assert not run_files.is_plain(root / "one", "notices.jsonl")


def test_a_run_of_an_upload_has_no_folder(root):
    """An uploaded run that names itself as the folder beside the runs is not found there."""
    runs = Catalog(root).snapshot().runs
    foreign = {"one": replace(runs["one"], source="wandb"), "secret": replace(runs["one"], id="../secret")}
    assert run_files.folder(foreign, root, "one") is None
    assert run_files.folder(foreign, root, "secret") is None


def test_of_a_long_log_the_end_is_shown_of_others_the_beginning(tmp_path):
    directory = make_run(tmp_path, "one")
    long = "a" + "b" * run_files.LARGEST_TEXT + "c"
    (directory / "error.log").write_text(long)
    (directory / "summary.json").write_text(long)
    text, whole = run_files.text(directory, "error.log")
    assert (text[0], text[-1], len(text), whole) == ("b", "c", run_files.LARGEST_TEXT, False)
    text, whole = run_files.text(directory, "summary.json")
    assert (text[0], text[-1], whole) == ("a", "b", False)
    (directory / "error.log").write_bytes(b"\xff\x00 not text")
    assert run_files.text(directory, "error.log") == ("\N{REPLACEMENT CHARACTER}\x00 not text", True)


def weights(path: Path, cut: int = 0) -> None:
    """A safetensors file of one tensor of 4 bytes; `cut` bytes are missing at its end."""
    header = json.dumps({"__metadata__": {}, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    content = struct.pack("<Q", len(header)) + header + b"\0" * 4
    path.write_bytes(content[: len(content) - cut])


def checkpoint(directory: Path, name: str, files=(), cut: int = 0) -> Path:
    folder = directory / "checkpoints" / name
    folder.mkdir(parents=True)
    weights(folder / "model.safetensors", cut)
    for file in files:
        (folder / file).write_text("{}")
    return folder


NEEDED = ("trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state.pth")


def test_checkpoints_say_whether_training_can_go_on(tmp_path):
    directory = make_run(tmp_path, "one")
    checkpoint(directory, "best", ["config.json", "chat_template.jinja"])
    checkpoint(directory, "checkpoint-20", NEEDED)
    checkpoint(directory, "checkpoint-100", NEEDED, cut=1)
    checkpoint(directory, "checkpoint-3", NEEDED[:-1])
    checkpoint(directory, "not-one", NEEDED)
    (directory / "checkpoints" / ".best.new").mkdir()
    found = run_files.checkpoints(directory, 40)
    assert [(one.name, one.step) for one in found] == [
        ("best", 40),
        ("checkpoint-100", 100),
        ("checkpoint-20", 20),
        ("checkpoint-3", 3),
    ]
    assert [one.missing for one in found[1:]] == [("whole weights",), (), ("rng_state.pth",)]
    assert found[0].has_weights and found[0].chat_template and not found[1].has_weights
    size = (directory / "checkpoints" / "checkpoint-20" / "model.safetensors").stat().st_size
    assert found[2].size == size + 2 * len(NEEDED)


def test_kinds_of_models_are_told_apart(tmp_path):
    directory = make_run(tmp_path, "one")
    adapter = checkpoint(directory, "best")
    (adapter / "adapter_config.json").write_text('{"task_type": "SEQ_2_SEQ_LM"}')
    whole = checkpoint(directory, "checkpoint-1")
    (whole / "config.json").write_text('{"is_encoder_decoder": true}')
    broken = checkpoint(directory, "checkpoint-2")
    (broken / "config.json").write_text("[1")
    found = run_files.checkpoints(directory, 1)
    assert [(one.adapter, one.encoder_decoder) for one in found] == [(True, True), (False, False), (False, True)]


@given(content=st.binary(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_as_weights_are_not_whole(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("w") / "model.safetensors"
    path.write_bytes(content)
    assert not run_files._is_whole(path, len(content))


def test_a_folder_of_thousands_of_files_is_cut(tmp_path):
    directory = make_run(tmp_path, "one")
    for place in range(run_files.MOST_FILES + 20):
        (directory / f"f{place}").touch()
    items, whole = run_files.listing(directory)
    assert len(items) == run_files.MOST_FILES and not whole


def test_a_vanished_folder_is_empty(tmp_path):
    assert run_files.listing(tmp_path / "gone") == ([], True)
    assert run_files.checkpoints(tmp_path / "gone", None) == []
    assert run_files.text(tmp_path / "gone", "config.json") is None


def test_paths_are_those_of_a_command_in_the_repository(tmp_path, monkeypatch):
    assert run_files.shown(run_files.REPOSITORY / "runs" / "one") == str(Path("runs", "one"))
    monkeypatch.chdir(tmp_path)
    assert run_files.shown(Path("runs/one")) == str(tmp_path / "runs" / "one")
