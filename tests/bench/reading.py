"""How long reading all curves of many runs takes, against TensorBoard: python -m tests.bench.reading [RUNS]

Each run logs 10 metrics at 1,000 steps, the same numbers as TensorBoard event files and as our metrics.jsonl. Every way
of reading is a fresh process that has imported what it needs before the clock starts and parses every point; the files
were just written, so the disk plays no part. CPU and wall seconds.
"""

import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from dashboard.sources.event_record import crc32c, masked
from training.record.writer import RunWriter

RUNS, STEPS = 1_000, 1_000
METRICS = (
    "train/loss",
    "train/grad_norm",
    "train/learning_rate",
    "train/rewards/chosen",
    "train/rewards/rejected",
    "train/rewards/accuracies",
    "train/rewards/margins",
    "train/logps/chosen",
    "train/logps/rejected",
    "train/entropy",
)

Rows = list[list[float]]


def values(run: int) -> Rows:
    """Numbers that 32 bits hold exactly: shape (steps, metrics)."""
    draw = random.Random(run)
    return [[draw.randrange(2**20) / 2**16 for _ in METRICS] for _ in range(STEPS)]


def moment(run: int, step: int) -> float:
    """Seconds since 1970 at which a step was logged."""
    return 1.7e9 + run * 10_000 + step


def varint(number: int) -> bytes:
    head = b""
    while number > 0x7F:
        head += bytes([number & 0x7F | 0x80])
        number >>= 7
    return head + bytes([number])


def field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def framed(data: bytes) -> bytes:
    """A record: length, its checksum, data, their checksum."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(crc32c(length))) + data + struct.pack("<I", masked(crc32c(data)))


def events(run: int, rows: Rows) -> bytes:
    """An event file as TensorBoard's own writer makes it: one record per scalar."""
    records = [framed(b"\x09" + struct.pack("<d", moment(run, 0)) + field(3, b"brain.Event:2"))]
    for step, row in enumerate(rows, 1):
        place = b"\x09" + struct.pack("<d", moment(run, step)) + b"\x10" + varint(step)
        for metric, value in zip(METRICS, row, strict=True):
            scalar = field(1, metric.encode()) + b"\x15" + struct.pack("<f", value)
            records.append(framed(place + field(5, field(1, scalar))))
    return b"".join(records)


def lines(run: int, rows: Rows) -> bytes:
    """The same as our metrics.jsonl."""
    return b"".join(
        orjson.dumps(
            {"step": step, "epoch": step / STEPS, "time": moment(run, step), **dict(zip(METRICS, row, strict=True))},
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for step, row in enumerate(rows, 1)
    )


def make(folder: Path, runs: int) -> None:
    """Writes all runs, once as event files and once as our own run directories."""
    for run in range(runs):
        rows = values(run)
        writer = RunWriter(folder / "runs", f"run-{run:04}")
        writer.publish({"config": {"beta": 0.1}})
        (writer.directory / "metrics.jsonl").write_bytes(lines(run, rows))
        writer.finish("finished")
        board = folder / "events" / f"run-{run:04}"
        board.mkdir(parents=True)
        (board / f"events.out.tfevents.{int(moment(run, 0))}.host.1.0").write_bytes(events(run, rows))


def ours_of_events(folder: Path) -> Callable[[], int]:
    from dashboard.sources import files, tensorboard

    def read() -> int:
        found = tensorboard.read(files.walk(folder / "events")[0], "bench")
        return sum(len(series) for history in found.histories.values() for series in history.values())

    return read


def ours_of_runs(folder: Path) -> Callable[[], int]:
    from dashboard.sources.local import LocalRuns

    def read() -> int:
        local = LocalRuns(folder / "runs")
        return sum(len(series) for run in local.runs() for series in (local.history(run) or {}).values())

    return read


def tensorboards(folder: Path) -> Callable[[], int]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read() -> int:
        count = 0
        for board in sorted((folder / "events").iterdir()):
            found = EventAccumulator(str(board), size_guidance={"scalars": 0}).Reload()
            count += sum(len(found.Scalars(tag)) for tag in found.Tags()["scalars"])
        return count

    return read


WAYS = {
    "event files, this": ours_of_events,
    "our own runs/, this": ours_of_runs,
    "event files, TensorBoard's EventAccumulator": tensorboards,
}


def measure(way: str, folder: Path) -> None:
    """Prints CPU seconds, wall seconds and the number of points: run in a process of its own."""
    read = WAYS[way](folder)
    cpu, wall = time.process_time(), time.perf_counter()
    points = read()
    print(time.process_time() - cpu, time.perf_counter() - wall, points)


def agree(folder: Path) -> None:
    """Fails unless TensorBoard reads from the first event file what was written."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "events" / "run-0000"), size_guidance={"scalars": 0}).Reload()
    read = [[(event.step, event.wall_time, event.value) for event in found.Scalars(metric)] for metric in METRICS]
    written = [
        [(step, moment(0, step), value) for step, value in enumerate(column, 1)]
        for column in zip(*values(0), strict=True)
    ]
    if read != written:
        raise SystemExit("the event files of this benchmark are not what TensorBoard reads")


def main(runs: int = RUNS) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, runs)
        agree(folder)
        found = {}
        for way in WAYS:
            command = [sys.executable, "-m", "tests.bench.reading", "--measure", way, name]
            alone = os.environ | {"PREFSCOPE_CACHE": "", "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, env=alone, capture_output=True, text=True, check=True)
            found[way] = [float(number) for number in done.stdout.split()]
    rival = found["event files, TensorBoard's EventAccumulator"]
    what = f"{runs:,} runs x {STEPS:,} steps x {len(METRICS)} metrics"
    print(f"{what:44}{'CPU s':>9}{'wall s':>9}   points/CPU s   TensorBoard / this (CPU)")
    for way, (cpu, wall, points) in found.items():
        if points != runs * STEPS * len(METRICS):
            raise SystemExit(f"{way}: {points:,.0f} points were read")
        print(f"{way:44}{cpu:9.3f}{wall:9.3f}{points / cpu:15,.0f}{rival[0] / cpu:11.1f} x")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main(*map(int, sys.argv[1:2]))
