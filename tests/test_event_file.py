"""TensorBoard's files are read as TensorBoard reads them, whole or cut, and no bytes can do harm."""

import struct
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING

from dashboard.sources import event_frames
from dashboard.sources.event_file import ARGUMENTS, decode
from dashboard.sources.event_frames import is_event_file
from dashboard.sources.event_record import LONGEST, crc32c, crc_of_bytes, masked
from dashboard.sources.imported import SourceError

ROW = tuple[str, int, float, float]


def framed(data: bytes) -> bytes:
    """The record of an event file: length, its checksum, data, their checksum."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(crc32c(length))) + data + struct.pack("<I", masked(crc32c(data)))


def scalar(tag: str, step: int, wall: float, value: float) -> bytes:
    return Event(
        wall_time=wall, step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)])
    ).SerializeToString()


def tensor(tag: str, step: int, wall: float, content: TensorProto) -> bytes:
    return Event(
        wall_time=wall, step=step, summary=Summary(value=[Summary.Value(tag=tag, tensor=content)])
    ).SerializeToString()


def head() -> bytes:
    return framed(Event(wall_time=5.0, file_version="brain.Event:2").SerializeToString())


def file_of(rows: list[ROW]) -> bytes:
    return head() + b"".join(framed(scalar(*row)) for row in rows)


def points(content: bytes) -> dict[str, list[tuple[int, float, float]]]:
    return {
        tag: list(zip(column.steps.tolist(), column.times.tolist(), column.values.tolist(), strict=True))
        for tag, column in decode(content).scalars.items()
    }


def accumulated(folder) -> dict[str, list[tuple[int, float, float]]]:
    theirs = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    return {
        tag: [(event.step, event.wall_time, event.value) for event in theirs.Scalars(tag)]
        for tag in theirs.Tags()["scalars"]
    }


def logged(steps: int = 300) -> list[ROW]:
    """Two tags of one length, one longer; an evaluation of three tags now and then; steps of one to three bytes."""
    rows = []
    for number in range(steps):
        step = number * 61
        tags = ["train/loss", "train/lass", "train/rewards/chosen"]
        tags += ["eval/loss", "eval/runtime", "eval/rewards/chosen"] * (number % 50 == 0)
        rows += [(tag, step, 1e9 + number + 0.01 * place, (number * 7 % 13) / 8) for place, tag in enumerate(tags)]
    return rows


def test_the_checksum_is_that_of_rfc_3720():
    """Appendix B.4: 32 bytes of zeros have the CRC 8a9136aa, 32 bytes of ones 62a8ab43; "123456789" e3069283."""
    assert (crc32c(bytes(32)), crc32c(b"\xff" * 32)) == (0x8A9136AA, 0x62A8AB43)
    assert crc32c(b"123456789") == 0xE3069283


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_changed_byte_changes_the_checksum_by_what_its_table_says(content, data):
    place = data.draw(st.integers(0, len(content) - 1))
    value = data.draw(st.integers(0, 255))
    changed = content[:place] + bytes([value]) + content[place + 1 :]
    table = crc_of_bytes()[len(content) - 1 - place]
    assert crc32c(changed) == crc32c(content) ^ int(table[content[place] ^ value])


def test_every_scalar_is_what_tensorboard_reads(tmp_path):
    rows = logged()
    (tmp_path / "events.out.tfevents.1").write_bytes(file_of(rows))
    assert points(file_of(rows)) == accumulated(tmp_path)
    assert sum(map(len, points(file_of(rows)).values())) == len(rows)


def test_what_torch_writes_is_read_in_every_form(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(200):
            writer.add_scalar("simple", step / 3, step)
            writer.add_scalar("tensor", step / 7, step, new_style=True)
            writer.add_scalar("double", step / 9, step, new_style=True, double_precision=True)
        writer.add_histogram("histogram", np.arange(100.0), 3)
        writer.add_text("args", '{"beta": 0.1}')
    (file,) = tmp_path.iterdir()
    found = decode(file.read_bytes())
    theirs = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    assert points(file.read_bytes())["simple"] == accumulated(tmp_path)["simple"]
    for tag, kind in (("tensor", np.float32), ("double", np.float64)):
        assert (
            found.scalars[tag].values.tolist()
            == (np.arange(200) / {"tensor": 7, "double": 9}[tag]).astype(kind).tolist()
        )
        assert found.scalars[tag].steps.tolist() == [event.step for event in theirs.Tensors(tag)]
    assert found.texts == {ARGUMENTS: '{"beta": 0.1}'}
    assert (set(found.scalars), found.damaged, found.unread) == ({"simple", "tensor", "double"}, 0, 0)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (TensorProto(dtype=DT_FLOAT, tensor_content=struct.pack("<f", 0.25)), 0.25),
        (TensorProto(dtype=DT_DOUBLE, tensor_content=struct.pack("<d", 0.1)), 0.1),
        (TensorProto(dtype=DT_FLOAT, float_val=[0.5]), 0.5),
        (TensorProto(dtype=DT_DOUBLE, double_val=[0.2]), 0.2),
    ],
)
def test_a_tensor_of_one_number_is_a_scalar(content, value):
    assert points(head() + framed(tensor("a", 3, 1.0, content))) == {"a": [(3, 1.0, value)]}


@pytest.mark.parametrize(
    "content",
    [
        TensorProto(dtype=DT_FLOAT, float_val=[0.5, 0.6]),
        TensorProto(dtype=DT_FLOAT, tensor_content=bytes(8)),
        TensorProto(dtype=DT_FLOAT),
        TensorProto(dtype=DT_STRING, string_val=[b"a"]),
    ],
)
def test_a_tensor_of_more_or_less_is_none(content):
    assert points(head() + framed(tensor("a", 3, 1.0, content))) == {}


def test_an_event_with_several_values_gives_all_of_them():
    values = [Summary.Value(tag=tag, simple_value=number) for number, tag in enumerate("abc")]
    events = [Event(wall_time=step, step=step, summary=Summary(value=values)) for step in range(3)]
    found = points(head() + b"".join(framed(event.SerializeToString()) for event in events))
    assert found == {tag: [(s, s, number) for s in range(3)] for number, tag in enumerate("abc")}


def test_of_a_repeated_step_the_later_time_counts():
    rows = [("a", 1, 10.0, 0.5), ("a", 2, 30.0, 1.0), ("a", 2, 20.0, 2.0), ("a", 1, 40.0, 3.0)]
    assert points(file_of(rows)) == {"a": [(1, 40.0, 3.0), (2, 30.0, 1.0)]}


def test_nan_and_infinity_are_kept():
    found = points(file_of([("a", step, 1.0, value) for step, value in enumerate([np.nan, np.inf, -np.inf])]))
    assert np.isnan(found["a"][0][2])
    assert [value for *_, value in found["a"][1:]] == [np.inf, -np.inf]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "longer/tag", "train/loss", "ä" * 70]),
            st.integers(-(2**63), 2**63 - 1) | st.integers(0, 300),
            st.floats(0, 2e9),
            st.floats(width=32, allow_nan=False),
        ),
        max_size=40,
    )
)
def test_any_scalars_come_back(rows):
    expected: dict[str, dict[int, tuple[float, float]]] = {}
    for tag, step, wall, value in rows:
        known = expected.setdefault(tag, {}).get(step)
        if known is None or wall > known[0]:
            expected[tag][step] = (wall, value)
    found = {tag: {step: time for step, time, _ in column} for tag, column in points(file_of(rows)).items()}
    assert found == {tag: {step: wall for step, (wall, _) in by.items()} for tag, by in expected.items()}
    assert decode(file_of(rows)).damaged == 0


WHOLE = file_of(logged(20)[:30])


@given(st.integers(0, len(WHOLE)))
@settings(max_examples=300)
def test_a_file_cut_anywhere_yields_what_is_whole(cut):
    whole, ends = file_of([]), [0, len(file_of([]))]
    for row in logged(20)[:30]:
        whole += framed(scalar(*row))
        ends.append(len(whole))
    found = decode(WHOLE[:cut])
    kept = max(end for end in ends if end <= cut)
    records = ends.index(kept)
    assert (sum(len(column.steps) for column in found.scalars.values()), found.unread) == (
        max(0, records - 1),
        cut - kept,
    )


@given(st.integers(len(head()) + 12, len(WHOLE) - 1), st.integers(1, 255))
@settings(max_examples=300)
def test_a_changed_byte_never_changes_a_number_that_is_kept(place, change):
    """What is still read is what was written, or the byte is one of a tag or a length and stands in no number."""
    content = bytearray(WHOLE)
    content[place] ^= change
    good = {(tag, *point) for tag, column in points(WHOLE).items() for point in column}
    found = {(tag, *point) for tag, column in points(bytes(content)).items() for point in column}
    assert found <= good
    assert len(good) - len(found) <= 1 or decode(bytes(content)).unread


@given(st.binary(max_size=400))
def test_noise_survives(noise):
    decode(noise)
    decode(head() + noise)
    decode(head() + framed(noise))
    is_event_file(noise)


def test_a_lying_length_costs_nothing():
    length = struct.pack("<Q", 2**60)
    lie = length + struct.pack("<I", masked(crc32c(length))) + bytes(100)
    found = decode(file_of(logged(5)) + lie)
    assert (len(found.scalars["train/loss"].steps), found.unread) == (5, len(lie))


def test_a_header_inside_a_record_is_not_taken_for_one():
    inner = framed(scalar("inner", 1, 1.0, 1.0))
    hidden = Event(wall_time=1.0, step=1, graph_def=inner).SerializeToString()
    content = file_of([("a", 1, 1.0, 0.5)]) + framed(hidden) + framed(scalar("a", 2, 2.0, 0.25))
    assert points(content) == {"a": [(1, 1.0, 0.5), (2, 2.0, 0.25)]}


def test_a_long_record_between_scalars_is_passed_over():
    picture = Event(wall_time=1.0, graph_def=bytes(5 * LONGEST)).SerializeToString()
    content = file_of([("a", 1, 1.0, 0.5)]) + framed(picture) + framed(scalar("a", 2, 2.0, 0.25))
    assert [step for step, *_ in points(content)["a"]] == [1, 2]


def test_a_damaged_record_is_counted_and_the_next_ones_are_read():
    content = bytearray(file_of([("a", step, 1.0, 0.5) for step in range(1, 6)]))
    content[-8] ^= 1  # in the last record's value
    found = decode(bytes(content))
    assert (found.scalars["a"].steps.tolist(), found.damaged) == ([1, 2, 3, 4], 1)


@pytest.mark.parametrize("kinds", [1, 3_000])
def test_many_records_of_many_kinds_take_seconds_at_most(kinds):
    rows = [(f"layer.{number % kinds:06}", number, 1.0, 0.5) for number in range(30_000)]
    content = file_of(rows)
    start = time.process_time()
    found = decode(content)
    assert time.process_time() - start < 5
    assert sum(len(column.steps) for column in found.scalars.values()) + found.damaged == 30_000
    assert len(found.scalars) == kinds


def test_a_file_of_zeros_ends_at_once():
    assert decode(bytes(2**24)).unread == 2**24


def test_event_files_are_known_by_their_first_bytes(tmp_path):
    assert is_event_file(WHOLE[:12])
    assert not is_event_file(WHOLE[:11])
    assert not is_event_file(b"step,value\n1,2\n3,4")
    assert not is_event_file(bytes(100))


def test_more_records_than_any_log_has_are_refused(monkeypatch):
    content = file_of([("train/loss", step, 1.0, 0.5) for step in range(20)])
    monkeypatch.setattr(event_frames, "MOST_RECORDS", 20)
    with pytest.raises(SourceError, match="more than 20 records"):
        decode(content)


@pytest.mark.parametrize("block", [32, 57, 100, 1000])
def test_blocks_of_any_size_give_the_same_records(monkeypatch, block):
    """Records of 40 to 70 bytes, a long one and what looks like a header among them, cut at every place."""
    rows = [(f"tag/{'x' * (step % 30)}", step, 1.0 + step, 0.5) for step in range(40)]
    content = file_of(rows[:20]) + framed(framed(b"a") * (LONGEST // 17 + 1)) + file_of(rows[20:])
    whole = [part.tolist() for part in event_frames.frames(content)[:2]]
    monkeypatch.setattr(event_frames, "_BLOCK", block)
    assert [part.tolist() for part in event_frames.frames(content)[:2]] == whole
    assert len(whole[0]) == 43


def test_what_lies_behind_the_end_of_the_chain_is_not_looked_at(monkeypatch):
    looked = []
    real = event_frames._short_records
    monkeypatch.setattr(event_frames, "_BLOCK", 1024)
    monkeypatch.setattr(event_frames, "_short_records", lambda content, at: (looked.append(at), real(content, at))[1])
    event_frames.frames(file_of([]) + bytes(10 * 1024))
    assert len(looked) == 2
