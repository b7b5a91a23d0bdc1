"""A real server and a real browser: an error on a page, a failed or a foreign request fails the test."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import chromium
import pytest
from make_runs import make_run
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--no-first-run",
    "--no-default-browser-check",
)

PATIENCE = 30_000  # milliseconds: a busy machine is no fault of the page
expect.set_options(timeout=PATIENCE)


@contextmanager
def serving(runs: Path) -> Iterator[str]:
    """Starts `python dashboard/app.py` from another directory, as a user might; gives the URL it prints."""
    command = [sys.executable, str(ROOT / "dashboard" / "app.py"), "--runs", str(runs), "--port", "0"]
    environment = {**os.environ, "HOST": "0.0.0.0", "DASH_DEBUG": "true"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=runs.parent, env=environment) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            yield next(word for word in line.split() if word.startswith("http://"))
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    if path is None:
        pytest.skip("no Chromium here; install one or name it in PREFSCOPE_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


class Watched:
    """What went wrong on a page, as it happens."""

    def __init__(self, page: Page) -> None:
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on("console", self._console)
        page.on("request", self._request)
        page.on("response", self._response)

    def _console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type}: {message.text}")

    def _request(self, request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.hostname != "127.0.0.1":
            self.problems.append(f"foreign request: {request.url}")

    def _response(self, response) -> None:
        if response.status >= 400:
            self.problems.append(f"HTTP {response.status}: {response.url}")


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """open_page(url, width=, height=, theme=) opens a page in a profile of its own and watches it."""
    opened = []

    def open_(url: str, width: int = 1440, height: int = 900, theme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        opened.append((context, Watched(page)))
        page.goto(url)
        return page

    yield open_
    for context, _ in opened:
        context.close()
    assert [problem for _, watched in opened for problem in watched.problems] == []


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three finished runs, of which `good` is the most accurate one, and one that is running."""
    root = tmp_path_factory.mktemp("place") / "runs with space"
    make_run(root, "good", beta=0.1, skill=0.9, seed=1)
    make_run(root, "middling", beta=0.1, skill=0.8, seed=2)
    make_run(root, "other-beta", beta=0.5, skill=0.7, seed=3)
    make_run(root, "live", beta=0.1, done=0.3, status="running", seed=4)
    return root


@pytest.fixture(scope="module")
def url(runs: Path) -> Iterator[str]:
    with serving(runs) as url:
        yield url


@pytest.fixture(scope="module")
def empty_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard over a runs folder that does not exist yet."""
    with serving(tmp_path_factory.mktemp("place") / "runs") as url:
        yield url
