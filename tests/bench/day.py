"""Whether a tab that stays open for a day grows: python -m tests.bench.day [HOURS]

Two tabs, Leaderboard and Curves, over six ended runs and one that goes on. The page's poll, every 2 s, is sped up to
one in 5 ms at most, and the run logs a line every 30 polls, as one that logs each minute would: 24 hours are 43,200
polls and 1,440 lines. Measured after a forced collection: heap and nodes of the tabs, the server's resident memory.
"""

import sys
import tempfile
import time
from pathlib import Path

import orjson
import psutil
from playwright.sync_api import CDPSession, Page, sync_playwright

from tests import chromium
from tests.bench.pages import make_run, serving

POLLS_PER_HOUR, FAST = 1_800, 5
LINE_EVERY = 30
LOOKS = 6


def start_live(root: Path, steps: int) -> Path:
    """A run that has logged nothing yet."""
    directory = root / "live"
    make_run(root, "live", 1, 20)
    (directory / "summary.json").unlink()
    head = orjson.loads((directory / "config.json").read_bytes())
    head["config"]["max_steps"] = steps
    (directory / "config.json").write_bytes(orjson.dumps(head))
    (directory / "metrics.jsonl").write_bytes(b"")
    return directory


def log(directory: Path, step: int, steps: int) -> None:
    """What training does each minute: a line, then the small file by rename."""
    at = {"step": step, "epoch": step / 100, "time": time.time()}
    values = {"loss": 0.6, "rewards/accuracies": 0.7, "rewards/chosen": 0.1, "rewards/rejected": -0.1}
    metrics = {f"{split}/{key}": value + step % 7 / 100 for key, value in values.items() for split in ("train", "eval")}
    with (directory / "metrics.jsonl").open("ab") as file:
        file.write(orjson.dumps({**at, **metrics}) + b"\n")
    latest = {**at, "max_steps": steps, "metrics": metrics, "best": {}, "best_step": None}
    (directory / "latest.new").write_bytes(orjson.dumps(latest))
    (directory / "latest.new").replace(directory / "latest.json")


def heap(page: Page, session: CDPSession) -> tuple[float, int]:
    """Megabytes of the JavaScript heap after a collection, and the number of nodes."""
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return metrics["JSHeapUsedSize"] / 1e6, int(metrics["Nodes"])


def hasten(page: Page) -> CDPSession:
    """Lets the page poll fast."""
    page.wait_for_timeout(4_000)
    page.evaluate(f"() => {{ window.dash_clientside.prefscope.live.every = {FAST}; }}")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    return session


def main(hours: float = 24.0) -> None:
    polls = int(hours * POLLS_PER_HOUR)
    steps = polls // LINE_EVERY + 1
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        root = Path(name) / "runs"
        for seed in range(6):
            make_run(root, f"run-{seed}", seed, 200)
        live = start_live(root, steps)
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        with serving(root, Path(name) / "cache") as (url, process):
            log(live, 1, steps)
            tabs = [browser.new_context().new_page() for _ in range(2)]
            for tab, path in zip(tabs, ("/", "/curves?runs=live,run-0,run-1"), strict=True):
                tab.goto(url + path)
            sessions = [hasten(tab) for tab in tabs]
            print(f"{'hours':>6}{'polls':>8}{'lines':>7}   leaderboard MB, nodes   curves MB, nodes   server MB")
            line, look = 1, 0
            while True:
                done = min(tab.evaluate("() => window.dash_clientside.prefscope.live.looks") for tab in tabs)
                while line < min(done, polls) // LINE_EVERY:
                    line += 1
                    log(live, line, steps)
                if done >= polls * look / LOOKS:
                    report(done, line, [heap(tab, one) for tab, one in zip(tabs, sessions, strict=True)], process)
                    look += 1
                if done >= polls:
                    break
                time.sleep(0.3)
        browser.close()


def report(done: int, line: int, found: list[tuple[float, int]], process: psutil.Process) -> None:
    shown = "   ".join(f"{size:12.1f}, {nodes:6}" for size, nodes in found)
    print(
        f"{done / POLLS_PER_HOUR:6.1f}{done:8}{line:7}   {shown}   {process.memory_info().rss / 1e6:9.0f}", flush=True
    )


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
