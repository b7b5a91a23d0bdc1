"""The log inside a trainer_state.json: parsed without harm, and turned into curves under W&B keys."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import orjson

from dashboard.sources import json_lines
from dashboard.sources.files import File
from dashboard.sources.imported import Corrections, SourceError
from dashboard.sources.points import Point, series, whole
from dashboard.sources.vocabulary import key
from training.record.history import number
from training.record.schema import History

LARGEST = 32 * 2**20
"""Bytes of one state: about 80,000 rows of DPO."""
MOST_OBJECTS = 250_000
MOST_VALUES = 2_000_000
"""Values of one state; with the objects they are what a parsed file costs in memory, 60 bytes each."""
MOST_METRICS = 2_000

HEAD = 1 << 16
"""Bytes that tell what a file is."""

CHECKPOINT = re.compile(r"(?:checkpoint|global_step|step)[-_]?(\d+)", re.IGNORECASE | re.ASCII)

_ROW = re.compile(rb'\[\s*\{[^{}]*"(?:step|epoch)"\s*:')
_ROW_METRIC = re.compile(rb'"(?:eval_\w*|train_)?(?:loss|runtime)"\s*:|"(?:eval_)?rewards/')
_WHOLE_RUN = re.compile(r"train_(loss|runtime|samples_per_second|steps_per_second)|total_flos|test_[\w/.-]+", re.ASCII)
_NO_METRIC = frozenset({"step", "epoch", "time"})


@dataclass(frozen=True)
class State:
    """One file: what it states beside its log, the rows of the log, each name -> number, and how many were none."""

    file: File
    stated: Mapping[str, Any]
    rows: Sequence[Mapping[str, float]]
    odd: int

    @property
    def brief(self) -> bool:
        """Whether the log keeps few of the metrics: what it lacks proves nothing."""
        return self.stated.get("brief") is True

    @property
    def is_lines(self) -> bool:
        """Whether it is a log of lines, which grows as the run goes on, and not a state that was saved."""
        return "brief" in self.stated

    @property
    def step(self) -> int:
        """The optimizer step at which it was saved, as stated, else the last that is logged."""
        logged = [step for row in self.rows if (step := whole(row.get("step"))) is not None]
        return whole(number(self.stated.get("global_step"))) or max(logged)

    @property
    def base(self) -> PurePosixPath:
        """The folder of the run: the one that its checkpoints lie in."""
        folder = self.file.path.parent
        return folder.parent if CHECKPOINT.fullmatch(folder.name) else folder

    @property
    def label(self) -> str:
        """What tells this file from others of its run: its checkpoint's folder, else its own name."""
        folder = self.file.path.parent.name
        return folder if CHECKPOINT.fullmatch(folder) else self.file.path.stem

    def holds(self, other: "State") -> bool:
        """Whether `other` is an earlier state of the same run: the same plan, and its log is the beginning of ours."""
        same_plan = self.stated.get("max_steps") == other.stated.get("max_steps")
        longer = len(other.rows) <= len(self.rows)
        return same_plan and longer and all(map(_same, other.rows, self.rows))

    def continued(self, lines: "State") -> "State | None":
        """This run with what its log of lines goes on to tell; None if that is the log of another run.

        Up to our step each of its lines, of those that repeat a step the last, must be part of a row of ours.
        """
        plans = {number(state.stated.get("max_steps")) for state in (self, lines)} - {None}
        mine: dict[float, list[Mapping[str, float]]] = defaultdict(list)
        for row in self.rows:
            mine[row["step"]].append(row)
        told = {(row["step"], frozenset(row)): row for row in lines.rows}
        both = [row for row in told.values() if row["step"] <= self.step]
        if len(plans) > 1 or not both or not all(any(_shares(row, own) for own in mine[row["step"]]) for row in both):
            return None
        later = [row for row in told.values() if row["step"] > self.step]
        stated = {**self.stated, **({"global_step": lines.step, "epoch": later[-1].get("epoch")} if later else {})}
        return replace(self, rows=[*self.rows, *later], stated=stated)


def _same(row: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two rows are equal, NaN and NaN too."""
    return row.keys() == other.keys() and _equal(row, other, row)


def _shares(row: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two rows have metrics in common, all of them equal."""
    names = row.keys() & other.keys() - _NO_METRIC
    return bool(names) and _equal(row, other, names)


def _equal(row: Mapping[str, float], other: Mapping[str, float], names: Iterable[str]) -> bool:
    return all(row[name] == other[name] or (math.isnan(row[name]) and math.isnan(other[name])) for name in names)


def is_trainer_state(head: bytes) -> bool:
    """Whether a file that begins so is a trainer's state, a bare `log_history` or a log of lines."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{"):
        return b'"log_history"' in start or json_lines.is_log(start)
    return _ROW.match(start) is not None and _ROW_METRIC.search(start) is not None


def parse(file: File) -> State:
    """The state in a file. Raises SourceError, one sentence, if there is none or it is too large."""
    found = _load(file)
    stated = found if isinstance(found, dict) else {}
    log = stated.get("log_history") if stated else found
    if not isinstance(log, list):
        raise SourceError(f"{file.path} is JSON but no trainer's state: it has no log_history.")
    dicts = [row for row in log if isinstance(row, dict)]
    if len(set().union(*dicts)) > MOST_METRICS:
        raise SourceError(f"{file.path} names more than {MOST_METRICS:,} metrics: this is no trainer's log.")
    rows = [
        {name: value for name, raw in row.items() if (value := number(raw)) is not None}
        for row in dicts
        if whole(number(row.get("step"))) is not None
    ]
    rows = [row for row in rows if row.keys() - _NO_METRIC]
    if not rows:
        why = f"of its {len(log):,} entries none has step and number" if log else "it was saved before the first log"
        raise SourceError(f"{file.path} is a trainer's state without a logged value: {why}.")
    return State(
        file, {name: value for name, value in stated.items() if name != "log_history"}, rows, len(log) - len(rows)
    )


def _load(file: File) -> Any:
    """The JSON in a file; the bare NaN and Infinity that Python writes are accepted."""
    if file.size > LARGEST:
        raise SourceError(f"{file.path} has {file.size / 2**20:,.0f} MB, the limit is {LARGEST / 2**20:.0f} MB.")
    content = file.content().removeprefix(b"\xef\xbb\xbf").lstrip()
    if content.count(b"{") + content.count(b"[") > MOST_OBJECTS or content.count(b",") > MOST_VALUES:
        raise SourceError(f"{file.path} holds more than {MOST_OBJECTS:,} rows or {MOST_VALUES:,} values, the limit.")
    if json_lines.is_log(content[:HEAD]):
        return json_lines.state(content)
    try:
        return orjson.loads(content)
    except ValueError:
        problem = SourceError(f"{file.path} cannot be read: it is no whole JSON file.")
        if b"NaN" not in content and b"Infinity" not in content:
            raise problem from None
    try:
        return json.loads(content, parse_int=float)
    except (ValueError, RecursionError):
        raise problem from None


def curves(rows: Sequence[Mapping[str, float]], corrections: Corrections) -> tuple[History, dict[str, float]]:
    """The curves, by W&B key, and the values that are of the whole run (the row of the end, tests).

    Points are keyed by (step, metric): training, evaluation and closing rows of one step name different metrics. A
    step that is logged again, as after a restart, is replaced.
    """
    left_out = _NO_METRIC | corrections.ignored
    names = dict.fromkeys(name for row in rows for name in row if name not in left_out)
    ends = {name for name in names if is_of_whole_run(name)}
    keys = {name: key_of(name, corrections) for name in names if name not in ends}
    points: dict[str, dict[int, Point]] = {known: {} for known in keys.values()}
    for row in rows:
        step, epoch, time = whole(row["step"]) or 0, row.get("epoch", math.nan), row.get("time", math.nan)
        for name, value in row.items():
            if known := keys.get(name):
                points[known][step] = Point(value, epoch, time)
    whole_run = {name: row[name] for row in rows for name in ends & row.keys()}
    return {name: series(found) for name, found in points.items()}, whole_run


def is_of_whole_run(name: str) -> bool:
    """Whether a Trainer logs it once, at the end: no curve."""
    return _WHOLE_RUN.fullmatch(name) is not None


def key_of(name: str, corrections: Corrections) -> str:
    """The W&B key of a name in a Trainer's log; one that is not known is named as W&B would, by its split."""
    known = corrections.renamed.get(name) or key(name, "train")
    if known == name and not name.startswith(("train/", "eval/")):
        known = f"eval/{name[5:]}" if name.startswith("eval_") and name[5:] else f"train/{name}"
    return known.encode(errors="replace").decode()[:200]
