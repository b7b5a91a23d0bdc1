"""Files and folders as people have them, and as somebody who means harm would make them."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from packed import CSV, READ_ALL, limited, paths

from dashboard.sources import files
from dashboard.sources.files import walk
from dashboard.sources.imported import SourceError


def test_one_file_is_itself(tmp_path):
    (tmp_path / "runs.csv").write_bytes(CSV)
    ((file,), notes) = walk(tmp_path / "runs.csv")
    assert (str(file.path), file.size, file.origin, notes) == ("runs.csv", len(CSV), tmp_path / "runs.csv", [])
    assert (file.head(4), file.content()) == (b"Name", CSV)


def test_a_folder_is_walked_in_order_its_files_before_its_folders(tmp_path):
    for name in ("b/2.csv", "b/1.csv", "a/x/3.csv", "z.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CSV)
    found, notes = walk(tmp_path)
    assert (paths(found), notes) == (["z.csv", "a/x/3.csv", "b/1.csv", "b/2.csv"], [])


def test_hidden_files_and_model_weights_are_passed_over_and_never_opened(tmp_path):
    kept = ["checkpoint-7/trainer_state.json", "run-1.wandb", "scores/step-1.parquet"]
    for name in [*kept, ".git/config", ".shared/a.csv", ".DS_Store", "checkpoint-7/model.safetensors", "optimizer.PT"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(CSV)
    (tmp_path / "optimizer.PT").chmod(0)
    found, notes = walk(tmp_path)
    assert (sorted(paths(found)), notes) == (kept, [])


def test_twenty_gigabytes_of_weights_cost_nothing(tmp_path):
    """Sparse files: 20 GB to whoever reads them. The one without a weights' name may be looked into, not read."""
    for name in ("model-1.safetensors", "model-2"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(10 * 2**30)
    (tmp_path / "trainer_state.json").write_text("{}")
    said = limited(READ_ALL, tmp_path)
    assert said.splitlines() == ["2 files", "refused model-2 has 10,240 MB, the limit is 256 MB.", "2"]


def test_links_are_not_followed_and_those_that_lead_out_are_named(tmp_path):
    (tmp_path / "secret.csv").write_bytes(CSV)
    inside = tmp_path / "source"
    (inside / "run").mkdir(parents=True)
    (inside / "run" / "a.csv").write_bytes(CSV)
    (inside / "latest-run").symlink_to("run")
    (inside / "loop").symlink_to(inside)
    (inside / "out.csv").symlink_to(tmp_path / "secret.csv")
    found, notes = walk(inside)
    assert paths(found) == ["run/a.csv"]
    assert notes == ["out.csv: a link that leads out of the folder, which is not followed."]


def test_pipes_and_sockets_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "a.csv").write_bytes(CSV)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s")[:100])
    assert paths(walk(tmp_path)[0]) == ["a.csv"]
    with pytest.raises(SourceError, match="is a pipe, a socket or a device"):
        walk(tmp_path / "pipe.csv")
    with pytest.raises(SourceError, match="is a pipe, a socket or a device"):
        walk(Path("/dev/zero"))


@pytest.mark.parametrize("name", ["missing", "a\0b", "x" * 300])
def test_a_path_that_is_not_there_is_said_in_one_sentence(tmp_path, name):
    with pytest.raises(SourceError, match="cannot be read") as error:
        walk(tmp_path / name)
    assert "\n" not in str(error.value) and "\0" not in str(error.value)


def test_what_cannot_be_read_in_a_folder_is_noted(tmp_path, monkeypatch):
    """A user who may read everything (root) sees no such file, so the refusal is the test's own."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.csv").write_bytes(CSV)
    (tmp_path / "b.csv").write_bytes(CSV)
    scan, start = os.scandir, Path.open

    def no(path, *rest, **more):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", lambda path: (no if Path(path).name == "closed" else scan)(path))
    monkeypatch.setattr(
        Path, "open", lambda path, *rest, **more: (no if path.name == "b.csv" else start)(path, *rest, **more)
    )
    found, notes = walk(tmp_path)
    assert paths(found) == ["a.csv"]
    assert notes == ["b.csv, closed: cannot be read (not permitted, nested too deep, or gone)."]
    with pytest.raises(SourceError, match=r"b\.csv cannot be read: Permission denied\."):
        walk(tmp_path / "b.csv")
    with pytest.raises(SourceError, match=r"closed cannot be read: Permission denied\."):
        walk(tmp_path / "closed")


def test_a_very_deep_tree_is_survived(tmp_path):
    """900 folders in each other, each name 8 long: beyond the 4,096 bytes that a path may have."""
    (tmp_path / "a.csv").write_bytes(CSV)
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(900):
        os.mkdir("deep-dir", dir_fd=here)
        inner = os.open("deep-dir", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    found, notes = walk(tmp_path)
    assert paths(found) == ["a.csv"]
    assert len(notes) == 1 and "nested too deep" in notes[0] and len(notes[0]) < 200
    subprocess.run(["rm", "-rf", str(tmp_path / "deep-dir")], check=True)


def test_a_folder_of_too_many_files_is_cut_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_FILES", 5)
    for number in range(7):
        (tmp_path / f"{number}.csv").write_bytes(CSV)
    found, notes = walk(tmp_path)
    assert len(found) == 5
    assert notes == [f"{tmp_path} has more than 5 entries: the rest was not looked at."]


def test_a_name_that_is_no_text_can_be_printed(tmp_path):
    (tmp_path / os.fsdecode(b"\xff\n.csv")).write_bytes(CSV)
    ((file,), _) = walk(tmp_path)
    assert (str(file.path), file.content()) == ("\ufffd\ufffd.csv", CSV)


def test_a_file_larger_than_the_limit_is_refused_also_when_it_grew_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 100)
    (tmp_path / "a.csv").write_bytes(b"x" * 99)
    ((file,), _) = walk(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(b"x" * 101)
    with pytest.raises(SourceError, match=r"a\.csv has more than 0\.0 MB, the limit"):
        file.content()


def test_a_file_that_vanished_is_said(tmp_path):
    (tmp_path / "a.csv").write_bytes(CSV)
    ((file,), _) = walk(tmp_path)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(SourceError, match=r"a\.csv cannot be read: No such file or directory\."):
        file.content()
