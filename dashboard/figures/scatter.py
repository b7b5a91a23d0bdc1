"""Eval loss against reward accuracy: are the runs with the lowest loss the most accurate ones?"""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from dashboard.analysis import comparability, ranking
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.figures import theme
from training.record.intervals import accuracy_interval
from training.record.schema import Run


def loss_against_accuracy(runs: Sequence[Run], at: At, slots: Mapping[str, int]) -> go.Figure:
    """One point per run that has both; the bar is the accuracy's 95% Wilson interval. `slots`: palette positions."""
    figure = theme.blank("eval loss (nats)", "reward accuracy")
    figure.update_yaxes(tickformat=".0%")
    drawn = [run for run in runs if _point(run, at)]
    for run in drawn:
        figure.add_trace(_trace(run, at, slots.get(run.id, 0)))
    losses = [point[0] for run in drawn if (point := _point(run, at))]
    known = {comparability.untrained_loss(run) for run in drawn}
    if losses and known == {comparability.UNTRAINED} and max(losses) > 0.6 * comparability.UNTRAINED:
        figure.add_vline(
            x=comparability.UNTRAINED,
            line={"dash": "dot", "width": 1, "color": theme.GREY},
            annotation={"text": "untrained: ln 2", "font": {"size": 11, "color": theme.GREY}},
            annotation_position="bottom right",
        )
    return figure


def _point(run: Run, at: At) -> tuple[float, float] | None:
    metrics = ranking.evaluation(run, at)
    loss, accuracy = ranking.finite(metrics.get(EVAL_LOSS)), ranking.finite(metrics.get(EVAL_ACCURACY))
    return None if loss is None or accuracy is None else (loss, accuracy)


def _trace(run: Run, at: At, slot: int) -> go.Scatter:
    loss, accuracy = _point(run, at) or (0.0, 0.0)
    interval = accuracy_interval(accuracy, run.n_eval)
    colour = theme.colour(slot)
    trace = go.Scatter(
        x=[loss],
        y=[accuracy],
        name=theme.plain(run.name),
        customdata=[run.id],
        mode="markers",
        marker={
            "color": colour,
            "size": 10,
            "symbol": theme.symbol(slot),
            "opacity": 1 if ranking.eligible(run, at) else 0.5,
        },
        hovertemplate="%{fullData.name}<br>loss %{x:.4f}, accuracy %{y:.1%}<extra></extra>",
    )
    if interval:
        trace.error_y = {
            "type": "data",
            "symmetric": False,
            "array": [interval.high - accuracy],
            "arrayminus": [accuracy - interval.low],
            "color": colour,
            "thickness": 1.2,
            "width": 3,
        }
    return trace
