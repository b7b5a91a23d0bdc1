"""What the pages judge runs by: per-pair scores, read once and again when a run has changed."""

import threading

import numpy as np
import pyarrow as pa
import pytest

from dashboard.analysis.findings import checks
from dashboard.components import evidence
from dashboard.components.evidence import Studies
from dashboard.sources import reading, stamps
from dashboard.sources.catalog import Catalog
from dashboard.sources.imported import NO_CORRECTIONS
from dashboard.studies import study_of
from training.record.writer import SCORE_COLUMNS, RunWriter

CHART = b'"Step","a - eval/loss","a - eval/loss__MIN","a - eval/loss__MAX"\n"10","0.6","0.6","0.6"\n'


def scores(n=8):
    columns = {name: np.zeros(n) for name in SCORE_COLUMNS.names if name.endswith("logp")}
    columns |= {name: np.ones(n, dtype=int) for name in SCORE_COLUMNS.names if name.endswith("tokens")}
    columns |= {name: np.full(n, False) for name in SCORE_COLUMNS.names if name.endswith("truncated")}
    return pa.table({"pair_id": [f"p{number}" for number in range(n)], **columns}, schema=SCORE_COLUMNS)


def started(runs, name):
    writer = RunWriter(runs, name)
    writer.publish({"config": {"beta": 0.1}, "data": {"eval": "e" * 64, "n_eval": 8}})
    writer.log(10, 1.0, {"eval/loss": 0.6, "eval/rewards/accuracies": 0.5})
    writer.scores(10, scores())
    return writer


@pytest.fixture
def reads(monkeypatch):
    """Counts whose scores are read; all files are taken as written long ago."""
    found = []
    read = evidence.scores_at
    monkeypatch.setattr(stamps, "TICK", 0.0)
    monkeypatch.setattr(evidence, "scores_at", lambda path, run, step: found.append(run.id) or read(path, run, step))
    return found


def test_scores_are_read_when_they_are_looked_at_and_once(tmp_path, reads):
    started(tmp_path, "one").finish("finished")
    catalog, studies = Catalog(tmp_path), Studies()
    first = studies.of(catalog.snapshot(), catalog)
    assert reads == []
    assert list(first["one"].scores) == [10] and len(first["one"].scores[10]) == 8
    assert studies.of(catalog.snapshot(), catalog) is first
    started(tmp_path, "two").finish("finished")
    second = studies.of(catalog.snapshot(), catalog)
    assert second["one"] is first["one"]
    assert second["one"].scores.get(10) is first["one"].scores.get(10)
    assert second["two"].scores.get(7) is None
    assert reads == ["one"]


def test_the_study_that_pages_see_is_the_one_that_the_report_sees(tmp_path):
    """Curves, scores at the same steps, samples, and so the findings."""
    for name, more in (("one", 11), ("two", 12)):
        writer = started(tmp_path, name)
        for step in (11, 12):
            writer.log(step, 1.0, {"train/loss": step / 7, "eval/loss": 5.0, "train/rewards/accuracies": 1.0})
            writer.scores(step, scores())
        writer.samples([{"step": more, "prompt": "p", "base": "b", "dpo": "d"}])
        writer.best(11, "eval/loss", {"eval/loss": 5.0})
        writer.finish("finished")
    catalog = Catalog(tmp_path)
    ours = Studies().of(catalog.snapshot(), catalog)
    theirs = study_of(reading.read([tmp_path], NO_CORRECTIONS))
    for run_id, expected in theirs.items():
        found = ours[run_id]
        assert repr(sorted(found.history.items())) == repr(sorted(expected.history.items()))
        assert [*found.scores] == [*expected.scores] == [11, 12]
        assert list(found.samples) == list(expected.samples) and len(found.samples) == 1
        assert found.logged == expected.logged
    assert checks.findings(ours, "best") == checks.findings(theirs, "best") != []


def test_evaluations_are_looked_at_without_reading_the_other_curves(tmp_path, monkeypatch):
    writer = started(tmp_path, "one")
    writer.log(11, 1.0, {"train/loss": 0.5})
    writer.finish("finished")
    catalog = Catalog(tmp_path)
    study = Studies().of(catalog.snapshot(), catalog)
    monkeypatch.setattr(catalog.local.histories, "of", lambda *_: pytest.fail("all curves were read"))
    history = study["one"].history
    assert history and list(history["eval/loss"].values) == [0.6]
    assert "eval/nothing" not in history
    assert study["one"].logged == {"eval/loss", "eval/rewards/accuracies", "train/loss"}


def test_many_browsers_make_one_study(tmp_path):
    for name in "abcdef":
        started(tmp_path, name).finish("finished")
    catalog, studies, ready, seen = Catalog(tmp_path), Studies(), threading.Barrier(20), []

    def look():
        ready.wait()
        for _ in range(5):
            snapshot = catalog.snapshot()
            seen.append((studies.of(snapshot, catalog), [catalog.history(run)["eval/loss"] for run in snapshot.runs]))

    threads = [threading.Thread(target=look) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 100
    assert all(study is seen[0][0] and curves == seen[0][1] for study, curves in seen)
    assert catalog.local.version == 1


def test_a_running_run_has_no_scores_yet_and_a_vanished_one_is_forgotten(tmp_path):
    writer = started(tmp_path, "one")
    catalog, studies = Catalog(tmp_path), Studies()
    running = studies.of(catalog.snapshot(), catalog)["one"]
    assert running.scores == {}
    writer.log(20, 2.0, {"eval/loss": 0.25})
    assert list(running.history["eval/loss"].values) == [0.6, 0.25]
    writer.finish("finished")
    assert list(studies.of(catalog.snapshot(), catalog)["one"].scores) == [10]
    writer.directory.rename(tmp_path / ".gone")
    assert studies.of(catalog.snapshot(), catalog) == {}


def test_an_uploaded_run_is_judged_by_its_curves(tmp_path):
    catalog, studies = Catalog(tmp_path), Studies()
    (run,) = catalog.uploads.add("chart.csv", CHART).runs
    found = studies.of(catalog.snapshot(), catalog)[run.id]
    assert list(found.history["eval/loss"].values) == [0.6]
    assert found.scores == {}
