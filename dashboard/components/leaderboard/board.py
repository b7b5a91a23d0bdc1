"""All that the Leaderboard shows for one state of the runs and one choice of the user."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import orjson

from dashboard.analysis import budgets, common_scale, comparability, grouping, ranking, verdict
from dashboard.analysis.common_scale import EVAL_CALIBRATED, EVAL_COMMON
from dashboard.analysis.comparability import EvaluationSet
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.study import Evidence, Study
from dashboard.analysis.verdict import Answer
from dashboard.components import context
from dashboard.components.leaderboard import groups as board_groups
from dashboard.components.leaderboard import run_table
from dashboard.components.leaderboard.run_table import Placed, Table
from dashboard.sources.catalog import Snapshot

Rank = Literal["auto", "loss", "accuracy", "common", "calibrated"]
Moment = Literal["best", "last", "step"]

KEYS: dict[Rank, str] = {
    "loss": EVAL_LOSS,
    "accuracy": EVAL_ACCURACY,
    "common": EVAL_COMMON,
    "calibrated": EVAL_CALIBRATED,
}


class View(NamedTuple):
    """What the user has chosen: the metric that ranks, which evaluation, its step, the common beta, the grouping.

    A step or beta of None is the usual one: the last step common to all runs, the beta that the runs have recorded.
    """

    rank: Rank = "auto"
    at: Moment = "best"
    step: int | None = None
    beta: float | None = None
    group: str = ""


@dataclass(frozen=True, eq=False)
class Board:
    """`study` has the runs as they were at the evaluation asked for, `at` says which of a run's evaluations that is.

    `stamp` tells one state and view from another; `content` is the table for the browser, as JSON.
    """

    study: Study
    at: At
    sets: tuple[EvaluationSet, ...]
    keys: tuple[str, ...]
    answers: tuple[Answer, ...]
    notes: tuple[str, ...]
    table: Table
    groups: tuple[board_groups.Line, ...]
    groupings: Mapping[str, str]
    beta: float
    step: int | None
    stamp: str
    content: str


def board(snapshot: Snapshot, view: View) -> Board:
    """The board, worked out once for each state of the runs and each view."""
    return context.cached(snapshot, lambda: _board(snapshot, view), "board", view)


def known(snapshot: Snapshot, stamp: Any, view: View) -> Board | None:
    """The board that a browser has under `stamp`, if it is of the same view and still at hand."""
    end = _stamp("", view)
    if not isinstance(stamp, str) or not stamp.endswith(end):
        return None
    try:
        return context.cached(replace(snapshot, version=stamp.removesuffix(end)), _forgotten, "board", view)
    except LookupError:
        return None


def _forgotten() -> Board:
    raise LookupError


def _stamp(version: str, view: View) -> str:
    return f"{version} {' '.join(map(str, view))}"


def _board(snapshot: Snapshot, view: View) -> Board:
    if view.group:
        return _grouped(board(snapshot, view._replace(group="")), _stamp(snapshot.version, view), view.group)
    seen = _seen(context.study(snapshot), view)
    beta = view.beta or common_scale.usual_beta(seen.study)
    study, at = seen.study, seen.at
    if view.rank in ("common", "calibrated"):
        study = common_scale.with_common_scale(study, beta if view.rank == "common" else None)
    sets = _sets(study) if view.at == "step" else _sets_of_all(snapshot, study)
    keys = tuple(KEYS.get(view.rank) or comparability.natural_metric(group.runs) for group in sets)
    answers = tuple(_answer(group, key, at, study, beta) for group, key in zip(sets, keys, strict=True))
    slots = context.catalog().colours(snapshot.runs)
    placed = [
        item
        for group, key, answer in zip(sets, keys, answers, strict=True)
        for item in _placed(group, key, answer, study=study, at=at, slots=slots)
    ]
    table = run_table.table(placed, at, time.time(), KEYS.get(view.rank))
    runs = [evidence.run for evidence in study.values()]
    groupings = grouping.choices(runs) if view.at == "step" else context.groupings(snapshot)
    stamp = _stamp(snapshot.version, view)
    return Board(
        study, at, sets, keys, answers, (*seen.notes, *_unscored(study, view.rank)), table, (),
        groupings, beta, seen.step, stamp, content(table, (), stamp),
    )  # fmt: skip


def _grouped(plain: Board, stamp: str, group: str) -> Board:
    """The same runs, put together."""
    lines = board_groups.lines(plain.sets, plain.keys, group, plain.at)
    return replace(plain, groups=lines, stamp=stamp, content=content(plain.table, lines, stamp))


def _sets(study: Study) -> tuple[EvaluationSet, ...]:
    groups = comparability.accuracy_groups(study)
    return tuple(EvaluationSet(group.label, group.runs, group.proven) for group in groups)


def _sets_of_all(snapshot: Snapshot, study: Study) -> tuple[EvaluationSet, ...]:
    """What all runs are grouped by does not depend on the metric that ranks them."""
    return tuple(
        EvaluationSet(group.label, tuple(study[run.id].run for run in group.runs), group.proven)
        for group in context.accuracy_groups(snapshot)
    )


def _placed(
    group: EvaluationSet, key: str, answer: Answer, *, study: Study, at: At, slots: Mapping[str, int]
) -> list[Placed]:
    """The runs in the order of their rank, those without one last."""
    ranks = ranking.rank(group.runs, key, at)
    placed = [Placed(study[run.id], ranks.get(run.id), answer, slots[run.id]) for run in group.runs]
    return sorted(placed, key=lambda item: item.rank or len(placed) + 1)


def _answer(group: EvaluationSet, key: str, at: At, study: Study, beta: float) -> Answer:
    return verdict.answer(group, key, at, study, beta if key == EVAL_COMMON else None)


class _Seen(NamedTuple):
    """The runs at the moment that was asked for, and what is to be said of those that are left out."""

    study: Study
    at: At
    step: int | None = None
    notes: tuple[str, ...] = ()


def _seen(study: Study, view: View) -> _Seen:
    if view.at != "step":
        return _Seen(study, view.at)
    step = view.step or budgets.common_step(_ended(study.values()))
    if step is None:
        note = "There is no step near which every run was evaluated: name one. The last evaluations are shown."
        return _Seen(study, "last", None, (note,))
    found = {key: budgets.at_step(evidence, step) for key, evidence in study.items()}
    kept = {key: replace(study[key], run=run) for key, run in found.items() if run is not None}
    count, left = len(kept), len(study) - len(kept)
    words = f"{count:,} of {len(study):,} runs were evaluated within {budgets.NEAR:.0%} of step {step:,}"
    note = f"{words}; the other {left:,} {'is' if left == 1 else 'are'} left out." if left else f"{words}."
    return _Seen(kept, "last", step, (note,))


def _ended(found: Iterable[Evidence]) -> list[Evidence]:
    """The runs that set the last common step, as in the report: ended, and with an evaluation."""
    return [one for one in found if ranking.settled(one.run) and budgets.evaluated_steps(one)]


def _unscored(study: Study, rank: Rank) -> tuple[str, ...]:
    """What is said of runs that have no per-pair scores, where the rank needs them."""
    if rank not in ("common", "calibrated"):
        return ()
    key = KEYS[rank]
    missing = sum(key not in one.run.metrics and key not in one.run.best for one in study.values())
    if not missing:
        return ()
    whose = "No run has" if missing == len(study) else f"{missing:,} of {len(study):,} runs have no"
    rest = "per-pair scores" if missing == len(study) else "per-pair scores at the evaluation shown"
    return (f"{whose} {rest}, which this loss is computed from: they are not ranked.",)


def content(table: Table, groups: tuple[board_groups.Line, ...], stamp: str) -> str:
    """The whole table for the browser."""
    whole = {
        "stamp": stamp,
        "fields": table.fields,
        "columns": [vars(column) for column in table.columns],
        "rows": table.rows,
        "groups": [line.sent() for line in groups],
    }
    return orjson.dumps(whole, default=str).decode()


def change(old: Board, new: Board, always: bool = False) -> str | None:
    """What brings a browser from one board to the next, as JSON. Columns must agree.

    None if it shows the same rows, unless it must know the new stamp `always`: other parts of the page have changed.
    """
    before = {row[0]: row for row in old.table.rows}
    rows = [row for row in new.table.rows if before.get(row[0]) != row]
    gone = sorted(before.keys() - {row[0] for row in new.table.rows})
    order = [row[0] for row in new.table.rows]
    moved = order != [row[0] for row in old.table.rows]
    if not (rows or gone or moved or always):
        return None
    part = {"stamp": new.stamp, "base": old.stamp, "rows": rows, "gone": gone, "order": order if moved else None}
    return orjson.dumps(part, default=str).decode()
