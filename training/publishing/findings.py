"""What speaks against a run, computed from its record: each finding says its numbers and its threshold."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.publishing.evaluation import Evaluation
from training.record import metrics as names
from training.record.schema import History, Run, Series

UNTRAINED = math.log(2)
"""Sigmoid loss of a policy that equals its reference, in nats: -log sigmoid(0) (arXiv:2305.18290, eq. 7)."""

ROUNDING = 1e-3
FEW_PAIRS = 100
ACCURACY_GAP = 0.1
REPETITION_RISE = 0.05
ENDED_LOW, ENDED_FALL = 0.5, 0.2
TRUNCATED_HIGH = 0.05
LEAKED_HIGH = 0.01

CHECKED = (
    "run not finished, NaN or infinite losses, loss above its start, reward accuracy that may be 0.5, too few pairs, "
    "still improving at the end, worse later, chosen as best on the same pairs, train far above eval, likelihood "
    "displacement, no better than length, truncated pairs, evaluation prompts in training, repetition, "
    "answers that do not end"
)


@dataclass(frozen=True)
class Evidence:
    """A run and the checkpoint of it that is judged: `best` if it was chosen as the best of several evaluations."""

    run: Run
    step: int
    best: bool
    history: History = field(default_factory=dict)
    evaluation: Evaluation | None = None
    notices: Sequence[dict[str, Any]] = ()

    def at(self, key: str, step: int | None = None) -> float:
        """The metric `key` (W&B's name) at `step`, by default the judged one; NaN where it was not logged."""
        series, step = self.history.get(key, Series()), self.step if step is None else step
        place = bisect_right(series.steps, step) - 1
        return series.values[place] if place >= 0 and series.steps[place] == step else math.nan


@dataclass(frozen=True)
class Finding:
    """One thing that speaks against a run, in one sentence that names the numbers and the threshold."""

    name: str
    sentence: str


def is_sigmoid(config: Mapping[str, Any]) -> bool:
    """Whether the loss is DPO's own, unweighted: only then is it ln 2 before training."""
    weighted = config.get("loss_weights") or config.get("use_weighting")
    return config.get("loss_type") in (["sigmoid"], "sigmoid") and not weighted


def findings(evidence: Evidence) -> list[Finding]:
    """All that the checks in CHECKED find; recorded notices are not repeated here."""
    checks = (_ended, _diverged, _loss, _scores, _leaked, _selection, _overfitting, _samples)
    return [finding for check in checks for finding in check(evidence)]


def _ended(evidence: Evidence) -> Iterator[Finding]:
    run = evidence.run
    if run.status != "finished":
        reached = f"step {run.step or 0:,} of {run.max_steps:,}" if run.max_steps else f"step {run.step or 0:,}"
        yield Finding("not finished", f"The run's status is {run.status}; it reached {reached}.")


def _diverged(evidence: Evidence) -> Iterator[Finding]:
    for key in (f"train/{names.LOSS}", f"eval/{names.LOSS}"):
        series = evidence.history.get(key, Series())
        bad = [step for step, value in zip(series.steps, series.values, strict=True) if not math.isfinite(value)]
        if bad:
            yield Finding("diverged", f"{key} was NaN or infinite {len(bad)} times, first at step {bad[0]:,}.")


def _loss(evidence: Evidence) -> Iterator[Finding]:
    key, sigmoid = f"eval/{names.LOSS}", is_sigmoid(evidence.run.config)
    loss, start = evidence.at(key), evidence.at(key, 0)
    if sigmoid and loss > UNTRAINED + ROUNDING:
        yield Finding(
            "worse than untrained by loss",
            f"The evaluation loss, {loss:.4f}, is above ln 2 = 0.6931, that of a model that was never trained.",
        )
    elif not sigmoid and loss > start + ROUNDING:
        yield Finding(
            "loss above its start", f"The evaluation loss, {loss:.4f}, is above {start:.4f}, its value at step 0."
        )


def _scores(evidence: Evidence) -> Iterator[Finding]:
    found = evidence.evaluation
    if found is None:
        yield Finding("not evaluated", f"The pairs were not scored at step {evidence.step:,}: nothing is known of it.")
        return
    accuracy = found.accuracy
    if found.n < FEW_PAIRS:
        yield Finding("few pairs", f"It was evaluated on {found.n} pairs, fewer than {FEW_PAIRS}.")
    if accuracy.interval is None or accuracy.interval.low <= 0.5:
        span = f" ({accuracy.interval.low:.4f} to {accuracy.interval.high:.4f})" if accuracy.interval else ""
        yield Finding(
            "accuracy may be chance", f"The reward accuracy, {accuracy.value:.4f}{span}, is not shown to be above 0.5."
        )
    else:
        yield from _length(found, accuracy.interval.low)
    yield from _displacement(found)
    if found.truncated.value > TRUNCATED_HIGH:
        yield Finding(
            "truncated pairs",
            f"{found.truncated.value:.1%} of the evaluation pairs are cut at max_length (above {TRUNCATED_HIGH:.0%}).",
        )


def _leaked(evidence: Evidence) -> Iterator[Finding]:
    """Evaluation pairs whose prompt training has, or nearly, as the audit of the data counted them."""
    audit, n = evidence.run.data.get("audit"), evidence.run.n_eval
    double = audit.get("duplicates") if isinstance(audit, dict) else None
    leaked = double.get("eval_prompts_in_train") if isinstance(double, dict) else None
    if n and isinstance(leaked, int) and leaked / n > LEAKED_HIGH:
        yield Finding(
            "evaluation prompts in training",
            f"Training has the prompt, or nearly, of {leaked} of the {n} evaluation pairs (above {LEAKED_HIGH:.0%}): "
            "the evaluation looks better than it is.",
        )


def _displacement(found: Evaluation) -> Iterator[Finding]:
    chosen, rejected = found.chosen, found.rejected
    if chosen.value < 0 and rejected.value < 0 and (chosen.interval is None or chosen.interval.high < 0):
        yield Finding(
            "likelihood displacement",
            f"Both answers became less likely: chosen {chosen.value:+.2f} nats, rejected {rejected.value:+.2f} nats on "
            f"average; {found.displaced.value:.1%} of the chosen ones. Common; harmful only if the samples got worse.",
        )


def _length(found: Evaluation, low: float) -> Iterator[Finding]:
    longer = found.longer_wins.value
    rule, baseline = ("longer", longer) if longer >= 0.5 else ("shorter", 1 - longer)
    if baseline >= low:
        yield Finding(
            "no better than length",
            f"Preferring the {rule} answer is right in {baseline:.4f} of the pairs; the model's accuracy, "
            f"{found.accuracy.value:.4f}, is not shown to be more.",
        )


def _selection(evidence: Evidence) -> Iterator[Finding]:
    key = evidence.run.best_metric or f"eval/{names.ACCURACY}"
    series = evidence.history.get(key, Series())
    own = [(step, value) for step, value in zip(series.steps, series.values, strict=True) if step > 0]
    if not evidence.best or len(own) < 2:
        return
    yield Finding(
        "chosen on the same pairs",
        f"This checkpoint is the best of {len(own)} evaluations on these pairs: its numbers are a little optimistic.",
    )
    last, value = own[-1]
    if last == evidence.step:
        yield Finding(
            "still improving", f"The best evaluation is the last one (step {last:,}): training ended too early."
        )
    elif value != evidence.at(key):
        yield Finding(
            "worse later",
            f"The metric it was chosen by was {evidence.at(key):.4f} here and {value:.4f} at the last evaluation, step "
            f"{last:,}.",
        )


def _overfitting(evidence: Evidence) -> Iterator[Finding]:
    """Train accuracy since the evaluation before this one: one log line has only a few batches."""
    evaluated = evidence.history.get(f"eval/{names.ACCURACY}", Series())
    since = max((step for step in evaluated.steps if step < evidence.step), default=0)
    train = evidence.history.get(f"train/{names.ACCURACY}", Series())
    seen = [value for step, value in zip(train.steps, train.values, strict=True) if since < step <= evidence.step]
    accuracy = evidence.at(f"eval/{names.ACCURACY}")
    if seen and sum(seen) / len(seen) - accuracy > ACCURACY_GAP:
        yield Finding(
            "over-fitting",
            f"The reward accuracy on training batches since step {since:,}, {sum(seen) / len(seen):.4f}, is more than "
            f"{ACCURACY_GAP:g} above the evaluation's {accuracy:.4f}.",
        )


def _samples(evidence: Evidence) -> Iterator[Finding]:
    repetition, ended = "eval/samples/repetition", "eval/samples/ended"
    now, start = evidence.at(repetition), evidence.at(repetition, 0)
    if now - start > REPETITION_RISE:
        yield Finding(
            "repetition",
            f"{now:.1%} of the 3-grams in its answers are repeated, {start:.1%} in the base model's.",
        )
    now, start = evidence.at(ended), evidence.at(ended, 0)
    if now < ENDED_LOW or start - now > ENDED_FALL:
        was = "" if math.isnan(start) else f"; of the base model's {start:.0%}"
        yield Finding("answers do not end", f"{now:.0%} of its sampled answers end before the token limit{was}.")
