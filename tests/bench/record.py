"""How long reading runs takes, against pandas.read_json on the same files: python -m tests.bench.record

100 runs of 1,000 lines with 17 metrics each, about a day of sweeps. Seconds of wall time, best of 5, both in turn.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from training.record.history import HistoryReader
from training.record.reader import read_run
from training.record.writer import RunWriter

RUNS, LINES, METRICS = 100, 1000, 17


def make(runs: Path) -> list[Path]:
    for number in range(RUNS):
        writer = RunWriter(runs, f"run-{number}")
        writer.publish({"config": {"beta": 0.1}})
        rows = [{f"train/metric-{m}": step / (m + 3) for m in range(METRICS)} for step in range(LINES)]
        lines = "".join(f'{{"step":{step},"epoch":0.1,"time":1.5,{str(row)[1:]}\n' for step, row in enumerate(rows))
        (writer.directory / "metrics.jsonl").write_text(lines.replace("'", '"'))
        writer.finish("finished")
    return sorted(runs.glob("run-*"))


def best(action: Callable[[], object], repeats: int = 5) -> float:
    """Seconds, best of several: the least disturbed by the rest of the machine."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = make(Path(folder))
        readers = [HistoryReader(path) for path in paths]
        rival = best(lambda: [pd.read_json(path / "metrics.jsonl", lines=True) for path in paths], 2)
        first = best(lambda: [HistoryReader(path).read() for path in paths], 3)
        for reader in readers:
            reader.read()
        again = best(lambda: [reader.read() for reader in readers])
        board = best(lambda: [read_run(path) for path in paths])

        def one_line() -> None:
            with (paths[0] / "metrics.jsonl").open("a") as file:
                file.write('{"step": 5000, "train/metric-0": 1.0}\n')
            for reader in readers:
                reader.read()

        live = best(one_line)
    print(f"{RUNS} runs x {LINES} lines x {METRICS} metrics   seconds   pandas.read_json / this")
    for what, seconds in (
        ("all curves, from scratch", first),
        ("all curves, nothing new", again),
        ("all curves, one new line", live),
        ("all rows of the leaderboard", board),
    ):
        print(f"{what:28} {seconds:12.4f} {rival / seconds:12.0f} x")
    print(f"{'pandas.read_json':28} {rival:12.4f}")


if __name__ == "__main__":
    main()
