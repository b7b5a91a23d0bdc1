"""How long reading and judging many runs takes, against TensorBoard: python -m tests.bench.reading [RUNS]

Each run logs 10 metrics at 1,000 steps and evaluates 7 of them ten times, the same numbers as TensorBoard event files
and as our metrics.jsonl. Every way is a fresh process that has imported what it needs before the clock starts; the
files were just written, so the disk plays no part. "cold" starts with an empty cache, "warm" with the one that cold has
left. "judged" is the whole report: reading, comparability, findings, verdict, JSON. CPU and wall seconds.
"""

import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
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

EVALUATED = ("loss", "rewards/accuracies", "rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen")
EVERY = 100

Rows = list[dict[str, float]]


def values(run: int) -> Rows:
    """What is logged at each step, numbers that 32 bits hold exactly."""
    draw = random.Random(run)
    rows: Rows = [{metric: draw.randrange(2**20) / 2**20 for metric in METRICS} for _ in range(STEPS)]
    for row in rows[EVERY - 1 :: EVERY]:
        row |= {f"eval/{metric}": draw.randrange(2**20) / 2**20 for metric in EVALUATED}
    return rows


def points(runs: int) -> int:
    """How many numbers `runs` runs have."""
    return runs * (STEPS * len(METRICS) + STEPS // EVERY * len(EVALUATED))


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
        for metric, value in row.items():
            scalar = field(1, metric.encode()) + b"\x15" + struct.pack("<f", value)
            records.append(framed(place + field(5, field(1, scalar))))
    return b"".join(records)


def lines(run: int, rows: Rows) -> bytes:
    """The same as our metrics.jsonl: a line for the training log of a step, and one for its evaluation."""
    out = []
    for step, row in enumerate(rows, 1):
        for split in ("train/", "eval/"):
            found = {metric: value for metric, value in row.items() if metric.startswith(split)}
            if found:
                out.append({"step": step, "epoch": step / STEPS, "time": moment(run, step), **found})
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in out)


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
    from dashboard.sources import files, own_runs

    def read() -> int:
        found = own_runs.read(own_runs.folders(files.walk(folder / "runs")[0]))
        return sum(len(series) for history in found.histories.values() for series in history.values())

    return read


def judged(folder: Path, source: str) -> Callable[[], int]:
    from dashboard.reports import build
    from dashboard.sources.imported import NO_CORRECTIONS

    def read() -> int:
        made = build.build([folder / source], NO_CORRECTIONS)
        build.render(made, "json")
        return sum(len(series) for found in made.study.values() for series in found.history.values())

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


RIVAL = "event files, TensorBoard's EventAccumulator"
WAYS: dict[str, Callable[[Path], Callable[[], int]]] = {
    "event files, read, cold": ours_of_events,
    "event files, read, warm": ours_of_events,
    "event files, judged, cold": partial(judged, source="events"),
    "event files, judged, warm": partial(judged, source="events"),
    "our runs/, read, cold": ours_of_runs,
    "our runs/, read, warm": ours_of_runs,
    "our runs/, judged, cold": partial(judged, source="runs"),
    "our runs/, judged, warm": partial(judged, source="runs"),
    RIVAL: tensorboards,
}


def measure(way: str, folder: Path) -> None:
    """Prints CPU seconds, wall seconds and the number of points: run in a process of its own."""
    read = WAYS[way](folder)
    cpu, wall = time.process_time(), time.perf_counter()
    count = read()
    print(time.process_time() - cpu, time.perf_counter() - wall, count)


def agree(folder: Path) -> None:
    """Fails unless TensorBoard reads from the first event file what was written."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "events" / "run-0000"), size_guidance={"scalars": 0}).Reload()
    for metric in found.Tags()["scalars"]:
        read = [(event.step, event.wall_time, event.value) for event in found.Scalars(metric)]
        written = [(step, moment(0, step), row[metric]) for step, row in enumerate(values(0), 1) if metric in row]
        if read != written:
            raise SystemExit(f"{metric} of this benchmark's event files is not what TensorBoard reads")


def main(runs: int = RUNS) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, runs)
        agree(folder)
        found = {}
        for way in WAYS:
            if way.endswith("cold"):
                shutil.rmtree(folder / "cache", ignore_errors=True)
            command = [sys.executable, "-m", "tests.bench.reading", "--measure", way, name]
            alone = os.environ | {"PREFSCOPE_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, env=alone, capture_output=True, text=True, check=True)
            found[way] = [float(number) for number in done.stdout.split()]
    rival = found[RIVAL]
    what = f"{runs:,} runs x {STEPS:,} steps x {len(METRICS)} metrics"
    print(f"{what:44}{'CPU s':>9}{'wall s':>9}   points/CPU s   TensorBoard's reading / this (CPU)")
    for way, (cpu, wall, count) in found.items():
        if count != points(runs):
            raise SystemExit(f"{way}: {count:,.0f} points were read, {points(runs):,} were written")
        print(f"{way:44}{cpu:9.3f}{wall:9.3f}{count / cpu:15,.0f}{rival[0] / cpu:11.1f} x")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main(*map(int, sys.argv[1:2]))
