"""What the Hyper-parameters page looks at: one group of comparable runs, one metric, and what is worked out of them."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dashboard.analysis import common_scale, comparability, hyperparameters, importance, proposals, ranking, suggestions
from dashboard.analysis.common_scale import EVAL_CALIBRATED, EVAL_COMMON
from dashboard.analysis.comparability import Group
from dashboard.analysis.confounding import STRENGTH, Association, associations
from dashboard.analysis.effects import Effect, effects, outcomes
from dashboard.analysis.hyperparameters import Column, Design, Floats, design, value_of
from dashboard.analysis.importance import Importances
from dashboard.analysis.numbers import short
from dashboard.analysis.proposals import Proposal
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.study import Study
from dashboard.analysis.suggestions import Suggestion
from dashboard.components import context, query
from dashboard.sources.catalog import Snapshot
from dashboard.sources.held import Held
from training.record.metrics import describe
from training.record.schema import Run

METRICS = {
    "accuracy": "Reward accuracy",
    "loss": "Eval loss",
    "common": "Common-beta loss",
    "calibrated": "Calibrated loss",
}
KEYS = {"accuracy": EVAL_ACCURACY, "loss": EVAL_LOSS, "common": EVAL_COMMON, "calibrated": EVAL_CALIBRATED}
ATS: dict[At, str] = {"best": "Best checkpoint", "last": "Last evaluation"}

_HELD = Held(32)
"""What was worked out last, by the stamp of its runs: a run that is training must not make all be worked out again."""


@dataclass(frozen=True)
class Wish:
    """What the user asks for, checked for its type alone: a metric and a group that may not be there."""

    metric: str
    at: At
    group: str
    scope: tuple[str, ...]


def wish(metric: Any, at: Any, group: Any, scope: Sequence[str]) -> Wish:
    """The choices of a link or of the controls; every value is from a browser."""
    return Wish(query.one(metric)[:40], query.choice(at, list(ATS)), query.one(group)[:400], tuple(scope))


@dataclass(frozen=True, eq=False)
class Seen:
    """The runs of one group in the order of the study, judged by `key`; `whole` are those of the group beyond `scope`.

    `metrics` and `groups` are what else can be chosen. `common_beta` is the beta of the loss at one beta, if it is
    what the runs are judged by.
    """

    metric: str
    at: At
    group: Group | None
    groups: tuple[Group, ...]
    metrics: Mapping[str, str]
    runs: tuple[Run, ...]
    whole: tuple[Run, ...]
    scoped: bool
    study: Study
    common_beta: float | None

    @property
    def key(self) -> str:
        """The metric's W&B key."""
        return KEYS[self.metric]

    @property
    def share(self) -> bool:
        """Whether the metric is a share in [0, 1]."""
        return self.metric == "accuracy"

    @property
    def label(self) -> str:
        """The metric in words."""
        words = describe(self.key).label if self.metric != "loss" else "eval loss"
        return f"loss at beta {short(self.common_beta)}" if self.common_beta is not None else words

    @cached_property
    def rows(self) -> Design:
        """The design of the runs that can be ranked."""
        return design([run for run in self.runs if ranking.eligible(run, self.at)])

    @cached_property
    def outcome(self) -> Floats:
        """The metric of each configuration."""
        return outcomes(self.rows, self.key, self.at)

    @property
    def configurations(self) -> int:
        """How many configurations have the metric."""
        return int(sum(math.isfinite(value) for value in self.outcome))

    @property
    def numeric(self) -> tuple[Column, ...]:
        """The hyper-parameters that are numbers."""
        return tuple(column for column in self.rows.columns if column.numbers is not None)

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """What varies among all runs of the group, seeds last."""
        seeds = [key for key in hyperparameters.varying(self.runs, 40) if key in hyperparameters.SEEDS]
        return (*hyperparameters.parameters(self.runs), *seeds)

    def value(self, run: Run) -> float | None:
        """The metric by which a run is judged; None if it is not ranked, or has none."""
        if not ranking.eligible(run, self.at):
            return None
        return ranking.finite(ranking.evaluation(run, self.at).get(self.key))

    @cached_property
    def stamp(self) -> str:
        """Changes only when something that is worked out here would."""
        runs = [
            (run.id, run.name, run.created, run.status, self.value(run), *(value_of(run, key) for key in self.axes))
            for run in self.runs
        ]
        # The whole group: what was tried in it is not proposed.
        content = (self.metric, self.at, self.group and self.group.id, self.common_beta, len(self.whole), runs)
        return hashlib.sha1(repr(content).encode(), usedforsecurity=False).hexdigest()


def seen(snapshot: Snapshot, asked: Wish) -> Seen:
    """The group, metric and runs that are asked for, or those nearest to it; kept for all browsers."""
    return context.cached(snapshot, lambda: _seen(snapshot, asked), "hyper-seen", asked)


def _seen(snapshot: Snapshot, asked: Wish) -> Seen:
    study = context.study(snapshot)
    accuracy, loss = context.accuracy_groups(snapshot), context.loss_groups(snapshot)
    offered = _metrics(study, accuracy, asked.at)
    likely = _fullest(accuracy, asked)
    natural = "loss" if likely and comparability.natural_metric(likely.runs) == EVAL_LOSS else "accuracy"
    metric = query.choice(asked.metric, [natural, *offered])
    groups = loss if metric == "loss" else accuracy
    group = next((one for one in groups if one.id == asked.group), None) or _fullest(groups, asked)
    whole = group.runs if group else ()
    beta = None
    if metric in ("common", "calibrated"):
        beta = common_scale.usual_beta({run.id: study[run.id] for run in whole}) if metric == "common" else None
        study = common_scale.with_common_scale({run.id: study[run.id] for run in whole}, beta)
        whole = tuple(study[run.id].run for run in whole)
    wanted = frozenset(asked.scope)
    runs = tuple(run for run in whole if run.id in wanted) if wanted else whole
    mine = {run.id: study[run.id] for run in runs}
    return Seen(metric, asked.at, group, groups, offered, runs, whole, bool(wanted), mine, beta)


def _metrics(study: Study, groups: Sequence[Group], at: At) -> dict[str, str]:
    """The metrics that any run has, in words."""
    runs = [evidence.run for evidence in study.values()]
    there = {name for name, key in KEYS.items() if any(key in ranking.evaluation(run, at) for run in runs)}
    if any(evidence.judged(at) is not None for evidence in study.values()):
        there |= {"common", "calibrated"}
    return {name: words for name, words in METRICS.items() if name in there}


def _fullest(groups: Sequence[Group], asked: Wish) -> Group | None:
    """The group with the most of the runs asked for, or else of runs that can be judged; the first of equals."""
    wanted = set(asked.scope)
    keys = KEYS.values()

    def held(group: Group) -> tuple[int, int]:
        judged = sum(not ranking.evaluation(run, asked.at).keys().isdisjoint(keys) for run in group.runs)
        return sum(run.id in wanted for run in group.runs), judged

    return max(groups, key=held, default=None)


@dataclass(frozen=True, eq=False)
class Judged:
    """What the runs tell of each hyper-parameter, and of every pair of them."""

    effects: tuple[Effect, ...]
    pairs: tuple[Association, ...]

    @property
    def confounded(self) -> tuple[Association, ...]:
        """The pairs whose effects cannot be told apart, the strongest first."""
        named = [pair for pair in self.pairs if pair.confounded]
        return tuple(sorted(named, key=lambda pair: (not pair.aliased, -abs(pair.strength))))

    @property
    def close(self) -> tuple[Association, ...]:
        """The pairs, not proven to be confounded, that are too near for so few runs: no effect is told of either."""
        untold = {effect.key for effect in self.effects if effect.untold and effect.adjusted is None}
        near = (pair for pair in self.pairs if abs(pair.strength) >= STRENGTH and not pair.confounded)
        return tuple(pair for pair in near if {pair.a, pair.b} <= untold)

    def effect(self, key: str) -> Effect | None:
        """The effect of one hyper-parameter, where there are enough runs for one."""
        return next((effect for effect in self.effects if effect.key == key), None)


def judged(shown: Seen) -> Judged:
    """Effects and confounding: some 0.1 s."""
    return _HELD.of(("judged", shown.stamp), lambda: _judged(shown))


def _judged(shown: Seen) -> Judged:
    return Judged(tuple(effects(shown.runs, shown.at, shown.key)), tuple(associations(shown.rows)))


@dataclass(frozen=True, eq=False)
class Advice:
    """What takes seconds: importance, and the runs worth trying as sweep files."""

    importance: Importances
    suggestions: tuple[Suggestion, ...]
    proposal: Proposal | None
    best: Run | None


def advice(shown: Seen) -> Advice:
    """Importance and suggestions."""
    return _HELD.of(("advice", shown.stamp), lambda: _advice(shown))


def _advice(shown: Seen) -> Advice:
    found = importance.importances(shown.runs, shown.at, shown.key)
    best = ranking.winner(shown.runs, shown.key, shown.at)
    if best is None:
        return Advice(found, (), None, None)
    new = [
        one
        for one in suggestions.suggestions(shown.study, shown.at, shown.key)
        if not suggestions.tried(one.config, shown.whole)
    ]
    return Advice(found, tuple(new), proposals.proposal(new, best, shown.key) if new else None, best)
