"""What is said beside the curves: which runs must not be compared, which have none, what is marked on the axis."""

from collections.abc import Iterable, Sequence
from typing import Any

from dash import dcc

from dashboard.analysis import comparability, marks
from dashboard.analysis.comparability import Group
from dashboard.analysis.numbers import visible
from dashboard.components import context
from dashboard.components import layout as parts
from dashboard.components.context import catalog
from dashboard.components.curves import state as curves_state
from dashboard.components.curves.state import Asked
from dashboard.components.imports import drawer as import_drawer
from dashboard.components.no_runs import no_runs
from dashboard.components.query import MOST_IDS
from dashboard.figures.curves import Curve, Entry
from dashboard.figures.curves_view import FEW
from dashboard.sources import run_files
from dashboard.sources.catalog import Snapshot
from training.record.metrics import describe, split_key
from training.record.reader import read_notices
from training.record.schema import Run

_GROUPS = {"": "Training", "rewards": "Rewards", "logps": "Log-probabilities", "logits": "Logits"}
_EXPORT = (
    "For curves, import a chart's CSV (W&B: a panel's menu, Export CSV), TensorBoard event files or trainer_state.json."
)


def nothing(snapshot: Snapshot, drawn: Sequence[Entry]) -> list[Any]:
    """The empty state, where there is no curve to be drawn: why, and what to do."""
    if not snapshot.runs:
        return [no_runs(snapshot, "Here you will see how training pulls chosen and rejected answers apart.")]
    if not drawn and any(map(catalog().history, snapshot.runs)):
        leaderboard = dcc.Link("Choose on the Leaderboard", href="/", className="btn btn-main")
        return [parts.empty("No run chosen", ["Choose runs above, or tick them on the Leaderboard.", leaderboard])]
    runs = list(snapshot.runs.values()) if not drawn else [curve.run for entry in drawn for curve in entry.curves]
    if any(curve.history for entry in drawn for curve in entry.curves):
        return []
    title = f"{_names(runs)}: no curves" if len(runs) <= 3 else f"None of these {len(runs):,} runs has curves"
    foreign = any(run.source != "runs" for run in runs)
    return [parts.empty(title, [_why(runs), *([import_drawer.opener("Import curves")] if foreign else [])])]


def _why(runs: Sequence[Run]) -> str:
    if any(run.source != "runs" for run in runs):
        return f"Their source has only the last value of each metric. {_EXPORT}"
    return "Nothing has been logged yet. The first points appear here by themselves."


def notes(snapshot: Snapshot, drawn: Sequence[Entry], state: Asked) -> list[str]:
    """What must not be concluded from these charts, and what they do not show."""
    curves = [curve for entry in drawn for curve in entry.curves]
    shown, found = [curve for curve in curves if curve.history], []
    bare = [curve.run for curve in curves if not curve.history]
    if bare and shown:
        found.append(f"{_names(bare)}: no curves. {_why(bare)}")
    unknown = [curve.run for curve in shown if comparability.beta(curve.run.config) is None]
    if state.view.unit == "nats" and unknown:
        found.append(f"{_names(unknown)}: beta is unknown, so rewards cannot be shown in nats.")
    found += _comparable(snapshot, shown, state)
    assumed = [entry for entry in drawn if len(entry.curves) > 1 and not entry.curves[0].run.config]
    if assumed:
        found.append(f"{_names([entry.curves[0].run for entry in assumed])}: taken for seeds of one run by name alone.")
    if len(state.runs) >= MOST_IDS:
        found.append(f"At most {MOST_IDS} runs are drawn at once.")
    return found


def _comparable(snapshot: Snapshot, shown: Sequence[Curve], state: Asked) -> list[str]:
    """By the groups in which runs may be compared (`analysis.comparability`)."""
    ids = {curve.run.id for curve in shown}
    alike = _of(curves_state.accuracy_groups(snapshot), ids)
    losses = _of(curves_state.loss_groups(snapshot), ids)
    found = []
    if len(alike) > 1:
        names = "; ".join(f"{group.label} ({_count(group, ids)})" for group in alike[:3])
        more = f"; {len(alike) - 3} more groups" if len(alike) > 3 else ""
        found.append(f"Not evaluated alike, so do not compare evaluation metrics across: {names}{more}.")
    if len(losses) > len(alike):
        scale = comparability.loss_scale(curve.run for curve in shown)
        reason = scale.reason or "the loss type or beta of some is not known"
        reward = "" if state.view.unit == "nats" else " or logged rewards"
        found.append(f"{reason[0].upper()}{reason[1:]}: do not compare loss{reward} between these runs.")
    return found


def _of(groups: Iterable[Group], ids: set[str]) -> list[Group]:
    return [group for group in groups if any(run.id in ids for run in group.runs)]


def _count(group: Group, ids: set[str]) -> str:
    count = sum(run.id in ids for run in group.runs)
    return "1 run" if count == 1 else f"{count:,} runs"


def _names(runs: Sequence[Run]) -> str:
    shown = ", ".join(visible(run.name) for run in runs[:3])
    return f"{shown} and {len(runs) - 3} more" if len(runs) > 3 else shown


def marked(snapshot: Snapshot, drawn: Sequence[Entry], state: Asked) -> list[list[Any]]:
    """The marks of the axis as [run, x, kind, words]: of all runs while they are few, else of the pinned ones."""
    wanted = [entry for entry in drawn if len(drawn) <= FEW or entry.id in state.view.pinned]
    findings = context.findings(snapshot, "best").found if wanted else ()
    made = []
    for entry in wanted:
        for curve in entry.curves:
            folder = run_files.folder(snapshot.runs, catalog().root, curve.run.id)
            found = marks.marks(curve.run, curve.history, findings, read_notices(folder) if folder else [])
            placed = marks.placed(found, curve.history, state.view.axis, curve.run.created)
            kept = [(x, mark) for x, mark in placed if mark.kind != "epoch" or state.view.axis != "epoch"]
            made += [[entry.id, round(x, 6), mark.kind, mark.words] for x, mark in kept]
    return made


def metrics(drawn: Sequence[Entry], taken: Sequence[str]) -> list[dict[str, Any]]:
    """All metrics that the runs have logged and no panel shows yet, in groups, for the list of metrics."""
    names = {split_key(key)[1] for entry in drawn for curve in entry.curves for key in curve.history}
    groups: dict[str, list[str]] = {}
    for name in sorted(names - set(taken)):
        groups.setdefault(name.rpartition("/")[0], []).append(name)
    found: list[dict[str, Any]] = []
    for group, members in groups.items():
        title = _GROUPS.get(group, group[:1].upper() + group[1:])
        found.append({"label": title, "value": f"\n{group}", "disabled": True})
        for name in members:
            label = describe(name).label
            found.append({"label": label if label == name else f"{label} ({name})", "value": name})
    return found
