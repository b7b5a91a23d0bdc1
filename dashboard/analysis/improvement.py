"""Is a run better than the base model it started from, as far as an evaluation on pairs can tell?"""

from dataclasses import dataclass

import numpy as np

from dashboard.analysis import comparability, ranking, significance
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.study import Evidence, Scores
from training.record.intervals import Interval, accuracy_interval, mean_interval

UNTOLD = "What its answers are like no loss or accuracy tells: read them beside the base model's."


@dataclass(frozen=True)
class Improvement:
    """One sentence, and whether both accuracy and loss show an improvement at 95%."""

    sentence: str
    proven: bool


def interval(evidence: Evidence, at: At) -> Interval | None:
    """The 95% interval of the reward accuracy: from the pairs' scores, else from its value and the number of pairs."""
    scores = evidence.judged(at)
    found = significance.measured(scores.right, scores.prompts) if scores else None
    if found is None:
        accuracy = ranking.finite(ranking.evaluation(evidence.run, at).get(EVAL_ACCURACY))
        return accuracy_interval(accuracy, evidence.run.n_eval)
    return found[1]


def over_base(evidence: Evidence, at: At) -> Improvement:
    """Reward accuracy against 50% and loss against the untrained model's, on the evaluation that the run is judged by.

    The reference of the implicit reward is the base model itself: all its own rewards are 0, every pair a tie, which
    counts half (Rafailov et al. 2023, arXiv:2305.18290, section 4). So an accuracy above 50% says that training has
    moved the policy towards the chosen answers; a loss above that of the untrained model that it is, on balance, surer
    where it is wrong.
    """
    accuracy = ranking.finite(ranking.evaluation(evidence.run, at).get(EVAL_ACCURACY))
    span = interval(evidence, at)
    if accuracy is None:
        return Improvement("Whether it is better than the base model cannot be told: it has no reward accuracy.", False)
    if span is None:
        return Improvement(
            f"Whether it is better than the base model cannot be told: {accuracy:.1%} of the pairs are ranked right, "
            "but of how many the source does not say.",
            False,
        )
    right = f"it ranks {accuracy:.1%} of the pairs right (95% interval {span.low:.1%} to {span.high:.1%})"
    if span.high < 0.5:
        return Improvement(f"It is worse than the base model, which stands at 50%: {right}.", False)
    if span.low <= 0.5:
        return Improvement(f"It is not proven better than the base model, which stands at 50%: {right}.", False)
    return _with_loss(evidence, at, right)


def _with_loss(evidence: Evidence, at: At, right: str) -> Improvement:
    """The sentence of a run whose accuracy is above 50%: does its loss say the same?"""
    loss = ranking.finite(ranking.evaluation(evidence.run, at).get(EVAL_LOSS))
    untrained = comparability.untrained_loss(evidence.run)
    better = f"It is better than the base model on these pairs: {right}, where the base model stands at 50%"
    if loss is None or untrained is None:
        return Improvement(f"{better}. {UNTOLD}", True)
    scores = evidence.judged(at)
    span = _loss(scores, evidence) if scores else None
    if comparability.worse_than_untrained(evidence.run, loss):
        return Improvement(
            f"It is not proven better than the base model: {right}, but its loss, {loss:.4f}, is above the untrained "
            f"model's, {untrained:.4f}: where it is wrong, it is very sure.",
            False,
        )
    if span is not None and span.high >= untrained:
        return Improvement(
            f"{better}; that its loss, {loss:.4f}, is below the untrained model's {untrained:.4f} is not shown "
            f"(95% interval {span.low:.4f} to {span.high:.4f}). {UNTOLD}",
            False,
        )
    return Improvement(f"{better}, and its loss, {loss:.4f}, is below the untrained {untrained:.4f}. {UNTOLD}", True)


def _loss(scores: Scores, evidence: Evidence) -> Interval | None:
    """The clustered interval of the sigmoid loss at the run's beta; None for other losses, whose scale differs."""
    beta = comparability.beta(evidence.run.config)
    if beta is None or comparability.loss_type(evidence.run.config) != "sigmoid":
        return None
    return mean_interval(np.logaddexp(0.0, -beta * scores.h).tolist(), scores.prompts.tolist())
