"""What a person at the terminal sees while a sweep runs: a live table, or plain lines where there is no terminal."""

import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, ConsoleDimensions
from rich.live import Live
from rich.table import Table
from rich.text import Text

from training.record import metrics as names
from training.record import reader
from training.record.history import number, whole
from training.record.schema import RecordError
from training.sweeps.trial import Trial

INTERVAL = 30.0  # seconds between two lines of progress, without a terminal
_OTHERS = 46  # columns of a terminal that are neither name nor parameters
_AROUND = 6  # lines of a terminal that are not runs: head, totals, the shell's own
_ENDED = ("finished", "pruned", "failed")
_ACCURACY, _LOSSES = f"eval/{names.ACCURACY}", (f"eval/{names.COMMON_BETA_LOSS}", f"eval/{names.LOSS}")


@dataclass(frozen=True)
class Row:
    """A run of the sweep as its small file tells: `loss` at the common beta where the sweep has one."""

    name: str
    params: Mapping[str, Any]
    state: str
    step: int | None = None
    max_steps: int | None = None
    accuracy: float | None = None
    loss: float | None = None


@dataclass(frozen=True)
class View:
    """All that is shown: `rows` in the order of their start, `total` runs of the whole sweep, `eta` in seconds."""

    rows: Sequence[Row]
    counts: Mapping[str, int]
    total: int
    best: str | None
    eta: float | None


def row(trial: Trial, state: str, runs: Path) -> Row:
    """A trial's line, from its run's latest.json or summary.json."""
    try:
        progress, _ = reader.read_progress(runs / trial.name)
    except RecordError:
        progress = {}
    metrics = progress.get("metrics")
    values = metrics if isinstance(metrics, dict) else {}
    loss = next((values[key] for key in _LOSSES if key in values), None)
    return Row(
        trial.name,
        trial.params,
        state,
        whole(progress.get("step")),
        whole(progress.get("max_steps")),
        number(values.get(_ACCURACY)),
        number(loss),
    )


def plain(text: object) -> str:
    """Text of files as it may go to a terminal: one line, nothing that moves the cursor or colours what follows."""
    return "".join(c if c.isprintable() else "�" for c in str(text))


def settings(params: Mapping[str, Any]) -> str:
    """A trial's values in words: `learning_rate 3e-05, beta 0.1`."""
    return plain(", ".join(f"{name} {_short(value)}" for name, value in params.items())) or "no parameters"


def duration(seconds: float) -> str:
    """`42 s`, `7 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def totals(view: View) -> str:
    """`3 of 16 runs ended (2 finished, 1 pruned), 1 running; best so far ...; ETA 5 min`."""
    ended = {state: view.counts[state] for state in _ENDED if view.counts.get(state)}
    kinds = f" ({', '.join(f'{count} {state}' for state, count in ended.items())})" if ended else ""
    parts = [f"{sum(ended.values())} of {view.total} runs ended{kinds}, {view.counts.get('running', 0)} running"]
    parts += [f"best so far {view.best}"] if view.best else []
    parts += [f"ETA {duration(view.eta)}"] if view.eta is not None else []
    return plain("; ".join(parts))


@dataclass
class Screen:
    """Shows a sweep on `stream`: a table that is drawn anew where that is a terminal, else lines; nothing if quiet."""

    quiet: bool = False
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    _live: Live | None = None
    _told: float = field(default_factory=time.monotonic)

    def __enter__(self) -> "Screen":
        if not self.quiet and self.stream.isatty():
            self._live = Live(console=Console(file=self.stream), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def draw(self, view: View) -> None:
        """The state of the sweep now; without a terminal a line every INTERVAL seconds."""
        if self._live is not None:
            size = os.get_terminal_size(self.stream.fileno())  # Console asks stdin, which may be no terminal
            width, height = size.columns or 80, size.lines or 24  # a terminal may not know its size
            self._live.console.size = ConsoleDimensions(width, height)
            self._live.update(_table(view, height, width), refresh=True)
        elif time.monotonic() - self._told >= INTERVAL:
            self.say(totals(view), *(_line(shown) for shown in view.rows if shown.state == "running"))

    def note(self, line: str) -> None:
        """A line that the table makes needless: only where there is none."""
        if self._live is None:
            self.say(line)

    def say(self, *lines: str) -> None:
        """Lines that stay, above the table."""
        if not self.quiet:
            self.warn(*lines)

    def warn(self, *lines: str) -> None:
        """Lines on what went wrong, which are shown to those who want quiet, too."""
        self._told = time.monotonic()
        for line in map(plain, lines):
            if self._live is not None:
                self._live.console.print(Text(line))
            else:
                print(line, file=self.stream, flush=True)


def _table(view: View, height: int, width: int) -> Table:
    """The rows that fit the terminal: those that run, then those that ended last. Where their names and those of the
    parameters do not fit, a run is called by its number, and a head is no wider than its values.
    """
    running = [one for one in view.rows if one.state == "running"]
    ended = [one for one in view.rows if one.state != "running"]
    shown = sorted([*running, *reversed(ended)][: max(1, height - _AROUND)], key=view.rows.index)
    varying = list(dict.fromkeys(name for one in view.rows for name in one.params))
    columns = {"run": [one.name for one in shown]}
    columns |= {name: [_short(one.params.get(name, "")) for one in shown] for name in varying}
    if sum(2 + max(map(len, [name, *cells])) for name, cells in columns.items()) > width - _OTHERS:
        columns["run"] = [one.name.rpartition("-")[2] for one in shown]
        columns = {_head(name, cells): cells for name, cells in columns.items()}
    table = Table(caption=Text(totals(view)), caption_justify="left", box=None, pad_edge=False)
    for head in columns:
        table.add_column(_cell(head), no_wrap=head == "run")  # those that may wrap are cut first; no cell does
    for head in ("step", "accuracy", "loss", "state"):
        table.add_column(head, no_wrap=True)
    for one, *cells in zip(shown, *columns.values(), strict=True):
        table.add_row(*map(_cell, (*cells, *_progress(one), one.state)))
    return table


def _head(name: str, cells: Sequence[str]) -> str:
    width = max(5, *map(len, cells))
    return name if len(name) <= width else f"{name[: width - 1]}…"


def _cell(text: object) -> Text:
    return Text(plain(text), no_wrap=True, overflow="ellipsis")


def _line(one: Row) -> str:
    step, accuracy, loss = _progress(one)
    return f"  {one.name}  step {step}  accuracy {accuracy}  loss {loss}"


def _progress(one: Row) -> tuple[str, str, str]:
    step = f"{one.step or 0}/{one.max_steps}" if one.max_steps else "-"
    return step, _decimal(one.accuracy, 3), _decimal(one.loss, 4)


def _decimal(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Clock:
    """When the whole sweep will be over, from the steps that its runs have really made per second."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._before = 0

    def eta(self, rows: Sequence[Row], total: int, now: float) -> float | None:
        """Seconds; None before the first step. Runs to come are taken to make as many
        steps as those that ended, on average: pruned ones make fewer.
        """
        steps = sum(one.step or 0 for one in rows)
        if self._began is None and any(one.step is not None for one in rows if one.state == "running"):
            self._began, self._before = now, steps
        if self._began is None or steps <= self._before:
            return None
        ended = [one.step or 0 for one in rows if one.state in ("finished", "pruned")]
        under_way = [one for one in rows if one.state not in _ENDED]
        longest = max((one.max_steps or 0 for one in rows), default=0)
        expected = sum(ended) / len(ended) if ended else longest
        left = sum(max(0, (one.max_steps or expected) - (one.step or 0)) for one in under_way)
        left += expected * max(0, total - len(rows))
        return left / (steps - self._before) * (now - self._began)
