"""The table of runs: its columns, and a run as a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.analysis import comparability, hyperparameters, numbers, ranking
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.verdict import Answer
from dashboard.figures import theme
from dashboard.sources.catalog import quiet_minutes
from training.record.intervals import Interval, accuracy_interval
from training.record.metrics import MARGIN, describe
from training.record.schema import Run

EVAL_MARGIN = f"eval/{MARGIN}"

SAMPLES = ("samples/gold", "samples/repetition")
"""What generated answers tell, as far as a run has them: a loss and an accuracy say nothing of broken answers."""

_ALWAYS = ("beta", "learning_rate")
_OWN_COLUMN = frozenset({"max_steps"})


@dataclass(frozen=True)
class Placed:
    """A run with its place: in the ranking of its evaluation set, and in the palette."""

    run: Run
    rank: int | None
    group: Answer
    slot: int


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


def steps(run: Run, at: At) -> str:
    """The step of the evaluation shown, of how many."""
    step = ranking.evaluation_step(run, at)
    if step is None:
        return numbers.MISSING
    return f"{step:,} / {run.max_steps:,}" if run.max_steps else f"{step:,}"


def rows(placed: Sequence[Placed], keys: Sequence[str], at: At, now: float) -> list[dict[str, Any]]:
    """One row per run: plain values to sort and filter by, and under `text` what is shown for them."""
    intervals = {item.run.id: _interval(item.run, at) for item in placed}
    known = [interval for interval in intervals.values() if interval]
    scale = Interval(min((i.low for i in known), default=0), max((i.high for i in known), default=1))
    return [_row(item, keys, at, now, intervals[item.run.id], scale) for item in placed]


def _interval(run: Run, at: At) -> Interval | None:
    return accuracy_interval(ranking.finite(ranking.evaluation(run, at).get(EVAL_ACCURACY)), run.n_eval)


def _row(
    item: Placed, keys: Sequence[str], at: At, now: float, interval: Interval | None, scale: Interval
) -> dict[str, Any]:
    run, metrics = item.run, ranking.evaluation(item.run, at)
    loss, accuracy, margin = (metrics.get(key) for key in (EVAL_LOSS, EVAL_ACCURACY, EVAL_MARGIN))
    return {
        "id": run.id,
        "rank": item.rank,
        "name": run.name,
        "colour": theme.colour(item.slot),
        "symbol": theme.symbol(item.slot),
        "source": run.source,
        "set": item.group.name,
        "state": state(run, now),
        "status": run.status,
        "problem": run.error or "",
        "step": ranking.evaluation_step(run, at),
        "loss": ranking.finite(loss),
        "worse": comparability.worse_than_untrained(run, ranking.finite(loss)),
        "accuracy": ranking.finite(accuracy),
        "versus": _versus(item),
        "bar": _bar(ranking.finite(accuracy), interval, scale),
        "margin": ranking.finite(margin),
        "n": run.n_eval,
        **{_samples_field(name): ranking.finite(metrics.get(f"eval/{name}")) for name in SAMPLES},
        **{_field(key): _plain(run.config.get(key)) for key in keys},
        "text": {
            "step": steps(run, at),
            "loss": numbers.metric(loss),
            "accuracy": numbers.percent(accuracy),
            "interval": f"{interval.low:.1%} – {interval.high:.1%}" if interval else "",
            "margin": numbers.metric(margin, 3),
            "n": numbers.count(run.n_eval),
            **{_samples_field(name): numbers.metric(metrics.get(f"eval/{name}"), 3) for name in SAMPLES},
            **{_field(key): numbers.setting(run.config.get(key)) for key in keys},
        },
    }


def _versus(item: Placed) -> str:
    """How the run stands against the best of its evaluation set, by the test that the answer above names."""
    if item.run.id == item.group.best:
        return "best"
    if item.run.id not in item.group.compared:
        return ""
    return "tied" if item.run.id in item.group.tied else "apart"


def _bar(accuracy: float | None, interval: Interval | None, scale: Interval) -> list[float] | None:
    """Left end, right end and point of the interval in percent of the range of all intervals."""
    width = scale.high - scale.low
    if accuracy is None or interval is None or width <= 0:
        return None
    return [round(100 * (value - scale.low) / width, 2) for value in (interval.low, interval.high, accuracy)]


def _samples_field(name: str) -> str:
    return name.replace("/", "-")


def _field(key: str) -> str:
    return f"config-{key}".replace(".", "-")


def _plain(value: Any) -> Any:
    """A value that can be sorted: a number as it is, anything else as text."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return ranking.finite(value)
    return numbers.setting(value)


_TIPS = {
    "rank": "Rank within its evaluation set, by the metric chosen above. Running and failed runs have none, nor have "
    "evaluations at step 0.",
    "name": "Name of the run, with its colour on every chart.",
    "state": "Finished, stopped, failed or running, as its files or its source say.",
    "accuracy": f"{describe(EVAL_ACCURACY).meaning} Below it: Wilson 95% interval.",
    "versus": "Against the best of the same evaluation set. Tied: not told apart by the test that the answer above "
    "names (95%). Apart: told apart. Empty: not compared.",
    "loss": describe(EVAL_LOSS).meaning,
    "margin": describe(EVAL_MARGIN).meaning,
    "step": "Optimizer step of the evaluation shown, of the planned number.",
    "n": "Number of evaluation pairs. For a W&B export: eval/runtime x eval/samples_per_second.",
    "set": "Runs are ranked only against runs evaluated on the same pairs.",
    "source": "Where the run was read from: the runs folder or an uploaded file.",
}


def columns(runs: Sequence[Run], keys: Sequence[str], several_sets: bool, raw_loss: bool) -> list[dict[str, Any]]:
    """The grid's columns. `several_sets`: name each run's evaluation set; `raw_loss`: losses are on several scales."""
    return [
        {**_number("rank", "#", 56), "filter": False},
        {**_text("name", "Run", 212), "cellRenderer": "RunName", "minWidth": 120},
        {**_number("accuracy", "Reward accuracy", 168), "cellRenderer": "Accuracy"},
        {**_text("versus", "vs. best", 92), "cellRenderer": "Versus"},
        *([_text("set", "Evaluated on", 172)] if several_sets else []),
        {**_number("loss", "Raw eval loss" if raw_loss else "Eval loss", 128), "cellRenderer": "Loss"},
        _number("margin", "Margin", 94),
        *(_about_samples(name) for name in SAMPLES if any(f"eval/{name}" in run.metrics for run in runs)),
        {
            **_text("state", "State", 222 if any(run.status == "running" for run in runs) else 112),
            "cellRenderer": "RunState",
        },
        *(_parameter(key, runs) for key in keys),
        _number("step", "Step", 112),
        _number("n", "Pairs", 84),
        _text("source", "Source", 190),
    ]


def _text(field: str, name: str, width: int, tip: str = "") -> dict[str, Any]:
    about = tip or _TIPS[field]
    return {"field": field, "headerName": name, "headerTooltip": about, "width": width, "filter": "agTextColumnFilter"}


def _number(field: str, name: str, width: int, tip: str = "") -> dict[str, Any]:
    shown = {"function": "shownText(params)"}
    base = _text(field, name, width, tip)
    return {**base, "filter": "agNumberColumnFilter", "type": "rightAligned", "valueFormatter": shown}


def _about_samples(name: str) -> dict[str, Any]:
    about = describe(f"eval/{name}")
    label = {"samples/gold": "Gold", "samples/repetition": "Repetition"}[name]
    return _number(_samples_field(name), label, 106, f"{about.label}. {about.meaning}")


def _parameter(key: str, runs: Sequence[Run]) -> dict[str, Any]:
    """A column for a hyper-parameter: numeric if all its values are."""
    values = [run.config[key] for run in runs if run.config.get(key) is not None]
    name = key.removeprefix("per_device_train_").replace("_", " ").capitalize()
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    make = _number if numeric else _text
    return make(_field(key), name, min(190, max(80, 42 + 7 * len(name))), f"{key}, from the run's configuration.")
