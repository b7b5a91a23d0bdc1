"""The record: what a writer leaves, a reader finds, at any moment and after any crash."""

import json
import math
import multiprocessing
import threading
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.record import metrics, reader, schema
from training.record.history import HistoryReader, Tail, number, read_history, whole
from training.record.reader import read_run
from training.record.schema import RecordError
from training.record.writer import SCORE_COLUMNS, RunWriter, plain, share_pairs, write_whole

KEYS = st.text(min_size=1, max_size=20).filter(lambda key: key not in schema.NOT_METRICS)
LOGS = st.lists(st.dictionaries(KEYS, st.floats(), max_size=4), max_size=12)


def start(runs: Path, name: str = "a run") -> RunWriter:
    writer = RunWriter(runs, name)
    writer.publish({"config": {"beta": 0.1}, "data": {"n_eval": 4}})
    return writer


def same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


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


@settings(deadline=None, max_examples=60)
@given(logs=LOGS, cut=st.integers(min_value=0, max_value=400))
def test_a_torn_tail_costs_only_the_torn_line(tmp_path_factory, logs, cut):
    writer = start(tmp_path_factory.mktemp("runs"))
    for step, row in enumerate(logs):
        writer.log(step, None, {**row, "m": 1.0})
    path = writer.directory / schema.METRICS
    if not path.exists():
        return
    content = path.read_bytes()[: -cut or None]
    path.write_bytes(content)
    series = read_history(writer.directory).get("m", schema.Series())
    assert list(series.steps) == list(range(content.count(b"\n")))


@settings(deadline=None, max_examples=40)
@given(pieces=st.lists(st.integers(min_value=1, max_value=60), max_size=30))
def test_reading_while_bytes_arrive_loses_and_doubles_nothing(tmp_path_factory, pieces):
    lines = b"".join(orjson.dumps({"step": step, "m": step / 3}) + b"\n" for step in range(20))
    path = tmp_path_factory.mktemp("run") / schema.METRICS
    history = HistoryReader(path.parent)
    at = 0
    for size in [*pieces, len(lines)]:
        with path.open("ab") as file:
            file.write(lines[at : at + size])
        at = min(at + size, len(lines))
        series = history.read().get("m", schema.Series())
        assert list(series.steps) == list(range(lines[:at].count(b"\n")))


@settings(deadline=None, max_examples=60)
@given(noise=st.binary(max_size=200))
def test_noise_in_the_file_never_breaks_the_reader(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("run") / schema.METRICS
    path.write_bytes(b'{"step": 1, "m": 1}\n' + noise + b'\n{"step": 2, "m": 2}\n')
    series = read_history(path.parent)["m"]
    assert (series.steps[0], series.steps[-1]) == (1, 2) or b'"step"' in noise


def test_half_a_line_waits_for_its_newline(tmp_path):
    path = tmp_path / "metrics.jsonl"
    tail = Tail(path)
    path.write_bytes(b'{"step": 1}\n{"st')
    assert tail.read() == [{"step": 1}]
    with path.open("ab") as file:
        file.write(b'ep": 2}\n')
    assert tail.read() == [{"step": 2}]


def test_the_next_writer_closes_a_half_line(tmp_path):
    first = start(tmp_path)
    first.log(1, 0.1, {"m": 1.0})
    with (first.directory / schema.METRICS).open("ab") as file:
        file.write(b'{"step": 2, "m"')
    second = RunWriter.__new__(RunWriter)
    second.__dict__.update(first.__dict__, _opened=set())
    second.log(3, 0.3, {"m": 3.0})
    assert list(read_history(first.directory)["m"].steps) == [1, 3]


def test_a_repeated_step_takes_the_later_value(tmp_path):
    writer = start(tmp_path)
    for step, value in ((10, 1.0), (20, 2.0), (30, 3.0), (20, 9.0)):
        writer.log(step, None, {"m": value})
    series = read_history(writer.directory)["m"]
    assert (list(series.steps), list(series.values)) == ([10, 20, 30], [1.0, 9.0, 3.0])


ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(["step", "epoch", "time", "a", "b"]),
        st.integers(-2, 6) | st.floats() | st.sampled_from(["nan", "-inf", "x", None, True, 2**70]),
        max_size=5,
    ),
    max_size=14,
)


@settings(deadline=None, max_examples=200)
@given(batches=st.lists(ROWS, max_size=3))
def test_whole_columns_give_what_row_by_row_gives(tmp_path_factory, batches):
    """The plain meaning of a record: a dict of (key, step), the later line wins, what is no number is passed over."""
    folder = tmp_path_factory.mktemp("run")
    reader_, expected = HistoryReader(folder), {}
    for rows in batches:
        with (folder / schema.METRICS).open("ab") as file:
            file.write(b"".join(json.dumps(plain(row)).encode() + b"\n" for row in rows))
        found = reader_.read()
        for row in map(plain, rows):
            step = whole(row.get("step"))
            for key in {"a", "b"} & row.keys():
                if step is not None and (value := number(row[key])) is not None:
                    expected[key, step] = value
    found = {
        (key, step): value
        for key, series in reader_.read().items()
        for step, value in zip(series.steps, series.values, strict=True)
    }
    assert found.keys() == expected.keys()
    assert all(same(found[at], expected[at]) for at in expected)
    assert all(list(series.steps) == sorted(set(series.steps)) for series in reader_.read().values())


def test_a_file_that_was_replaced_is_read_again(tmp_path):
    path = tmp_path / schema.METRICS
    history = HistoryReader(tmp_path)
    path.write_text('{"step": 1, "m": 1}\n{"step": 2, "m": 2}\n')
    assert list(history.read()["m"].steps) == [1, 2]
    path.write_text('{"step": 7, "m": 7}\n')
    assert list(history.read()["m"].steps) == [7]


def test_a_snapshot_stays_the_same_object_until_something_is_new(tmp_path):
    writer = start(tmp_path)
    writer.log(1, None, {"m": 1.0})
    history = HistoryReader(writer.directory)
    first = history.read()
    assert history.read() is first
    writer.log(2, None, {"m": 2.0})
    assert history.read() is not first
    assert list(first["m"].steps) == [1]


def test_many_threads_share_one_reader(tmp_path):
    """3,000 lines, 8 threads reading while they are written: every thread ends with all of them, in order."""
    path = tmp_path / schema.METRICS
    path.touch()
    history = HistoryReader(tmp_path)
    done = threading.Event()
    seen: list[list[int]] = []

    def follow() -> None:
        while not done.is_set():
            steps = list(history.read().get("m", schema.Series()).steps)
            if steps != list(range(len(steps))):
                seen.append(steps)

    threads = [threading.Thread(target=follow) for _ in range(8)]
    for thread in threads:
        thread.start()
    with path.open("ab", buffering=0) as file:
        for step in range(3000):
            file.write(orjson.dumps({"step": step, "m": 1}) + b"\n")
    done.set()
    for thread in threads:
        thread.join()
    assert seen == []
    assert list(history.read()["m"].steps) == list(range(3000))


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


def test_a_metrics_file_that_cannot_be_opened_is_read_as_nothing_until_it_can(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    tail = Tail(path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
        assert tail.read() == []
    assert tail.read() == [{"step": 1}]
