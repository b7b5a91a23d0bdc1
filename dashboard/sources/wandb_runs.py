"""Reads the runs-table CSV that W&B exports: one row per run, configuration and summary mixed and unmarked."""

import gc
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

from dashboard.sources import columns
from dashboard.sources.columns import is_metric
from dashboard.sources.evaluated import RUNTIME, SPEED, counted
from dashboard.sources.headers import is_panel, is_scalars, seems, shown
from dashboard.sources.imported import NO_CORRECTIONS, Corrections, Imported, SourceError
from dashboard.sources.sameness import WANDB_ID
from dashboard.sources.table import Table, header, parse
from training.record.schema import Run, Status

NAME, STATE, RUN_ID, NOTES = "Name", "State", "ID", "Notes"

_ABOUT_THE_RUN = frozenset(
    {NAME, STATE, RUN_ID, NOTES, "Runtime", "Sweep", "Tags", "Created", "User", "End Time", "Updated", "Description"}
)
_STATUS: Mapping[str, Status] = {
    "finished": "finished",
    "running": "running",
    "crashed": "failed",
    "failed": "failed",
    "killed": "stopped",
    "preempted": "stopped",
    "preempting": "running",
}
_ERRORS = ("crashed", "failed")
_NOTHING: Mapping[str, Any] = {}
"""Of what a table does not tell, for all runs."""


def read(content: bytes, filename: str, prefix: str, corrections: Corrections = NO_CORRECTIONS) -> Imported:
    """The runs of a W&B runs-table export; each id is `prefix` and the number of its row, from 1.

    Raises SourceError with one sentence, saying what the file seems to be, if it is no such export.
    """
    _refuse_others(header(content), filename)
    table = parse(content)
    if not len(table):
        raise SourceError(f"{filename} is a W&B runs table without a single run.")
    with _collector_paused():
        found = columns.sort(table, corrections, _ABOUT_THE_RUN)
        runs, again = _once(_runs(table, found, filename, prefix), _cells(table, RUN_ID, str))
    notes = (
        *found.notes,
        *again,
        *about_rows(table),
        *about_names(runs),
        *_about_state(table.header),
    )
    return Imported(runs, notes, named=frozenset(table.header), keys=found.keys)


def _refuse_others(header: Sequence[str], filename: str) -> None:
    if is_panel(header) or is_scalars(header):
        raise SourceError(
            f"{filename} is {seems(header)}, not a W&B runs table: for its configuration export the table of runs."
        )
    if NAME not in header or "Step" in header:
        kind = f" It seems to be {seems(header)}." if seems(header) else ""
        problem = f'it has no column "{NAME}"' if NAME not in header else 'it has a column "Step"'
        raise SourceError(f"{filename} is no W&B runs table: {problem} (its columns: {shown(header)}).{kind}")
    named = [column for column in header if column]
    if not any(is_metric(column) for column in named) and len(named) < 3:
        raise SourceError(f"{filename} has names but neither metrics nor configuration: add columns before exporting.")


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Without Python's cyclic garbage collector, which would walk all rows again and again (they have no cycles): half
    of the time that a large table takes."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _cells(table: Table, name: str, read: Callable[[str], Any]) -> list[Any]:
    """What `read` makes of each cell of a column; None where the cell is empty or the column absent."""
    return table.each(table.header.index(name), read) if name in table.header else [None] * len(table)


def _runs(table: Table, found: columns.Columns, filename: str, prefix: str) -> list[Run]:
    """One run per row. A cell is looked at once for all rows that have it, a column at a time."""
    rows, metrics = len(table), found.metrics
    silent = [None] * rows
    states = _cells(table, STATE, _state)
    calls = [count or None for count in metrics.get("_step", silent)]
    names = table.texts(table.header.index(NAME))
    notes = _cells(table, NOTES, lambda cell: (cell[:500],) if cell != "-" else ())
    nothing = [_NOTHING] * rows
    return _of_columns(
        {
            "id": [f"{prefix}-{number}" for number in range(1, rows + 1)],
            "name": [name[:200] or f"row {number}" for number, name in enumerate(names, 1)],
            "source": [filename] * rows,
            "status": [state[0] if state else "unknown" for state in states],
            "error": [state[1] if state else None for state in states],
            "config": columns.by_row(found.config, rows),
            "metrics": columns.by_row(metrics, rows),
            "best": nothing,
            "step": _whole_each(_first(metrics.get("train/global_step"), calls, rows)),
            "max_steps": _whole_each(found.config.get("max_steps", silent)),
            "epoch": _first(metrics.get("train/epoch"), metrics.get("epoch"), rows),
            "n_eval": list(map(counted, metrics.get(RUNTIME, silent), metrics.get(SPEED, silent))),
            "data": nothing,
            "environment": [ident or _NOTHING for ident in _cells(table, RUN_ID, lambda cell: {WANDB_ID: cell})],
            "seconds": _cells(table, "Runtime", table.number),
            "sweep": _cells(table, "Sweep", lambda cell: cell[:200]),
            "created": _cells(table, "Created", _seconds),
            "notes": [note or () for note in notes] if NOTES in table.header else silent,
        }
    )


def _of_columns(fields: Mapping[str, Sequence[Any]]) -> list[Run]:
    """Runs with these fields, one column for each; what no run has stays at its default.

    Set a column at a time, past the constructor of a frozen dataclass, which takes twice as long and as much memory.
    """
    runs = [object.__new__(Run) for _ in fields["id"]]
    silent = [None] * len(runs)
    for name, column in fields.items():
        if column != silent:
            deque(map(object.__setattr__, runs, repeat(name), column), maxlen=0)
    return runs


def _state(cell: str) -> tuple[Status, str | None]:
    state = cell.lower()
    return _STATUS.get(state, "unknown"), f"{state}, as W&B says" if state in _ERRORS else None


def _first(one: Sequence[Any] | None, other: Sequence[Any] | None, rows: int) -> Sequence[Any]:
    """Per row the first column's cell, or the other's where the first is empty or absent."""
    if one is None or other is None:
        return one or other or [None] * rows
    return [second if first is None else first for first, second in zip(one, other, strict=True)]


def _whole_each(values: Sequence[Any]) -> list[int | None]:
    """`_whole` of every value, called once for all equal ones, unless a list is among them."""
    try:
        known = {value: _whole(value) for value in set(values)}
    except TypeError:
        return list(map(_whole, values))
    return [known[value] for value in values]


def _whole(value: Any) -> int | None:
    known = isinstance(value, int | float) and math.isfinite(value) and 0 <= value < 2**63
    return int(value) if known else None


def _seconds(text: str) -> float | None:
    """A time as W&B writes it, `2025-05-20T00:05:54.000Z`, in seconds since 1970."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _once(runs: list[Run], ids: list[str | None]) -> tuple[tuple[Run, ...], list[str]]:
    """The runs without a second row of the same W&B ID: one run exported twice is one run."""
    seen = Counter(key for key in ids if key)
    if not seen or seen.most_common(1)[0][1] == 1:
        return tuple(runs), []
    first: dict[str, Run] = {}
    for run, key in zip(runs, ids, strict=True):
        first.setdefault(key or f"row {run.id}", run)
    again = len(runs) - len(first)
    return tuple(first.values()), [f"{again:,} rows repeat the ID of a row above: the first row of each is used."]


def about_rows(table: Table) -> list[str]:
    """A note on rows that do not fit the header."""
    if not table.ragged:
        return []
    return [
        f"{table.ragged:,} rows have fewer or more cells than the header: what is missing is taken as empty, what is "
        "too much is left out."
    ]


def about_names(runs: Sequence[Run]) -> list[str]:
    """A note on names that several runs share."""
    counts = Counter([run.name for run in runs])
    repeated = [name for name, count in counts.items() if count > 1]
    if not repeated:
        return []
    rows = sum(counts[name] for name in repeated)
    return [
        f"{len(repeated):,} names are used by several rows ({rows:,} in all): every row is a run of its own. If they "
        "are seeds of one configuration, group them as seeds."
    ]


def _about_state(header: Sequence[str]) -> list[str]:
    return [] if STATE in header else ['There is no column "State": whether these runs finished is not known.']
