"""One record of a TensorBoard event file: where its numbers and texts lie, and its checksum."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

LONGEST = 1024
"""Bytes of a record that may hold scalars; longer ones hold texts, histograms or pictures."""

Bits = tuple[tuple[int, int], ...]
"""Bytes of a record, by offset (below 0: before its end), and which of their bits are meant: a mask."""

_CASTAGNOLI = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT, _DOUBLE = 1, 2


@dataclass(frozen=True)
class Number:
    """A scalar of a record: its tag, its place before the record's end (below 0), its type (`<f4` or `<f8`)."""

    tag: str
    place: int
    dtype: str


@dataclass(frozen=True)
class Layout:
    """Where a record keeps what changes from one to the next: seconds since 1970, optimizer step, scalars, texts.

    `wall` is the offset of a double, None where none is written: protobuf leaves out zeros. `step` is that of a varint
    of `step_bytes` bytes, 0 where it is left out; `texts` are tag, first byte and byte after the last; `keys` the
    offsets at which the event's fields begin.
    """

    wall: int | None
    step: int
    step_bytes: int
    numbers: tuple[Number, ...]
    texts: tuple[tuple[str, int, int], ...]
    keys: tuple[int, ...]

    @cached_property
    def changing(self) -> Bits:
        """The bits that differ between records of one writer, all else being the same (its tag, if of one length)."""
        wall = [] if self.wall is None else [(self.wall + byte, 0xFF) for byte in range(8)]
        step = [(self.step + byte, 0x7F) for byte in range(self.step_bytes)]
        sizes = [(number.place, np.dtype(number.dtype).itemsize) for number in self.numbers]
        return (*wall, *step, *((place + byte, 0xFF) for place, size in sizes for byte in range(size)))

    @cached_property
    def fixed(self) -> Bits:
        """Bits that tell records with this layout from others: the keys of the fields, and how far the step goes."""
        step = [(self.step + byte, 0x80) for byte in range(self.step_bytes)]
        places = (*self.keys, *(number.place - 1 for number in self.numbers))
        return (*((place, 0xFF) for place in places), *step)

    @property
    def reach(self) -> int:
        """Bytes that a record has at least if it has this layout."""
        return max(max(offset + 1, -offset) for offset, _ in (*self.changing, *self.fixed))


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (_CASTAGNOLI if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `data`."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """A checksum as event files store it: rotated right by 15 bits, plus a constant (TensorFlow's record format)."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def unmasked(stored: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The checksums whose `masked` form is stored."""
    rotated = stored - np.uint32(_MASK_DELTA)
    return (rotated >> np.uint32(17)) | (rotated << np.uint32(15))


@cache
def crc_of_bytes() -> NDArray[np.uint32]:
    """What a byte adds (by exclusive or) to a CRC: shape (LONGEST, 256), by its distance from the end and its value.

    A CRC is linear over GF(2): two messages of one length that differ in some bytes have checksums that differ by
    the sum of what the differences of these bytes add.
    """
    tables = np.empty((LONGEST, 256), np.uint32)
    tables[0] = _TABLE
    for distance in range(1, LONGEST):
        before = tables[distance - 1]
        tables[distance] = (before >> np.uint32(8)) ^ tables[0][before & np.uint32(0xFF)]
    return tables


def layout(record: bytes) -> Layout:
    """Where the fields of an Event lie (tensorboard/compat/proto: event, summary, tensor). Raises ValueError if none.

    Scalars are `simple_value` or a tensor of one float or double; texts are tensors of one string.
    """
    wall = step = None
    numbers: list[Number] = []
    texts: list[tuple[str, int, int]] = []
    keys = [0]
    for field, wire, start, stop in _fields(record, 0, len(record)):
        keys.append(stop)
        if (field, wire) == (1, _FIXED64):
            wall = start
        elif (field, wire) == (2, _VARINT):
            step = (start, stop - start)
        elif (field, wire) == (5, _BYTES):
            for inner, inner_wire, first, last in _fields(record, start, stop):
                if (inner, inner_wire) == (1, _BYTES):
                    _add_value(record, first, last, numbers, texts)
    return Layout(wall, *(step or (0, 0)), tuple(numbers), tuple(texts), tuple(keys[:-1]))


def _add_value(record: bytes, start: int, stop: int, numbers: list[Number], texts: list[tuple[str, int, int]]) -> None:
    tag = ""
    number: tuple[int, str] | None = None
    text: tuple[int, int] | None = None
    for field, wire, first, last in _fields(record, start, stop):
        if (field, wire) == (1, _BYTES):
            tag = record[first:last].decode(errors="replace")
        elif (field, wire) == (2, _FIXED32):
            number = (first, "<f4")
        elif (field, wire) == (8, _BYTES):
            number, text = _tensor(record, first, last)
    if number:
        numbers.append(Number(tag, number[0] - len(record), number[1]))
    if text:
        texts.append((tag, *text))


def _tensor(record: bytes, start: int, stop: int) -> tuple[tuple[int, str] | None, tuple[int, int] | None]:
    """The place and type of a tensor's one number, or the place of its one text; neither if it holds more or others."""
    kind, places = 0, []
    for field, wire, first, last in _fields(record, start, stop):
        if (field, wire) == (1, _VARINT):
            kind = record[first]
        elif field in (4, 5, 6, 8):
            places.append((field, first, last))
    if len(places) != 1:
        return None, None
    ((field, first, last),) = places
    if field == 8:
        return None, (first, last)
    dtype, size = {_FLOAT: ("<f4", 4), _DOUBLE: ("<f8", 8)}.get(kind, ("", 0))
    belongs = field == 4 or (field, kind) in ((5, _FLOAT), (6, _DOUBLE))
    return ((first, dtype) if belongs and last - first == size > 0 else None), None


def _fields(data: bytes, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, first byte and byte after the last of each field of a protobuf message."""
    while position < end:
        key, start = _varint(data, position, end)
        wire = key & 7
        if wire == _VARINT:
            _, position = _varint(data, start, end)
        elif wire == _BYTES:
            length, start = _varint(data, start, end)
            position = start + length
        elif wire in (_FIXED64, _FIXED32):
            position = start + (8 if wire == _FIXED64 else 4)
        else:
            raise ValueError("a wire type that is not used")
        if position > end:
            raise ValueError("a field longer than its message")
        yield key >> 3, wire, start, position


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A whole number of 7 bits per byte, and the position after it."""
    value = shift = 0
    for place in range(position, min(end, position + 10)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
    raise ValueError("a number without its end")
