"""What the Run page knows of its run at one moment, and how it says times and sizes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dash import html

from dashboard.analysis import numbers, progress
from dashboard.components import layout as parts
from dashboard.components.context import catalog
from dashboard.sources import run_files
from dashboard.sources.catalog import Snapshot
from training.record.schema import History, Run


@dataclass(frozen=True)
class View:
    """One run: its place in the palette, its curves, and its folder where it has one."""

    snapshot: Snapshot
    run: Run
    slot: int
    history: History
    folder: Path | None

    @property
    def where(self) -> str:
        """The folder as it works in a command given in the repository."""
        return run_files.shown(self.folder) if self.folder else ""


def view(snapshot: Snapshot, run_id: Any) -> View | None:
    """The run of this id, None if the catalog lists none."""
    run = snapshot.runs.get(run_id) if isinstance(run_id, str) else None
    if run is None:
        return None
    slot = catalog().colours(snapshot.runs)[run.id]
    folder = run_files.folder(snapshot.runs, catalog().root, run.id)
    return View(snapshot, run, slot, catalog().history(run.id), folder)


def pages_link(path: str, *run_ids: str) -> str:
    """A link to another page with these runs."""
    return f"{path}?runs={','.join(quote(run_id, safe='') for run_id in run_ids)}"


def ago(then: float | None, now: float) -> str:
    """An age in words, such as 3 h 20 min ago; what lies in the future is just now."""
    if then is None:
        return numbers.MISSING
    return "just now" if now - then < 5 else f"{progress.words(now - then)} ago"


def when(moment: float | None) -> str:
    """A date and time as the clock of this server has it."""
    try:
        return numbers.MISSING if moment is None else f"{datetime.fromtimestamp(moment):%d %b %Y, %H:%M}"
    except (ValueError, OverflowError, OSError):
        return numbers.MISSING


def size(count: int) -> str:
    """Bytes in the unit that says enough: 512 B, 9.1 MB."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if value >= 99.5 else f"{value:.3g} {units[0]}"


def facts(rows: list[tuple[str, Any]]) -> html.Dl:
    """Names and values, one below the other."""
    return html.Dl([part for name, value in rows for part in (html.Dt(name), html.Dd(value))], className="run-facts")


def lacking(text: str) -> html.P:
    """What is not there, and why."""
    return html.P(text, className="run-lacking dim")


def elsewhere(run: Run) -> str:
    """Why a run has no folder here."""
    if run.source == "runs":
        return "The run came in an upload, and its folder is not in the runs folder."
    return f"The run comes from {numbers.one_line(run.source)}, which holds only what was logged."


def section(name: str, title: str, body: list[Any], aside: Any = None, hidden: bool = False) -> html.Section:
    """A card that the page's own navigation leads to."""
    return parts.card(title, body, aside, id=f"run-{name}", tabIndex=-1, className="run-section", hidden=hidden)


def leaves(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """The figures in nested objects, each under its path: texts, which may be anything, are left out."""
    for key, item in value.items() if isinstance(value, dict) else ():
        name = f"{above}{numbers.one_line(str(key), 60)}"
        if isinstance(item, dict):
            yield from leaves(item, f"{name} / ")
        elif isinstance(item, int | float) and not isinstance(item, bool):
            yield name, item
