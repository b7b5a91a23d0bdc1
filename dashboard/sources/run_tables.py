"""Reads tables that people keep by hand: a spreadsheet of results, a notebook's or model card's table of one run."""

import math
import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

import pyarrow.compute as pc

from dashboard.sources import columns, headers, markdown_tables, vocabulary
from dashboard.sources.evaluated import pairs
from dashboard.sources.imported import NO_CORRECTIONS, Corrections, Imported, SourceError, with_evaluations
from dashboard.sources.points import whole
from dashboard.sources.settings import settings_in
from dashboard.sources.table import Table, from_rows, header, parse
from dashboard.sources.wandb_runs import about_names, about_rows
from training.record.metrics import ACCURACY
from training.record.schema import History, Run, Series

_NAMES = (
    "name", "run", "run name", "run_name", "experiment", "trial", "model", "method", "config", "parameters",
    "hyperparameters", "id", "run id", "run_id", "checkpoint",
)  # fmt: skip
_SETTINGS = frozenset({"beta", "lr", "learning rate", "learning_rate", "seed", "loss_type", "batch size", "batch_size"})
_PLACES = ("step", "epoch")
_NUMBERED = re.compile(r"(.*[^\W\d])[-_ @]([0-9]{1,4})", re.ASCII)
_PERCENT = re.compile(r"([-+]?\d+(?:[.,]\d+)?)\s*%", re.ASCII)
_COUNT = re.compile(
    r".*\(\s*(?:n\s*=\s*(\d[\d,]{0,9})|(\d[\d,]{0,9})\s*(?:(?:eval\w*|test)\s+)?(?:pairs|examples|samples))\s*\)\W*",
    re.IGNORECASE | re.DOTALL,
)
_ACCURACIES = frozenset({"accuracy", "acc", "eval accuracy", "eval_accuracy", "eval acc", "eval_acc"})
_MARGINS = frozenset({"margin", "margins", "eval margin", "eval_margin"})
_OF_PREFERENCES = _MARGINS | {"beta", "β", "dpo_beta", "pref_beta", "loss_type", "pref_loss", "loss type"}
_LONGEST = 300


def read(content: bytes, filename: str, prefix: str, corrections: Corrections = NO_CORRECTIONS) -> Imported:
    """The runs of a table with one row per run, or the one run of a table with one row per evaluation.

    A metric whose name says no split is taken as one of the evaluation. Raises SourceError, one sentence that says what
    the file seems to be, if it is no such table.
    """
    tables = markdown_tables.find(content)
    if not tables:
        _refuse(header(content), filename, corrections)
        tables = [parse(content)]
    table = next((table for table in tables if not _problem(table.header, corrections)), tables[0])
    _refuse(table.header, filename, corrections)
    if not len(table):
        raise SourceError(f"{filename} is a table of runs without a single row.")
    named = frozenset([*table.header, *_numbered(table.header)])
    told, about = _reward_accuracy(named, corrections)
    found = (_one_run if _is_curve(table.header) else _runs)(_shares(table), filename, prefix, told)
    counts = [run.n_eval for run in found.runs]
    silent = "whether its runs finished" + (", nor how many pairs were evaluated" if None in counts else "")
    notes = [*found.notes, *about, *about_rows(table), f"The table does not say {silent}."]
    if len(tables) > 1:
        notes.append(f"{filename} has {len(tables)} tables: the first that shows runs is read.")
    return replace(found, notes=tuple(notes), named=named)


def _refuse(names: Sequence[str], filename: str, corrections: Corrections) -> None:
    if problem := _problem(names, corrections):
        raise SourceError(f"{filename} is no table of runs: {problem} (its columns: {headers.shown(names)}).")


def _problem(names: Sequence[str], corrections: Corrections) -> str:
    """Why a table with these columns cannot be read here; "" if it can."""
    if kind := headers.seems(names):
        return f"it seems to be {kind}"
    told = corrections.metrics | corrections.renamed.keys()
    metrics = [name for name in names if name in told or columns.is_metric(name) or _NUMBERED.fullmatch(name)]
    if not {name for name in metrics if name.lower() not in _PLACES}:
        return "no column is a metric known here, such as eval_loss or accuracy"
    if len([name for name in names if name]) < 2:
        return "it has a single column"
    return ""


def _reward_accuracy(names: frozenset[str], told: Corrections) -> tuple[Corrections, list[str]]:
    """What the user says, and whether `accuracy` is the reward accuracy; with a note on that.

    People who note beta beside an accuracy, or other rewards, mean DPO's; a table with both accuracies has named them.
    """
    keys = {name: vocabulary.key(columns.bare(name), "eval") for name in sorted(names)}
    plain = [
        name for name in keys if columns.bare(name).lower() in _ACCURACIES and name not in told.config | told.ignored
    ]
    known = f"eval/{ACCURACY}" in {*keys.values(), *told.renamed.values()}
    if known or len(plain) != 1 or plain[0] in told.renamed:
        return told, []
    name = plain[0]
    beside = [
        other
        for other, key in keys.items()
        if columns.bare(other).lower() in _OF_PREFERENCES or vocabulary.seems_dpo([key])
    ]
    if not beside:
        note = (
            f'Nothing tells that "{name[:80]}" is the reward accuracy; if it is: --map "{name[:80]}=eval/{ACCURACY}".'
        )
        return told, [note]
    note = f'"{name[:80]}" is taken for the reward accuracy, as "{beside[0][:80]}" stands beside it'
    margins = [other for other in keys if columns.bare(other).lower() in _MARGINS and other not in told.config]
    renamed = {name: f"eval/{ACCURACY}", **dict.fromkeys(margins[:1], "eval/rewards/margins"), **told.renamed}
    return replace(told, renamed=renamed), [f'{note}; if it is another one: --map "{name[:80]}=eval/accuracy".']


def _pairs(names: Iterable[str]) -> int | None:
    """The number of pairs that the name of a metric gives, as `accuracy (640 pairs)` or `loss (n=640)` do."""
    matches = (_COUNT.fullmatch(name[:_LONGEST]) for name in names if columns.is_metric(name))
    counts = {int((match[1] or match[2]).replace(",", "")) for match in matches if match}
    count = counts.pop() if len(counts) == 1 else 0
    return count or None


def _is_curve(names: Sequence[str]) -> bool:
    """Whether each row is one evaluation of one run: steps or epochs, and nothing that tells runs apart."""
    lower = {name.lower() for name in names}
    return bool(lower & set(_PLACES)) and not lower & (_SETTINGS | set(_NAMES))


def _shares(table: Table) -> Table:
    """The table with each percentage, 82.9%, as a share, 0.829."""
    if not any(pc.any(pc.match_substring(column, "%")).as_py() for column in table.columns):
        return table
    rows = [[_share(cell) for cell in row] for row in table.rows]
    return replace(table, columns=from_rows(table.header, rows).columns)


def _share(cell: str) -> str:
    match = _PERCENT.fullmatch(cell)
    return repr(float(f"{match[1].replace(',', '.')}e-2")) if match else cell


def _one_run(table: Table, filename: str, prefix: str, corrections: Corrections) -> Imported:
    """The run whose evaluations, or logs, are the rows."""
    lower = [name.lower() for name in table.header]
    places = {place: table.numbers(lower.index(place)) for place in _PLACES if place in lower}
    found = columns.sort(table, corrections, [name for name in table.header if name.lower() in _PLACES], "eval")
    notes = [*found.notes, *_as_shares(found.metrics)]
    steps, epochs = places.get("step", places.get("epoch", [])), places.get("epoch", [None] * len(table))
    if "step" not in places:
        notes.append("The table has no steps: the epoch is taken in their place.")
        if not all(step is None or step.is_integer() for step in steps if step is None or math.isfinite(step)):
            notes.append("Epochs are not whole: the rows are numbered instead.")
            steps = [float(row) for row in range(1, len(table) + 1)]
    points = [(step, epoch, row) for row, (step, epoch) in enumerate(zip(steps, epochs, strict=True))]
    rows = {at: (epoch, row) for step, epoch, row in points if (at := whole(step)) is not None and at >= 0}
    if len(rows) < len(table):
        notes.append(f"{len(table) - len(rows)} rows have no step of their own and are left out.")
    history = {
        key: series
        for key, values in found.metrics.items()
        if len(series := _series([(step, epoch, values[row]) for step, (epoch, row) in sorted(rows.items())]))
    }
    run = Run(
        id=f"{prefix}-1",
        name=PurePosixPath(filename).stem[:200] or filename,
        source=filename,
        status="unknown",
        n_eval=_pairs(table.header),
    )
    return Imported((with_evaluations(run, history),), tuple(notes), {run.id: history}, keys=found.keys)


def _series(points: Sequence[tuple[int, float | None, float | None]]) -> Series:
    """The curve through (step, epoch, value), in order of steps; a point without value is none."""
    kept = [(step, math.nan if epoch is None else epoch, value) for step, epoch, value in points if value is not None]
    return Series(
        array("q", [step for step, _, _ in kept]),
        array("d", [epoch for _, epoch, _ in kept]),
        array("d", [math.nan] * len(kept)),
        array("d", [value for _, _, value in kept]),
    )


def _numbered(names: Sequence[str]) -> dict[str, dict[int, str]]:
    """Metric -> evaluation number -> column, of columns such as `loss-1`, `loss-2`."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match and columns.is_metric(match[1]):
            found[match[1]].setdefault(int(match[2]), name)
    return {metric: dict(sorted(points.items())) for metric, points in found.items() if len(points) > 1}


def _runs(table: Table, filename: str, prefix: str, corrections: Corrections) -> Imported:
    """The runs of which each has a row."""
    numbered = _numbered(table.header)
    named = next((name for known in _NAMES for name in table.header if name.lower() == known), None)
    about = {name for points in numbered.values() for name in points.values()} | ({named} if named else set())
    found = columns.sort(table, corrections, about, "eval")
    notes = [*found.notes, *_as_shares(found.metrics), *_about_numbers(numbered)]
    curves = _curves(table, numbered, corrections)
    texts = table.texts(table.header.index(named)) if named else [""] * len(table)
    configs, metrics = columns.by_row(found.config, len(table)), columns.by_row(found.metrics, len(table))
    count, runs, histories = _pairs(table.header), [], {}
    for number, (text, config, logged, history) in enumerate(zip(texts, configs, metrics, curves, strict=True), 1):
        settings = settings_in(text, lambda cell: columns.value(table, cell))
        run = Run(
            id=f"{prefix}-{number}",
            name=_name(named, text, number, bool(settings)),
            source=filename,
            status="unknown",
            config={**settings, **config},
            metrics=logged,
            epoch=logged.get("epoch"),
            n_eval=count or pairs(logged),
        )
        runs.append(with_evaluations(run, history) if history else run)
        if history:
            histories[run.id] = history
    keys = found.keys | corrections.keys(numbered, partial(vocabulary.key, default_split="eval"))
    return Imported(tuple(runs), (*notes, *about_names(runs)), histories, keys=keys)


def _curves(table: Table, numbered: Mapping[str, Mapping[int, str]], corrections: Corrections) -> list[History]:
    """Per row the curves over evaluations 1, 2, ...; empty cells are evaluations that did not happen."""
    curves: list[dict[str, Series]] = [{} for _ in range(len(table))]
    for metric, points in numbered.items():
        if metric in corrections.ignored:
            continue
        key = corrections.renamed.get(metric) or vocabulary.key(metric, "eval")
        values = zip(*(table.numbers(table.header.index(name)) for name in points.values()), strict=True)
        for curve, row in zip(curves, values, strict=True):
            series = _series([(k, float(k), value) for k, value in zip(points, row, strict=True)])
            if len(series):
                curve[key] = series
    return [dict(curve) for curve in curves]


def _about_numbers(numbered: Mapping[str, Mapping[int, str]]) -> list[str]:
    if not numbered:
        return []
    first = next(iter(numbered.values()))
    shown = ", ".join(f'"{name[:80]}"' for name in list(first.values())[:2])
    return [f"Columns such as {shown} are read as a curve over evaluations: the number is taken as epoch and step."]


def _as_shares(metrics: dict[str, Sequence[float | None]]) -> list[str]:
    """Turns accuracies given in percent into shares, as no share is above 1; and a note for each."""
    notes = []
    for key, values in metrics.items():
        known = [value for value in values if value is not None and math.isfinite(value)]
        if key.endswith(ACCURACY) and known and max(known) > 1 and all(v == 0 or 1 < v <= 100 for v in known):
            metrics[key] = [None if value is None else value / 100 for value in values]
            notes.append(f'"{key[:80]}" has values up to {max(known):g}: they are taken as percent.')
    return notes


def _name(column: str | None, text: str, number: int, is_settings: bool) -> str:
    if not text or column is None:
        return f"row {number}"
    if is_settings and "=" in text:
        return f"{column} {number}"
    return f"{column} {text}"[:200] if text.isdecimal() else text[:200]
