"""Is a run better than the base model it started from, as far as an evaluation on pairs can tell?"""

from dataclasses import dataclass

from dashboard.analysis import logged, losses, significance
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At, evaluation, finite
from dashboard.analysis.study import Evidence
from training.record.intervals import Interval, accuracy_interval, mean_interval

UNTOLD = "No loss or accuracy tells what its answers are like: read them beside the base model's."


@dataclass(frozen=True)
class Improvement:
    """One sentence, and whether it is proven: by accuracy at 95%, and by a loss that says the same.

    The loss says so if its 95% interval is below the untrained model's, or where only its mean is known, that mean. A
    loss that is missing, or whose value before training is not known, leaves it open.
    """

    sentence: str
    proven: bool


def interval(evidence: Evidence, at: At, confidence: float = 0.95) -> Interval | None:
    """The interval of the reward accuracy: from the pairs' scores, else from its value and the number of pairs."""
    scores = logged.scored(evidence, at)
    found = significance.measured(scores.right, scores.prompts, confidence) if scores else None
    if found is None:
        return accuracy_interval(logged.judged(evidence, EVAL_ACCURACY, at), evidence.run.n_eval, confidence)
    return found[1]


def over_base(evidence: Evidence, at: At, runs: int = 1) -> Improvement:
    """Reward accuracy against 50% and loss against the untrained model's, on the evaluation that the run is judged by.

    The reference of the implicit reward is the base model itself: all its own rewards are 0, every pair a tie, which
    counts half (Rafailov et al. 2023, arXiv:2305.18290, section 4). So an accuracy above 50% says that training has
    moved the policy towards the chosen answers; a loss above that of the untrained model that it is, on balance, surer
    where it is wrong. Rewards of a trainer without a reference say nothing of the base model. The best of `runs` runs
    is also the luckiest: it is tested at 1 - 0.05 / runs (Bonferroni: Dunn 1961, JASA 56, 52-64).
    """
    accuracy, span = logged.judged(evidence, EVAL_ACCURACY, at), interval(evidence, at)
    if accuracy is None:
        logged_as = finite(evaluation(evidence.run, at).get(EVAL_ACCURACY))
        why = "it has no reward accuracy" if logged_as is None else f"{logged_as:g} is no reward accuracy from 0 to 1"
        return _untold(why)
    if not logged.REFERENCE_FREE.isdisjoint(key.rpartition("/")[2] for key in evidence.run.metrics):
        return _untold("it was trained without a reference model, and its rewards do not compare it with one")
    strict = interval(evidence, at, _strict(runs))
    if span is None or strict is None:
        return _untold(f"{accuracy:.1%} of the pairs are ranked right, but of how many the source does not say")
    right = f"{accuracy:.1%} of the pairs ranked right (95% interval {span.low:.1%} to {span.high:.1%}) against 50%"
    if span.high < 0.5:
        return Improvement(f"It is worse than the base model on these pairs: {right}.", False)
    if strict.low <= 0.5:
        luck = f", which the best of {runs} runs may reach by luck" if span.low > 0.5 else ""
        return Improvement(f"It is not proven to be better than the base model: {right}{luck}.", False)
    return _with_loss(evidence, at, runs, right)


def _strict(runs: int) -> float:
    return 1 - 0.05 / max(1, runs)


def _untold(why: str) -> Improvement:
    return Improvement(f"Whether it is better than the base model cannot be told: {why}.", False)


def _with_loss(evidence: Evidence, at: At, runs: int, right: str) -> Improvement:
    """The sentence of a run whose accuracy is above 50%: does its loss say the same?"""
    loss, untrained = logged.judged(evidence, EVAL_LOSS, at), logged.untrained(evidence)
    better = f"It is better than the base model on these pairs by accuracy: {right}"
    if loss is None:
        return Improvement(f"{better}; it has no loss to say the same.", False)
    if untrained is None:
        return Improvement(f"{better}; what loss, now {loss:.4f}, it had before training is not known.", False)
    assumed = ", if it is the sigmoid loss" if logged.taken_as_sigmoid(evidence) else ""
    against = f"against {untrained:.4f} before training{assumed}"
    if losses.worse_than_untrained(evidence.run, loss):
        return Improvement(
            f"It is not proven to be better than the base model: {right}, but a loss of {loss:.4f} {against}: where it "
            "is wrong, it is very sure.",
            False,
        )
    span = _loss(evidence, at, _strict(runs))
    if span is not None and span.high >= untrained:
        spread = f"{_strict(runs):.1%} interval {span.low:.4f} to {span.high:.4f}"
        return Improvement(f"{better}; not by loss: {loss:.4f} ({spread}) {against}.", False)
    if span is None and untrained - loss <= losses.ROUNDING * max(1.0, untrained):
        return Improvement(f"{better}; not by loss: {loss:.4f} {against}.", False)
    return Improvement(
        f"It is better than the base model on these pairs: {right}, and a loss of {loss:.4f} {against}.", True
    )


def _loss(evidence: Evidence, at: At, confidence: float) -> Interval | None:
    """The clustered interval of the loss; None where the scores do not give it."""
    scores = logged.scored(evidence, at)
    found = None if scores is None else logged.pair_losses(evidence.run, scores, logged.judged(evidence, EVAL_LOSS, at))
    if found is None or scores is None:
        return None
    return mean_interval(found.tolist(), scores.prompts.tolist(), confidence)
