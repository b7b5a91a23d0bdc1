"""What must not be concluded from a study: losses on several scales, other budgets, few pairs, missing numbers."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.analysis.batch_means import batch_size, right_counts
from dashboard.analysis.budgets import common_step, pairs_seen
from dashboard.analysis.comparability import Group, accuracy_groups, beta, loss_scale
from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.findings.per_run import LONGEST_NAME, Check, Seen, collect
from dashboard.analysis.logged import has_reference
from dashboard.analysis.losses import loss_hint
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At, eligible, evaluation, finite
from dashboard.analysis.references import References
from dashboard.analysis.study import Evidence, Study
from training.record.intervals import accuracy_interval, exact_count
from training.record.metrics import MARGIN
from training.record.schema import Run

FEW_PAIRS = 100
"""Evaluation pairs below which the 95% interval is wider than 14 points at an accuracy of 85%."""
LISTED = 10
"""Pairs up to which every possible accuracy is listed."""
CHANCE = "An interval that holds 50%, which is what an untrained model has, does not show that anything was learned."
PAIRS = "training pairs"
ANOTHER_ORDER = 2.0
"""Times by which a margin in nats must be above one whose reward is the larger, to be shown as an example."""
BUDGETS = 1.2
"""Times by which the longest run may be longer than the shortest."""

EVAL_MARGIN = f"eval/{MARGIN}"
WILSON = "Wilson 1927, JASA 22, 209-212"


def check(study: Study, at: At, known: References | None = None) -> list[Finding]:
    """Findings on what the runs' numbers can carry. `known` are the study's references, if they are at hand."""
    checks = (
        Check(
            "tiny-evaluation-set",
            "warning",
            f"Fewer than {FEW_PAIRS} evaluation pairs cannot tell good runs from lucky ones: {{runs}}.",
            WILSON,
            _tiny,
            {"pairs": FEW_PAIRS},
        ),
        Check(
            "batch-mean-accuracy",
            "info",
            "The accuracy is no whole number of pairs but a mean of batch means, in which a smaller last batch weighs "
            "more, as TRL logs it: {runs}.",
            "mean over batches of the share of right pairs (TRL, dpo_trainer.py)",
            _batch_mean,
        ),
        Check(
            "accuracy-without-n",
            "info",
            "How sure the accuracy is cannot be said, for the number of evaluation pairs is unknown: {runs}. "
            "eval/runtime and eval/samples_per_second tell it, where a log has them.",
            WILSON,
            _without_n,
        ),
        Check(
            "accuracy-no-share",
            "warning",
            "The reward accuracy is no share from 0 to 1, and is not judged: {runs}. Divide percentages by 100.",
            "definition: the share of right pairs",
            _no_share,
        ),
        Check(
            "no-evaluation",
            "warning",
            "A run without an evaluation cannot be compared: {runs}. Give the trainer an eval_dataset, and set "
            "eval_strategy.",
            "eval/ metrics of the source",
            _no_evaluation,
        ),
        Check(
            "unknown-state",
            "info",
            "Whether a run finished is not known: {runs}. Such a run counts as finished.",
            "the state in the source",
            _unknown_state,
        ),
        Check(
            "loss-type-not-stated",
            "info",
            "The loss type is not stated, and the loss does not look like that of sigmoid: {runs}. It is not judged "
            "against an untrained model's.",
            "TRL's losses at log-ratios of 0: ln 2 for sigmoid, 1 / (4 beta^2) for IPO (arXiv:2310.12036)",
            _other_loss,
        ),
    )
    groups = accuracy_groups(study, known)
    several = [finding for group in groups for finding in (*_loss(study, group, at), *_budgets(study, group))]
    return [*collect(checks, study, at), *several, *_missing(study)]


def _judged(evidence: Evidence, at: At) -> float | None:
    """The accuracy that the run is judged by, if it is a proportion."""
    accuracy = finite(evaluation(evidence.run, at).get(EVAL_ACCURACY))
    return accuracy if accuracy is not None and 0 <= accuracy <= 1 else None


def _tiny(evidence: Evidence, at: At) -> Seen | None:
    n, accuracy = evidence.run.n_eval, _judged(evidence, at)
    interval = accuracy_interval(accuracy, n)
    if n is None or n >= FEW_PAIRS or accuracy is None or interval is None:
        return None
    only = f", only multiples of 1/{n} possible" if n <= LISTED else ""
    words = f"{accuracy:.1%} of {n} pairs, 95% interval {interval.low:.1%} to {interval.high:.1%}{only}"
    asides = (CHANCE,) if interval.low <= 0.5 and has_reference(evidence) else ()
    numbers: dict[str, Any] = {"n": n, "accuracy": accuracy, "low": interval.low, "high": interval.high}
    if only:
        numbers["possible"] = [k / n for k in range(n + 1)]
    return Seen(words, numbers, 1 / n, asides)


def _other_loss(evidence: Evidence, at: At) -> Seen | None:
    hint, loss = loss_hint(evidence), evidence.run.metrics.get(EVAL_LOSS)
    if hint is None or "sigmoid" in hint.loss_types or loss is None:
        return None
    kinds = " or ".join(hint.loss_types)
    return Seen(f"that of {kinds}", {"loss": loss, "loss_types": list(hint.loss_types)}, loss)


def _batch_mean(evidence: Evidence, at: At) -> Seen | None:
    run, accuracy = evidence.run, _judged(evidence, at)
    count = exact_count(accuracy, run.n_eval) if accuracy is not None and run.n_eval else None
    if not run.n_eval or accuracy is None or count == int(count or 0) or (count is not None and evidence.scores):
        return None
    size = batch_size(run)
    counts = right_counts(accuracy, run.n_eval, size) if size else ()
    if count is not None and not counts:
        return None
    shown = f"{_either(counts)} of {run.n_eval:,} pairs right" if counts else ""
    off = abs(accuracy * run.n_eval - round(accuracy * run.n_eval)) / run.n_eval
    numbers = {"accuracy": accuracy, "n": run.n_eval, "batch_size": size, "right": list(counts)}
    batches = (f"In batches of {size} only these numbers of right pairs give the logged accuracy.",) if counts else ()
    return Seen(shown or f"{accuracy:.4f} of {run.n_eval:,} pairs", numbers, off, batches)


def _either(counts: Sequence[int]) -> str:
    """Numbers in ascending order as words: "5 or 8", "1,027 to 1,029"."""
    if len(counts) > 2 and counts[-1] - counts[0] == len(counts) - 1:
        return f"{counts[0]:,} to {counts[-1]:,}"
    return " or ".join(f"{count:,}" for count in counts)


def _without_n(evidence: Evidence, at: At) -> Seen | None:
    accuracy = _judged(evidence, at)
    if evidence.run.n_eval or accuracy is None:
        return None
    return Seen("", {"accuracy": accuracy}, accuracy)


def _no_share(evidence: Evidence, at: At) -> Seen | None:
    accuracy = finite(evaluation(evidence.run, at).get(EVAL_ACCURACY))
    if accuracy is None or 0 <= accuracy <= 1:
        return None
    return Seen(f"{accuracy:g}", {"accuracy": accuracy}, abs(accuracy))


def _no_evaluation(evidence: Evidence, at: At) -> Seen | None:
    run = evidence.run
    keys = (*run.metrics, *run.best, *evidence.history)
    if run.status == "running" or any(key.startswith("eval/") for key in keys):
        return None
    ended = run.status if run.status in ("failed", "pruned", "stopped") else ""
    return Seen(ended, {"metrics": len(run.metrics)}, 0)


def _unknown_state(evidence: Evidence, at: At) -> Seen | None:
    run = evidence.run
    if run.status != "unknown":
        return None
    words = f"step {run.step:,} of {run.max_steps:,}" if run.step and run.max_steps else ""
    return Seen(words, {"step": run.step, "max_steps": run.max_steps}, 0)


def _loss(study: Study, group: Group, at: At) -> Iterator[Finding]:
    """Runs whose accuracies can be compared, and whose losses are on several scales."""
    runs = [run for run in group.runs if EVAL_LOSS in evaluation(run, at)]
    scale = loss_scale(runs)
    if scale.comparable:
        return
    margins = _margins(runs, at)
    per_pair = all(study[run.id].scores for run in runs)
    instead = "the loss at a common beta, or reward accuracy" if per_pair else "reward accuracy"
    yield Finding(
        "loss-not-comparable",
        "warning",
        tuple(run.id for run in runs),
        f"{scale.reason[0].upper()}{scale.reason[1:]}, so eval loss and rewards are on different scales: rank by "
        f"{instead}.{_margin_example(margins)}",
        "DPO's loss depends on beta * margin (arXiv:2305.18290, eq. 7)",
        {"group": group.id, "reason": scale.reason, "nats": {one.run.id: one.nats for one in margins}},
    )


@dataclass(frozen=True)
class _Margin:
    """A reward margin, and what it is in nats."""

    run: Run
    margin: float
    beta: float

    @property
    def nats(self) -> float:
        return self.margin / self.beta

    @property
    def words(self) -> str:
        return f"{self.margin:.2f} at beta {self.beta:g} is {_nats(self.nats)} nats ({self.run.name[:LONGEST_NAME]})"


def _nats(value: float) -> str:
    """At least two digits: 149, 16, 1.3."""
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.2g}"


def _margins(runs: Iterable[Run], at: At) -> list[_Margin]:
    """The margins above 0 of the runs whose beta is known."""
    known = ((run, finite(evaluation(run, at).get(EVAL_MARGIN)), beta(run.config)) for run in runs)
    made = [_Margin(run, margin, scale) for run, margin, scale in known if margin and scale and min(margin, scale) > 0]
    return [one for one in made if math.isfinite(one.nats)]


def _margin_example(margins: Sequence[_Margin]) -> str:
    """The largest margin in nats beside the largest reward margin, where these tell two stories."""
    if not margins:
        return ""
    first, second = max(margins, key=lambda one: one.nats), max(margins, key=lambda one: one.margin)
    if first.nats < ANOTHER_ORDER * second.nats:
        return ""
    return f" A margin of {first.words}, one of {second.words}."


def _budgets(study: Study, group: Group) -> Iterator[Finding]:
    """Of the runs that can be compared: by pairs seen, where all have them, else by epochs, else by steps."""
    runs = [run for run in group.runs if eligible(run, "last") and _compared(run)]
    measures = {
        PAIRS: {run.id: float(pairs) for run in runs if (pairs := pairs_seen(run))},
        "epochs": {run.id: run.epoch for run in runs if run.epoch and math.isfinite(run.epoch) and run.epoch > 0},
        "steps": {run.id: float(run.step) for run in runs if run.step},
    }
    found = next(((unit, values) for unit, values in measures.items() if len(values) == len(runs) > 1), None)
    if found is None or max(found[1].values()) <= BUDGETS * min(found[1].values()):
        return
    unit, values = found
    step = common_step(study[run.id] for run in runs) if all(study[run.id].history for run in runs) else None
    remedy = f" All were evaluated near step {step:,}: compare them there." if step else ""
    low, high = (
        f"{value:,.2f}".rstrip("0").rstrip(".") if unit == "epochs" else f"{value:,.0f}"
        for value in (min(values.values()), max(values.values()))
    )
    yield Finding(
        "different-budgets",
        "warning",
        tuple(values),
        f"The runs trained {'on' if unit == PAIRS else 'for'} {low} to {high} {unit}: what looks like a better setting "
        f"may be a longer run.{remedy}",
        f"longest more than {BUDGETS:g} times the shortest",
        {"thresholds": {"ratio": BUDGETS}, "unit": unit, "runs": values, "common_step": step},
    )


def _compared(run: Run) -> bool:
    """Whether the run has anything to be compared by."""
    found = (metrics.get(key) for metrics in (run.metrics, run.best) for key in (EVAL_LOSS, EVAL_ACCURACY))
    return any(finite(value) is not None for value in found)


def _missing(study: Study) -> Iterator[Finding]:
    """Loss or accuracy that no run has, though some are evaluated."""
    runs = [evidence.run for evidence in study.values()]
    seen = {
        key for evidence in study.values() for key in (*evidence.run.metrics, *evidence.run.best, *evidence.history)
    }
    absent = [key for key in (EVAL_LOSS, EVAL_ACCURACY) if key not in seen]
    if len(absent) == 1 and any(key.startswith("eval/") for key in seen):
        what = {EVAL_LOSS: "by loss", EVAL_ACCURACY: "by reward accuracy, and whether runs differ cannot be tested"}
        yield Finding(
            "missing-metrics",
            "info",
            tuple(run.id for run in runs),
            f"No run has {absent[0]}: they cannot be ranked {what[absent[0]]}.",
            "eval/ metrics of the source",
            {"absent": absent},
        )
