"""The charts of the Run page, and what they are sent while the run goes on."""

from typing import Any

from dash import Output, html, no_update

from dashboard.analysis import logged
from dashboard.analysis.study import Evidence
from dashboard.components import layout as parts
from dashboard.components.callbacks import new_data
from dashboard.components.run.view import View, elsewhere
from dashboard.figures import run_curves
from dashboard.figures.run_curves import SYSTEM, Chart

HEIGHTS = {"rewards": 280}
HEIGHT = 220

IDS = tuple(chart.id for chart in (*run_curves.learning(None), *SYSTEM))


def charts(view: View) -> tuple[Chart, ...]:
    """All charts of the run."""
    return (*run_curves.learning(logged.untrained(Evidence(view.run, view.history))), *SYSTEM)


def drawn(view: View) -> dict[str, list[int]]:
    """What the browser has been sent."""
    return run_curves.sent(charts(view), view.history)


def learning(view: View) -> list[Any]:
    """Rewards, accuracy and loss."""
    return _cards(view, charts(view)[: -len(SYSTEM)], _no_curves(view))


def system(view: View) -> list[Any]:
    """The machine while it trained."""
    why = "Nothing of the machine was logged, neither load nor memory nor tokens per second."
    return _cards(view, SYSTEM, why if view.folder is not None else f"{why} {elsewhere(view.run)}")


def _cards(view: View, group: tuple[Chart, ...], why: str) -> list[Any]:
    """The charts, hidden where nothing was logged and nothing will be; `why` stands there if that is so of all."""
    growing = view.run.status == "running" and view.folder is not None
    shown = {chart.id: growing or run_curves.has_points(chart, view.history) for chart in group}
    boxes = [
        html.Div(_chart(view, chart), hidden=not shown[chart.id], className=f"run-chart run-chart-{chart.id}")
        for chart in group
    ]
    empty = [] if any(shown.values()) else [html.P(why, className="dim")]
    return [*empty, html.Div(boxes, className="run-charts", hidden=not any(shown.values()))]


def _chart(view: View, chart: Chart) -> list[Any]:
    names = [line.key for line in chart.lines]
    title = html.Div(
        [html.H3(chart.title), parts.metric_help(*dict.fromkeys(_explained(names)))], className="run-chart-head"
    )
    figure = run_curves.figure(chart, view.history, view.slot)
    return [title, parts.chart(f"run-chart-{chart.id}", figure, HEIGHTS.get(chart.id, HEIGHT), _summary(view, chart))]


def _explained(keys: list[str]) -> list[str]:
    """The metrics without their split, each once."""
    return [key if key.startswith("system/") else key.partition("/")[2] for key in keys]


def _summary(view: View, chart: Chart) -> str:
    """First and last value of each line, in words."""
    said = []
    for line in chart.lines:
        series = view.history.get(line.key)
        if series is not None and len(series):
            first, last = (f"{series.values[at]:.4g} at step {series.steps[at]}" for at in (0, -1))
            said.append(f"{line.key} from {first} to {last}")
    return f"{chart.title}: {'; '.join(said)}." if said else f"{chart.title}: no points."


def _no_curves(view: View) -> str:
    if view.folder is not None:
        return "Nothing has been logged yet." if view.run.status == "running" else "The run logged no metrics."
    return f"It has no curves: only the last value of each metric is known. {elsewhere(view.run)}"


def outputs() -> list[Output]:
    """For each chart its new points and its whole figure."""
    return [Output(f"run-chart-{chart}", part) for chart in IDS for part in ("extendData", "figure")]


def news(view: View, known: Any) -> list[Any]:
    """The values of `outputs`: points where some are new, a figure where points were replaced, else nothing.

    The first points come as a whole figure, with its axes.
    """
    found: list[Any] = []
    for chart in charts(view):
        added = run_curves.news(chart, view.history, known)
        if added != [] and not run_curves.began(chart, known):
            found += [no_update, run_curves.figure(chart, view.history, view.slot)]
        elif added is None:
            found += [no_update, new_data(run_curves.figure(chart, view.history, view.slot))]
        else:
            found += [added or no_update, no_update]
    return found
