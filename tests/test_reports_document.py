"""The report as JSON: the documented keys and types, whatever the sources hold."""

import json
import math
import os
import types
import typing
from typing import Any

import pytest
from reports import as_json, run, scored_run, write_export

from dashboard.reports import document

STATES = {"finished", "running", "failed", "pruned", "stopped", "unknown"}


def fits(value: Any, kind: Any) -> bool:
    """Whether a parsed JSON value is of an annotated type."""
    if kind is Any:
        return True
    if typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind)
        return isinstance(value, dict) and value.keys() == hints.keys() and all(fits(value[k], hints[k]) for k in hints)
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return any(fits(value, part) for part in inside)
    if origin is list:
        return isinstance(value, list) and all(fits(item, inside[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(isinstance(k, str) and fits(v, inside[1]) for k, v in value.items())
    return isinstance(value, int | float if kind is float else kind) and not (kind is int and isinstance(value, bool))


def check(found):
    assert fits(found, document.Document)
    assert found["format"] == 1
    ids = [row["id"] for row in found["runs"]]
    assert len(set(ids)) == len(ids)
    for row in found["runs"]:
        assert row["state"] in STATES
        assert all(fits(value, float | str) and value not in ("NaN", None) for value in row["metrics"].values())
        assert row["accuracy_interval"] is None or 0 <= row["accuracy_interval"][0] <= row["accuracy_interval"][1] <= 1
        assert all(place >= 1 for place in row["rank"].values())
    for finding in found["findings"]:
        assert finding["severity"] in ("bad", "warning", "info")
        assert set(finding["runs"]) <= set(ids)
    verdict = found["verdict"]
    assert verdict["best"] is None or verdict["best"] in ids
    assert len(verdict["sentences"]) == (1 if verdict["best"] is None else 3)
    if verdict["best"] is not None:
        assert next(row for row in found["runs"] if row["id"] == verdict["best"])["tied_with_best"]


def test_the_check_itself_finds_what_is_wrong():
    assert fits({"config": {}, "reason": "x"}, document.SuggestionDocument)
    for wrong in (
        {"config": {}},
        {"config": {}, "reason": 1},
        {"config": [], "reason": "x"},
        {"reason": "x", "config": {}, "more": 1},
    ):
        assert not fits(wrong, document.SuggestionDocument)
    assert not fits(True, int) and not fits([1, "2"], list[float]) and fits(None, str | None)


def test_the_keys_of_the_published_schema_are_all_there(tmp_path, capsys):
    """The schema as it was announced; keys may be added, none may go."""
    found = as_json(capsys, write_export(tmp_path / "export.csv"))
    assert {"format", "sources", "notes", "runs", "findings", "verdict"} <= found.keys()
    announced = {"id", "name", "source", "state", "config", "metrics", "n_eval", "rank", "accuracy_interval"}
    assert announced | {"tied_with_best", "comparability_group"} <= found["runs"][0].keys()
    assert {"id", "severity", "runs", "sentence", "evidence", "source"} <= found["findings"][0].keys()
    assert found["verdict"].keys() == {"sentences", "best", "proven"}


def test_a_foreign_table_has_the_documented_types(tmp_path, capsys):
    check(as_json(capsys, write_export(tmp_path / "export.csv")))


def test_our_own_runs_have_the_documented_types(tmp_path, capsys):
    scored_run(tmp_path, "good", 300, 360)
    scored_run(tmp_path, "bad", 280, beta=0.5)
    scored_run(tmp_path, "never")
    scored_run(tmp_path, "failed", 200, status="failed")
    check(as_json(capsys, tmp_path, "--beta", "0.2"))
    check(as_json(capsys, tmp_path / "never"))


def test_real_logs_have_the_documented_types(shared_data, capsys):
    for source in ("wandb_runs/orca_sweep_export.csv", "trainer_state", "wandb_history", "tfevents", "tensorboard_csv"):
        check(as_json(capsys, shared_data / source))


def test_a_table_with_odd_values_has_the_documented_types(tmp_path, capsys):
    path = tmp_path / "odd.csv"
    path.write_text(
        "Name,State,beta,notes,eval/loss,eval/rewards/accuracies\n"
        'inf,finished,0.1,"[1, {""a"": 2}]",Infinity,0.5\nnan,finished,,x,NaN,NaN\nneg,crashed,1e400,true,-Infinity,2\n'
    )
    found = as_json(capsys, path)
    check(found)
    losses = {row["name"]: row["metrics"].get("eval/loss") for row in found["runs"]}
    assert (losses["inf"], losses["nan"], losses["neg"]) == ("inf", "nan", "-inf")


def test_names_that_are_no_utf_8_are_shown_as_far_as_they_can(tmp_path, capsys):
    scored_run(tmp_path, "a", 360)
    (tmp_path / "a").rename(tmp_path / os.fsdecode(b"a\xffz"))
    code, out, _ = run(capsys, tmp_path, "--format", "json")
    assert code == 0
    check(json.loads(out))
    assert [row["name"] for row in json.loads(out)["runs"]] == ["a\ufffdz"]


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [math.nan, {"b\udcff": "c\ud800"}]}, (1, 2), {3}, 2**70])
def test_any_value_of_a_configuration_can_be_written(tmp_path, capsys, monkeypatch, value):
    from dashboard.analysis.study import Evidence, study
    from dashboard.reports import build
    from training.record.schema import Run

    one = Run("a\udcff", "a\udcff", "s", "finished", config={"odd": value}, metrics={"eval/loss": 0.5})
    monkeypatch.setattr(build, "study_of", lambda found: study([Evidence(one)]))
    check(as_json(capsys, write_export(tmp_path / "export.csv")))
