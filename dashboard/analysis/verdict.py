"""The answer in words: which run is best, and how sure that is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboard.analysis import (
    budgets,
    certainty,
    comparability,
    improvement,
    logged,
    losses,
    numbers,
    ranking,
    seeds,
    significance,
)
from dashboard.analysis.common_scale import EVAL_CALIBRATED, EVAL_COMMON
from dashboard.analysis.comparability import EvaluationSet
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.significance import Proportion
from dashboard.analysis.study import Evidence, Study
from training.record.intervals import Interval
from training.record.schema import Run

_ACROSS = frozenset({EVAL_COMMON, EVAL_CALIBRATED})
"""Losses that are on one scale whatever beta a run was trained with."""


@dataclass(frozen=True)
class Answer:
    """What can be said about the runs of one evaluation set: `best` is a run id, `headline` says which it is.

    `details` begin with how sure it is that the best is better than the others; what follows is secondary. `base` says
    whether it is better than the base model; `proven` only if both are, and nothing is taken for granted. `tied` are
    the runs that a test does not tell apart from the best (`certainty`), itself included; `compared` those tested.
    """

    name: str
    best: str | None
    headline: str
    details: tuple[str, ...]
    warnings: tuple[str, ...]
    tied: frozenset[str]
    base: str = ""
    proven: bool = False
    compared: frozenset[str] = frozenset()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict: which run, is it better than the others, is it better than the base model."""
        return tuple(filter(None, (self.headline, *self.details[:1], self.base)))


def answer(group: EvaluationSet, key: str, at: At, study: Study | None = None, b: float | None = None) -> Answer:
    """The best run of `group` by `key`, the runs that cannot be told apart from it, and what must not be concluded.

    `study` has what is known beside the runs' metrics: per-pair scores make the tests paired. `b` is the beta of the
    common-beta loss, where `key` is that.
    """
    best = ranking.winner(group.runs, key, at)
    if best is None:
        return Answer(group.name, None, _nothing_ranked(group.runs, key, at), (), (), frozenset())
    known = study or {}
    sure = certainty.certainty(best, group.runs, key, at, known, b)
    evidence = known.get(best.id) or Evidence(best)
    ranked = len(ranking.rank(group.runs, key, at))
    base, assumption = improvement.over_base(evidence, at, ranked), _assumption(group)
    details = [
        f"{sure.sentence} {assumption}" if sure.proven and assumption else sure.sentence,
        *sure.notes,
        improvement.UNTOLD if base.proven else "",
        "" if sure.proven else assumption,
        _between_seeds(group.runs, key, at),
        _at(group.runs, at),
        _chosen([known.get(run.id) or Evidence(run) for run in group.runs], at),
        _batches(ranking.proportions(group.runs, at)),
        _apart(group.runs, at),
    ]
    warnings = [_scale(group.runs, key), _untrained([known.get(run.id) or Evidence(run) for run in group.runs], at)]
    return Answer(
        group.name,
        best.id,
        _headline(best, group.runs, key, at, improvement.interval(evidence, at)),
        tuple(filter(None, details)),
        tuple(filter(None, warnings)),
        sure.tied,
        base.sentence,
        sure.proven and base.proven and not assumption,
        sure.compared,
    )


def _headline(best: Run, runs: Sequence[Run], key: str, at: At, interval: Interval | None) -> str:
    value, order = ranking.evaluation(best, at)[key], "highest" if ranking.direction(key) == "higher" else "lowest"
    equal = sum(place == 1 for place in ranking.rank(runs, key, at).values()) - 1
    whose = f"{best.name} has"
    if equal:
        whose = f"{best.name} and {equal} {'other run' if equal == 1 else 'other runs'} have"
    if key != EVAL_ACCURACY:
        return f"{whose} the {order} {numbers.label(key)}: {numbers.metric(value)}."
    spread = f" (95% interval {interval.low:.1%} to {interval.high:.1%})" if interval else ""
    return f"{whose} the {order} {numbers.label(key)}: {numbers.percent(value)}{spread}."


def _scale(runs: Sequence[Run], key: str) -> str:
    scale = comparability.loss_scale(runs)
    if scale.comparable or key in _ACROSS:
        return ""
    consequence = (
        "ranked by raw loss because you asked for it, but the order says little"
        if key == EVAL_LOSS
        else f"runs are ranked by {numbers.label(key)}, and the raw loss is shown for information"
    )
    return f"{scale.reason[0].upper()}{scale.reason[1:]}: eval loss is not comparable; {consequence}."


def _untrained(runs: Sequence[Evidence], at: At) -> str:
    loss = {one.run.id: ranking.evaluation(one.run, at).get(EVAL_LOSS) for one in runs}
    above = [one for one in runs if comparability.worse_than_untrained(one.run, loss[one.run.id])]
    worse = [one.run for one in above if logged.untrained(one) is not None]
    if not worse:
        return ""
    verb = "run has" if len(worse) == 1 else "runs have"
    words = sorted({losses.untrained_words(run) for run in worse})
    return f"{len(worse)} {verb} a higher eval loss than the untrained model (above {' or '.join(words[:3])})."


def _assumption(group: EvaluationSet) -> str:
    """What is taken for granted where no hash and no log-probability shows that the runs belong together."""
    if group.proven or len(group.runs) < 2:
        return ""
    if all(map(comparability.pairs_hash, group.runs)):
        return "Their source does not tell the reference model; it is taken to be the same for all these runs."
    return "Their source does not name the evaluation pairs; they are taken to be the same for all these runs."


def _at(runs: Sequence[Run], at: At) -> str:
    last_only = sum(1 for run in runs if not run.best)
    if at == "last" or not last_only:
        return ""
    whole = f"{last_only} of these runs {'records' if last_only == 1 else 'record'}"
    if last_only == len(runs):
        whole = "This run records" if len(runs) == 1 else "These runs record"
    return f"{whole} no best checkpoint: the last evaluation is used."


def _chosen(runs: Sequence[Evidence], at: At) -> str:
    """Said unless each run with a best checkpoint is known to have been evaluated only once."""
    chosen = (one.run.best and not (one.history and len(budgets.evaluated_steps(one)) < 2) for one in runs)
    if at == "last" or not any(chosen):
        return ""
    return "The best of several checkpoints was chosen on these same pairs, so its accuracy is a little optimistic."


def _between_seeds(runs: Sequence[Run], key: str, at: At) -> str:
    """The second error of a run's metric beside that of the pairs, where a configuration has several known seeds."""
    repeats = [group for group in seeds.groups(runs) if all(map(seeds.known, group.runs))]
    spread = seeds.spread(repeats, key, at)
    if spread is None:
        return ""
    values, unit = (spread.sd, *spread.interval, spread.least_difference()), ""
    shown = [numbers.metric(value) for value in values]
    if key == EVAL_ACCURACY:
        shown, unit = [f"{100 * value:.1f}" for value in values], " points"
    of = "one configuration" if spread.groups == 1 else f"{spread.groups} configurations"
    how = f"{spread.freedom + spread.groups} runs of {of} differ by a standard deviation of {shown[0]}{unit}"
    return (
        f"The seed alone moves {numbers.label(key)}: {how} between seeds (95% interval {shown[1]} to {shown[2]}). Two "
        f"single runs less than {shown[3]}{unit} apart may differ by their seeds alone, whatever a test on evaluation "
        "pairs says."
    )


def _batches(shares: Mapping[str, Proportion]) -> str:
    count = significance.share_of_batches(shares.values())
    if not count:
        return ""
    whose = "One accuracy is" if count == 1 else f"{count} accuracies are"
    return f"{whose} no whole number of pairs but a mean of batch means, as TRL logs it: the interval is approximate."


def _apart(runs: Sequence[Run], at: At) -> str:
    words = _unranked(runs, at)
    return f"Not ranked: {words}." if words else ""


def _unranked(runs: Sequence[Run], at: At) -> str:
    """Which runs are not ranked, in words: "1 running, 2 failed and 1 evaluated at step 0, before training"."""
    counts = Counter(
        f"({run.apart})" if run.apart else run.status for run in runs if not ranking.settled(run) or run.apart
    )
    words = [f"{count} {kind}" for kind, count in sorted(counts.items(), reverse=True)]
    untrained = sum(ranking.settled(run) and not run.apart and ranking.untrained(run, at) for run in runs)
    if untrained:
        words.append(f"{untrained} evaluated at step 0, before training")
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _nothing_ranked(runs: Sequence[Run], key: str, at: At) -> str:
    if all(run.status == "running" for run in runs):
        so_far = f"{len(runs)} {'is' if len(runs) == 1 else 'are'}"
        return f"No run has ended yet; {so_far} running and will be ranked then."
    if any(ranking.eligible(run, at) for run in runs):
        return f"No run can be ranked: none that has ended has a finite {numbers.label(key)}."
    if all(ranking.untrained(run, at) for run in runs):
        return "No run can be ranked: an evaluation at step 0 is that of the model before training."
    return f"No run can be ranked: {_unranked(runs, at)}."
