"""A sound run as its record tells it, to be made unsound: shared by the tests of findings and card."""

import math
from array import array

from training.publishing.evaluation import Estimate, Evaluation
from training.publishing.findings import Evidence
from training.record.intervals import Interval
from training.record.schema import Run, Series

SOUND = Evaluation(
    n=600,
    prompts=600,
    accuracy=Estimate(0.8, Interval(0.766, 0.83)),
    margin=Estimate(5.0, Interval(4.5, 5.5)),
    chosen=Estimate(1.0, Interval(0.5, 1.5)),
    rejected=Estimate(-4.0, Interval(-4.5, -3.5)),
    displaced=Estimate(0.3),
    ranking=Estimate(0.6),
    longer_wins=Estimate(0.55),
    truncated=Estimate(0.0),
    base_accuracy=0.5,
    base_margin=0.0,
    base_ranking=Estimate(0.55),
    lost=10,
    gained=40,
    p=0.001,
)
CURVES = {
    "eval/loss": {0: 0.6931, 10: 0.5, 20: 0.51},
    "train/loss": {5: 0.6, 15: 0.5},
    "eval/rewards/accuracies": {0: 0.5, 10: 0.8, 20: 0.8},
    "train/rewards/accuracies": {2: 0.99, 5: 0.8, 10: 0.84, 15: 0.99},
    "eval/samples/repetition": {0: 0.1, 10: 0.12},
    "eval/samples/ended": {0: 0.9, 10: 0.85},
}


def series(points: dict[int, float]) -> Series:
    nothing = array("d", [math.nan] * len(points))
    return Series(array("q", points), nothing, nothing, array("d", points.values()))


def evidence(curves=None, evaluation=SOUND, best=True, **run) -> Evidence:
    config = {"loss_type": ["sigmoid"], "beta": 0.1, **run.pop("config", {})}
    about = {"status": "finished", "step": 20, "max_steps": 20, "best_metric": "eval/rewards/accuracies", **run}
    history = {key: series(points) for key, points in {**CURVES, **(curves or {})}.items()}
    return Evidence(Run("a", "a", "runs", config=config, **about), 10, best, history, evaluation)
