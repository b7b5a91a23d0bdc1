"""Curves are read while they are written: only new bytes, no line lost, doubled or torn."""

import json
import os
import threading
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import LOGS, same, start

from training.record import history as history_module
from training.record import schema
from training.record.history import HistoryReader, Tail, number, read_evaluations, read_history, whole
from training.record.writer import plain


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


def test_a_new_file_with_the_inode_of_the_old_one_is_read_from_its_start(tmp_path):
    """File systems give a deleted file's inode to the next one: what stands before the offset tells them apart."""
    path = tmp_path / schema.METRICS
    history = HistoryReader(tmp_path)
    path.write_text('{"step": 1, "m": 1}\n')
    assert list(history.read()["m"].values) == [1]
    path.write_text('{"step": 5, "m": 5}\n{"step": 6, "m": 6}\n')
    assert list(history.read()["m"].values) == [5, 6]


def test_a_file_that_is_gone_has_no_curves(tmp_path):
    path = tmp_path / schema.METRICS
    history = HistoryReader(tmp_path)
    path.write_text('{"step": 1, "m": 1}\n')
    assert history.read()
    path.unlink()
    assert history.read() == {}


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / schema.METRICS)
    assert HistoryReader(tmp_path).read() == {}


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_line_longer_than_a_block_is_passed_over_and_the_next_ones_are_read(tmp_path, monkeypatch, pieces):
    """Blocks of 64 bytes, a line of 1,000: it may arrive at once or in pieces."""
    monkeypatch.setattr(history_module, "BLOCK", 64)
    content = b'{"step": 1}\n' + b'{"step": 2, "x": "' + b"y" * 1000 + b'"}\n{"step": 3}\n{"step": 4}\n'
    path, found = tmp_path / "metrics.jsonl", []
    tail = Tail(path)
    size = -(-len(content) // pieces)
    for at in range(0, len(content), size):
        with path.open("ab") as file:
            file.write(content[at : at + size])
        found += tail.read()
    assert (found, tail.broken) == ([{"step": 1}, {"step": 3}, {"step": 4}], 1)


@settings(deadline=None, max_examples=60)
@given(batches=st.lists(ROWS, min_size=1, max_size=3), block=st.integers(60, 200))
def test_reading_in_blocks_gives_what_reading_at_once_gives(tmp_path_factory, batches, block):
    folder = tmp_path_factory.mktemp("run")
    lines = [json.dumps(plain(row)).encode() + b"\n" for rows in batches for row in rows]
    (folder / schema.METRICS).write_bytes(b"".join(line for line in lines if len(line) <= 60))
    whole = read_history(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_module, "BLOCK", block)
        assert repr(sorted(read_history(folder).items())) == repr(sorted(whole.items()))


def test_metrics_logged_together_share_their_steps_epochs_and_times(tmp_path):
    """Also when more is read, when a step is repeated, and where one of them is missing in some lines."""
    writer = start(tmp_path)
    history = HistoryReader(writer.directory)
    for step, more in ((1, {}), (2, {}), (3, {"c": 1.0}), (3, {}), (4, {})):
        writer.log(step, step / 10, {"a": 1.0, "b": 2.0, **more})
        found = history.read()
        for column in ("steps", "epochs", "times"):
            assert getattr(found["a"], column) is getattr(found["b"], column)
    assert list(found["a"].steps) == [1, 2, 3, 4] and list(found["c"].steps) == [3]


def test_what_was_handed_out_stays_as_it_was(tmp_path):
    writer = start(tmp_path)
    history, seen = HistoryReader(writer.directory), []
    for step in (1, 5, 3, 5, 2):
        writer.log(step, None, {"a": float(len(seen)), "b": 0.0})
        found = history.read()
        seen.append((found, repr(found)))
    assert all(repr(found) == text for found, text in seen)


def test_evaluations_alone_are_the_curves_of_evaluations(tmp_path):
    writer = start(tmp_path)
    for step in range(6):
        writer.log(step, step / 5, {"train/loss": 1.0 / (step + 1)})
        writer.log(step, step / 5, {"eval/loss": 2.0 / (step + 1), "eval/x/y": 1.0})
    whole = read_history(writer.directory)
    found = read_evaluations(writer.directory)
    assert repr(found) == repr({key: whole[key] for key in ("eval/loss", "eval/x/y")})


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


def test_a_metrics_file_that_cannot_be_opened_is_read_as_nothing_until_it_can(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    tail = Tail(path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
        assert tail.read() == []
    assert tail.read() == [{"step": 1}]
