"""The record: what a writer leaves, a reader finds, at any moment and after any crash."""

import json
import math
import multiprocessing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import LOGS, same, start

from training.record import metrics, reader, schema
from training.record.history import HistoryReader, read_history
from training.record.reader import read_run
from training.record.schema import RecordError
from training.record.writer import SCORE_COLUMNS, RunWriter, share_pairs, write_whole


def test_a_run_appears_with_its_config_inside(tmp_path):
    writer = RunWriter(tmp_path, "a")
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
    writer.publish({"config": {"beta": 0.5}})
    assert read_run(tmp_path / "a").config == {"beta": 0.5}


def test_what_was_never_published_leaves_nothing(tmp_path):
    writer = RunWriter(tmp_path, "a")
    writer.discard()
    assert list(tmp_path.iterdir()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(logs=LOGS)
def test_any_metrics_come_back_as_they_were_logged(tmp_path_factory, logs):
    writer = start(tmp_path_factory.mktemp("runs"))
    for step, row in enumerate(logs):
        writer.log(step, step / 2, row)
    history = read_history(writer.directory)
    expected = {(step, key): value for step, row in enumerate(logs) for key, value in row.items()}
    found = {
        (step, key): value
        for key, series in history.items()
        for step, value in zip(series.steps, series.values, strict=True)
    }
    assert found.keys() == expected.keys()
    assert all(same(found[at], expected[at]) for at in expected)


def test_the_next_writer_closes_a_half_line(tmp_path):
    first = start(tmp_path)
    first.log(1, 0.1, {"m": 1.0})
    with (first.directory / schema.METRICS).open("ab") as file:
        file.write(b'{"step": 2, "m"')
    second = RunWriter.__new__(RunWriter)
    second.__dict__.update(first.__dict__, _opened=set())
    second.log(3, 0.3, {"m": 3.0})
    assert list(read_history(first.directory)["m"].steps) == [1, 3]


def _write(path: str, steps: int) -> None:
    writer = RunWriter(Path(path), "live")
    writer.publish({"config": {}})
    for step in range(steps):
        writer.log(step, None, {"m": step, "long": 1 / 3})
    writer.finish("finished")


def test_another_process_reads_only_whole_states(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_write, args=(str(tmp_path), 400))
    process.start()
    history: HistoryReader | None = None
    states = set()
    while process.is_alive():
        if not (tmp_path / "live").exists():
            continue
        run = read_run(tmp_path / "live")
        states.add(run.status)
        history = history or HistoryReader(tmp_path / "live")
        series = history.read().get("m", schema.Series())
        assert list(series.steps) == list(range(len(series)))
        assert run.step is None or run.metrics["m"] == run.step
    process.join()
    assert process.exitcode == 0
    assert read_run(tmp_path / "live").status == "finished"
    assert "running" in states


def test_nan_and_infinity_stay_visible_in_valid_json(tmp_path):
    writer = start(tmp_path)
    writer.log(1, None, {"a": math.nan, "b": math.inf, "c": -math.inf})
    line = json.loads((writer.directory / schema.METRICS).read_text())
    assert (line["a"], line["b"], line["c"]) == ("nan", "inf", "-inf")
    found = read_run(writer.directory).metrics
    assert math.isnan(found["a"])
    assert (found["b"], found["c"]) == (math.inf, -math.inf)


def test_a_running_run_tells_its_last_values_without_its_curves(tmp_path):
    writer = start(tmp_path)
    writer.expect(100)
    writer.log(10, 0.5, {"eval/loss": 0.6})
    writer.log(15, 0.7, {"train/loss": 0.5})
    writer.best(10, "eval/loss", {"eval/loss": 0.6})
    (writer.directory / schema.METRICS).unlink()
    run = read_run(writer.directory)
    assert (run.status, run.step, run.max_steps, run.best_step) == ("running", 15, 100, 10)
    assert run.metrics == {"eval/loss": 0.6, "train/loss": 0.5}


@pytest.mark.parametrize("status", ["finished", "failed", "stopped"])
def test_the_summary_says_how_the_run_ended(tmp_path, status):
    writer = start(tmp_path)
    writer.log(10, 0.5, {"eval/loss": 0.6})
    writer.finish(status, "boom" if status == "failed" else None)
    run = read_run(writer.directory)
    assert (run.status, run.metrics["eval/loss"], run.n_eval) == (status, 0.6, 4)
    assert run.error == ("boom" if status == "failed" else None)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a\0b", "a" * 201])
def test_a_name_that_is_no_folder_is_refused(tmp_path, name):
    with pytest.raises(RecordError, match="cannot be a folder's name"):
        RunWriter(tmp_path, name)


def test_a_taken_name_is_refused_and_the_run_untouched(tmp_path):
    start(tmp_path, "a").log(1, None, {"m": 1.0})
    with pytest.raises(RecordError, match="already exists; pick another --name or delete it"):
        RunWriter(tmp_path, "a")
    assert list(read_history(tmp_path / "a")["m"].steps) == [1]


def test_the_second_of_two_that_race_for_a_name_is_refused(tmp_path):
    first, second = RunWriter(tmp_path, "a"), RunWriter.__new__(RunWriter)
    second.__dict__.update(first.__dict__, directory=tmp_path / ".a.2")
    (second.directory / "checkpoints").mkdir(parents=True)
    first.publish({"config": {"beta": 1}})
    with pytest.raises(RecordError, match="already exists"):
        second.publish({"config": {"beta": 2}})
    assert read_run(tmp_path / "a").config == {"beta": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "has no config.json"),
        ("{", "is not valid JSON"),
        ("[]", "holds a list"),
        ('{"format": 2}', "has format 2, this code reads up to 1; update the code"),
        ("{}", "has format None"),
    ],
)
def test_a_folder_that_is_no_run_is_told_apart(tmp_path, content, words):
    if content is not None:
        (tmp_path / schema.CONFIG).write_text(content)
    with pytest.raises(RecordError, match=words):
        read_run(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


FIELDS = ["status", "metrics", "best", "best_step", "best_metric", "step", "max_steps", "epoch", "seconds", "error"]


@settings(deadline=None, max_examples=100)
@given(summary=st.dictionaries(st.sampled_from(FIELDS), JSON), extra=st.dictionaries(st.text(max_size=8), JSON))
def test_a_foreign_summary_is_read_or_refused_in_words(tmp_path_factory, summary, extra):
    folder = tmp_path_factory.mktemp("run")
    (folder / schema.CONFIG).write_text(json.dumps({**extra, "format": 1}))
    (folder / schema.SUMMARY).write_text(json.dumps(summary))
    try:
        run = read_run(folder)
    except RecordError as error:
        assert "not valid JSON" in str(error)
    else:
        assert run.id == folder.name


def scores(logps: list[list[float]]) -> pa.Table:
    columns: list[Any] = [[f"p{i}" for i in range(len(logps))], *map(list, zip(*logps, strict=True))]
    return pa.table([*columns, *[[1] * len(logps)] * 2, *[[False] * len(logps)] * 2], schema=SCORE_COLUMNS)


def test_scores_come_back_exactly(tmp_path):
    writer = start(tmp_path)
    table = scores([[-1 / 3, -2.0, -1.5, -2.5], [-4.0, -5.0, -6.0, -7.0]])
    writer.scores(20, table)
    writer.scores(0, table)
    assert reader.score_steps(writer.directory) == [0, 20]
    assert reader.read_scores(writer.directory, 20).equals(table)
    with pytest.raises(RecordError, match=r"scored steps: \[0, 20\]"):
        reader.read_scores(writer.directory, 30)


def test_pairs_are_shared_once(tmp_path):
    first = share_pairs(tmp_path, "abc", pa.table({"pair_id": ["a"], "prompt": ["x"]}))
    stamp = first.stat().st_mtime_ns
    assert share_pairs(tmp_path, "abc", pa.table({"pair_id": ["b"], "prompt": ["y"]})) == first
    assert first.stat().st_mtime_ns == stamp


def test_a_full_disk_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "latest.json"
    write_whole(path, b"old")

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["latest.json"]


def test_every_metric_describes_itself():
    assert metrics.describe("eval/loss").better == "lower"
    assert metrics.describe("train/rewards/accuracies").better == "higher"
    assert metrics.describe("eval/rewards/margins").better is None
    assert metrics.describe("eval/something/else").name == "something/else"
    assert metrics.split_key("eval/rewards/chosen") == ("eval", "rewards/chosen")
    assert metrics.split_key("custom") == ("", "custom")


def test_what_a_killed_writer_left_half_written_goes(tmp_path):
    """In a run that goes on, and where a process of the same number (a container's first) prepares the same run."""
    first = RunWriter(tmp_path, "run")
    (first.directory / "half").touch()
    second = RunWriter(tmp_path, "run")
    assert not (second.directory / "half").exists()
    second.publish({})
    parts = (second.directory / ".latest.json.77", second.checkpoints / ".best.new" / "model.safetensors")
    for part in parts:
        part.parent.mkdir(exist_ok=True)
        part.touch()
    RunWriter.reopen(second.directory, {})
    assert sorted(path.name for path in second.directory.rglob("*")) == ["checkpoints", "config.json", "latest.json"]
