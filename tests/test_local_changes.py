"""Looking only where something can have changed finds what reading everything again finds."""

import os
import shutil
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.sources import local as module
from dashboard.sources.local import LocalRuns
from training.record.history import read_history
from training.record.writer import write_whole

NAMES = ("a", "b", "c")
RENAMING = ("create", "remove", "latest", "end", "resume", "config", "broken", "foreign", "swap")
"""What our writer, rm, mv and git do: files appear, vanish and are replaced, which changes their folder."""
IN_PLACE = ("edit config", "edit summary", "cut metrics")
"""What an editor may do: the folder stays as it is."""


def config(value):
    return orjson.dumps({"format": 1, "created": value, "config": {"beta": value}})


def progress(value):
    return orjson.dumps({"step": value, "status": "finished", "metrics": {"eval/loss": value}, "best": {"x": 1.0}})


class Disk:
    """A runs folder on which operations are played. `clock`: an hour goes by between them."""

    def __init__(self, root: Path, clock: bool) -> None:
        self.root, self.clock, self.now, self.lines = root, clock, 1_000_000_000, 0

    def play(self, what: str, name: str, value: int) -> None:
        self.change(what, self.root / name, value)
        self.now += 3600
        stamped_now = [path for path in self.root.rglob("*") if path.stat().st_mtime > 1_500_000_000]
        for path in stamped_now if self.clock else []:
            os.utime(path, (self.now, self.now))

    def change(self, what: str, folder: Path, value: int) -> None:
        if what == "create" and not folder.exists():
            folder.mkdir()
            write_whole(folder / "config.json", config(value))
            write_whole(folder / "latest.json", progress(value))
            self.log(folder, value)
        elif what == "foreign" and not folder.exists():
            folder.mkdir()
            (folder / "model.bin").write_bytes(b"0")
        elif not folder.exists():
            return
        elif what == "remove":
            shutil.rmtree(folder)
        elif what == "swap":
            shutil.rmtree(folder)
            self.change("create", folder, value)
        elif what == "log":
            self.log(folder, value)
        elif what == "cut metrics" and (folder / "metrics.jsonl").exists():
            with (folder / "metrics.jsonl").open("r+b") as file:
                file.truncate(value)
        elif what == "resume":
            (folder / "summary.json").unlink(missing_ok=True)
        elif what != "create":
            self.write(what, folder, value)

    def write(self, what: str, folder: Path, value: int) -> None:
        name = {"latest": "latest.json", "end": "summary.json", "edit summary": "summary.json"}.get(what, "config.json")
        content = progress(value) if name != "config.json" else config(value) if what != "broken" else b"{" * value
        path = folder / name
        if what not in IN_PLACE:
            write_whole(path, content)
        elif path.exists():
            path.write_bytes(content)

    def log(self, folder: Path, value: int) -> None:
        """Two lines of a running run, now and then half a line; nothing is ever logged to an ended one."""
        path = folder / "metrics.jsonl"
        if (folder / "summary.json").exists():
            return
        self.lines += 1
        row = {"step": self.lines, "eval/loss": value / 3}
        with path.open("ab") as file:
            file.write(
                orjson.dumps(row) + b"\n" + orjson.dumps({"train/loss": 0.5, **row})[: 8 * value] + b"\n"[: value % 3]
            )


STEPS = st.tuples(st.sampled_from((*RENAMING, "log", "log")), st.sampled_from(NAMES), st.integers(1, 9))
ANY = st.tuples(st.sampled_from((*RENAMING, *IN_PLACE, "log", "log")), st.sampled_from(NAMES), st.integers(1, 9))


def check(local: LocalRuns, root: Path) -> None:
    fresh = LocalRuns(root)
    assert repr(local.runs()) == repr(fresh.runs())
    for run_id in fresh.runs():
        whole = read_history(root / run_id)
        assert ordered(local.history(run_id)) == ordered(whole)
        evaluations = {key: curve for key, curve in whole.items() if key.startswith("eval/")}
        assert ordered(local.evaluations(run_id)) == ordered(evaluations)


def ordered(curves) -> str:
    """As text: a time that was not recorded is NaN, which equals nothing."""
    return repr(sorted(curves.items()))


def played(root: Path, steps, clock: bool) -> None:
    disk, local = Disk(root, clock), LocalRuns(root)
    disk.play("create", "a", 5)
    for what, name, value in steps:
        before, version = repr(local.runs()), local.version
        curves = {run_id: ordered(local.history(run_id)) for run_id in local.runs()}
        disk.play(what, name, value)
        check(local, root)
        changed = before != repr(local.runs()) or any(ordered(local.history(key)) != curves[key] for key in curves)
        assert local.version > version or not changed
        seen = local.version, local.runs()
        assert (local.version, local.runs()) == seen and local.runs() is seen[1]


@settings(max_examples=70, deadline=None)
@given(steps=st.lists(ANY, max_size=12))
def test_any_change_is_seen_at_once_however_fast_they_follow(tmp_path_factory, steps):
    """Most of these changes are made within one tick of the file system's clock."""
    played(tmp_path_factory.mktemp("runs"), steps, clock=False)


@settings(max_examples=70, deadline=None)
@given(steps=st.lists(STEPS, max_size=12))
def test_one_look_at_the_folder_of_an_ended_run_is_enough(tmp_path_factory, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SLICE", 0)
        played(tmp_path_factory.mktemp("runs"), steps, clock=True)


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(ANY, max_size=12))
def test_edits_in_place_are_found_in_turn(tmp_path_factory, steps):
    played(tmp_path_factory.mktemp("runs"), steps, clock=True)
