"""Files made to do harm, given to the report as a user would: refused in one line, and at little cost."""

import os
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from packed import raw_zip

from dashboard.sources.event_record import crc32c, masked
from tests.test_event_file import framed, head

ROOT = Path(__file__).resolve().parent.parent
SECONDS, MEGABYTES = 15, 500
"""Processor time far above the 2 s that a refusal may take on a quiet machine: only a real explosion fails here."""

ADDRESSES = 900 * 2**20
"""Bytes of address space that the command gets: what it may map, more than it may use."""

BIG = 200_000_000
GOOD = "Name,State,beta,eval/loss,eval/rewards/accuracies\na,finished,0.1,0.51,0.75\n"


_BOUNDED = """
import pathlib, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
from dashboard import report
try:
    sys.exit(report.main(sys.argv[3:]))
finally:
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    largest = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    pathlib.Path(sys.argv[2]).write_text(f"{time.process_time()} {largest}")
"""


def report(folder: Path, *arguments: str) -> tuple[int, str, str, float, float]:
    """Exit code, both outputs, CPU seconds and the largest resident memory in MB of the command, as it sees itself.

    What the system says of a child (ru_maxrss) has the memory of the process that started it.
    """
    quiet = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PREFSCOPE_CACHE": ""}
    used = folder / "used"
    command = [sys.executable, "-c", _BOUNDED, str(ADDRESSES), str(used), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, check=False)
    seconds, kilobytes = map(float, used.read_text().split())
    return done.returncode, done.stdout.decode(), done.stderr.decode(), seconds, kilobytes / 1024


def bomb(path: Path) -> None:
    """Two gigabytes of a table: one megabyte packed so that it leaves no trace in the packer, 2,048 times."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    megabyte = packer.compress(b"Name,eval/loss\na" + b",1\n" * 349_520) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(raw_zip(megabyte * 2048 + packer.flush(), 2**31, ["runs.csv"]))


def tiny_members(path: Path) -> None:
    path.write_bytes(raw_zip(b"", 0, [f"member-{number}.csv" for number in range(41_000)]))


def zeros_behind_a_header(path: Path) -> None:
    with path.open("wb") as file:
        file.write(head())
        file.truncate(BIG)


def empty_records(path: Path) -> None:
    length = struct.pack("<Q", 0)
    path.write_bytes((length + struct.pack("<I", masked(crc32c(length))) + bytes(4)) * 12_000_000)


def noise(count: int) -> bytes:
    return np.random.default_rng(1).bytes(count)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "bomb.zip": (bomb, "the limit is"),
    "members.zip": (tiny_members, "its list of files"),
    "columns.csv": (lambda path: path.write_text(",".join(["Name", *map(str, range(100_000))]) + "\n"), "columns, the"),
    "cell.csv": (lambda path: path.write_bytes(b"Name,eval/loss\na," + b"x" * 50_000_000), "One line has more"),
    "quoted.csv": (
        lambda path: path.write_bytes(b'Name,eval/loss\n"' + (b"x" * 49 + b"\n") * 1_000_000),
        "no readable",
    ),
    "line.csv": (lambda path: path.write_bytes(b"Name,eval/loss," + b"1," * (BIG // 2)), "One line has more"),
    "rows.csv": (lambda path: path.write_bytes(b"Name,eval/loss\n" + b",1\n" * 1_900_000), "rows, the limit"),
    "lines.csv": (lambda path: path.write_bytes(b"Name,eval/loss\n" + b"\n" * BIG), "2,000,000 lines"),
    "deep.json": (lambda path: path.write_bytes(b'{"log_history":' + b"[" * 200_000), "no whole JSON"),
    "nan.json": (lambda path: path.write_bytes(b'{"log_history":[NaN,' + b"[" * 200_000), "no whole JSON"),
    "deep.jsonl": (lambda path: path.write_bytes(b'{"step":1,"loss":' + b"[" * 60_000 + b"\n"), "no log of runs"),
    "lines.jsonl": (lambda path: path.write_bytes(b'{"step": 1, "loss": 0.5}\n' * 4_000_000), "the limit"),
    "state.json": (
        lambda path: path.write_bytes(b'{"log_history":[' + b'{"step":1,"loss":1},' * 1_500_000),
        "the limit",
    ),
    "noise": (lambda path: path.write_bytes(noise(20_000_000)), "a binary file, but no log"),
    "noise.wandb": (lambda path: path.write_bytes(b":W&B" + noise(20_000_000)), "holds no run"),
    "zeros": (zeros_behind_a_header, "holds no scalars"),
    "records": (empty_records, "more than 4,000,000 records"),
    "torn": (lambda path: path.write_bytes(head() + framed(noise(2**20))[:-1]), "holds no scalars"),
    "pipe.csv": (os.mkfifo, "is a pipe, a socket or a device"),
    "tables.md": (lambda path: path.write_bytes(b"|a|loss|\n|-|-|\n" + b"|1|2|\n" * 600_000), "rows, the limit"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line_and_costs_little(name, tmp_path):
    make, reason = HOSTILE[name]
    make(tmp_path / name)
    code, out, err, seconds, megabytes = report(tmp_path, str(tmp_path / name))
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert reason in err and "Traceback" not in err
    assert seconds < SECONDS
    assert megabytes < MEGABYTES


def special(folder: Path) -> Path:
    """A good table among pipes, a socket, links in a circle and names that are no text."""
    for name in ("runs.csv", "events.out.tfevents.1", "trainer_state.json"):
        os.mkfifo(folder / name)
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(folder)  # a socket's path may have 108 characters
    try:
        listener.bind("socket")
    finally:
        os.chdir(here)
        listener.close()
    (folder / "circle").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    (folder / "zero.csv").symlink_to("/dev/zero")
    (folder / "good.csv").write_text(GOOD)
    (folder / "new\nline\x1b[31m.csv").write_text(GOOD.replace("a,", "b\x1b[31m,"))
    (Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff\xfe.csv"))).write_text(GOOD.replace("a,", "c,"))
    return folder


@pytest.mark.parametrize("form", ["text", "json", "md", "html"])
def test_a_good_table_is_read_among_pipes_sockets_circles_and_names_that_are_no_text(tmp_path, form):
    (tmp_path / "source").mkdir()
    code, out, err, _, _ = report(tmp_path, str(special(tmp_path / "source")), "--format", form)
    assert (code, err) == (0, "")
    assert "good.csv" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("-", "- cannot be read"),
        ("a\nb\x1b[31m", "cannot be read"),
        ("/dev/zero", "is a pipe"),
        ("x" * 5000, "cannot be"),
    ],
)
def test_an_odd_argument_is_one_line(tmp_path, argument, said):
    code, out, err, _, _ = report(tmp_path, argument)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert "\x1b" not in err
