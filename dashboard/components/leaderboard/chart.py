"""The Leaderboard's chart: which loss may be set against the accuracy, and among which runs there is a front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.analysis import common_beta, common_scale, comparability, improvement, logged, numbers, pareto, ranking
from dashboard.analysis.common_scale import EVAL_CALIBRATED, EVAL_COMMON
from dashboard.analysis.losses import UNTRAINED
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.study import Evidence, Study
from dashboard.components.leaderboard.board import Board
from dashboard.figures import scatter
from dashboard.figures.scatter import Point
from training.record.intervals import Interval, mean_interval

MOST_POINTS = 2_000
"""Runs drawn, those of the best rank first."""

_NAMES = {EVAL_LOSS: "eval loss", EVAL_COMMON: "loss at beta {b}", EVAL_CALIBRATED: "calibrated loss"}


@dataclass(frozen=True)
class Chart:
    """The figure, and what has to be said of it."""

    figure: dict[str, Any]
    words: str


def chart(shown: Board, rank: str, slots: Mapping[str, int]) -> Chart:
    """The runs of the board; the front is drawn among those of the largest evaluation set, if their losses compare."""
    key, study, why = _scale(shown, rank)
    order = [row[0] for row in shown.table.rows][:MOST_POINTS]
    bars = len(order) <= scatter.MOST_BARS
    points = [
        point
        for run in order
        if (point := _point(study[run], key, shown.at, slots.get(run, 0), shown.beta if bars else None)) is not None
    ]
    name = _NAMES[key].format(b=numbers.short(shown.beta))
    if not points:
        return Chart(scatter.loss_against_accuracy((), name), f"No run has both a reward accuracy and the {name}.")
    among = {run.id for run in shown.sets[0].runs}
    front = [point for point in points if point.id in among and point.ranked] if why is not None else []
    words = [
        "" if why is None else why,
        _NOT_COMPARABLE if why is None else _front_words(shown, front),
        f"The {MOST_POINTS:,} runs of the best rank are drawn." if len(shown.table.rows) > MOST_POINTS else "",
        f"Error bars are left out above {scatter.MOST_BARS} runs." if not bars else "",
    ]
    untrained = _untrained(points, study, key)
    return Chart(scatter.loss_against_accuracy(points, name, front, untrained), " ".join(filter(None, words)))


_NOT_COMPARABLE = (
    "Beta or loss type differs and there are no per-pair scores, so the losses have several scales: there is no Pareto "
    "front among them."
)


def _front_words(shown: Board, front: Sequence[Point]) -> str:
    """What the grey line is, or that one run is all of the front."""
    among = f" of {shown.sets[0].name}" if len(shown.sets) > 1 else ""
    best = pareto.front([(point.loss, point.accuracy) for point in front])
    if not best:
        return ""
    if len(best) == 1:
        return f"{front[best[0]].name} has the lowest loss and the highest accuracy{among}, as measured."
    return (
        f"The grey line is the Pareto front{among}, as measured: of the runs on it, none has both a lower loss and a "
        "higher accuracy than another."
    )


def _scale(shown: Board, rank: str) -> tuple[str, Study, str | None]:
    """The loss to draw, the study that has it, and a sentence on that choice; None where the losses do not compare."""
    if rank in ("common", "calibrated"):
        return (EVAL_COMMON if rank == "common" else EVAL_CALIBRATED), shown.study, ""
    runs = shown.sets[0].runs if shown.sets else ()
    if comparability.loss_scale(runs).comparable:
        return EVAL_LOSS, shown.study, ""
    if sum(bool(shown.study[run.id].judged(shown.at)) for run in runs) < 2:
        return EVAL_LOSS, shown.study, None
    scaled = common_scale.with_common_scale(shown.study, shown.beta)
    words = f"Raw losses are on several scales, so the loss at the common beta {numbers.short(shown.beta)} is drawn."
    return EVAL_COMMON, scaled, words


def _point(evidence: Evidence, key: str, at: At, slot: int, beta: float | None) -> Point | None:
    """The run as a point, with error bars if a `beta` is given; None where one of the two numbers is missing."""
    run, metrics = evidence.run, ranking.evaluation(evidence.run, at)
    loss, accuracy = ranking.finite(metrics.get(key)), ranking.finite(metrics.get(EVAL_ACCURACY))
    if loss is None or accuracy is None:
        return None
    bars = (
        (None, None) if beta is None else (_loss_interval(evidence, key, at, beta), improvement.interval(evidence, at))
    )
    return Point(run.id, run.name, slot, loss, accuracy, *bars, ranking.eligible(run, at))


def _loss_interval(evidence: Evidence, key: str, at: At, beta: float) -> Interval | None:
    """The interval of the mean over pairs, clustered by prompt, where the run's scores are there and give its loss."""
    scores = logged.scored(evidence, at)
    if scores is None or key == EVAL_CALIBRATED:
        return None
    values = (
        common_beta.losses(scores.h, beta)
        if key == EVAL_COMMON
        else logged.pair_losses(evidence.run, scores, ranking.evaluation(evidence.run, at).get(EVAL_LOSS))
    )
    return None if values is None else mean_interval(values.tolist(), scores.prompts.tolist())


def _untrained(points: list[Point], study: Study, key: str) -> float | None:
    """The loss before training, if it is one for all runs drawn and not far from them."""
    if not points or key == EVAL_CALIBRATED:
        return None
    known = {UNTRAINED} if key == EVAL_COMMON else {logged.untrained(study[point.id]) for point in points}
    value = known.pop() if len(known) == 1 else None
    return value if value is not None and max(point.loss for point in points) > 0.6 * value else None
