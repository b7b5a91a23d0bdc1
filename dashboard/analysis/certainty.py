"""How sure it is that the best run is better than the others: paired on the same pairs, or from means alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dashboard.analysis import best_of, certainty_pairs, numbers, paired, power, ranking, significance
from dashboard.analysis.certainty_pairs import HOPELESS, LEVEL, POWER, Certainty, cannot, each, not_proven, rounded
from dashboard.analysis.ranking import EVAL_ACCURACY, At
from dashboard.analysis.significance import Proportion
from dashboard.analysis.study import Study
from training.record.intervals import z_value
from training.record.schema import Run


def certainty(best: Run, runs: Sequence[Run], key: str, at: At, study: Study, b: float | None = None) -> Certainty:
    """The strongest that the sources allow. `b` is the beta of the common-beta loss, where that ranks the runs."""
    places = ranking.rank(runs, key, at)
    ranked = [run for run in runs if run.id in places]
    if len(ranked) < 2:
        return Certainty("No other run is ranked: there is nothing to compare it with.", frozenset({best.id}), False)
    return certainty_pairs.from_pairs(best, ranked, key, at, study, b) or _from_means(best, ranked, key, at)


_PAIRED = "A paired test on the scores of each pair usually tells more runs apart than one on means."


@dataclass(frozen=True)
class _Accuracies:
    """The accuracies of the ranked runs that have a number of pairs; `missing` counts the other ranked runs."""

    best: str
    shares: Mapping[str, Proportion]
    missing: int

    @property
    def others(self) -> Mapping[str, Proportion]:
        return {run: share for run, share in self.shares.items() if run != self.best}

    def lead(self, run: str) -> float:
        """How far the best run is ahead of another, in standard errors."""
        return significance.z_unpaired(self.shares[self.best], self.shares[run])

    @property
    def beside(self) -> str:
        """What is said of the runs that were not compared."""
        if not self.missing:
            return ""
        return f"; {self.missing} more not compared, without accuracy or number of pairs"


def _from_means(best: Run, ranked: Sequence[Run], key: str, at: At) -> Certainty:
    """What means and numbers of pairs allow: an unpaired test of the accuracy, of each run against the best."""
    shares = ranking.proportions(ranked, at)
    found = _Accuracies(best.id, shares, len(ranked) - len(shares))
    alone = frozenset({best.id})
    if best.id not in shares:
        logged = ranking.finite(ranking.evaluation(best, at).get(EVAL_ACCURACY))
        why = "it has no reward accuracy" if logged is None else f"{logged:g} is no reward accuracy from 0 to 1"
        if not best.n_eval:
            why = "its number of evaluation pairs is unknown"
        return Certainty(f"How sure that is cannot be told: {why}.", alone, False)
    if len(shares) < 2:
        whose = "the other run's" if found.missing == 1 else f"the other {found.missing} runs'"
        why = f"{whose} accuracy or number of pairs is unknown"
        return Certainty(f"How sure that is cannot be told: {why}.", alone, False)
    limit = z_value(1 - LEVEL)
    alike = frozenset(run for run in found.others if abs(found.lead(run)) < limit) | alone
    if key != EVAL_ACCURACY:
        return Certainty(_beside_accuracy(found, key, limit), alike, False, (), frozenset(shares))
    return replace(_by_accuracy(found, alike), compared=frozenset(shares))


def _beside_accuracy(found: _Accuracies, key: str, limit: float) -> str:
    """The best by another metric, of which there are only means, and where it stands by accuracy."""
    leads = [found.lead(run) for run in found.others]
    better, worse = sum(lead >= limit for lead in leads), sum(lead <= -limit for lead in leads)
    counts = {"better than": better, "worse than": worse, "not told apart from": len(leads) - better - worse}
    known = [(words, count) for words, count in counts.items() if count]
    stands = " and ".join(f"{words} {count}" for words, count in known) + f" of the other {len(leads)} runs"
    if len(known) == 1:
        stands = f"{known[0][0]} {each(len(leads))}"
    return (
        f"It is not proven to be the best: means allow no test of the {numbers.label(key)}, and by reward accuracy it "
        f"is {stands} (unpaired z test on the means, 95%{found.beside})."
    )


def _by_accuracy(found: _Accuracies, tied: frozenset[str]) -> Certainty:
    """The best run is the most accurate one: tested against each other run by itself, and by Holm over all of these.

    Corrected, it holds the level also for a best run that was picked by these accuracies (`certainty_pairs`).
    """
    others, alike = len(found.others), len(tied) - 1
    adjusted = paired.holm(np.array([math.erfc(max(0.0, found.lead(run)) / math.sqrt(2)) for run in found.others]))
    corrected = int((adjusted > LEVEL).sum())
    test, notes = "unpaired z test on the means, 95%", _flattered(found)
    if alike:
        also = f"; {corrected} when corrected for {others} comparisons" if corrected != alike else ""
        sentence = not_proven(cannot(alike, others), f"{test}{also}{found.beside}")
        return Certainty(f"{sentence}{_needed(found, tied)}.", tied, False, (*_detectable(found), _PAIRED, *notes))
    if corrected:
        why = f"by itself each of the other {others} runs is worse, but corrected for {others} comparisons"
        why = f"{why} {corrected} cannot be told apart from it"
        return Certainty(not_proven(why, f"{test}{found.beside}") + ".", tied, False, (_PAIRED, *notes))
    test += f", corrected for {others} comparisons" if others > 1 else ""
    if found.missing:
        sentence = not_proven(f"it is better than {each(others)}", f"{test}{found.beside}")
        return Certainty(f"{sentence}.", tied, False, notes)
    return Certainty(f"It is better than {each(others)} ({test}).", tied, True, notes)


def _needed(found: _Accuracies, tied: frozenset[str]) -> str:
    """How many more pairs would tell the best from the farthest run that it is not told apart from."""
    own = found.shares[found.best]
    worst = min((share for run, share in found.others.items() if run in tied), key=lambda share: share.value)
    difference = own.value - worst.value
    if difference <= 0:
        return ""
    more = power.pairs_needed_unpaired(difference, own.value) - own.n
    if not 0 < more <= HOPELESS * own.n:
        return ""
    apart = "tell it from the worst of these" if len(tied) > 2 else "tell the two apart"
    return f"; about {rounded(more)} more pairs would {apart}"


def _detectable(found: _Accuracies) -> tuple[str, ...]:
    """The smallest difference from the best that the means show."""
    own, n = found.shares[found.best], min(share.n for share in found.shares.values())
    least = power.smallest_detectable_unpaired(n, own.value, POWER, LEVEL)
    return (certainty_pairs.detectable(f"from means of {n:,} pairs", least),)


def _flattered(found: _Accuracies) -> tuple[str, ...]:
    """What the best owes to luck, at most, where only means are known."""
    most = best_of.most_optimism(found.shares.values())
    if not most:
        return ()
    return (
        f"The best of {len(found.shares)} is also the luckiest: its accuracy is too high by up to {100 * most:.1f} "
        "points on average.",
    )
