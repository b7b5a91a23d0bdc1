"""Files for the Import drawer, and how a test gives them to it."""

import json
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

EXPORT = (
    '﻿"Name","State","beta","learning_rate","eval/loss","eval/rewards/accuracies","eval/runtime","eval/samples_per_second"\n'
    '"wise-sweep-1","finished","0.1","0.00001","0.45","0.84","50.0000","10.000"\n'
    '"warm-sweep-2","finished","0.5","0.00002","0.95","0.70","50.0000","10.000"\n'
    '"cold-sweep-3","crashed","0.1","0.00003","NaN","","50.0000","oops"\n'
)
ROW = {"step": 10, "loss": 0.6, "rewards/accuracies": 0.7, "rewards/margins": 0.1, "epoch": 0.1}
STATE = json.dumps({"log_history": [ROW], "global_step": 10, "max_steps": 10, "epoch": 0.1})


def opened(page: Page) -> None:
    page.locator("#import-open").click()
    expect(page.locator("#import-files")).not_to_be_empty()


def choose(page: Page, *files: tuple[str, str | bytes] | Path) -> None:
    """Gives files to the browser's own dialog: paths, or names with contents."""
    payload = [file if isinstance(file, Path) else _payload(*file) for file in files]
    with page.expect_file_chooser() as dialog:
        page.locator("#import-choose").click()
    dialog.value.set_files(payload)


def _payload(name: str, content: str | bytes) -> dict[str, object]:
    data = content.encode() if isinstance(content, str) else content
    return {"name": name, "mimeType": "text/csv", "buffer": data}


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name)
