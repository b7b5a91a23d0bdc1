"""What is in a .zip or .gz archive, unpacked in memory and never further than is reasonable."""

import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection
from functools import partial
from pathlib import PurePosixPath
from typing import IO, NamedTuple

from dashboard.sources.imported import SourceError
from training.record import schema

UNPACKED = 512 * 2**20
"""Bytes that an archive's files may have together once unpacked; model weights are not counted, nor ever unpacked."""

DIRECTORY = 2 * 2**20
"""Bytes of a .zip file's list of files: some 15,000 names. Python makes an object of each, so it is bounded first."""

MOST_RATIO = 200
"""Times that a file may grow as it is unpacked beyond 32 MB: logs reach 5 to 50, nothing but zeros 1,000."""

_FREE = 32 * 2**20
_CHUNK = 1 << 16
_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_OTHER_ARCHIVES = {
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\0": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
}
_DOCUMENTS = {
    "xl/workbook.xml": "an Excel workbook: save the sheet as CSV",
    "xl/workbook.bin": "an Excel workbook: save the sheet as CSV",
    "word/document.xml": "a Word document: save its table as CSV",
    "content.xml": "an OpenDocument file: save the sheet as CSV",
}
HEAD = 512
_WEIGHTS = re.compile(
    r".*\.(safetensors|bin|pt|pth|ckpt|gguf|ggml|onnx|h5|msgpack|npy|npz|pkl|pickle|distcp|arrow)", re.I | re.S
)
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, OverflowError)
_LESS = "pack only the logs"

Refused = dict[str, list[str]]
"""Why files are passed over -> their names."""

Open = Callable[[], IO[bytes]]


class Member(NamedTuple):
    """One file of an archive, with its path in the archive; `load` gives its first bytes or raises one of DAMAGE."""

    path: PurePosixPath
    size: int
    load: Callable[[int], bytes]


def members(
    path: PurePosixPath, size: int, head: bytes, reopen: Open, folder: PurePosixPath, largest: int
) -> tuple[list[Member], list[str]] | None:
    """The files in an archive that begins with `head`, put into `folder`, and notes; None if it is no archive.

    Only files of at most `largest` bytes count for UNPACKED: a larger one cannot be read anyway. Raises SourceError,
    one sentence, if it is an archive of another kind, damaged, too large, or no archive of logs at all.
    """
    if head.startswith(_ZIP):
        return _zip(path, reopen, folder, largest)
    member = None
    if head.startswith(_GZIP):
        path = path.with_suffix("") if path.suffix.lower() == ".gz" else path
        member = Member(path, size, partial(_gunzip, reopen, size))
        try:
            head = member.load(HEAD)
        except DAMAGE as error:
            raise SourceError(f"{path} is damaged ({error}): pack or download it again.") from error
    if words := _archive(head):
        raise SourceError(f"{path} is {words}: unpack it and give the folder, or pack it as .zip.")
    return ([member], []) if member else None


def _archive(head: bytes) -> str | None:
    """What kind of archive begins like this, in words."""
    if head.startswith((*_ZIP, _GZIP)):
        return "an archive in an archive"
    if head[257:262] == b"ustar":
        return "a tar archive"
    return next((words for magic, words in _OTHER_ARCHIVES.items() if head.startswith(magic)), None)


class _Bounded:
    """A .zip file as zipfile sees it, which would read and keep a list of files of any length."""

    def __init__(self, file: IO[bytes], path: PurePosixPath) -> None:
        self.seek, self.tell, self._file, self._path = file.seek, file.tell, file, path

    def read(self, count: int = -1) -> bytes:
        if count > DIRECTORY:
            limit = megabytes(DIRECTORY)
            raise SourceError(f"{self._path}: its list of files has {megabytes(count)}, the limit is {limit}: {_LESS}.")
        return self._file.read(count)


def _zip(path: PurePosixPath, reopen: Open, folder: PurePosixPath, largest: int) -> tuple[list[Member], list[str]]:
    """The members that may be logs. Names are only names: nothing is written, so `../` leads nowhere."""
    listed = _listed(path, reopen)
    if words := _document({info.filename for info in listed}):
        raise SourceError(f"{path} is {words}.")
    found: list[Member] = []
    refused: Refused = defaultdict(list)
    for info in listed:
        name = inside(info.filename)
        if name is None or _passed_over(name) or stat.S_ISLNK(info.external_attr >> 16):
            continue
        member = Member(folder / name, info.file_size, partial(_unzip, reopen, info))
        if why := _refusal(info, member):
            refused[why].append(str(member.path))
        else:
            found.append(member)
    if (size := sum(member.size for member in found if member.size <= largest)) > UNPACKED:
        raise SourceError(f"{path} unpacks to {megabytes(size)}, the limit is {megabytes(UNPACKED)}: {_LESS}.")
    return found, notes(refused)


def _listed(path: PurePosixPath, reopen: Open) -> list[zipfile.ZipInfo]:
    """The files in a .zip, of a name that is there twice the last. Raises SourceError if there is no list of them."""
    try:
        with reopen() as file:
            listed = zipfile.ZipFile(_Bounded(file, path)).infolist()
    except (*DAMAGE, OSError) as error:
        raise SourceError(f"{path} is a damaged .zip archive ({error}): pack or download it again.") from error
    return list({info.filename: info for info in listed if not info.filename.endswith("/")}.values())


def _document(names: Collection[str]) -> str | None:
    """What a .zip file really is, where it is something else under the cover."""
    if any(name.endswith("/data.pkl") and f"{name[:-8]}version" in names for name in names):
        return "a PyTorch checkpoint, which is never loaded: give the trainer_state.json beside it"
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive: save its columns as CSV"
    return next((words for name, words in _DOCUMENTS.items() if name in names), None)


def _refusal(info: zipfile.ZipInfo, member: Member) -> str | None:
    """Why a member of a .zip cannot be read."""
    if info.flag_bits & 1:
        return "encrypted: pack it without a password"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "packed by an unusual method: pack it by deflate, the usual one"
    try:
        words = _archive(member.load(HEAD))
    except (*DAMAGE, OSError):
        return "damaged in the archive"
    return f"{words}: unpack it first" if words else None


def _unzip(reopen: Open, info: zipfile.ZipInfo, count: int) -> bytes:
    """The first `count` bytes of a member. What the list says of its size is held to, as it could be a lie."""
    wanted = min(count, info.file_size)
    with reopen() as file:
        file.seek(info.header_offset)
        mark, name, extra = struct.unpack("<4s22xHH", file.read(30))
        file.seek(name + extra, os.SEEK_CUR)
        if info.compress_type == zipfile.ZIP_STORED:
            found = file.read(min(wanted, info.compress_size))
        else:
            found = _inflate(file, info.compress_size, min(count, info.file_size + 1), -zlib.MAX_WBITS)
    whole = len(found) == info.file_size
    if mark != _ZIP[0] or len(found) != wanted or (whole and zlib.crc32(found) != info.CRC):
        raise zipfile.BadZipFile("it is not what the archive's list says")
    return found


def _gunzip(reopen: Open, packed: int, count: int) -> bytes:
    with reopen() as file:
        return _inflate(file, packed, count, zlib.MAX_WBITS | 16)


def _inflate(file: IO[bytes], packed: int, count: int, wbits: int) -> bytes:
    """The first `count` bytes of a deflated stream of `packed` bytes, a megabyte at a time.

    Raises EOFError as soon as it has grown by more than MOST_RATIO, or if it ends too early or too late.
    """
    stream, found, left = zlib.decompressobj(wbits), io.BytesIO(), packed
    while found.tell() < count and not stream.eof:
        chunk = stream.unconsumed_tail or file.read(min(_CHUNK, left))
        if not chunk:
            raise EOFError("it is cut off")
        left -= 0 if stream.unconsumed_tail else len(chunk)
        found.write(stream.decompress(chunk, min(count - found.tell(), 1 << 20)))
        if found.tell() > max(_FREE, MOST_RATIO * (packed - left)):
            raise EOFError(f"it grows more than {MOST_RATIO} times as it is unpacked, which no log does")
    if wbits > zlib.MAX_WBITS and stream.eof and (stream.unused_data or file.read(1)).strip(b"\0"):
        raise EOFError("it has several parts or ends in something else")
    return found.getvalue()


def passed_over(name: str) -> bool:
    """Hidden files and folders (`.shared` too), what macOS adds to archives, and model weights: no log is there."""
    return name.startswith(".") or name == "__MACOSX" or _WEIGHTS.fullmatch(name) is not None


def _passed_over(path: PurePosixPath) -> bool:
    parts = path.parts[:-3] if is_shared(path) else path.parts
    return any(map(passed_over, parts))


def is_shared(path: PurePosixPath) -> bool:
    """Whether it is what runs of our own share: the evaluation pairs that scores of each pair refer to."""
    return path.name == schema.PAIRS and path.parts[-3:-2] == (schema.SHARED,)


def inside(name: str) -> PurePosixPath | None:
    """A name from outside as a path that cannot lead anywhere: no drive, no root, no `..`; None if nothing is left."""
    parts = [part for part in re.split(r"[\\/]+", shown(name)) if part not in ("", ".", "..") and part[1:] != ":"]
    return PurePosixPath(*(part[:200] for part in parts[-32:])) if parts else None


def shown(text: str) -> str:
    """A name that can be printed: control characters and bytes that are no text become the replacement character."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def notes(refused: Refused) -> list[str]:
    """One note per reason; of the files at most three are named."""
    more = {why: f" and {len(names) - 3:,} more" if len(names) > 3 else "" for why, names in refused.items()}
    return [f"{', '.join(name[:80] for name in names[:3])}{more[why]}: {why}." for why, names in refused.items()]


def megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MB" if size < 10 * 2**20 else f"{size / 2**20:,.0f} MB"
