"""What does not add up in the numbers of runs: a wrong stated beta, another reference, margins that are no margins."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from dashboard.analysis.comparability import pairs_hash
from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.findings.per_run import NAMED, Check, Seen, collect, enumerated
from dashboard.analysis.identity import DIFFERENT, State
from dashboard.analysis.ranking import At
from dashboard.analysis.references import References, references
from dashboard.analysis.study import Evidence, Study
from training.record.metrics import CHOSEN, LOGPS_CHOSEN, MARGIN, REJECTED

ADDS_UP, SIXTEEN_BITS = 2e-5, 2.0**-7
"""What rounding may leave of margin - (chosen - rejected): in 32-bit logs, and as a share of the largest in 16-bit."""
DRIFT = 1e-2
"""Share of the log-probability by which the reference may stray in a run: 16-bit logs of six pairs stay below."""

BY_NAME = "is only the name of its folder"
"""How the reader of trainer states marks a run whose beta is stated nowhere else."""

IDENTITY = "logps - rewards / beta = log-probability under the reference (DPO, arXiv:2305.18290, eq. 5)"
MARGINS = "rewards/margins = rewards/chosen - rewards/rejected (TRL, dpo_trainer.py)"

Look = Callable[[Evidence, At], Seen | None]


def check(study: Study, at: At, known: References | None = None) -> list[Finding]:
    """Findings on beta, reference and margins; they hold for all evaluations of a run, whichever it is judged by.

    `known` are the study's references, if they are at hand.
    """
    known = known or references(study)
    checks = (
        Check(
            "wrong-stated-beta",
            "bad",
            "The stated beta is not the one that was trained with: logps - rewards / beta is one constant only with "
            "another: {runs}.",
            IDENTITY,
            _betas(known, "refuted"),
        ),
        Check(
            "beta-recovered",
            "info",
            "The source does not state beta, but logps and rewards tell it: {runs}.",
            IDENTITY,
            _betas(known, "recovered"),
        ),
        Check(
            "beta-by-name-only",
            "info",
            "Beta is stated only in the name of a folder: {runs}.",
            IDENTITY,
            _by_name(known),
        ),
        Check(
            "reference-drifts",
            "warning",
            "logps - rewards / beta is no constant over the evaluations of a run, with any beta: {runs}. The reference "
            "model or the evaluation pairs changed while it trained.",
            IDENTITY,
            _drift(known),
            {"share": DRIFT},
        ),
        Check(
            "margins-do-not-add-up",
            "bad",
            "The reward margin is not chosen minus rejected reward: {runs}. These columns do not belong together.",
            MARGINS,
            _margins,
            {"absolute": ADDS_UP, "share": SIXTEEN_BITS},
        ),
    )
    return [*collect(checks, study, at), *_different(study, known), *_shared(study, known)]


def _betas(known: References, state: State) -> Look:
    def look(evidence: Evidence, at: At) -> Seen | None:
        found = known.identities[evidence.run.id]
        if found.state != state or found.estimate is None or found.beta is None:
            return None
        numbers = {"stated": found.stated, "beta": found.beta, "low": found.estimate.low, "high": found.estimate.high}
        stated = "" if found.stated is None else f"stated {found.stated:g}, "
        words = f"{stated}{'is' if stated else 'beta'} {found.beta:g}"
        size = abs(np.log(found.stated / found.beta)) if found.stated and found.stated > 0 else 0.0
        more = {"evaluations": found.estimate.evaluations, "proven_by": found.proven_by}
        return Seen(words, {**numbers, **more}, float(size))

    return look


def _by_name(known: References) -> Look:
    """A beta that the reader took from a folder's name, as its note on the run says."""

    def look(evidence: Evidence, at: At) -> Seen | None:
        found, run = known.identities[evidence.run.id], evidence.run
        if found.stated is None or not any(BY_NAME in note for note in run.notes):
            return None
        how = {"confirmed": "confirmed by the log", "refuted": "refuted by the log"}.get(found.state, "not confirmed")
        numbers = {"beta": found.stated, "state": found.state}
        hint = () if found.state == "confirmed" else ("A name that the log does not confirm is a hint.",)
        return Seen(f"beta {found.stated:g}, {how}", numbers, float(found.state == "confirmed"), hint)

    return look


def _drift(known: References) -> Look:
    def look(evidence: Evidence, at: At) -> Seen | None:
        drift = known.identities[evidence.run.id].drift
        size = abs(evidence.run.metrics.get(f"eval/{LOGPS_CHOSEN}", 0.0))
        if not drift > DRIFT * size > 0:
            return None
        return Seen(f"strays by {drift:.3g} nats", {"drift": drift, "logps": size}, drift / size)

    return look


def _margins(evidence: Evidence, at: At) -> Seen | None:
    off = max(map(_off, _rewards(evidence)), default=0.0)
    return Seen(f"off by up to {off:.3g}", {"off": off}, off) if off else None


def _rewards(evidence: Evidence) -> Iterator[npt.NDArray[np.float64]]:
    """Arrays of shape (3, n): chosen, rejected, margin, of the evaluations and of training; without curves the last."""
    for split in ("eval", "train"):
        keys = [f"{split}/{name}" for name in (CHOSEN, REJECTED, MARGIN)]
        curves = [evidence.history[key] for key in keys if key in evidence.history]
        if len(curves) == len(keys) and all(np.array_equal(curves[0].steps, one.steps) for one in curves[1:]):
            yield np.array([series.values for series in curves])
        elif not curves and all(key in evidence.run.metrics for key in keys):
            yield np.array([[evidence.run.metrics[key]] for key in keys])


@np.errstate(over="ignore", invalid="ignore")
def _off(rewards: npt.NDArray[np.float64]) -> float:
    """The largest difference that rounding does not explain; 0 if there is none."""
    chosen, rejected, margin = rewards
    off = np.abs(margin - (chosen - rejected))
    allowed = ADDS_UP + SIXTEEN_BITS * np.abs(rewards).max(axis=0)
    bad = off[np.isfinite(off) & (off > allowed)]
    return float(bad.max()) if bad.size else 0.0


def _different(study: Study, known: References) -> Iterator[Finding]:
    """More than one reference: the pairs differ for sure where their hashes or their numbers do."""
    if len(known.groups) < 2:
        return
    groups = [[study[run].run for run in group.runs] for group in known.groups]
    hashes = [{digest for run in group if (digest := pairs_hash(run))} for group in groups]
    counts = [{run.n_eval for run in group if run.n_eval} for group in groups]
    other_pairs = _disjoint(hashes) or (not all(hashes) and _disjoint(counts))
    shown = "; ".join(
        f"{enumerated([run.name for run in group])} ({one.reference.chosen:.2f} and {one.reference.rejected:.2f} nats)"
        for group, one in list(zip(groups, known.groups, strict=True))[:NAMED]
    )
    what = "were not evaluated on the same pairs" if other_pairs else "do not share reference model and pairs"
    why = " Model, pairs, max_length or evaluation batches differ, or a stated beta is wrong."
    yield Finding(
        "evaluation-set-differs" if other_pairs else "reference-differs",
        "warning",
        tuple(run for group in known.groups for run in group.runs),
        f"{len(groups)} groups of runs {what}, so compare only within a group (in brackets, mean log-probability of "
        f"chosen and of rejected answers under the reference): {shown}.{'' if other_pairs else why}",
        IDENTITY,
        {
            "thresholds": {"share": DIFFERENT},
            "references": [
                {"chosen": one.reference.chosen, "rejected": one.reference.rejected, "runs": list(one.runs)}
                for one in known.groups
            ],
        },
    )


def _disjoint(sets: Sequence[Iterable[Hashable]]) -> bool:
    """Whether every set has values and no two share one."""
    unique = [set(found) for found in sets]
    return all(unique) and len(set().union(*unique)) == sum(map(len, unique))


def _shared(study: Study, known: References) -> Iterator[Finding]:
    """Said where it is news: hashes would show it anyway."""
    for group in known.groups[:1]:
        runs = [study[run].run for run in group.runs]
        confirmed = [run for run in group.runs if known.identities[run].state == "confirmed"]
        if len(runs) < 2 or not group.proven or not confirmed or all(pairs_hash(run) for run in runs):
            continue
        who = enumerated([run.name for run in runs]) if len(runs) < len(study) else "Both runs"
        who = f"All {len(runs)} runs" if len(runs) == len(study) > 2 else who
        whose = "" if len(confirmed) == len(runs) else f" for {len(confirmed)} of them"
        chosen, rejected, error = group.reference.chosen, group.reference.rejected, group.reference.error
        yield Finding(
            "same-reference",
            "info",
            group.runs,
            f"{who} share one reference model and one evaluation set, and beta is as stated{whose}: logps - rewards / "
            f"beta is {chosen:.3f} (chosen) and {rejected:.3f} (rejected) nats in each.",
            IDENTITY,
            {"chosen": chosen, "rejected": rejected, "error": error, "confirmed": confirmed},
        )
