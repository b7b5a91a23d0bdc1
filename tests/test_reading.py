"""Every log is read, whatever it comes in, or refused in one sentence; no file takes another down."""

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources import reading
from dashboard.sources.imported import Corrections, Imported, SourceError
from tests.logs import BY_HAND, EVENTS, LINES, LOGS, PANEL, SCALARS, STATE, TABLE, names, packed, write


@pytest.mark.parametrize("kind", LOGS)
def test_every_kind_is_read_from_a_file_a_folder_an_archive_and_an_upload(kind, tmp_path):
    name, content = "odd name.json", LOGS[kind]
    write(tmp_path, **{f"folder/deep/er/{name}": content, name: content, "x.csv": packed(**{f"in/{name}": content})})
    found = [
        reading.read([tmp_path / name]),
        reading.read([tmp_path / "folder"]),
        reading.read([tmp_path / "x.csv"]),
        reading.read_bytes(name, content, "key"),
        reading.read_bytes("some.zip", packed(**{name: content}), "key"),
    ]
    assert {len(one.runs) for one in found} == {2 if kind == "runs table" else 1}
    assert len({tuple(sorted(run.metrics.items())) for one in found for run in one.runs[:1]}) == 1


def test_ids_are_the_same_in_every_call_and_no_two_are_equal(tmp_path):
    write(
        tmp_path, **{"a.csv": TABLE, "b.csv": TABLE.replace(b"0.", b"0.9"), "c/trainer_state.json": STATE, "d": EVENTS}
    )
    first, second = (reading.read([tmp_path]) for _ in range(2))
    ids = [run.id for run in first.runs]
    assert ids == [run.id for run in second.runs]
    assert len(set(ids)) == len(ids) == 6
    uploads = [reading.read_bytes("a.csv", TABLE, key).runs[0].id for key in ("one", "one", "other")]
    assert uploads[0] == uploads[1] != uploads[2]


def test_a_source_that_is_named_twice_is_read_once(tmp_path):
    seeds = b"Name,State,seed,eval/loss\na,finished,1,0.51\na,finished,2,0.52\n"
    path = write(tmp_path, **{"a.csv": seeds}) / "a.csv"
    assert len(reading.read([path, path]).runs) == 2


def test_a_correction_is_reported_once_and_only_if_no_file_has_the_name(tmp_path):
    write(tmp_path, **{"a.csv": TABLE, "b.csv": BY_HAND, "c/events.out": EVENTS, "d/trainer_state.json": STATE})
    told = Corrections(
        frozenset({"beta", "eval/runtime"}), frozenset({"eval/los"}), {"train/epoch": "e", "zzz": "eval/loss"}
    )
    notes = [note for note in reading.read([tmp_path], told).notes if "no column or metric" in note]
    assert notes == [
        'There is no column or metric "eval/los". Did you mean "eval/loss" or "eval_loss"?',
        'There is no column or metric "zzz".',
    ]
    (note,) = [note for note in reading.read_bytes("a.csv", TABLE, "k", told).notes if '"zzz"' in note]
    assert note == notes[1]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (TABLE, "eval/runtime"), (PANEL, "eval/loss"), (EVENTS, "train/loss"), (STATE, "eval_loss"),
        (LINES, "eval_loss"), (BY_HAND, "beta"), (SCALARS, "x"),
    ],
)  # fmt: skip
def test_every_reader_tells_the_names_that_a_correction_may_use(content, name):
    assert name in reading.read_bytes("x.csv", content, "k").named


def test_a_readers_own_fault_and_a_lack_of_memory_take_nothing_else_down(tmp_path, monkeypatch, caplog):
    write(tmp_path, **{"a.csv": TABLE, "b.csv": BY_HAND})
    for fault, said in (
        (RuntimeError("x"), "b.csv cannot be read (RuntimeError)."),
        (MemoryError(), "b.csv needs more"),
    ):

        def fail(*_: object, fault: Exception = fault) -> Imported:
            raise fault

        monkeypatch.setitem(reading._ONE_BY_ONE, "table", fail)
        with caplog.at_level("DEBUG"):
            found = reading.read([tmp_path])
        assert names(found) == ["swift-1", "slow-2"]
        assert any(said in note for note in found.notes)
    assert "Traceback" in caplog.text
    assert {record.levelname for record in caplog.records} == {"DEBUG"}, "a terminal shows WARNING and above"


@pytest.mark.parametrize("place", ["kind", "_calls"])
def test_a_fault_before_any_reader_takes_nothing_else_down(tmp_path, monkeypatch, place):
    write(tmp_path, **{"a.csv": TABLE, "b.csv": BY_HAND})
    known = getattr(reading, place)

    def fail(first: object, *more: object) -> object:
        if "b.csv" in str(first):
            raise KeyError("x")
        return known(first, *more)

    monkeypatch.setattr(reading, place, fail)
    found = reading.read([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert names(found) == ["swift-1", "slow-2"]
    assert any("b.csv cannot be read (KeyError)." in note for note in found.notes)


def test_names_that_are_no_text_and_control_characters_come_out_printable(tmp_path):
    folder = os.fsencode(tmp_path)
    for name in (b"bad\xff\xfe.csv", b"new\nline\x1b[31m.csv"):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(TABLE.replace(b"swift-1", b"run-" + name[:3]))
    found = reading.read([tmp_path])
    texts = [text for run in found.runs for text in (run.source, run.id)] + list(found.notes)
    assert len(found.runs) >= 3
    assert all(text.isprintable() for text in texts)
    assert all(text.encode() for text in texts)


_PARTS = [TABLE, PANEL, SCALARS, STATE, LINES, BY_HAND, EVENTS, b":W&B", b"PK\x03\x04", b"\x1f\x8b", b"\0", b"\xff\xfe"]


@given(st.data())
def test_any_mixture_of_pieces_is_read_or_refused_in_one_line(data):
    draw = random.Random(data.draw(st.integers(0, 2**32)))
    content = b"".join(
        part[: draw.randrange(len(part) + 1)] for part in draw.choices(_PARTS[:7] + _PARTS[8:], k=draw.randrange(1, 4))
    )
    name = draw.choice(["x.csv", "x.md", "x.json", "x", "x.zip"])
    try:
        found = reading.read_bytes(name, content, "k")
    except SourceError as problem:
        assert "\n" not in str(problem)
    else:
        assert len({run.id for run in found.runs}) == len(found.runs) > 0
        assert found.histories.keys() <= {run.id for run in found.runs}


def test_every_real_log_is_read_and_data_is_not(shared_data):
    """Of the 5 runs tables and charts 4 belong to training; the T5 run and three of four GPT-2 starts have scalars."""
    found = reading.read([shared_data])
    sources = {run.name for run in found.runs}
    assert {"t5_small_DPO_ds302", "recovery_beta_0.05", "recovery_beta_0.1", "recovery_beta_0.5"} <= sources
    assert not any(name in run.source for run in found.runs for name in ("preference_data", "sweeps"))
    assert not any("Traceback" in note or "Error)" in note for note in found.notes)


def test_a_table_with_a_column_name_that_w_and_b_did_not_write_is_one_kept_by_hand():
    found = reading.read_bytes("x.csv", b"Name,beta,accuracy (640 pairs),loss\na,0.1,82.9%,0.5\n", "k")
    assert found.runs[0].metrics == {"eval/rewards/accuracies": 0.829, "eval/loss": 0.5}
    assert found.runs[0].n_eval == 640


@pytest.mark.parametrize(
    ("log", "why"),
    [
        ([], "it was saved before the first log"),
        ([{"step": 1, "loss": "x"}], "of its 1 entries none has step"),
    ],
)
def test_a_state_without_a_value_says_why(log, why):
    content = json.dumps({"log_history": log, "global_step": 1, "max_steps": 1, "epoch": 1.0}).encode()
    with pytest.raises(SourceError, match=why):
        reading.read_bytes("trainer_state.json", content, "k")
