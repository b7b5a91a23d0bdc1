"""Whether generated answers degenerate: the tuned model's against the base model's, to the same prompts."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from dashboard.analysis.degeneration import alike, distinct, echoes, repetition, units
from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.findings.per_run import Check, Seen, collect
from dashboard.analysis.ranking import At, evaluation_step
from dashboard.analysis.study import Evidence, Study
from training.record.intervals import mcnemar, mean_interval

NEEDS = 8  # prompts: of fewer nothing is said
CONFIDENCE = 0.99  # each prompt is answered once, so there are few: the rises below must be there too
REPETITION_RISE = 0.05  # these two as on the model card
ENDED_FALL = 0.2
LENGTH_RATIO = 1.5
LEAST_COUNT, LEAST_SHARE = 3, 0.1  # more such answers than the base model gave; of all

Row = Mapping[str, Any]


def check(study: Study, at: At) -> list[Finding]:
    """What the answers drawn at each run's judged evaluation say."""
    return collect(_CHECKS, study, at)


@dataclass(frozen=True)
class Answers:
    """The last answers drawn until the judged evaluation, and the base model's own rows where step 0 was drawn."""

    step: int
    rows: list[Row]
    start: dict[str, Row]

    def texts(self, who: str) -> list[str]:
        return [str(row.get(who) or "") for row in self.rows]


def _answers(evidence: Evidence, at: At) -> Answers | None:
    until = evaluation_step(evidence.run, at)
    steps = {row.get("step") for row in evidence.samples}
    known = [step for step in steps if isinstance(step, int) and step > 0 and (until is None or step <= until)]
    if not known:
        return None
    step = max(known)
    rows = [row for row in evidence.samples if row.get("step") == step]
    start = {repr(row.get("prompt")): row for row in evidence.samples if row.get("step") == 0}
    return Answers(step, rows, start) if len(rows) >= NEEDS else None


def _paired(found: Answers, key: str) -> list[tuple[float, float]]:
    """Per prompt the number `key` of the base model, at step 0, and of the tuned one, where both are known."""
    pairs = ((found.start.get(repr(row.get("prompt")), {}).get(key), row.get(key)) for row in found.rows)
    return [(float(before), float(now)) for before, now in pairs if _is_number(before) and _is_number(now)]


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _rise(differences: list[float]) -> tuple[float, float, float] | None:
    """The mean over prompts, each answered once, with its interval; None of too few."""
    interval = mean_interval(differences, range(len(differences)), CONFIDENCE) if len(differences) >= NEEDS else None
    return None if interval is None else (math.fsum(differences) / len(differences), *interval)


def _repetition(evidence: Evidence, at: At) -> Seen | None:
    found = _answers(evidence, at)
    if found is None:
        return None
    base, tuned = ([units(text) for text in found.texts(who)] for who in ("base", "dpo"))
    before, now = ([repetition(words) for words in texts] for texts in (base, tuned))
    rise = _rise([b - a for a, b in zip(before, now, strict=True)])
    if rise is None or rise[0] <= REPETITION_RISE or rise[1] <= 0:
        return None
    shares = math.fsum(before) / len(before), math.fsum(now) / len(now)
    words = f"{shares[1]:.1%} of 3-grams at step {found.step:,}, base model {shares[0]:.1%}, {len(now)} prompts"
    numbers = {"base": shares[0], "tuned": shares[1], "rise": list(rise), "step": found.step, "prompts": len(now)}
    return Seen(words, {**numbers, "distinct_2": [distinct(base), distinct(tuned)]}, rise[0])


def _ended(evidence: Evidence, at: At) -> Seen | None:
    found = _answers(evidence, at)
    pairs = [] if found is None else _paired(found, "ended")
    if found is None or len(pairs) < NEEDS:
        return None
    lost = sum(before > now for before, now in pairs)
    gained = sum(now > before for before, now in pairs)
    p, before, now = mcnemar(lost, gained), sum(b for b, _ in pairs) / len(pairs), sum(n for _, n in pairs) / len(pairs)
    if before - now <= ENDED_FALL or p >= 1 - CONFIDENCE:
        return None
    words = f"{now:.1%} at step {found.step:,}, base model {before:.1%}, {len(pairs)} prompts"
    return Seen(words, {"base": before, "tuned": now, "p": p, "step": found.step, "prompts": len(pairs)}, before - now)


def _longer(evidence: Evidence, at: At) -> Seen | None:
    found = _answers(evidence, at)
    pairs = [] if found is None else [(b, n) for b, n in _paired(found, "tokens") if b > 0 and n > 0]
    rise = _rise([math.log(now / before) for before, now in pairs])
    if found is None or rise is None or rise[0] <= math.log(LENGTH_RATIO) or rise[1] <= 0:
        return None
    ratio, low, high = map(math.exp, rise)
    numbers = {"ratio": ratio, "interval": [low, high], "step": found.step, "prompts": len(pairs)}
    return Seen(f"{ratio:.1f} times the base model's, 99% interval {low:.1f} to {high:.1f}", numbers, ratio)


def _empty(rows: list[Row], who: str) -> int:
    return sum(not str(row.get(who) or "").strip() for row in rows)


def _alike(rows: list[Row], who: str) -> int:
    return alike([str(row.get(who) or "") for row in rows])


def _echoed(rows: list[Row], who: str) -> int:
    return sum(echoes(units(_asked(row.get("prompt"))), units(str(row.get(who) or ""))) for row in rows)


def _asked(prompt: object) -> str:
    """The last message of a prompt, or the prompt itself."""
    last = prompt[-1] if isinstance(prompt, list) and prompt else prompt
    return str(last.get("content") or "") if isinstance(last, Mapping) else str(last)


def _counted(count: Callable[[list[Row], str], int]) -> Callable[[Evidence, At], Seen | None]:
    """A check that more answers of a kind come from the tuned model: LEAST_COUNT and LEAST_SHARE more."""

    def look(evidence: Evidence, at: At) -> Seen | None:
        found = _answers(evidence, at)
        if found is None:
            return None
        n, before, now = len(found.rows), count(found.rows, "base"), count(found.rows, "dpo")
        if now - before < max(LEAST_COUNT, LEAST_SHARE * n):
            return None
        words = f"{now} of {n} at step {found.step:,}, base model {before}"
        return Seen(words, {"base": before, "tuned": now, "prompts": n, "step": found.step}, now / n)

    return look


_COUNTED = {"more": LEAST_COUNT, "share": LEAST_SHARE, "prompts": NEEDS}
_CHECKS = (
    Check(
        "repetition",
        "bad",
        "The generated answers repeat themselves more than the base model's: {runs}. Read the samples before using it.",
        "rep-3, 1 - distinct 3-grams / all (Welleck et al., arXiv:1908.04319), paired by prompt",
        _repetition,
        {"rise": REPETITION_RISE, "confidence": CONFIDENCE, "prompts": NEEDS},
    ),
    Check(
        "answers-do-not-end",
        "bad",
        "Fewer of the generated answers end by themselves before the token limit: {runs}.",
        "share of ended answers, exact McNemar test by prompt (McNemar 1947)",
        _ended,
        {"fall": ENDED_FALL, "p": 1 - CONFIDENCE, "prompts": NEEDS},
    ),
    Check(
        "longer-answers",
        "info",
        "The generated answers became much longer: {runs}. Raters prefer length; compare win rates that allow for it.",
        "mean log ratio of lengths, paired by prompt; length bias (Park et al., arXiv:2403.19159)",
        _longer,
        {"ratio": LENGTH_RATIO, "confidence": CONFIDENCE, "prompts": NEEDS},
    ),
    Check(
        "empty-answers",
        "bad",
        "Generated answers are empty: {runs}.",
        "count of answers without a character",
        _counted(_empty),
        _COUNTED,
    ),
    Check(
        "answers-alike",
        "bad",
        "The tuned model gives the same answer to different prompts: {runs}.",
        "count of answers that equal another one, apart from case and white space",
        _counted(_alike),
        _COUNTED,
    ),
    Check(
        "echoed-prompts",
        "warning",
        "Generated answers begin by repeating the whole prompt: {runs}.",
        "count of answers that begin with the prompt's words",
        _counted(_echoed),
        _COUNTED,
    ),
)
