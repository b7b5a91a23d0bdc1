"""runs/ as the dashboard reads it: only what changed, and a broken run breaks nothing."""

import json
import os
import threading
import time

import pytest
from make_runs import START, make_run, write_json

from dashboard.analysis.ranking import EVAL_LOSS, rank
from dashboard.sources.catalog import Catalog, quiet_minutes
from dashboard.sources.local import LocalRuns
from training.record.schema import Run


def test_runs_are_found_oldest_first_and_dot_folders_are_none(tmp_path):
    make_run(tmp_path, "younger", seed=2)
    make_run(tmp_path, "older", seed=1)
    make_run(tmp_path / ".shared", "hidden")
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("no run")
    assert list(LocalRuns(tmp_path).runs()) == ["older", "younger"]


def test_nothing_new_is_the_same_object(tmp_path):
    make_run(tmp_path, "a")
    local = LocalRuns(tmp_path)
    assert local.runs() is local.runs()


def test_only_the_changed_run_is_read_again(tmp_path):
    make_run(tmp_path, "a")
    running = make_run(tmp_path, "b", status="running", done=0.5)
    local = LocalRuns(tmp_path)
    before = local.runs()
    latest = json.loads((running / "latest.json").read_text())
    write_json(running / "latest.json", {**latest, "step": 177})
    after = local.runs()
    assert after["b"].step == 177
    assert after["a"] is before["a"]


def test_a_run_that_vanishes_is_gone(tmp_path):
    make_run(tmp_path, "a")
    folder = make_run(tmp_path, "b")
    local = LocalRuns(tmp_path)
    local.runs()
    folder.rename(tmp_path / ".trash")
    assert list(local.runs()) == ["a"]
    assert local.history("b") is None


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"format": 99, "config": {}}', "\x00\xff"])
def test_a_corrupt_run_is_listed_with_its_problem(tmp_path, content):
    make_run(tmp_path, "good")
    bad = make_run(tmp_path, "bad")
    (bad / "config.json").write_text(content)
    runs = LocalRuns(tmp_path).runs()
    assert runs["good"].status == "finished"
    assert runs["bad"].status == "failed"
    assert runs["bad"].error


def test_a_torn_last_line_is_passed_over(tmp_path):
    folder = make_run(tmp_path, "a", status="running")
    local = LocalRuns(tmp_path)
    local.runs()
    whole = len(local.history("a")["eval/loss"])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 999, "eval/lo')
    assert len(local.history("a")["eval/loss"]) == whole


def test_a_missing_folder_is_empty_and_no_problem(tmp_path):
    local = LocalRuns(tmp_path / "later")
    assert local.runs() == {}
    assert local.problem is None
    make_run(tmp_path / "later", "first")
    assert list(local.runs()) == ["first"]


def test_a_file_in_place_of_the_folder_is_a_problem(tmp_path):
    (tmp_path / "runs").write_text("")
    local = LocalRuns(tmp_path / "runs")
    assert local.runs() == {}
    assert "cannot be read" in str(local.problem)


def test_looks_that_begin_within_the_shared_time_are_one(tmp_path):
    local = LocalRuns(tmp_path, share=60.0)
    assert local.runs() == {}
    make_run(tmp_path, "a")
    assert local.runs() == {}
    local = LocalRuns(tmp_path, share=0.05)
    local.runs()
    make_run(tmp_path, "b")
    time.sleep(0.06)
    assert set(local.runs()) == {"a", "b"}


def test_many_threads_see_every_run_once(tmp_path):
    for i in range(20):
        make_run(tmp_path, f"run-{i}", steps=20)
    local, seen = LocalRuns(tmp_path), []
    threads = [threading.Thread(target=lambda: seen.append(list(local.runs()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(found) == 20 for found in seen)
    assert local.version == 1


def test_the_version_changes_when_something_does_and_only_then(tmp_path):
    catalog = Catalog(tmp_path)
    empty = catalog.snapshot().version
    assert catalog.snapshot().version == empty
    make_run(tmp_path, "a")
    assert catalog.snapshot().version != empty


def test_the_version_changes_when_a_silent_run_grows_older(tmp_path):
    folder = make_run(tmp_path, "a", status="running")
    os.utime(folder / "metrics.jsonl", (START, START))
    catalog = Catalog(tmp_path)
    first, later = catalog.snapshot(START + 200), catalog.snapshot(START + 215)
    assert first.version == later.version
    assert catalog.snapshot(START + 245).version != first.version


def test_quiet_counts_whole_minutes_then_whole_hours_of_running_runs_only():
    run = Run("a", "a", "runs", "running", updated=1000.0)
    assert quiet_minutes(run, 1059) is None
    assert quiet_minutes(run, 1000 + 3 * 3600) == 180
    assert quiet_minutes(run, 1000 + 3 * 3600 + 1800) == 180
    assert quiet_minutes(Run("a", "a", "runs", "finished", updated=0.0), 1e9) is None


def test_a_colour_is_given_once(tmp_path):
    catalog = Catalog(tmp_path)
    assert catalog.colours(["a", "b"]) == {"a": 0, "b": 1}
    assert catalog.colours(["c", "b"]) == {"c": 2, "b": 1}


def test_a_folder_whose_name_is_no_text_is_passed_over(tmp_path):
    make_run(tmp_path, "good")
    make_run(tmp_path, os.fsdecode(b"caf\xe9"))
    runs = LocalRuns(tmp_path).runs()
    assert list(runs) == ["good"]
    json.dumps(list(runs), ensure_ascii=False).encode()


def test_a_metrics_file_that_is_a_folder_leaves_the_run_without_curves(tmp_path):
    folder = make_run(tmp_path, "bad")
    (folder / "metrics.jsonl").unlink()
    (folder / "metrics.jsonl").mkdir()
    local = LocalRuns(tmp_path)
    assert local.runs()["bad"].status == "finished"
    assert local.history("bad") == {}


@pytest.mark.parametrize("n", [-5, 0, 1e300, "many"])
def test_an_absurd_number_of_pairs_is_unknown(tmp_path, n):
    make_run(tmp_path, "a")
    head = json.loads((tmp_path / "a" / "config.json").read_text())
    write_json(tmp_path / "a" / "config.json", {**head, "data": {**head["data"], "n_eval": n}})
    assert LocalRuns(tmp_path).runs()["a"].n_eval is None


def test_a_folder_that_may_not_be_entered_is_listed_and_hides_no_other_run(tmp_path, monkeypatch):
    """Root, who may enter anything, runs these tests too: the refusal is played."""
    make_run(tmp_path, "closed")
    make_run(tmp_path, "open")
    look = os.stat

    def guarded(path, *args, **more):
        if f"{os.sep}closed{os.sep}" in os.fspath(path):
            raise PermissionError(13, "Permission denied")
        return look(path, *args, **more)

    monkeypatch.setattr(os, "stat", guarded)
    runs = LocalRuns(tmp_path).runs()
    assert (runs["open"].error, runs["closed"].status) == (None, "failed")
    assert "cannot be entered: Permission denied; change its permissions or move it" in runs["closed"].error


def test_a_run_stopped_before_its_second_evaluation_is_listed_at_step_0_and_not_ranked(tmp_path):
    """20 steps between evaluations, 15 steps made; the writer records no best checkpoint at step 0."""
    folder = make_run(tmp_path, "early", status="stopped", done=0.075)
    summary = json.loads((folder / "summary.json").read_text())
    write_json(folder / "summary.json", {**summary, "best": {}, "best_step": None})
    run = LocalRuns(tmp_path).runs()["early"]
    assert (summary["step"], run.step) == (15, 0)
    assert EVAL_LOSS in run.metrics
    assert rank([run], EVAL_LOSS, "best") == rank([run], EVAL_LOSS, "last") == {}
