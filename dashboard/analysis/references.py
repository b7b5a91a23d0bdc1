"""Which runs share a reference model and evaluation pairs, and what beta that proves of them, by `identity`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dashboard.analysis.identity import (
    DIFFERENT,
    NARROW,
    SOLVED,
    Estimate,
    Identity,
    Points,
    Reference,
    bounded,
    evaluations,
    identify,
    judged,
    moves,
    with_reference,
)
from dashboard.analysis.study import Evidence, Study, once


@dataclass(frozen=True)
class Shared:
    """Runs with one reference: the same model on the same pairs, cut and batched alike; `proven` if rounding explains
    what they differ by, which 16-bit arithmetic may not.
    """

    reference: Reference
    runs: tuple[str, ...]
    proven: bool


@dataclass(frozen=True)
class References:
    """`identities` by run id, and the groups of runs whose references are the same, the largest first."""

    identities: Mapping[str, Identity]
    groups: tuple[Shared, ...]


def references(study: Study) -> References:
    """What the runs prove together: a reference that several of them share tells the beta of the others.

    A reference can be relied on if a run proves its beta by itself, or if runs of different rewards agree on it.
    """
    alone = {run: _alone(evidence) for run, evidence in study.items()}
    identities = {run: found.identity for run, found in alone.items()}
    anchors = _anchors(alone)
    for run, found in alone.items():
        if found.points is not None:
            identities[run] = _by_others(found.identity, found.points, anchors)
    return References(identities, _shared(identities))


@dataclass(frozen=True)
class _Alone:
    """What a run proves by itself, and its rewards at the last evaluation, of chosen and rejected.

    `points` are its evaluations where other runs may tell its beta.
    """

    identity: Identity
    rewards: tuple[float, ...] = ()
    points: Points | None = None

    @property
    def ratio(self) -> tuple[float, ...]:
        """Rewards / beta at the last evaluation, in nats, of chosen and rejected."""
        return tuple(reward / (self.identity.beta or 1.0) for reward in self.rewards)


@once
def _alone(evidence: Evidence) -> _Alone:
    points = evaluations(evidence)
    found = identify(evidence, points)
    if points is None:
        return _Alone(found)
    others_may = found.state == "unknown" and not moves(evidence)
    return _Alone(found, tuple(points.rewards[:, -1].tolist()), points if others_may else None)


def as_trained(study: Study, known: References) -> Study:
    """The study with the beta that each run is proven to have had, where it states another one or none."""
    return {run: _with_beta(evidence, known.identities[run]) for run, evidence in study.items()}


def _with_beta(evidence: Evidence, found: Identity) -> Evidence:
    if found.beta is None or found.beta == found.stated:
        return evidence
    return replace(evidence, run=replace(evidence.run, config={**evidence.run.config, "beta": found.beta}))


def _anchors(alone: Mapping[str, _Alone]) -> list[Reference]:
    """The references that can be relied on, that of the most runs first."""
    found = []
    for group in _shared({run: one.identity for run, one in alone.items()}):
        members = [alone[run] for run in group.runs]
        sure = next((one.identity for one in members if one.identity.proven_by), None)
        if sure is not None:
            found.append(_reference(sure))
            continue
        close = [one for one in members if _reference(one.identity).same(group.reference)]
        if _rewards_differ([one.ratio for one in close], group.reference.error):
            found.append(group.reference)
    return found


def _reference(found: Identity) -> Reference:
    assert found.reference is not None, "a group has only runs with a reference"
    return found.reference


def _rewards_differ(ratios: list[tuple[float, ...]], error: float) -> bool:
    """Whether betas wrong by NARROW would have moved the references apart: copies of one run prove nothing."""
    return len(ratios) > 1 and NARROW * float(np.ptp(np.array(ratios), axis=0).max()) > 2 * error


def _by_others(found: Identity, points: Points, anchors: list[Reference]) -> Identity:
    """The run judged by the first reference that fits it."""
    for anchor in anchors:
        as_stated = found.stated is not None and found.reference is not None and found.reference.same(anchor)
        estimate = _solved(points, anchor, one_side=as_stated)
        if estimate is not None:
            return with_reference(judged(found.stated, estimate, "others"), points)
    return found


@np.errstate(over="ignore", invalid="ignore")
def _solved(points: Points, anchor: Reference, one_side: bool) -> Estimate | None:
    """Beta = rewards / (logps - reference) by least squares, if chosen and rejected answers agree on it.

    Each of the two must tell it to NARROW, for their agreement is the proof; one is enough (`one_side`) where the
    stated beta gives the reference itself. Both together must tell it to SOLVED.
    """
    y, x = points.logps - np.array([[anchor.chosen], [anchor.rejected]]), points.rewards
    spread = (x * x).sum(axis=1)
    if not (spread > 0).all():
        return None
    slopes = (x * y).sum(axis=1) / spread
    error = anchor.error + points.rounding(float(np.abs(slopes).max()))
    halves = (np.abs(x) * error).sum(axis=1) / spread
    low, high = float((slopes - halves).max()), float((slopes + halves).min())
    if low > high or not (one_side or (halves <= NARROW * slopes).all()):
        return None
    return bounded((low + high) / 2, (high - low) / 2, SOLVED, len(points))


def _shared(identities: Mapping[str, Identity]) -> tuple[Shared, ...]:
    """Runs are one group if neither answer's log-probability leaves a gap of more than DIFFERENT between them."""
    known = {run: found.reference for run, found in identities.items() if found.reference is not None}
    groups = []
    for by_chosen in _apart({run: reference.chosen for run, reference in known.items()}):
        for close in _apart({run: known[run].rejected for run in by_chosen}):
            middle = _middle([known[run] for run in close])
            proven = all(known[run].same(middle) for run in close)
            members = set(close)
            groups.append(Shared(middle, tuple(run for run in by_chosen if run in members), proven))
    return tuple(sorted(groups, key=lambda group: -len(group.runs)))


def _apart(values: Mapping[str, float]) -> list[list[str]]:
    """The keys in groups of neighbouring values, cut where the gap is above DIFFERENT of the value."""
    groups: list[list[str]] = []
    for key in sorted(values, key=values.__getitem__):
        if groups and values[key] - values[groups[-1][-1]] <= DIFFERENT * abs(values[key]):
            groups[-1].append(key)
        else:
            groups.append([key])
    order = {key: place for place, key in enumerate(values)}
    return [sorted(group, key=order.__getitem__) for group in groups]


def _middle(found: list[Reference]) -> Reference:
    """The medians: one wrong beta among many leaves them where they are."""
    chosen, rejected, error = np.median([(one.chosen, one.rejected, one.error) for one in found], axis=0).tolist()
    return Reference(chosen, rejected, error)
