"""Scalars and texts of a TensorBoard event file, whole columns at a time."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboard.sources.curves import Column, joined
from dashboard.sources.event_frames import Rows, frames
from dashboard.sources.event_record import LONGEST, Layout, crc32c, crc_of_bytes, layout, masked, unmasked

ARGUMENTS, MODEL = "args/text_summary", "model_config/text_summary"

_FOOTER = 4
_MOST_PASSES = 12
_MOST_LAYOUTS = 20_000


@dataclass(frozen=True)
class Events:
    """What an event file holds. `started` is the time of its first record, in seconds since 1970.

    `damaged` counts records that were passed over: their checksum is wrong, they are no events, or the file has too
    many kinds of them. `unread` are the bytes after the last whole record: more than none in a file that was cut.
    """

    scalars: Mapping[str, Column]
    texts: Mapping[str, str]
    started: float | None
    damaged: int
    unread: int


def decode(content: bytes) -> Events:
    """Every scalar (`simple_value`, or a tensor of one float or double) and the two texts of Transformers.

    The data's checksum is verified for every record that holds a scalar; longer records hold texts, whose JSON shows by
    itself whether it is whole. Raises SourceError if the file has too many records.
    """
    starts, lengths, end = frames(content)
    reader = _Reader(content)
    short = lengths <= LONGEST
    reader.add_long(starts[~short], lengths[~short])
    reader.add(starts[short], lengths[short])
    scalars = {tag: joined(parts) for tag, parts in reader.found.items()}
    return Events(scalars, reader.texts, _started(content, starts, lengths), reader.damaged, len(content) - end)


def _started(content: bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> float | None:
    """The time of the first record."""
    if not len(starts) or lengths[0] > LONGEST:
        return None
    record = content[starts[0] : starts[0] + lengths[0]]
    try:
        wall = layout(record).wall
    except ValueError:
        return None
    return None if wall is None else float(np.frombuffer(record, "<f8", 1, wall)[0])


class _Reader:
    """Collects columns by tag. Records are given by their first bytes and their lengths, both of shape (records,)."""

    def __init__(self, content: bytes) -> None:
        self.found: dict[str, list[Column]] = defaultdict(list)
        self.texts: dict[str, str] = {}
        self.damaged = 0
        self._content = content
        self._data = np.frombuffer(content, np.uint8)
        self._layouts = 0

    def add_long(self, rows: Rows, lengths: Rows) -> None:
        """Reads the texts of records that are too long for scalars."""
        for row, length in zip(rows.tolist(), lengths.tolist(), strict=True):
            record = self._content[row : row + length]
            if any(tag.encode() in record[:LONGEST] for tag in (ARGUMENTS, MODEL)):
                try:
                    self._add_texts(row, layout(record))
                except ValueError:
                    self.damaged += 1

    def add(self, rows: Rows, lengths: Rows) -> None:
        """Reads records of at most LONGEST bytes: all with the layout of the first at once, then those of the next."""
        passes = 0
        while len(rows) and self._layouts < _MOST_LAYOUTS:
            place = self._layout(int(rows[0]), int(lengths[0]))
            if place is None or not place.numbers or passes == _MOST_PASSES:
                self._add_one(rows[:1], lengths[:1], place)
                rows, lengths = rows[1:], lengths[1:]
            else:
                left = self._add_alike(rows, lengths, place)
                rows, lengths = rows[left], lengths[left]
                passes += 1
        self.damaged += len(rows)

    def _layout(self, row: int, length: int) -> Layout | None:
        """The layout of the record at `row`; None if its checksum is wrong or it is no event."""
        self._layouts += 1
        record = self._content[row : row + length]
        stored = int.from_bytes(self._content[row + length : row + length + _FOOTER], "little")
        try:
            return layout(record) if masked(crc32c(record)) == stored else None
        except ValueError:
            return None

    def _add_texts(self, row: int, place: Layout) -> None:
        for tag, start, stop in place.texts:
            if tag in (ARGUMENTS, MODEL):
                self.texts[tag] = self._content[row + start : row + stop].decode(errors="replace")

    def _add_one(self, row: Rows, length: Rows, place: Layout | None) -> None:
        if place is None:
            self.damaged += 1
            return
        self._add_texts(int(row[0]), place)
        for number, column in zip(place.numbers, self._columns(row, row + length, place), strict=True):
            self.found[number.tag].append(column)

    def _add_alike(self, rows: Rows, lengths: Rows, place: Layout) -> NDArray[np.bool_]:
        """Adds the records with the layout `place`, which is the first one's, under their tags; returns which are left.

        Records of one kind have one length and one structure: the checksum without what the changing bits add. So one
        record of a kind shows the tag of all, and a record in which a number is wrong has a structure of its own:
        large kinds come first, and the first that turns out to be none ends the pass.
        """
        alike = np.flatnonzero(lengths >= place.reach)
        near, sizes = rows[alike], lengths[alike]
        for offset, bits in place.fixed:
            byte = self._bytes(near, sizes, offset) & np.uint8(bits)
            same = byte == byte[0]
            if not same.all():
                alike, near, sizes = alike[same], near[same], sizes[same]
        kinds = self._structures(near, sizes, place) << np.uint64(16) | sizes.astype(np.uint64)
        order = np.argsort(kinds, kind="stable")
        alike, near, sizes, kinds = alike[order], near[order], sizes[order], kinds[order]
        columns = self._columns(near, near + sizes, place)
        left = np.ones(len(rows), np.bool_)
        bounds = np.flatnonzero(np.concatenate([[True], kinds[1:] != kinds[:-1], [True]]))
        for kind in np.argsort(-np.diff(bounds), kind="stable").tolist():
            start, stop = int(bounds[kind]), int(bounds[kind + 1])
            here = self._layout(int(near[start]), int(sizes[start]))
            if here is None or here.changing != place.changing:
                break
            for number, column in zip(here.numbers, columns, strict=True):
                self.found[number.tag].append(column.part(start, stop))
            left[alike[start:stop]] = False
        return left

    def _bytes(self, rows: Rows, lengths: Rows, offset: int) -> NDArray[np.uint8]:
        """One byte of each record."""
        return self._data[rows + offset] if offset >= 0 else self._data[rows + lengths + offset]

    def _structures(self, rows: Rows, lengths: Rows, place: Layout) -> NDArray[np.uint64]:
        """The checksum of each record as it would be with its changing bits at zero: shape (records,)."""
        structures = unmasked(self._numbers(rows + lengths, "<u4"))
        tables = crc_of_bytes().ravel()
        for offset, bits in place.changing:
            byte = self._bytes(rows, lengths, offset) & np.uint8(bits)
            distance = lengths - (1 + offset) if offset >= 0 else np.int64(-1 - offset)
            structures ^= tables[(distance << 8) + byte]
        return structures.astype(np.uint64)

    def _numbers(self, places: Rows, dtype: str) -> NDArray[Any]:
        """The numbers that begin at these bytes: a view of the file in which every byte begins one, looked up."""
        count = len(self._data) - np.dtype(dtype).itemsize + 1
        return np.asarray(np.ndarray((count,), dtype, self._data, 0, (1,))[places])

    def _columns(self, rows: Rows, ends: Rows, place: Layout) -> list[Column]:
        """One column per number of the layout."""
        steps = np.zeros(len(rows), np.uint64)
        for byte in range(place.step_bytes):
            bits = (self._data[rows + (place.step + byte)] & np.uint8(0x7F)).astype(np.uint64)
            steps |= bits << np.uint64(7 * byte)
        times = np.zeros(len(rows)) if place.wall is None else self._numbers(rows + place.wall, "<f8")
        return [
            Column(steps.view(np.int64), times, self._numbers(ends + number.place, number.dtype).astype(np.float64))
            for number in place.numbers
        ]
