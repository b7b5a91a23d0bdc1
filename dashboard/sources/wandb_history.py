"""Reads the CSV that a W&B chart exports: one column per run and metric, its __MIN and __MAX beside it, curves only."""

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from dashboard.sources.evaluated import pairs
from dashboard.sources.imported import NO_CORRECTIONS, Corrections, Imported, SourceError, with_evaluations
from dashboard.sources.points import LARGEST_STEP, MOST_NOTES, by_note, few
from dashboard.sources.table import Table, parse
from dashboard.sources.vocabulary import key
from training.record.schema import History, Run, Series

MOST_POINTS = 3_000_000
"""Rows times metrics of one file: 32 bytes each once read."""

GROUPED = "A mean over several runs that W&B grouped, with a range; not one run."
RANGED = "Each value is a mean over a range (several runs grouped, or several steps put together); not one run's own."

_SEPARATOR = " - "
_BOUNDS = re.compile(r"(.+)__(MIN|MAX)", re.DOTALL)
_OPTIMIZER_STEPS = ("train/global_step", "global_step", "trainer/global_step")
_LOGGER_STEP = "_step"
_STEPS = frozenset({*_OPTIMIZER_STEPS, _LOGGER_STEP, "step"})
_EPOCHS = ("train/epoch", "epoch")
_NO_CURVES = _STEPS | {*_EPOCHS}
_GROUP_NAME = re.compile(r"[\w./]+: .+", re.DOTALL)

_Array = np.ndarray[Any, Any]
_Name = tuple[str, int]
"""A run's name, and which of the runs of that name it is (from 0)."""


class _Column(NamedTuple):
    """One column as numbers, shape (rows,): NaN where `given` is False, and where a run wrote NaN."""

    values: _Array
    given: _Array


@dataclass(frozen=True)
class _Sheet:
    """The table's columns as numbers, and a sentence for each cell that is none."""

    table: Table
    bad: list[str] = field(default_factory=list)

    def column(self, position: int) -> _Column:
        numbers = self.table.numbers(position)
        name = self.table.header[position][:80]
        texts = self.table.texts(position) if None in numbers else []
        wrong = [at for at, text in enumerate(texts) if text and numbers[at] is None]
        self.bad.extend(
            f'row {at + 1}, column "{name}": "{texts[at][:40]}" is no number; it is left out.'
            for at in wrong[:MOST_NOTES]
        )
        if len(wrong) > MOST_NOTES:
            self.bad.append(f'column "{name}": {len(wrong) - MOST_NOTES:,} more cells are no numbers.')
        return _Column(np.array(numbers, float), np.array([value is not None for value in numbers], bool))


@dataclass(frozen=True)
class _Axis:
    """One run's points: their rows, steps (strictly increasing) and epochs (NaN where unknown), shape (points,).

    `note` says where the steps come from; `counted` that they are no steps but the numbers of the points.
    """

    rows: _Array
    steps: _Array
    epochs: _Array
    note: str | None
    counted: bool = False


def read(content: bytes, filename: str, prefix: str, corrections: Corrections = NO_CORRECTIONS) -> Imported:
    """The curves of a W&B chart export, one run per name in its header; ids are `prefix` and the run's number, from 1.

    A step is the run's own train/global_step where the file has it, else the first column if that counts steps, else
    the number of the point. Raises SourceError, one sentence, if the file is no such export or holds no point.
    """
    table = parse(content)
    columns = _columns(table.header)
    _refuse_others(table, columns, filename)
    sheet = _Sheet(table)
    x = sheet.column(0)
    runs: list[Run] = []
    histories: dict[str, History] = {}
    remarks: list[tuple[str, str]] = []
    for (name, _), places in columns.items():
        values = {metric: sheet.column(position) for metric, position in places.items()}
        axis = _axis(table.header[0], x, values)
        history, clashes = _history(values, axis, corrections)
        if not history:
            remarks.append((name, "there is no point; it is left out."))
            continue
        group = _group(name, sheet, places, values)
        run = _run(f"{prefix}-{len(runs) + 1}", name, filename, history, axis, group)
        runs.append(run)
        histories[run.id] = history
        remarks += [(name, remark) for remark in (*clashes, axis.note, group) if remark]
    if not runs:
        raise SourceError(f"{filename} is a W&B chart export without a single point.")
    told = [*_about_columns(table, columns), *few(by_note(remarks), "notes"), *few(sheet.bad, "cells are no numbers")]
    named = frozenset(metric for places in columns.values() for metric in places)
    keys = corrections.keys(named, key)
    return Imported(tuple(runs), tuple(f"{filename}: {note}" for note in told), histories, named=named, keys=keys)


def _columns(header: Sequence[str]) -> dict[_Name, dict[str, int]]:
    """Run -> metric -> position of its column. The n-th column of one name is of the n-th run of that name."""
    found: dict[_Name, dict[str, int]] = defaultdict(dict)
    seen: Counter[str] = Counter()
    for position, column in enumerate(header[1:], 1):
        if _SEPARATOR in column and not _BOUNDS.fullmatch(column):
            run, _, metric = column.rpartition(_SEPARATOR)
            found[run.strip(), seen[column]][metric.strip()] = position
            seen[column] += 1
    return found


def _refuse_others(table: Table, columns: Mapping[_Name, Mapping[str, int]], filename: str) -> None:
    if not columns:
        shown = ", ".join(table.header[:6])[:200]
        raise SourceError(f'{filename} is no W&B chart export: no column is named "RUN - METRIC" (columns: {shown}).')
    points = len(table) * sum(map(len, columns.values()))
    if points > MOST_POINTS:
        raise SourceError(
            f"{filename} has room for {points:,} points, the limit is {MOST_POINTS:,}: export fewer runs."
        )


def _axis(name: str, x: _Column, values: Mapping[str, _Column]) -> _Axis:
    """Where the points of one run lie: rows with an x and a value. No step is used that two of its rows share."""
    there = np.zeros(len(x.values), bool)
    for metric, column in values.items():
        if metric not in _NO_CURVES:
            there |= column.given
    rows = np.flatnonzero(there & np.isfinite(x.values))
    own = next((values[metric] for metric in _EPOCHS if metric in values), None)
    epochs = x.values if name.lower() in _EPOCHS else own.values if own else np.full(len(x.values), np.nan)
    for places, note in _candidates(name, x, values):
        steps = places[rows]
        whole = np.isfinite(steps).all() and (np.abs(steps) < LARGEST_STEP).all() and (steps == np.round(steps)).all()
        if whole and len(np.unique(steps)) == len(rows):
            order = np.argsort(steps)
            return _Axis(rows[order], steps[order].astype(np.int64), epochs[rows[order]], note)
    rows = rows[np.argsort(x.values[rows], kind="stable")]
    note = f'the first column, "{name[:80]}", counts no steps or repeats them: points are numbered, from 0.'
    return _Axis(rows, np.arange(len(rows)), epochs[rows], note, counted=True)


def _candidates(name: str, x: _Column, values: Mapping[str, _Column]) -> list[tuple[_Array, str | None]]:
    """Columns that may hold a run's steps, the best first, each with what to say if it is used."""
    found: list[tuple[_Array, str | None]] = [
        (values[metric].values, f'steps are those of the column "{metric}".')
        for metric in _OPTIMIZER_STEPS
        if metric in values
    ]
    if name.lower() in _STEPS:
        counts = None if name.lower() in _OPTIMIZER_STEPS else f'"{name}" is W&B\'s count of logs, not optimizer steps.'
        found += [(x.values, counts), (np.round(x.values), f'"{name}" has fractions: they are rounded to steps.')]
    if _LOGGER_STEP in values:
        found.append((values[_LOGGER_STEP].values, 'steps are those of the column "_step": W&B\'s count of logs.'))
    return found


def _history(values: Mapping[str, _Column], axis: _Axis, corrections: Corrections) -> tuple[History, list[str]]:
    """The curves, and a sentence for each metric that is left out because another has the same key. Empty: no point."""
    found: dict[str, Series] = {}
    clashes = []
    for metric, column in values.items():
        known = corrections.renamed.get(metric) or key(metric)
        given = column.given[axis.rows]
        if metric in _NO_CURVES or metric in corrections.ignored or not given.any():
            continue
        if known in found:
            clashes.append(f'"{metric[:80]}" is a second {known[:80]}; the first is used.')
            continue
        columns = (axis.steps, axis.epochs, np.full(len(given), np.nan), column.values[axis.rows])
        steps, *others = (part[given].tobytes() for part in columns)
        found[known] = Series(array("q", steps), *(array("d", part) for part in others))
    return found, clashes


def _run(ident: str, name: str, filename: str, history: History, axis: _Axis, group: str | None) -> Run:
    run = Run(ident, name[:200] or "run without a name", filename, "unknown", notes=(group,) if group else ())
    run = replace(with_evaluations(run, history), apart="a mean of several runs" if group == GROUPED else None)
    return replace(run, step=None if axis.counted else run.step, n_eval=None if group else pairs(run.metrics))


def _group(name: str, sheet: _Sheet, places: Mapping[str, int], values: Mapping[str, _Column]) -> str | None:
    """What a curve of several runs is, told by W&B's name for it or by a range around a value; None for one run's."""
    ranged = any(_ranged(sheet, position, values[metric]) for metric, position in places.items())
    if name == "Grouped runs" or (ranged and _GROUP_NAME.fullmatch(name)):
        return GROUPED
    return RANGED if ranged else None


def _ranged(sheet: _Sheet, position: int, column: _Column) -> bool:
    """Whether one of the two columns that bound this one differs from it somewhere: for a single run all are equal."""
    header = sheet.table.header
    bounds = {f"{header[position]}__MIN", f"{header[position]}__MAX"}
    beside = [at for at in (position + 1, position + 2) if at < len(header) and header[at] in bounds]
    for at in beside:
        bound = sheet.column(at)
        both = np.isfinite(bound.values) & np.isfinite(column.values)
        if (bound.values[both] != column.values[both]).any():
            return True
    return False


def _about_columns(table: Table, columns: Mapping[_Name, Mapping[str, int]]) -> list[str]:
    """A sentence for names of several runs, for columns that belong to no run, and for rows of another length."""
    several = sorted({name for name, count in columns if count})
    other = [name for name in table.header[1:] if name and _SEPARATOR not in name and not _BOUNDS.fullmatch(name)]
    notes = [f'several runs are named "{name[:80]}": each is a run of its own.' for name in several]
    if other:
        notes.append(f'{len(other)} columns, such as "{other[0][:80]}", are not named "RUN - METRIC" and are left out.')
    if table.ragged:
        notes.append(f"{table.ragged:,} rows have more or fewer cells than the header has names.")
    return notes
