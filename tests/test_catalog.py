"""Runs of the runs folder and of uploads as one: each run once, its own folder before any export of it."""

import shutil

import pytest
from make_runs import lines, make_run

from dashboard.sources import catalog as module
from dashboard.sources.catalog import Catalog


def export(*names, loss="0.123456"):
    """A runs table of W&B, which knows the runs by name and by their last values."""
    rows = "".join(f"{name},finished,0.1,{loss},0.815\n" for name in names)
    return f"Name,State,beta,eval/loss,eval/rewards/accuracies\n{rows}".encode()


def last(folder_lines, key):
    return [row[key] for row in folder_lines if key in row][-1]


def exported(seed, name):
    """The export of what `make_run` writes with this seed."""
    events = lines(200, 0.1, 0.8, 600, seed)
    values = (last(events, "eval/loss"), last(events, "eval/rewards/accuracies"))
    return f"Name,State,beta,eval/loss,eval/rewards/accuracies\n{name},finished,0.1,{values[0]},{values[1]}\n".encode()


@pytest.fixture
def joins(monkeypatch):
    """Counts how often sources are compared."""
    found = []
    joined = module.joining.joined
    monkeypatch.setattr(module.joining, "joined", lambda parts: found.append(len(parts)) or joined(parts))
    return found


def test_a_run_that_is_in_an_export_too_is_shown_once_as_its_folder_has_it(tmp_path):
    make_run(tmp_path, "ours", seed=3)
    catalog = Catalog(tmp_path)
    before = catalog.snapshot()
    colours = catalog.colours(before.runs)
    catalog.uploads.add("wandb.csv", exported(3, "ours"))
    after = catalog.snapshot()
    assert list(after.runs) == ["ours"]
    assert after.runs["ours"] is before.runs["ours"]
    assert catalog.colours(after.runs) == colours
    assert after.notes == ("ours is in both runs and wandb.csv: shown once.",)
    assert len(catalog.history("ours")["train/loss"]) > 10


def test_runs_of_an_export_that_are_not_ours_stay_and_come_back_when_ours_is_deleted(tmp_path):
    folder = make_run(tmp_path, "ours", seed=3)
    catalog = Catalog(tmp_path)
    catalog.uploads.add("wandb.csv", exported(3, "ours") + b"theirs,finished,0.5,0.4321,0.7\n")
    assert [run.name for run in catalog.snapshot().runs.values()] == ["ours", "theirs"]
    shutil.rmtree(folder)
    shown = catalog.snapshot()
    assert [(run.name, run.source) for run in shown.runs.values()] == [("ours", "wandb.csv"), ("theirs", "wandb.csv")]
    assert shown.notes == ()


def test_the_same_name_with_other_values_is_another_run(tmp_path):
    make_run(tmp_path, "ours", seed=3)
    catalog = Catalog(tmp_path)
    catalog.uploads.add("wandb.csv", export("ours"))
    shown = catalog.snapshot()
    assert [run.source for run in shown.runs.values()] == ["runs", "wandb.csv"]
    assert "not the same run" in shown.notes[0]


def test_a_broken_folder_hides_no_uploaded_run(tmp_path):
    (make_run(tmp_path, "ours", seed=3) / "config.json").write_text("{")
    catalog = Catalog(tmp_path)
    catalog.uploads.add("wandb.csv", exported(3, "ours"))
    assert [run.status for run in catalog.snapshot().runs.values()] == ["failed", "finished"]


def test_sources_are_compared_again_only_when_runs_come_go_or_end(tmp_path, joins):
    make_run(tmp_path, "ours", seed=3)
    folder = make_run(tmp_path, "running", seed=4, status="running", done=0.5)
    catalog = Catalog(tmp_path)
    catalog.snapshot()
    assert joins == []
    catalog.uploads.add("wandb.csv", exported(3, "ours"))
    joins.clear()
    for _ in range(3):
        catalog.snapshot()
    assert joins == [1, 2]
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 150, "train/loss": 0.5}\n')
    assert len(catalog.snapshot().runs) == 2
    assert joins == [1, 2]
    make_run(tmp_path, "new", seed=5)
    catalog.snapshot()
    assert joins == [1, 2, 2]


def test_what_was_worked_out_changes_the_version_and_not_the_state(tmp_path):
    make_run(tmp_path, "a", steps=20)
    catalog = Catalog(tmp_path)
    before = catalog.snapshot()
    catalog.tell()
    after = catalog.snapshot()
    assert (after.version != before.version, after.state) == (True, before.state)
    make_run(tmp_path, "b", steps=20)
    assert catalog.snapshot().state != before.state
