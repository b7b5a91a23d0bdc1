"""The cache of parsed curves: same answers, fewer parses, never in the way."""

import math
import os
from array import array

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources import cache, kept_events, stamps
from dashboard.sources.cache import decode, encode
from dashboard.sources.curves import Column
from dashboard.sources.event_file import Events
from training.record.schema import METRICS, Series

FLOATS = st.floats(width=64)
COLUMNS = st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), FLOATS, FLOATS, FLOATS), max_size=20)


def series(points):
    steps, epochs, times, values = zip(*points, strict=True) if points else ((), (), (), ())
    return Series(array("q", steps), array("d", epochs), array("d", times), array("d", values))


def same(left, right):
    return left.keys() == right.keys() and all(
        getattr(left[key], name).tobytes() == getattr(right[key], name).tobytes()
        for key in left
        for name in ("steps", "epochs", "times", "values")
    )


@given(st.dictionaries(st.text(), COLUMNS.map(series), max_size=5))
def test_curves_come_back_bit_for_bit(found):
    assert same(decode(encode(found)), found)


@given(
    st.dictionaries(st.text(), COLUMNS.map(series), max_size=4),
    st.dictionaries(st.text(), st.text(), max_size=2),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_the_events_of_an_event_file_come_back_too(found, texts, started):
    scalars = {
        tag: Column(np.array(s.steps, np.int64), np.array(s.times), np.array(s.values)) for tag, s in found.items()
    }
    back = kept_events.decode(kept_events.encode(Events(scalars, texts, started, 2, 7)))
    assert (back.texts, back.started, back.damaged, back.unread) == (texts, started, 2, 7)
    assert back.scalars.keys() == scalars.keys()
    for tag, column in back.scalars.items():
        for name in ("steps", "times", "values"):
            assert getattr(column, name).tobytes() == getattr(scalars[tag], name).tobytes()


@given(st.binary(max_size=200))
def test_bytes_that_are_no_kept_events_are_refused(content):
    with pytest.raises(ValueError):
        kept_events.decode(content)


def test_columns_that_are_equal_are_stored_once_and_shared():
    shared = [(step, 0.1, 5.0, float(step)) for step in range(1000)]
    one, two = {"a": series(shared)}, {key: series(shared) for key in "ab"}
    assert len(encode(two)) - len(encode(one)) < 30
    back = decode(encode(two))
    assert back["a"].values is back["b"].values


@given(st.binary(max_size=200))
def test_bytes_that_are_no_cached_curves_are_refused(content):
    with pytest.raises(ValueError):
        decode(content)


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_cut_bytes_are_refused(cut):
    whole = encode({"eval/loss": series([(step, 0.0, 0.0, 1.0) for step in range(50)])})
    with pytest.raises(ValueError):
        decode(whole[:-cut])


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of 3,000 lines (more than the cache thinks worth it) and an empty cache."""
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setattr(stamps, "TICK", 0.0)  # as if the file had been written long ago
    cache._store.cache_clear()
    directory = tmp_path / "run"
    directory.mkdir()
    lines = [{"step": step, "eval/loss": "nan" if step == 7 else step / 3} for step in range(3000)]
    (directory / METRICS).write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    yield directory
    cache._store.cache_clear()


def counted(monkeypatch):
    """Counts how often curves are parsed."""
    calls = []
    parse = cache.read_history
    monkeypatch.setattr(cache, "read_history", lambda directory: calls.append(directory) or parse(directory))
    return calls


def test_a_file_is_parsed_once_and_again_when_it_has_changed(run, monkeypatch):
    calls = counted(monkeypatch)
    first, again = cache.history(run), cache.history(run)
    assert len(calls) == 1
    assert same(first, again)
    assert math.isnan(again["eval/loss"].values[7])
    with (run / METRICS).open("ab") as file:
        file.write(b'{"step": 3000, "eval/loss": 5.0}\n')
    assert cache.history(run)["eval/loss"].values[-1] == 5.0
    assert len(calls) == 2


def test_a_file_of_equal_size_put_in_its_place_is_parsed_again(run, monkeypatch):
    before = cache.history(run)["eval/loss"].values[0]
    content = (run / METRICS).read_bytes()
    other = run / "other"
    other.write_bytes(content.replace(b'{"step":0,"eval/loss":0.0}', b'{"step":0,"eval/loss":9.5}'))
    other.replace(run / METRICS)
    assert (before, cache.history(run)["eval/loss"].values[0]) == (0.0, 9.5)


def test_a_file_that_changed_just_now_is_not_kept_for_it_may_change_again_unseen(run, monkeypatch):
    monkeypatch.setattr(stamps, "TICK", 60.0)
    calls = counted(monkeypatch)
    cache.history(run), cache.history(run)
    assert len(calls) == 2


def test_evaluations_are_kept_apart_from_all_curves(run, monkeypatch):
    with (run / METRICS).open("ab") as file:
        file.write(b'{"step": 3000, "train/loss": 5.0}\n')
    for _ in range(2):
        assert set(cache.history(run)) == {"eval/loss", "train/loss"}
        assert set(cache.evaluations(run)) == {"eval/loss"}
    assert same(cache.evaluations(run), {"eval/loss": cache.history(run)["eval/loss"]})


def test_what_was_never_read_is_laid_into_the_cache_once(run, monkeypatch):
    calls = counted(monkeypatch)
    assert cache.keep_history(run) and not cache.keep_history(run)
    assert len(cache.history(run)["eval/loss"]) == 3000
    assert len(calls) == 1
    monkeypatch.setenv(cache.FOLDER, "")
    assert not cache.keep_history(run)


def test_a_small_file_is_not_worth_the_cache(run, monkeypatch):
    (run / METRICS).write_bytes(b'{"step": 1, "eval/loss": 2.0}\n')
    calls = counted(monkeypatch)
    cache.history(run), cache.history(run)
    assert len(calls) == 2


def test_without_a_cache_everything_works(run, monkeypatch, tmp_path):
    (tmp_path / "a file").write_text("")
    for folder in ("", str(tmp_path / "a file"), str(tmp_path / "a file" / "below")):
        monkeypatch.setenv(cache.FOLDER, folder)
        assert len(cache.history(run)["eval/loss"]) == 3000


def test_a_damaged_cache_is_passed_over(run, tmp_path):
    cache.history(run)
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file():
            path.write_bytes(b"noise" * 100)
    assert len(cache.history(run)["eval/loss"]) == 3000


def test_nothing_in_the_cache_is_ever_unpickled(run, monkeypatch, tmp_path):
    import diskcache

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    cache.history(run)
    with diskcache.Cache(str(tmp_path / "cache")) as store:
        for key in list(store):
            store[key] = Trap()
    assert len(cache.history(run)["eval/loss"]) == 3000
    assert not (tmp_path / "sprung").exists()
