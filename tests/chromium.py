"""Finds a Chromium for the browser tests, or installs one: python tests/chromium.py."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The browser to use: PREFSCOPE_CHROMIUM, an installed one, or the one that Playwright downloaded."""
    if stated := os.environ.get("PREFSCOPE_CHROMIUM"):
        return stated
    return next((path for name in NAMES if (path := shutil.which(name))), None) or _downloaded()


def _downloaded() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode == 0
    except OSError:
        return False


def _install() -> None:
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") and _succeeds(*prefix, "apt-get", "update", "-qq"):
        environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
        if _succeeds(*prefix, *environment, "apt-get", "install", "-y", "-qq", "chromium"):
            return
    _succeeds(sys.executable, "-m", "playwright", "install", "chromium")


if __name__ == "__main__":
    if not find():
        print("installing a Chromium for the browser tests", file=sys.stderr)
        _install()
    if not find():
        sys.exit("make: no Chromium for the browser tests; install one, or name it in PREFSCOPE_CHROMIUM")
