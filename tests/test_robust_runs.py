"""No folder under runs/, whatever is in it, breaks a page: it is listed with its problem, the others as they are."""

import os
import shutil
from pathlib import Path

import orjson
import pytest
from make_runs import make_run

from dashboard.analysis.findings import checks
from dashboard.components.evidence import Studies
from dashboard.sources import local as local_module
from dashboard.sources.catalog import Catalog
from training.record import schema
from training.record.history import BLOCK


def replaced(path: Path) -> Path:
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    return path


def pipe(path: Path) -> None:
    os.mkfifo(replaced(path))


def folder(path: Path) -> None:
    replaced(path).mkdir()


def loop(path: Path) -> None:
    replaced(path).symlink_to(path.name)


def large(path: Path) -> None:
    """50 MB, of which a disk holds nothing."""
    with replaced(path).open("wb") as file:
        file.truncate(50 * 2**20)


def garbage(path: Path) -> None:
    replaced(path).write_bytes(bytes(range(256)) * 10 + b"\n[[[[[[")


def deep(path: Path) -> None:
    replaced(path).write_bytes(b'{"a":' * 100_000)


def hostile(path: Path) -> None:
    """Valid JSON, nothing of the right type."""
    odd = {"step": [1], "epoch": {}, "metrics": {"eval/loss": [], "x": "nan", "y": 1e308}, "best": 7, "best_step": "x"}
    odd |= {"format": 1, "config": {"beta": [[]], "loss_type": {"a": 1}}, "data": [1], "created": "when", "status": 5}
    replaced(path).write_bytes(orjson.dumps(odd) + b"\n" + orjson.dumps({"prompt": 5, "step": {}}) + b"\n")


FAULTS = (pipe, folder, loop, large, garbage, deep, hostile)
FILES = (
    *(schema.CONFIG, schema.SUMMARY, schema.LATEST, schema.METRICS, schema.SAMPLES, schema.NOTICES),
    "scores/step-0.parquet",
)


def seen(root: Path):
    """All that pages do with runs."""
    catalog = Catalog(root)
    snapshot = catalog.snapshot()
    study = Studies().of(snapshot, catalog)
    histories = {run: catalog.history(run) for run in snapshot.runs}
    for evidence in study.values():
        assert len(list(evidence.scores)) == len(evidence.scores) and len(list(evidence.samples)) >= 0
    for at in ("best", "last"):
        checks.findings(study, at)
    return snapshot, histories


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("name", FILES)
def test_no_file_of_any_kind_breaks_anything(tmp_path, name, fault):
    make_run(tmp_path, "good", steps=40)
    fault(make_run(tmp_path, "bad", steps=40) / name)
    snapshot, histories = seen(tmp_path)
    assert (snapshot.runs["good"].status, snapshot.runs["good"].error) == ("finished", None)
    assert len(histories["good"]["eval/loss"]) > 3
    if name == schema.CONFIG and fault in (large, garbage, deep):
        assert snapshot.runs["bad"].status == "failed" and "config.json" in snapshot.runs["bad"].error
    if name == schema.SUMMARY and fault in (pipe, large, garbage, deep, folder):
        assert snapshot.runs["bad"].status == "failed" and "summary.json" in snapshot.runs["bad"].error
    if name == schema.METRICS:
        assert snapshot.runs["bad"].status == "finished" and histories["bad"] == {}


def test_what_is_too_large_says_how_large_it_is_and_is_not_read(tmp_path, monkeypatch):
    large(make_run(tmp_path, "bad", steps=20) / schema.CONFIG)
    monkeypatch.setattr(local_module, "read_run", lambda _: pytest.fail("it was read"))
    error = Catalog(tmp_path).snapshot().runs["bad"].error
    assert error.endswith("config.json has 50 MB, 4 MB is the most that is read; delete or move it")


def test_a_line_of_a_hundred_megabytes_costs_only_itself(tmp_path):
    path = make_run(tmp_path, "a", steps=40) / schema.METRICS
    with path.open("ab") as file:
        file.write(b'{"step": 50, "eval/loss": 0.25, "x": "')
        for _ in range(13):
            file.write(b"y" * BLOCK)
        file.write(b'"}\n{"step": 60, "eval/loss": 0.125}\n')
    catalog = Catalog(tmp_path)
    catalog.snapshot()
    assert list(catalog.history("a")["eval/loss"].steps)[-2:] == [40, 60]


def test_a_model_in_the_runs_folder_is_listed_with_its_problem(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / schema.CONFIG).write_text('{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}')
    (tmp_path / "notes").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    snapshot, _ = seen(tmp_path)
    assert list(snapshot.runs) == ["model"]
    assert "has format None" in snapshot.runs["model"].error


@pytest.mark.parametrize("when", ["listed", "half read"])
def test_a_run_that_vanishes_while_it_is_read_is_no_run(tmp_path, monkeypatch, when):
    make_run(tmp_path, "good", steps=20)
    make_run(tmp_path, "bad", steps=20)
    read = local_module.read_run

    def vanishing(directory):
        if directory.name == "bad" and directory.exists():
            found = read(directory) if when == "half read" else None
            shutil.rmtree(directory)
            return found or read(directory)
        return read(directory)

    monkeypatch.setattr(local_module, "read_run", vanishing)
    catalog = Catalog(tmp_path)
    catalog.snapshot()
    snapshot = catalog.snapshot()
    assert list(snapshot.runs) == ["good"]
    assert catalog.history("bad") == {}


def test_a_study_outlives_its_runs(tmp_path):
    """A page may look at evidence of a run that was deleted a moment ago."""
    path = make_run(tmp_path, "a", steps=20)
    catalog = Catalog(tmp_path)
    study = Studies().of(catalog.snapshot(), catalog)
    shutil.rmtree(path)
    assert (dict(study["a"].history), dict(study["a"].scores), list(study["a"].samples)) == ({}, {}, [])
    checks.findings(study, "best")


def test_an_unforeseen_error_in_one_run_is_logged_and_its_own(tmp_path, monkeypatch, caplog):
    make_run(tmp_path, "good", steps=20)
    make_run(tmp_path, "bad", steps=20)
    read = local_module.read_run
    monkeypatch.setattr(local_module, "read_run", lambda path: read(path) if path.name == "good" else {}["planted"])
    runs = Catalog(tmp_path).snapshot().runs
    assert (runs["good"].status, runs["bad"].status) == ("finished", "failed")
    assert "cannot be read (KeyError)" in runs["bad"].error
    assert "planted" in caplog.text
