"""What the pages judge runs by: per-pair scores, read once and again when a run has changed."""

import numpy as np
import pyarrow as pa
import pytest

from dashboard.components import evidence
from dashboard.components.evidence import Studies
from dashboard.sources.catalog import Catalog
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
    """Counts whose scores are read."""
    found = []
    read = evidence.run_scores
    monkeypatch.setattr(evidence, "run_scores", lambda path, run: found.append(run.id) or read(path, run))
    return found


def test_scores_are_read_once_per_state_of_a_run(tmp_path, reads):
    started(tmp_path, "one").finish("finished")
    catalog, studies = Catalog(tmp_path), Studies()
    first = studies.of(catalog.snapshot(), catalog)
    assert list(first["one"].scores) == [10]
    assert studies.of(catalog.snapshot(), catalog)["one"] is first["one"]
    started(tmp_path, "two").finish("finished")
    assert set(studies.of(catalog.snapshot(), catalog)) == {"one", "two"}
    assert reads == ["one", "two"]


def test_a_running_run_has_no_scores_yet_and_a_vanished_one_is_forgotten(tmp_path, reads):
    writer = started(tmp_path, "one")
    catalog, studies = Catalog(tmp_path), Studies()
    assert studies.of(catalog.snapshot(), catalog)["one"].scores == {}
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
