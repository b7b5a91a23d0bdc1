"""Reads the runs-table CSV that W&B exports: one row per run, configuration and summary mixed and unmarked."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from dashboard.sources.imported import Imported, SourceError
from dashboard.sources.table import Table, parse
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
_METRIC = re.compile(
    r"(train|eval|val|valid|validation|test|dev|system|perf|objective|samples)/.+"
    r"|(train|eval)_(loss|acc\w*|runtime|samples_per_second|steps_per_second)|(val|valid|validation|test|dev)_\w+"
    r"|.*[_/.](loss|acc|accuracy|f1|auc|perplexity|grad_norm)"
    r"|loss|acc|accuracy|epoch|total_flos|global_step|_step|_runtime|_timestamp|rewards/.+|logps/.+|logits/.+",
    re.IGNORECASE,
)
_PANEL = re.compile(r".+__(MIN|MAX)")
_UNKNOWN = frozenset({"", "na", "n/a", "null", "none"})
_BOOLEANS = {"true": True, "false": False}


def is_metric(column: str) -> bool:
    """Whether a column is a logged metric rather than configuration, as far as its name tells."""
    return _METRIC.fullmatch(column) is not None


def read(content: bytes, filename: str, prefix: str) -> Imported:
    """The runs of a W&B runs-table export; each id is `prefix` and the number of its row, from 1.

    Raises SourceError with one sentence, saying what the file seems to be, if it is no such export.
    """
    table = parse(content)
    _refuse_others(table, filename)
    columns, duplicates = _columns(table.header)
    named = [column for column in columns if is_metric(column) and _mostly_numbers(table, columns[column])]
    metrics, notes = _numeric(table, named, columns)
    configs = [column for column in columns if column not in _ABOUT_THE_RUN and column not in named]
    runs = tuple(
        _run(table, number, row, columns, configs, metrics[number], filename, prefix)
        for number, row in enumerate(table.rows)
    )
    return Imported(runs, (*duplicates, *notes, *_about_names(runs), *_about_state(columns)))


def _refuse_others(table: Table, filename: str) -> None:
    header = [column for column in table.header if column]
    if any(_PANEL.fullmatch(column) for column in header):
        raise SourceError(
            f"{filename} is a W&B chart export (curves), not a runs table: export the table of runs as CSV."
        )
    if [column.lower() for column in header] == ["wall time", "step", "value"]:
        raise SourceError(f"{filename} is a TensorBoard scalar export, not a W&B runs table.")
    if NAME not in header or "Step" in header:
        shown = ", ".join(header[:6]) + (", ..." if len(header) > 6 else "")
        raise SourceError(f'{filename} is no W&B runs table: it has no column "{NAME}" (its columns: {shown[:200]}).')
    if not table.rows:
        raise SourceError(f"{filename} is a W&B runs table without a single run.")
    if not any(is_metric(column) for column in header) and len(header) < 3:
        raise SourceError(f"{filename} has names but neither metrics nor configuration: add columns before exporting.")


def _columns(header: tuple[str, ...]) -> tuple[dict[str, int], list[str]]:
    """Column name -> position; of a repeated name the first counts, and the notes say so."""
    repeated = sorted(name for name, count in Counter(header).items() if count > 1 and name)
    columns = {name: header.index(name) for name in dict.fromkeys(header) if name}
    return columns, [f'Column "{name[:80]}" appears more than once: the first is used.' for name in repeated]


def _mostly_numbers(table: Table, position: int) -> bool:
    """Whether at least half of the cells that are not empty are numbers: `classification_loss` may be a switch."""
    cells = [row[position] for row in table.rows if row[position].strip().lower() not in _UNKNOWN]
    return 2 * sum(table.number(cell) is not None for cell in cells) >= len(cells)


def _numeric(table: Table, metrics: list[str], columns: Mapping[str, int]) -> tuple[list[dict[str, float]], list[str]]:
    """Per row its metrics, and a note per cell that is no number. Empty = not logged: absent; NaN = diverged: NaN."""
    found: list[dict[str, float]] = [{} for _ in table.rows]
    bad: list[str] = []
    for column in metrics:
        for number, row in enumerate(table.rows):
            cell = row[columns[column]]
            value = table.number(cell)
            if value is not None:
                found[number][column] = value
            elif cell.strip().lower() not in _UNKNOWN and cell.strip() != "-":
                bad.append(f'Row {number + 1}, column "{column[:80]}": "{cell[:40]}" is no number; it is left out.')
    more = [f"{len(bad) - 20} more cells are no numbers."] if len(bad) > 20 else []
    return found, bad[:20] + more


def _value(table: Table, cell: str) -> Any:
    """A configuration cell: number, truth value, list, text, or None where the source is silent."""
    text = cell.strip()
    if not text or text.lower() in ("na", "n/a"):
        return None
    if text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    number = table.number(text)
    if number is None:
        return _list(text) or text
    return int(number) if math.isfinite(number) and number.is_integer() and "." not in text else number


def _list(text: str) -> list[Any] | None:
    """The plain values of a list written as JSON, as W&B writes `["sigmoid"]`; None for any other text."""
    try:
        found = orjson.loads(text) if text.startswith("[") else None
    except ValueError:
        return None
    plain = isinstance(found, list) and not any(isinstance(part, list | dict) for part in found)
    return found if plain else None


def _run(
    table: Table,
    number: int,
    row: tuple[str, ...],
    columns: Mapping[str, int],
    configs: list[str],
    metrics: dict[str, float],
    filename: str,
    prefix: str,
) -> Run:
    def cell(column: str) -> str:
        return row[columns[column]].strip() if column in columns else ""

    config = {name: value for name in configs if (value := _value(table, cell(name))) is not None}
    state = cell(STATE).lower()
    return Run(
        id=f"{prefix}-{number + 1}",
        name=cell(NAME)[:200] or f"row {number + 1}",
        source=filename,
        status=_STATUS.get(state, "unknown"),
        config=config,
        metrics=metrics,
        step=_whole(metrics.get("train/global_step", metrics.get("_step") or None)),
        max_steps=_whole(table.number(cell("max_steps"))),
        epoch=metrics.get("train/epoch", metrics.get("epoch")),
        n_eval=pairs(metrics),
        sweep=cell("Sweep")[:200] or None,
        seconds=table.number(cell("Runtime")),
        error=f"{state}, as W&B says" if state in ("crashed", "failed") else None,
        notes=() if cell(NOTES) in ("", "-") else (cell(NOTES)[:500],),
    )


def pairs(metrics: Mapping[str, float]) -> int | None:
    """How many pairs were evaluated: eval runtime x samples per second, if that is close to a whole number.

    Both are printed with four and three digits after the point, so the product is known to within
    runtime * 0.0005 + samples_per_second * 0.00005; it must be that close to a whole number, and that below a half.
    """
    runtime, speed = metrics.get("eval/runtime"), metrics.get("eval/samples_per_second")
    if runtime is None or speed is None or not 0 < runtime * speed < 1e9:
        return None
    error = runtime * 0.0005 + speed * 0.00005
    count = round(runtime * speed)
    return count if count >= 1 and error < 0.5 and abs(runtime * speed - count) <= error else None


def _whole(value: float | None) -> int | None:
    return int(value) if value is not None and math.isfinite(value) and value >= 0 else None


def _about_names(runs: tuple[Run, ...]) -> list[str]:
    repeated = [name for name, count in Counter(run.name for run in runs).items() if count > 1]
    if not repeated:
        return []
    return [f"{len(repeated)} names are used by several rows (seeds?): every row is a run of its own."]


def _about_state(columns: Mapping[str, int]) -> list[str]:
    return [] if STATE in columns else ['There is no column "State": whether these runs finished is not known.']
