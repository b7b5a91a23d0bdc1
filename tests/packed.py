"""Archives made byte by byte, and what it costs to read them: shared by the tests of files, archives and refusals."""

import io
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from dashboard.sources.files import of_bytes
from dashboard.sources.imported import SourceError

ROOT = Path(__file__).resolve().parent.parent
CSV = b"Name,eval/loss\na,0.5\n"


def zipped(members, compression=zipfile.ZIP_DEFLATED) -> bytes:
    """A .zip archive of (name, content) pairs, names as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def paths(found) -> list[str]:
    return [str(file.path) for file in found]


def refused(name, content) -> str:
    with pytest.raises(SourceError) as error:
        of_bytes(name, content)
    return str(error.value)


HEAD = """
import sys
from pathlib import Path
from dashboard.sources import files
from dashboard.sources.imported import SourceError
"""


def limited(code: str, path: Path) -> str:
    """What Python prints that may have 700 MB of addresses and 20 s: far from both unless something explodes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (700 * 2**20, 700 * 2**20))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))

    command = [sys.executable, "-c", HEAD + code, str(path)]
    done = subprocess.run(command, cwd=ROOT, preexec_fn=limit, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


READ_ALL = """
try:
    found, notes = files.walk(Path(sys.argv[1]))
except SourceError as problem:
    print("refused", problem)
else:
    print(len(found), "files", *notes)
    for file in found[:20]:
        file.head()
        try:
            print(len(file.content()))
        except SourceError as problem:
            print("refused", problem)
"""


def deflated_zeros(size: int) -> bytes:
    """Zeros as raw deflate: one megabyte of them, which leaves no trace in the packer, over and over."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    megabyte = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return megabyte * (size // 2**20) + packer.flush()


def raw_zip(packed: bytes, stated: int, names: list[str]) -> bytes:
    """An archive in which every name is the same bytes (overlapping entries), with any size stated."""
    first = names[0].encode()
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, 0, len(packed), stated, len(first), 0) + first
    listed = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, 0, len(packed), stated, len(name), 0, 0, 0, 0, 0, 0)
        + name.encode()
        for name in names
    )
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, len(names) & 65535, len(names) & 65535, len(listed), len(local + packed), 0
    )
    return local + packed + listed + end
