"""Where the records of a TensorBoard event file are: TensorFlow's record format, found for many records at once."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from dashboard.sources.event_record import LONGEST, crc32c, crc_of_bytes, masked
from dashboard.sources.imported import SourceError

Rows = NDArray[np.int64]
"""Where records begin: positions of their first bytes in the file."""

MOST_RECORDS = 4_000_000
"""Records of one file: 220 MB of scalars."""

_HEADER, _FOOTER = 12, 4
_BLOCK = 2**20


def is_event_file(head: bytes) -> bool:
    """Whether the first bytes of a file are the header of an event file's first record, its checksum included."""
    return len(head) >= _HEADER and _length(head[:_HEADER]) is not None


def _length(header: bytes) -> int | None:
    """The length that a record's header states, if its checksum is right."""
    stated = int.from_bytes(header[8:], "little")
    return int.from_bytes(header[:8], "little") if masked(crc32c(header[:8])) == stated else None


def frames(content: bytes) -> tuple[Rows, Rows, int]:
    """Where the data of each whole record start, their lengths, and the end of the last one.

    A record is its length, that length's masked CRC-32C, data, their masked CRC-32C. The chain of records ends at the
    first length whose checksum is wrong or that leads past the end; what lies behind is not looked at.
    Raises SourceError at more than MOST_RECORDS.
    """
    position, count = 0, 0
    heads, tails = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    while position + _HEADER + _FOOTER <= len(content):
        places, ends = _block(content, position)
        if not len(places):
            break
        heads.append(places)
        tails.append(ends)
        position, count = int(ends[-1]), count + len(places)
        if count > MOST_RECORDS:
            raise SourceError(f"The event file has more than {MOST_RECORDS:,} records, the limit.")
    starts = np.concatenate(heads) + _HEADER
    return starts, np.concatenate(tails) - starts - _FOOTER, position


def _block(content: bytes, begin: int) -> tuple[Rows, Rows]:
    """Places and ends of the whole records that follow each other from `begin` on, about as far as _BLOCK.

    Where the headers of short records are is found for the whole block at once, so only what breaks their chain (a long
    record, bytes that look like a header) is looked at one by one.
    """
    places, ends = _short_records(content, begin)
    breaks = np.flatnonzero(np.append(places[1:] != ends[:-1], True)) if len(places) else places
    heads, tails, position = [places[:0]], [ends[:0]], begin
    while position < min(begin + _BLOCK, len(content) - _HEADER - _FOOTER + 1):
        first = int(np.searchsorted(places, position))
        if first < len(places) and places[first] == position:
            last = int(breaks[np.searchsorted(breaks, first)]) + 1
            chain, following = places[first:last], ends[first:last]
        else:
            length = _length(content[position : position + _HEADER])
            if length is None or length > len(content):
                break
            chain = np.array([position])
            following = chain + (length + _HEADER + _FOOTER)
        whole = int(np.searchsorted(following, len(content), side="right"))
        heads.append(chain[:whole])
        tails.append(following[:whole])
        if whole < len(chain):
            break
        position = int(following[-1])
    return np.concatenate(heads), np.concatenate(tails)


def _short_records(content: bytes, begin: int) -> tuple[Rows, Rows]:
    """The places in one block with the header, checksum included, of a record of at most LONGEST bytes; its ends."""
    count = min(_BLOCK, len(content) - _HEADER - _FOOTER + 1 - begin)
    lengths = np.ndarray((count,), "<u8", content, begin, (1,))
    places = np.flatnonzero(lengths <= LONGEST)
    stated = np.ndarray((count,), "<u4", content, begin + 8, (1,))[places]
    places = places[_crcs_of_lengths()[lengths[places]] == stated]
    return places + begin, places + begin + (lengths[places].astype(np.int64) + (_HEADER + _FOOTER))


@cache
def _crcs_of_lengths() -> NDArray[np.uint32]:
    """The masked checksum of each length up to LONGEST."""
    lengths, tables = np.arange(LONGEST + 1), crc_of_bytes()
    crcs = tables[7][lengths & 0xFF] ^ tables[6][lengths >> 8] ^ np.uint32(crc32c(bytes(8)))
    return np.array([masked(crc) for crc in crcs.tolist()], np.uint32)
