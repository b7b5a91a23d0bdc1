"""The table of runs: its columns, and a run as a row of plain values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.analysis import comparability, hyperparameters, improvement, logged, numbers, ranking
from dashboard.analysis.common_scale import EVAL_CALIBRATED, EVAL_COMMON
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.study import Evidence
from dashboard.analysis.verdict import Answer
from dashboard.sources.catalog import quiet_minutes
from training.record.metrics import MARGIN, describe
from training.record.schema import Run

EVAL_MARGIN = f"eval/{MARGIN}"

METRICS = {
    "accuracy": EVAL_ACCURACY,
    "loss": EVAL_LOSS,
    "common": EVAL_COMMON,
    "calibrated": EVAL_CALIBRATED,
    "margin": EVAL_MARGIN,
    "gold": "eval/samples/gold",
    "repetition": "eval/samples/repetition",
}
"""Column -> metric. What generated answers tell is there as far as a run has it: a loss says nothing of them."""

HIDDEN = ("id", "slot", "low", "high", "worse", "problem", "planned")
"""What a row has beside its columns: palette position, the accuracy's interval, whether the loss is above the untrained
model's, the run's error, its planned steps."""

_ALWAYS = ("beta", "learning_rate")
_OWN_COLUMN = frozenset({"max_steps"})
_CONFIG = "config."


@dataclass(frozen=True)
class Placed:
    """A run with its place: in the ranking of its evaluation set, and in the palette."""

    evidence: Evidence
    rank: int | None
    group: Answer
    slot: int

    @property
    def run(self) -> Run:
        """The run itself."""
        return self.evidence.run


@dataclass(frozen=True)
class Column:
    """A column: its `field` in the rows, name, explanation, width in pixels, and how the browser draws it (`kind`)."""

    field: str
    name: str
    tip: str
    kind: str
    width: int
    usual: bool = True
    """Whether it is shown until the user says otherwise."""


@dataclass(frozen=True)
class Table:
    """Columns and rows; a row has the values of HIDDEN, then those of the columns that `valued` gives."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """What the places of a row hold."""
        return (*HIDDEN, *(column.field for column in self.columns if column.kind not in LATER))

    def values(self) -> dict[str, dict[str, Any]]:
        """Run id -> field -> value."""
        return {row[0]: dict(zip(self.fields, row, strict=True)) for row in self.rows}


LATER = frozenset({"findings", "curve"})
"""Kinds of columns whose content comes after the table is there."""


def parameters(runs: Sequence[Run]) -> tuple[str, ...]:
    """The hyper-parameters that get a column: beta, learning rate, and what else differs between the runs."""
    others = [key for key in hyperparameters.varying(runs) if key not in (*_ALWAYS, *_OWN_COLUMN)]
    return (*_ALWAYS, *others)


def state(run: Run, now: float) -> str:
    """The run's state in words, with progress and the age of its last line while it runs."""
    if run.status != "running":
        return run.status
    quiet = quiet_minutes(run, now)
    if quiet is not None:
        return f"running, no news for {numbers.duration(quiet)}"
    return f"running, {run.step / run.max_steps:.0%}" if run.step is not None and run.max_steps else "running"


def table(placed: Sequence[Placed], at: At, now: float, key: str | None = None) -> Table:
    """The table of runs; `key` is the metric that the user ranks by, if it is one of his own choice."""
    keys = parameters([item.run for item in placed])
    shown = columns(placed, keys, at, key)
    cells = [_cells(column.field, placed, at, now) for column in shown if column.kind not in LATER]
    rows = zip((_hidden(item, at) for item in placed), zip(*cells, strict=True), strict=True)
    return Table(shown, tuple((*hidden, *row) for hidden, row in rows))


def _hidden(item: Placed, at: At) -> tuple[Any, ...]:
    run, interval = item.run, improvement.interval(item.evidence, at)
    return (
        run.id,
        item.slot,
        interval and round(interval.low, 5),
        interval and round(interval.high, 5),
        int(_worse(item.evidence, ranking.finite(ranking.evaluation(run, at).get(EVAL_LOSS)))),
        run.error,
        run.max_steps,
    )


def _cells(field: str, placed: Sequence[Placed], at: At, now: float) -> list[Any]:
    """The values of one column."""
    if field in METRICS:
        key = METRICS[field]
        return [_number_or_word(ranking.evaluation(item.evidence.run, at).get(key)) for item in placed]
    own = _OWN.get(field)
    if own is not None:
        return [own(item, at, now) for item in placed]
    key = field.removeprefix(_CONFIG)
    return [plain(item.evidence.run.config.get(key)) for item in placed]


def _number_or_word(value: float | None) -> float | str | None:
    """A metric as JSON can hold it: what has diverged by its name."""
    return value if value is None or ranking.finite(value) is not None else numbers.metric(value)


def _worse(evidence: Evidence, loss: float | None) -> bool:
    """Whether the loss is above that of the model before training, where that is known of this run."""
    return comparability.worse_than_untrained(evidence.run, loss) and logged.untrained(evidence) is not None


def _versus(item: Placed) -> str:
    """How the run stands against the best of its evaluation set, by the test that the answer above names."""
    if item.run.id == item.group.best:
        return "best"
    if item.run.id not in item.group.compared:
        return ""
    return "tied" if item.run.id in item.group.tied else "apart"


_OWN: Mapping[str, Callable[[Placed, At, float], Any]] = {
    "rank": lambda item, at, now: item.rank,
    "name": lambda item, at, now: numbers.visible(item.run.name),
    "versus": lambda item, at, now: _versus(item),
    "set": lambda item, at, now: item.group.name,
    "state": lambda item, at, now: state(item.run, now),
    "step": lambda item, at, now: ranking.evaluation_step(item.run, at),
    "n": lambda item, at, now: item.run.n_eval,
    "sweep": lambda item, at, now: item.run.sweep,
    "source": lambda item, at, now: item.run.source,
}


def plain(value: Any) -> Any:
    """A configured value that can be sorted: a number as it is, anything else as text."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return ranking.finite(value)
    return numbers.setting(value)


_TIPS = {
    "rank": "Rank within its evaluation set, by the metric chosen above. Running and failed runs have none, nor have "
    "evaluations at step 0.",
    "name": "Name of the run, with its colour on every chart. It leads to the run's own page.",
    "accuracy": f"{describe(EVAL_ACCURACY).meaning} The bar is the 95% interval.",
    "versus": "Against the best of the same evaluation set. Tied: not told apart by the test that the answer above "
    "names (95%). Apart: told apart. Empty: not compared.",
    "findings": "What the checks have found in this run: how many grave and lesser findings. Their sentences are under "
    "the pointer.",
    "curve": "Reward accuracy over the run's evaluations, from its lowest to its highest value; the loss where no "
    "accuracy was logged.",
    "state": "Finished, stopped, failed or running, as its files or its source say.",
    "step": "Optimizer step of the evaluation shown, of the planned number.",
    "n": "Number of evaluation pairs. For a W&B export: eval/runtime x eval/samples_per_second.",
    "set": "Runs are ranked only against runs evaluated on the same pairs.",
    "sweep": "The sweep that started the run.",
    "source": "Where the run was read from: the runs folder or an uploaded file.",
}


def columns(placed: Sequence[Placed], keys: Sequence[str], at: At, key: str | None) -> tuple[Column, ...]:
    """The columns that these runs need."""
    runs = [item.run for item in placed]
    sets, sources = ({item.group.name for item in placed}, {run.source for run in runs})
    running = any(run.status == "running" for run in runs)
    scored = [field for field in ("common", "calibrated") if METRICS[field] == key]
    return (
        _column("rank", "#", "rank", 56),
        _column("name", "Run", "name", 212),
        _column("accuracy", "Reward accuracy", "accuracy", 168),
        _column("versus", "vs. best", "versus", 92),
        _column("findings", "Findings", "findings", 104),
        _column("curve", "Curve", "curve", 116),
        *([_column("set", "Evaluated on", "text", 172)] if len(sets) > 1 else []),
        *(_metric(field, 166) for field in scored),
        _metric("loss", 128, "Eval loss" if _comparable(placed) else "Raw eval loss"),
        _metric("margin", 94),
        *(_metric(field, 106) for field in ("gold", "repetition") if _any_has(runs, METRICS[field])),
        _column("state", "State", "state", 222 if running else 112),
        *(_parameter(name, runs) for name in keys),
        _column("step", "Step", "steps", 112),
        _column("n", "Pairs", "count", 84),
        *([_column("sweep", "Sweep", "text", 140, usual=False)] if any(run.sweep for run in runs) else []),
        _column("source", "Source", "text", 190, usual=sources != {"runs"}),
    )


def _column(field: str, name: str, kind: str, width: int, *, usual: bool = True) -> Column:
    return Column(field, name, _TIPS[field], kind, width, usual)


def _comparable(placed: Sequence[Placed]) -> bool:
    """Whether in each evaluation set all losses are on one scale."""
    sets: dict[str, list[Run]] = {}
    for item in placed:
        sets.setdefault(item.group.name, []).append(item.run)
    return all(comparability.loss_scale(runs).comparable for runs in sets.values())


def _any_has(runs: Sequence[Run], key: str) -> bool:
    return any(key in run.metrics or key in run.best for run in runs)


_METRIC_NAMES = {
    "common": "Common-beta loss",
    "calibrated": "Calibrated loss",
    "margin": "Margin",
    "gold": "Gold",
    "repetition": "Repetition",
}


def _metric(field: str, width: int, name: str = "") -> Column:
    about = describe(METRICS[field])
    tip = f"{hyperparameters.upper(about.label)}. {about.meaning}"
    kind = field if field == "loss" else ("metric3" if field in ("margin", "gold", "repetition") else "metric")
    return Column(field, name or _METRIC_NAMES[field], tip, kind, width)


def _parameter(key: str, runs: Sequence[Run]) -> Column:
    """A column for a hyper-parameter: numeric if all its values are."""
    values = [run.config[key] for run in runs if run.config.get(key) is not None]
    name = key.removeprefix("per_device_train_").replace("_", " ").capitalize()
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    width = min(190, max(80, 42 + 7 * len(name)))
    return Column(
        f"{_CONFIG}{key}", name, f"{key}, from the run's configuration.", "setting" if numeric else "text", width
    )
