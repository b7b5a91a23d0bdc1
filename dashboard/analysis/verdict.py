"""The answer in words: which run is best, and how sure that is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboard.analysis import comparability, ranking, significance
from dashboard.analysis.comparability import EvaluationSet
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.significance import Proportion
from training.record.intervals import accuracy_interval
from training.record.schema import Run


@dataclass(frozen=True)
class Answer:
    """What can be said about the runs of one evaluation set: `best` is a run id.

    `tied` are the runs whose accuracy cannot be told apart from that of `most_accurate`, itself included.
    """

    name: str
    best: str | None
    headline: str
    details: tuple[str, ...]
    warnings: tuple[str, ...]
    tied: frozenset[str]
    most_accurate: str | None


def answer(group: EvaluationSet, key: str, at: At) -> Answer:
    """The best run of `group` by `key`, the runs that cannot be told apart from it, and what must not be concluded."""
    best = ranking.winner(group.runs, key, at)
    shares = ranking.proportions(group.runs, at)
    tied = significance.tie_group(shares)
    if best is None:
        return Answer(
            group.name, None, _nothing_ranked(group.runs, key, at), (), (), tied, significance.best_of(shares)
        )
    details = [
        _certainty(best, key, shares, tied),
        _assumption(group),
        _at(group.runs, at),
        _chosen(group.runs, at),
        _batches(shares),
        _apart(group.runs, at),
    ]
    warnings = [_scale(group.runs, key), _untrained(group.runs, at)]
    return Answer(
        group.name,
        best.id,
        _headline(best, key, at),
        tuple(filter(None, details)),
        tuple(filter(None, warnings)),
        tied,
        significance.best_of(shares),
    )


def _headline(best: Run, key: str, at: At) -> str:
    value = ranking.evaluation(best, at)[key]
    if key == EVAL_LOSS:
        return f"{best.name} has the lowest eval loss: {value:.4f}."
    interval = accuracy_interval(value, best.n_eval)
    spread = f" (95% interval {interval.low:.1%} to {interval.high:.1%})" if interval else ""
    return f"{best.name} has the highest reward accuracy: {value:.1%}{spread}."


def _certainty(best: Run, key: str, shares: Mapping[str, Proportion], tied: frozenset[str]) -> str:
    """How sure the ranking is, from means alone."""
    if best.id not in shares:
        return "Its number of evaluation pairs is unknown, so nothing can be said about how sure this is."
    if len(shares) < 2:
        return "No other ranked run has an accuracy and a number of pairs, so there is nothing to test it against."
    if key == EVAL_ACCURACY:
        return _ties(shares, tied)
    if best.id not in tied:
        place = "it is worse than the best"
    elif len(tied) > 1:
        place = f"it is one of {len(tied)} runs that cannot be told apart from the best"
    else:
        place = "it is better than each other run, taken one at a time"
    return f"Means alone allow no test of the loss; by reward accuracy {place} (unpaired z test, 95%)."


def _ties(shares: Mapping[str, Proportion], tied: frozenset[str]) -> str:
    others = len(shares) - 1
    corrected = len(significance.tie_group(shares, comparisons=others)) - 1
    test = "unpaired z test on the means, 95%"
    if len(tied) > 1:
        also = f"; {corrected} when corrected for {others} comparisons" if corrected != len(tied) - 1 else ""
        return (
            f"{len(tied) - 1} of the other {others} {'run' if others == 1 else 'runs'} cannot be told apart from it "
            f"({test}, each by itself{also}). A paired test on the scores of each pair usually separates more."
        )
    if corrected:
        return (
            f"That it is the best is not proven: taken one at a time the other {others} are worse ({test}), "
            f"but corrected for {others} comparisons, {corrected} of them cannot be told apart from it."
        )
    whom = "the other ranked run" if others == 1 else f"each of the other {others} ranked runs"
    return f"It is better than {whom} ({test}{', also corrected for as many comparisons' if others > 1 else ''})."


def _scale(runs: Sequence[Run], key: str) -> str:
    scale = comparability.loss_scale(runs)
    if scale.comparable:
        return ""
    consequence = (
        "ranked by raw loss because you asked for it, but the order says little"
        if key == EVAL_LOSS
        else "runs are ranked by reward accuracy, and the raw loss is shown for information"
    )
    return f"{scale.reason[0].upper()}{scale.reason[1:]}: eval loss is not comparable; {consequence}."


def _untrained(runs: Sequence[Run], at: At) -> str:
    worse = [run for run in runs if comparability.worse_than_untrained(run, ranking.evaluation(run, at).get(EVAL_LOSS))]
    if not worse:
        return ""
    verb = "run is" if len(worse) == 1 else "runs are"
    unknown = any(comparability.loss_type(run.config) is None for run in worse)
    assumed = ", if the loss is the sigmoid loss, TRL's default" if unknown else ""
    return f"{len(worse)} {verb} worse than the untrained model by loss (above ln 2 = 0.693{assumed})."


def _assumption(group: EvaluationSet) -> str:
    if group.proven or len(group.runs) < 2:
        return ""
    return "Their source does not name the evaluation pairs; they are taken to be the same for all these runs."


def _at(runs: Sequence[Run], at: At) -> str:
    last_only = sum(1 for run in runs if not run.best)
    if at == "last" or not last_only:
        return ""
    whole = "These runs record" if last_only == len(runs) else f"{last_only} of these runs record"
    return f"{whole} no best checkpoint: the last evaluation is used."


def _chosen(runs: Sequence[Run], at: At) -> str:
    if at == "last" or not any(run.best for run in runs):
        return ""
    return "The best of several checkpoints was chosen on these same pairs, so its accuracy is a little optimistic."


def _batches(shares: Mapping[str, Proportion]) -> str:
    count = significance.share_of_batches(shares.values())
    if not count:
        return ""
    whose = "One accuracy is" if count == 1 else f"{count} accuracies are"
    return f"{whose} no whole number of pairs but a mean of batch means, as TRL logs it: the interval is approximate."


def _apart(runs: Sequence[Run], at: At) -> str:
    counts = Counter(run.status for run in runs if not ranking.settled(run))
    words = [f"{count} {status}" for status, count in sorted(counts.items(), reverse=True)]
    untrained = sum(ranking.settled(run) and ranking.untrained(run, at) for run in runs)
    if untrained:
        words.append(f"{untrained} evaluated at step 0, before training")
    return f"Not ranked: {' and '.join(words)}." if words else ""


def _nothing_ranked(runs: Sequence[Run], key: str, at: At) -> str:
    running = [run for run in runs if run.status == "running"]
    if running:
        so_far = len(running)
        return f"No run has ended yet; {so_far} {'is' if so_far == 1 else 'are'} running and will be ranked then."
    if any(ranking.settled(run) and ranking.untrained(run, at) for run in runs):
        return "No run can be ranked: an evaluation at step 0 is that of the model before training."
    what = "eval loss" if key == EVAL_LOSS else "reward accuracy"
    return f"No run can be ranked: none that has ended has a finite {what}."
