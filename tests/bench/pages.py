"""How fast the pages are in a real browser, with TensorBoard beside: python -m tests.bench.pages [SHARE]

Everything is measured in headless Chromium on this machine, from the request for the page until a user can work with
it: the table until a tick in a row has been answered, a chart until its lines stand. "cold": a server that was just
started with an empty cache, a browser with none; "warm": the same server and the same browser once more. The browser
has a profile on disk, as a user's has, where it keeps scripts compiled. SHARE (1) is the share of the runs that is
made, for a try. TensorBoard reads the same curve as event files of one metric, so that it has no other chart to draw,
and is timed after it has loaded them, in the same profile, warm as ours; its chart is counted as drawn when the last
answer with points has arrived.
"""

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson
import psutil
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests import chromium
from tests.bench.reading import field, framed, varint

ROOT = Path(__file__).resolve().parents[2]
MANY, MOST, CHARTED, PAIRS = 1_000, 10_000, 100, 500
STEPS, LONG = 1_000, 10_000
PATIENCE = 600_000

BETAS = (0.05, 0.1, 0.3, 0.5)
LOGPS = ("logps/chosen", "logps/rejected")
TRAIN = ("loss", "grad_norm", "learning_rate", "rewards/chosen", "rewards/rejected")
EVAL = ("loss", *(f"rewards/{name}" for name in ("accuracies", "chosen", "rejected", "margins")), *LOGPS)
SPIKE = "train/loss"

Row = tuple[str, str, str, str]


def _curves(seed: int, steps: int, every: int) -> list[bytes]:
    """A run's metrics.jsonl, line by line: the training log of each step, an evaluation `every` steps."""
    draw = np.random.default_rng(seed)
    share = 1 - np.exp(-3 * np.arange(1, steps + 1) / steps)
    noise = draw.normal(0, 0.03, (steps, len(TRAIN)))
    skill, beta = 0.7 + 0.2 * draw.random(), BETAS[seed % 4]
    rows = []
    for step in range(1, steps + 1):
        at, base = share[step - 1], {"step": step, "epoch": round(3 * step / steps, 4), "time": 1.79e9 + step}
        means = (0.693 - 0.3 * at, 2.0, 5e-5 * (1 - step / steps), 0.5 * at, -at)
        values = (float(mean + off) for mean, off in zip(means, noise[step - 1], strict=True))
        logged = {f"train/{name}": round(value, 5) for name, value in zip(TRAIN, values, strict=True)}
        if step == steps // 3:
            logged[SPIKE] = 9.0
        rows.append(orjson.dumps({**base, **logged}))
        if step % every == 0:
            found = (
                0.693 - 0.2 * at,
                round(600 * (0.5 + (skill - 0.5) * at)) / 600,
                0.4 * at,
                -at,
                1.4 * at,
                -120 + 0.4 * at / beta,
                -135 - at / beta,
            )
            rows.append(orjson.dumps({**base, **{f"eval/{n}": float(v) for n, v in zip(EVAL, found, strict=True)}}))
    return rows


def make_run(root: Path, name: str, seed: int, steps: int) -> list[bytes]:
    """A finished run of our own format; its lines."""
    directory = root / name
    directory.mkdir(parents=True)
    lines = _curves(seed, steps, max(1, steps // 10))
    (directory / "metrics.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    config = {"beta": BETAS[seed % 4], "learning_rate": 10 ** -(3 + seed % 30 / 10), "seed": seed % 5}
    config |= {"loss_type": ["sigmoid"], "max_steps": steps, "dataset_name": "bench", "output_dir": name}
    data = {"dataset": "bench", "eval": "e" * 16, "n_train": 5_000, "n_eval": 600}
    head = {"format": 1, "created": 1.79e9 + seed, "sweep": f"sweep-{seed % 7}", "config": config}
    (directory / "config.json").write_bytes(orjson.dumps({**head, "environment": {}, "data": data}))
    last = {k: v for k, v in orjson.loads(lines[-1]).items() if k.startswith("eval/")}
    metrics = {**{k: v for k, v in orjson.loads(lines[-2]).items() if k.startswith("train/")}, **last}
    end = {"step": steps, "epoch": 3.0, "time": 1.79e9 + steps, "max_steps": steps, "metrics": metrics, "best": last}
    about = {"best_step": steps, "best_metric": "eval/rewards/accuracies", "status": "finished", "seconds": 60.0}
    (directory / "summary.json").write_bytes(orjson.dumps({**end, **about, "error": None}))
    return lines


def make_events(folder: Path, lines: list[bytes]) -> None:
    """The run's training loss as an event file."""
    folder.mkdir(parents=True)
    stamp = np.float64(1.79e9).tobytes()
    records = [framed(b"\x09" + stamp + field(3, b"brain.Event:2"))]
    for line in lines:
        row = orjson.loads(line)
        if SPIKE in row:
            place = b"\x09" + np.float64(row["time"]).tobytes() + b"\x10" + varint(row["step"])
            scalar = field(1, SPIKE.encode()) + b"\x15" + np.float32(row[SPIKE]).tobytes()
            records.append(framed(place + field(5, field(1, scalar))))
    (folder / "events.out.tfevents.1790000000.host.1.0").write_bytes(b"".join(records))


@contextmanager
def serving(runs: Path, cache: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The dashboard over `runs`; its address and its process."""
    command = [sys.executable, str(ROOT / "dashboard" / "app.py"), "--runs", str(runs), "--port", "0"]
    environment = {**os.environ, "PREFSCOPE_CACHE": str(cache)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        url = next(word for word in process.stdout.readline().split() if word.startswith("http://"))
        yield url, psutil.Process(process.pid)
        process.terminate()


@contextmanager
def tensorboard(events: Path, runs: int) -> Iterator[str]:
    """TensorBoard over `events`, once it has loaded all `runs`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(events), "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:  # type: ignore[call-overload]
        url = f"http://127.0.0.1:{port}"
        until(lambda: len(_json(f"{url}/data/runs")) == runs, 300)
        last = ""
        while (now := _text(f"{url}/data/plugin/scalars/tags")) != last:
            last = now
            time.sleep(6)
        yield url
        process.terminate()


def until(ready: Callable[[], bool], seconds: float) -> None:
    """Waits; raises SystemExit if it is not ready in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if ready():
                return
        except OSError:
            pass
        time.sleep(0.3)
    raise SystemExit("the rival's server was not ready in time")


def _text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def _json(url: str) -> list[str]:
    found: list[str] = orjson.loads(_text(url))
    return found


class Sent:
    """Bytes of the bodies that the server has sent to a page, files of scripts and styles left out."""

    def __init__(self, page: Page) -> None:
        self.total = 0
        page.on("response", self._add)

    def _add(self, response) -> None:  # type: ignore[no-untyped-def]
        if "_dash-update-component" in response.url or "/api/" in response.url:
            self.total += int(response.headers.get("content-length") or 0)


def table_ready(page: Page, url: str) -> float:
    """Seconds until a tick in the first row has been answered."""
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator("#run-table .ag-row input[type=checkbox]").first.check(timeout=PATIENCE)
    page.get_by_text("1 run selected").first.wait_for(timeout=PATIENCE)
    return time.perf_counter() - start


def frames(page: Page) -> tuple[float, float]:
    """Median and 95th percentile of the milliseconds between frames while the table is scrolled by wheel."""
    box = page.locator("#run-table").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 200)
    page.evaluate(
        "() => { window.gaps = []; let last = performance.now();"
        " const next = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(next); };"
        " requestAnimationFrame(next); }"
    )
    for _ in range(60):
        page.mouse.wheel(0, 400)
        page.wait_for_timeout(30)
    gaps = page.evaluate("() => window.gaps")
    return statistics.median(gaps), float(np.percentile(gaps, 95))


def chart_drawn(page: Page, url: str, runs: int) -> float:
    """Seconds until the first chart of the Curves page has the lines of all runs."""
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_function(
        "n => document.querySelectorAll('.js-plotly-plot .scatterlayer .trace path.js-line').length >= n",
        arg=runs,
        timeout=PATIENCE,
    )
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return time.perf_counter() - start


def zoomed(page: Page) -> float:
    """Seconds from the end of a drag over a tenth of the first chart until its finer lines stand; zoomed out again."""
    plot = page.locator(".js-plotly-plot .nsewdrag").first
    box = plot.bounding_box()
    assert box is not None
    line = ".js-plotly-plot .scatterlayer .trace path.js-line"
    before = page.locator(line).first.get_attribute("d")
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + box["height"] / 2, steps=4)
    with page.expect_response(lambda r: "_dash-update-component" in r.url, timeout=PATIENCE):
        page.mouse.up()
        start = time.perf_counter()
    page.wait_for_function(
        "([line, before]) => document.querySelector(line).getAttribute('d') !== before", arg=[line, before]
    )
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    took = time.perf_counter() - start
    page.wait_for_timeout(1_000)
    page.get_by_role("button", name="Zoom out").click()
    page.wait_for_timeout(1_500)
    return took


def pairs_drawn(page: Page, url: str) -> float:
    """Seconds until the heat map of the Pairs page stands."""
    start = time.perf_counter()
    page.goto(f"{url}/pairs", wait_until="commit")
    page.locator("#pairs-map .heatmaplayer image").first.wait_for(timeout=PATIENCE)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return time.perf_counter() - start


def rival_drawn(page: Page, url: str) -> float:
    """Seconds until TensorBoard has had all points of its chart, and two more frames."""
    state = {"asked": 0, "answered": 0}
    of_points = re.compile("timeSeries")
    page.on("request", lambda r: state.update(asked=state["asked"] + bool(of_points.search(r.url))))
    page.on("requestfinished", lambda r: state.update(answered=state["answered"] + bool(of_points.search(r.url))))
    start = time.perf_counter()
    page.goto(f"{url}/#timeseries", wait_until="commit")
    end = start
    while True:
        page.wait_for_timeout(50)
        now = time.perf_counter()
        if not state["asked"] or state["asked"] > state["answered"]:
            end = now
        elif now - end > 1.5:
            break
        if now - start > PATIENCE / 1000:
            raise SystemExit("TensorBoard drew nothing")
    return end - start


def polls(url: str) -> tuple[float, int]:
    """Median milliseconds of a look for news when there are none, and the bytes of the answer."""
    took = []
    for _ in range(60):
        start = time.perf_counter()
        found = _text(f"{url}/api/version")
        took.append(1000 * (time.perf_counter() - start))
        time.sleep(0.4)
    return statistics.median(took), len(found)


def spread(found: list[float]) -> str:
    """How many were measured, from the least to the most."""
    return f"of {len(found)}: {min(found):.2f} to {max(found):.2f}"


def again(page: Page, measured: Callable[[], float], times: int) -> list[float]:
    """`measured` so many times, each from an empty page."""
    took = []
    for _ in range(times):
        page.goto("about:blank")
        took.append(measured())
    return took


def many_runs(folder: Path, browser: BrowserContext, runs: int) -> list[Row]:
    """The leaderboard of long runs, its polls, and what the server holds."""
    for seed in range(runs):
        make_run(folder / "many", f"run-{seed:05}", seed, STEPS)
    with serving(folder / "many", folder / "cache-many") as (url, process):
        page = browser.new_page()
        cold = table_ready(page, url)
        page.wait_for_timeout(30_000)
        warm = [table_ready(page, url) for _ in range(5)]
        anew = again(page, lambda: table_ready(page, url), 5)
        took, size = polls(url)
        page.goto(f"{url}/curves")
        page.wait_for_timeout(10_000)
        held = process.memory_info().rss / 1e6
        page.close()
    what = f"{runs:,} runs x {STEPS:,} steps x 12 metrics: leaderboard"
    return [
        (f"{what}, cold", "4 s", f"{cold:.2f} s", ""),
        ("the same, warm: once more in the same tab", "1 s", f"{statistics.median(warm):.2f} s", spread(warm)),
        ("the same, warm: from an empty page", "1 s", f"{statistics.median(anew):.2f} s", spread(anew)),
        (f"poll with nothing new, {runs:,} runs", "20 ms, 1 kB", f"{took:.1f} ms, {size} B", "wall, client's side"),
        (f"memory of the server, {runs:,} runs", "600 MB", f"{held:.0f} MB", ""),
    ]


def most_runs(folder: Path, browser: BrowserContext, runs: int) -> list[Row]:
    """The leaderboard of very many short runs, and how it scrolls."""
    for seed in range(runs):
        make_run(folder / "most", f"run-{seed:05}", seed, 10)
    with serving(folder / "most", folder / "cache-most") as (url, _):
        page = browser.new_page()
        table_ready(page, url)
        page.wait_for_timeout(30_000)
        warm = again(page, lambda: table_ready(page, url), 5)
        usual, slow = frames(page)
        page.close()
    return [
        (f"{runs:,} runs: leaderboard, warm", "2 s", f"{statistics.median(warm):.2f} s", spread(warm)),
        ("the same, scrolling: time between frames", "smooth", f"{usual:.0f} ms", f"95%: {slow:.0f} ms"),
    ]


def one_chart(folder: Path, browser: BrowserContext, runs: int) -> list[Row]:
    """One chart of long runs, here and in TensorBoard."""
    names = [f"run-{seed:05}" for seed in range(runs)]
    for seed, name in enumerate(names):
        make_events(folder / "events" / name, make_run(folder / "long", name, seed, LONG))
    with serving(folder / "long", folder / "cache-long") as (url, _):
        link = f"{url}/curves?split=train&panels={SPIKE.partition('/')[2]}&runs={','.join(names)}"
        page = browser.new_page()
        cold = chart_drawn(page, link, runs)
        page.wait_for_timeout(30_000)
        page.goto("about:blank")
        sent = Sent(page)
        ours = [chart_drawn(page, link, runs)]
        size = sent.total
        ours += again(page, lambda: chart_drawn(page, link, runs), 6)
        page.wait_for_timeout(3_000)
        zoom = [zoomed(page) for _ in range(5)]
        page.close()
    with tensorboard(folder / "events", runs) as url:
        page = browser.new_page()
        first = rival_drawn(page, url)
        theirs = again(page, lambda: rival_drawn(page, url), 5)
        page.close()
    fast, slow = statistics.median(ours), statistics.median(theirs)
    beside = f"{spread(theirs)}; first ever: {first:.2f} s"
    return [
        (
            f"one chart, {runs} runs x {LONG:,} points: drawn",
            "1.5 s",
            f"{fast:.2f} s",
            f"{spread(ours)}; first ever: {cold:.2f} s",
        ),
        ("the same: sent", "300 kB", f"{size / 1000:.0f} kB", "page and chart"),
        ("the same: zoom with detail", "0.3 s", f"{statistics.median(zoom):.2f} s", spread(zoom)),
        ("TensorBoard, the same first chart (1,000 points of each run)", "", f"{slow:.2f} s", beside),
        ("ratio to TensorBoard", "5", f"{slow / fast:.1f}", ""),
    ]


def pair_page(folder: Path, browser: BrowserContext, runs: int) -> list[Row]:
    """The heat map of every pair and run."""
    command = [sys.executable, str(ROOT / "tests" / "pair_runs.py"), str(folder / "pairs"), str(runs), str(PAIRS)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    with serving(folder / "pairs", folder / "cache-pairs") as (url, _):
        page = browser.new_page()
        cold = pairs_drawn(page, url)
        page.wait_for_timeout(10_000)
        warm = again(page, lambda: pairs_drawn(page, url), 5)
        page.close()
    note = f"{spread(warm)}; first ever: {cold:.2f} s"
    return [(f"Pairs, {PAIRS} pairs x {runs} runs: drawn", "usable", f"{statistics.median(warm):.2f} s", note)]


def measure(folder: Path, browser: BrowserContext, share: float) -> list[Row]:
    """All rows of the table: what, goal, measured, note."""
    many, most, charted = (max(3, round(share * n)) for n in (MANY, MOST, CHARTED))
    rows = many_runs(folder, browser, many) + most_runs(folder, browser, most)
    return rows + one_chart(folder, browser, charted) + pair_page(folder, browser, charted)


def main(share: float = 1.0) -> None:
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            Path(name) / "profile",
            executable_path=chromium.find(),
            args=["--no-sandbox"],
            viewport={"width": 1440, "height": 900},
        )
        rows = measure(Path(name), browser, share)
        browser.close()
    for what, goal, measured, note in rows:
        print(f"{what:66}{goal:>14}{measured:>18}   {note}")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
