"""What serving many runs costs the server: python -m tests.bench.serving [RUNS] [POLLS]

Runs of 1,000 steps, 12 metrics logged at each, evaluated at ten of them, as tests/make_runs.py makes them. Each way is
a process of its own over one cache folder. "first ever" starts with an empty cache, "after a restart" with the one that
was left. A simulated day is POLLS polls, one every two seconds of it: a running run logs a line at every fifth, a page
with the board, findings and curves is asked for at every fiftieth, a run appears and another vanishes at every
hundredth. CPU seconds of the asking thread, and the process's resident memory after each; milliseconds are medians.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import orjson
import psutil

from tests.make_runs import make_run

RUNS, STEPS, POLLS = 1_000, 1_000, 43_200
METRICS = 12

T = TypeVar("T")


def make(root: Path, name: str, seed: int, status: str = "finished", done: float = 1.0) -> None:
    """A run of METRICS metrics at each of STEPS steps."""
    draw = random.Random(seed)
    settings = {"beta": draw.choice((0.05, 0.1, 0.3)), "learning_rate": 10 ** draw.uniform(-6, -4)}
    folder = make_run(
        root, name, skill=draw.uniform(0.6, 0.9), steps=STEPS, seed=seed, every=1, status=status, done=done, **settings
    )
    path = folder / "metrics.jsonl"
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    for row in rows:
        if "train/loss" in row:
            missing = METRICS - sum(key.startswith("train/") for key in row)
            row |= {f"train/more/{number}": draw.random() for number in range(missing)}
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    os.utime(path, (1.79e9, 1.79e9))


def resident() -> float:
    """Megabytes of this process."""
    return float(psutil.Process().memory_info().rss) / 2**20


class Server:
    """The app, asked as a browser asks it, without a network."""

    def __init__(self, root: Path) -> None:
        from dashboard.app import create_app
        from dashboard.components import context
        from dashboard.components.leaderboard import board
        from dashboard.sources.catalog import Catalog

        self.app = create_app(root).server
        self.app.config[context.KEY] = Catalog(root)
        self.client, self.board, self.context = self.app.test_client(), board, context

    def poll(self) -> bytes:
        answer: bytes = self.client.get("/api/version").data
        return answer

    def page(self) -> int:
        """What the leaderboard shows; the number of its runs."""
        with self.app.app_context():
            snapshot = self.context.catalog().snapshot()
            self.board.board(snapshot, self.board.View())
            self.context.findings(snapshot, "best")
            return len(snapshot.runs)

    def curves(self, count: int) -> int:
        """The points of two metrics of the first runs."""
        with self.app.app_context():
            catalog = self.context.catalog()
            found = [catalog.history(run) for run in list(catalog.snapshot().runs)[:count]]
            return sum(len(curves[key]) for curves in found for key in ("train/loss", "train/rewards/chosen"))

    def findings(self) -> bool:
        with self.app.app_context():
            return bool(self.context.findings(self.context.catalog().snapshot(), "best").ready)


def told(what: str, work: Callable[[], T]) -> T:
    """Does it, and prints its CPU and wall seconds and the memory after it."""
    cpu, wall = time.thread_time(), time.perf_counter()
    found = work()
    print(f"{what:58}{time.thread_time() - cpu:9.3f}{time.perf_counter() - wall:9.3f}{resident():9.0f}", flush=True)
    return found


def looks(root: Path, words: str) -> None:
    """The first and later looks at all runs."""
    server = told(f"{words}: import and create", lambda: Server(root))
    told(f"{words}: leaderboard", server.page)
    told(f"{words}: leaderboard again", server.page)
    told(f"{words}: curves of 100 runs", lambda: server.curves(100))
    told(f"{words}: until findings are ready", lambda: wait(server))
    told(f"{words}: leaderboard with findings", server.page)
    make(root, f"new {words}", 10**6)
    told(f"{words}: leaderboard with one more run", server.page)
    told(f"{words}: curves of all runs", lambda: server.curves(10**6))
    times = [timed(server.poll) for _ in range(200)]
    size = len(server.poll())
    print(f"{words}: poll with nothing new, {size} bytes: {1000 * sorted(times)[100]:.1f} ms", flush=True)


def wait(server: Server) -> None:
    while not server.findings():
        time.sleep(0.2)


def timed(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def day(root: Path, polls: int) -> None:
    """Memory over a day in which runs come, go and grow."""
    server = Server(root)
    make(root, "growing", 7, status="running", done=0.5)
    server.page(), server.curves(100)
    found, step = [], 500
    for number in range(polls):
        if number % 5 == 0:
            step += 1
            with (root / "growing" / "metrics.jsonl").open("ab") as file:
                file.write(orjson.dumps({"step": step, "train/loss": 0.5, "time": 1.79e9 + step}) + b"\n")
        if number % 100 == 50:
            make(root, f"day {number}", number)
            shutil.rmtree(root / f"day {number - 1000}", ignore_errors=True)
        found.append(timed(server.poll))
        if number % 50 == 0:
            server.page(), server.curves(100)
        if number in (polls // 100, polls // 2, polls - 1):
            print(f"{f'a simulated day: poll {number + 1:,} of {polls:,}':76}{resident():9.0f}", flush=True)
    print(
        f"a simulated day: a poll took {1000 * sorted(found)[len(found) // 2]:.1f} ms, with what had changed",
        flush=True,
    )


def main(runs: int = RUNS, polls: int = POLLS) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "runs"
        for number in range(runs):
            make(root, f"run-{number:04}", number)
        time.sleep(3)  # what has just been written is not kept
        print(
            f"{f'{runs:,} runs x {STEPS:,} steps x {METRICS} metrics':58}{'CPU s':>9}{'wall s':>9}{'MB':>9}", flush=True
        )
        alone = os.environ | {"PREFSCOPE_CACHE": str(Path(name) / "cache"), "OMP_NUM_THREADS": "1"}
        for way in ("first ever", "after a restart", str(polls)):
            subprocess.run(
                [sys.executable, "-m", "tests.bench.serving", "--way", way, str(root)], env=alone, check=True
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--way"]:
        way, root = sys.argv[2], Path(sys.argv[3])
        day(root, int(way)) if way.isdecimal() else looks(root, way)
    else:
        main(*map(int, sys.argv[1:3]))
