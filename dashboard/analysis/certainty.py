"""How sure it is that the best run is better than the others: paired on the same pairs, or from means alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.analysis import best_of, common_beta, comparability, paired, power, ranking, significance, ties
from dashboard.analysis.common_scale import EVAL_COMMON
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.significance import Proportion
from dashboard.analysis.study import Floats, Scores, Study
from dashboard.analysis.ties import Measure, Ties
from training.record.schema import Run

_HOPELESS = 50
"""Times as many pairs as there are: to ask for more is to say that they may as well be equal."""


@dataclass(frozen=True)
class Certainty:
    """One sentence; the runs that cannot be told apart from the best, itself included; is it better than all others?"""

    sentence: str
    tied: frozenset[str]
    proven: bool


def certainty(best: Run, runs: Sequence[Run], key: str, at: At, study: Study, b: float | None = None) -> Certainty:
    """The strongest that the sources allow. `b` is the beta of the common-beta loss, where that ranks the runs."""
    scores = {
        run.id: judged for run in runs if ranking.eligible(run, at) and (judged := _judged(study, run, at)) is not None
    }
    measure, scale = _measure(best, runs, key, b)
    if measure is not None and best.id in scores and len(scores) > 1:
        found = ties.tie_group(scores, measure, scale)
        if found is not None and best.id in found.p:
            return _from_pairs(best, runs, scores, found, scale, at)
    return _from_means(best, runs, key, at)


def _judged(study: Study, run: Run, at: At) -> Scores | None:
    return study[run.id].judged(at) if run.id in study else None


def _measure(best: Run, runs: Sequence[Run], key: str, b: float | None) -> tuple[Measure | None, float | None]:
    """What is compared pair by pair, and at which beta: the loss only where it is the sigmoid loss of the scores."""
    if key == EVAL_ACCURACY:
        return "accuracy", None
    if key == EVAL_COMMON and b is not None:
        return "loss", b
    plain = all(comparability.loss_type(run.config) == "sigmoid" for run in runs)
    if key == EVAL_LOSS and plain and comparability.loss_scale(runs).comparable:
        return "loss", comparability.beta(best.config)
    return None, None


def _from_pairs(
    best: Run, runs: Sequence[Run], scores: Mapping[str, Scores], found: Ties, b: float | None, at: At
) -> Certainty:
    """The paired test against each other run, all comparisons of any two runs held at 95% together."""
    names = {run.id: run.name for run in runs}
    alike = [run for run in found.p if run in found.tied and run != best.id]
    others, n = found.compared - 1, len(scores[best.id])
    test = f"{found.test} on the same {n:,} pairs, 95% for all comparisons together"
    apart = sum(ranking.eligible(run, at) for run in runs) - found.compared
    beside = f" {apart} not compared: no per-pair scores on these pairs." if apart else ""
    luck = _luck(best, scores, found, b)
    if not alike:
        whom = "the other run" if others == 1 else f"each of the other {others} runs"
        return Certainty(f"It is better than {whom} ({test}).{luck}{beside}", found.tied, True)
    listed = ", ".join(names[run] for run in alike[:5]) + (f" and {len(alike) - 5} more" if len(alike) > 5 else "")
    count = f"{len(alike)} of the other {others} runs" if others > 1 else "the other run"
    return Certainty(
        f"That it is the best is not proven: {count} cannot be told apart from it ({test}): {listed}."
        f"{_needed(scores, best.id, alike, found.measure, names)}{luck}{beside}",
        found.tied,
        False,
    )


def _needed(
    scores: Mapping[str, Scores],
    best: str,
    alike: Sequence[str],
    measure: Measure,
    names: Mapping[str, str],
) -> str:
    """How many more pairs would decide between the best and the nearest of those it is not told apart from."""
    if measure != "accuracy":
        return ""
    n = len(scores[best])
    compared = {run: paired.accuracy(scores[best], scores[run]) for run in alike}
    nearest = min(compared, key=lambda run: abs(compared[run].difference))
    difference, discordance = abs(compared[nearest].difference), compared[nearest].discordance
    if not difference or not discordance:
        return f" On these pairs {names[nearest]} is exactly as good."
    more = power.pairs_needed(difference, discordance) - n
    if more > _HOPELESS * n:
        return (
            f" The nearest, {names[nearest]}, differs by {difference:.2%}: too little for any number of pairs to tell."
        )
    if more <= 0:
        return ""
    return f" About {_round(more):,} more pairs would decide between it and {names[nearest]} (80% power)."


def _luck(best: Run, scores: Mapping[str, Scores], found: Ties, b: float | None) -> str:
    """What the best owes to having been picked by these very pairs."""
    compared = {run: scores[run] for run in found.p}
    values: dict[str, Floats] = {}
    for run, score in compared.items():
        rows = paired.aligned(scores[best.id], score)
        if rows is None:
            return ""
        value = score.right if b is None else -common_beta.losses(score.h, b)
        values[run] = value[np.argsort(rows[0])][rows[1]] if rows[1] is not rows[0] else value
    picked = best_of.best_of(values, scores[best.id].prompts)
    if picked is None or picked.best != best.id or picked.optimism <= 0:
        return ""
    what = f"{picked.corrected:.1%}" if b is None else f"{-picked.corrected:.4f}"
    whose = "accuracy" if b is None else f"loss at beta {b:g}"
    return (
        f" It was picked as the best of {len(values)} by these pairs, which flatters it: on new ones its {whose} is to "
        f"be expected near {what}, and it would be the best again with a chance of {picked.chance[best.id]:.0%}."
    )


def _from_means(best: Run, runs: Sequence[Run], key: str, at: At) -> Certainty:
    """What means and numbers of pairs allow: an unpaired test of the accuracy."""
    shares = ranking.proportions(runs, at)
    tied = significance.tie_group(shares)
    if best.id not in shares:
        sentence = "Its number of evaluation pairs is unknown, so nothing can be said about how sure this is."
        return Certainty(sentence, tied, False)
    if len(shares) < 2:
        sentence = "No other ranked run has an accuracy and a number of pairs, so there is nothing to test it against."
        return Certainty(sentence, tied, False)
    if key == EVAL_ACCURACY:
        return _by_accuracy(shares, tied, best)
    if best.id not in tied:
        place = "it is worse than the best"
    elif len(tied) > 1:
        place = f"it is one of {len(tied)} runs that cannot be told apart from the best"
    else:
        place = "it is better than each other run, taken one at a time"
    sentence = f"Means alone allow no test of the loss; by reward accuracy {place} (unpaired z test, 95%)."
    return Certainty(sentence, tied, False)


def _by_accuracy(shares: Mapping[str, Proportion], tied: frozenset[str], best: Run) -> Certainty:
    others = len(shares) - 1
    corrected = len(significance.tie_group(shares, comparisons=others)) - 1
    test = "unpaired z test on the means, 95%"
    if len(tied) > 1:
        also = f"; {corrected} when corrected for {others} comparisons" if corrected != len(tied) - 1 else ""
        return Certainty(
            f"{len(tied) - 1} of the other {others} {'run' if others == 1 else 'runs'} cannot be told apart from it "
            f"({test}, each by itself{also}). A paired test on the scores of each pair usually separates more."
            f"{_needed_unpaired(shares, best, tied)}",
            tied,
            False,
        )
    if corrected:
        return Certainty(
            f"That it is the best is not proven: taken one at a time the other {others} are worse ({test}), "
            f"but corrected for {others} comparisons, {corrected} of them cannot be told apart from it.",
            tied,
            False,
        )
    whom = "the other ranked run" if others == 1 else f"each of the other {others} ranked runs"
    sentence = f"It is better than {whom} ({test}{', also corrected for as many comparisons' if others > 1 else ''})."
    return Certainty(sentence, tied, True)


def _needed_unpaired(shares: Mapping[str, Proportion], best: Run, tied: frozenset[str]) -> str:
    """How many pairs would decide between the best and the farthest that it is not told apart from, without scores."""
    own = shares[best.id]
    worst = min((shares[run] for run in tied if run != best.id), key=lambda share: share.value)
    difference = own.value - worst.value
    if difference <= 0:
        return ""
    more = power.pairs_needed_unpaired(difference, (own.value + worst.value) / 2) - own.n
    if not 0 < more <= _HOPELESS * own.n:
        return ""
    return f" Without them even the worst of these would take about {_round(more):,} more pairs to tell."


def _round(count: int) -> int:
    """Two significant digits, upwards."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit
