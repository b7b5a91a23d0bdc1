"""Decides after each evaluation of a sweep's run whether it stops early: it is broken, or beaten by another.

Beaten runs are told by `bound.standing`, on the sweep's objective: reward accuracy, or the loss at one common beta;
never a loss whose beta or type differs between runs. A run is worth its best evaluation (its best checkpoint is kept).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from training.record import metrics as names
from training.record.history import HistoryReader
from training.record.reader import read_run
from training.sweeps.bound import Curve, Schedule, Standing, Values, pair_scores, standing
from training.sweeps.siblings import Siblings, prompt_codes
from training.sweeps.trial import SweepError
from training.watch import diverging, margins

REPETITION, TOKENS = "eval/samples/repetition", "eval/samples/tokens"
LOSS = f"eval/{names.LOSS}"
EMPTY = 1.0  # tokens


@dataclass(frozen=True)
class Rules:
    """When runs of a sweep are stopped early. Broken runs are under every method; "none" stops no other.

    `objective` compares runs; `common_beta` goes with its "common_beta_loss". "bound" looks at each evaluation;
    "median" and "hyperband" (W&B's `min_iter`, `eta`, `s`, `max_iter`, counted in evaluations after step 0) propose
    runs, of which those that the bound confirms are stopped: by a paired test at the same step alone, either would stop
    slow starters that win in the end. Raises SweepError if they do not go together.
    """

    method: Literal["none", "bound", "median", "hyperband"] = "bound"
    objective: Literal["accuracy", "common_beta_loss"] = "accuracy"
    common_beta: float | None = None
    min_iter: int | None = None
    eta: float = 3
    s: int | None = None
    max_iter: int | None = None

    def __post_init__(self) -> None:
        if self.objective == "common_beta_loss" and not (self.common_beta or 0) > 0:
            raise SweepError(f"a common-beta loss needs a common beta above 0, got {self.common_beta}")
        if self.method == "hyperband":
            if self.eta <= 1:
                raise SweepError(f"early_terminate: eta must be above 1, got {self.eta}; W&B's default is 3")
            if (self.min_iter or 0) < 1 and not (self.max_iter and self.s):
                raise SweepError("early_terminate: hyperband needs min_iter, or max_iter and s, each at least 1")

    def plain(self) -> dict[str, Any]:
        """These rules as JSON can hold them."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Rules":
        """The rules that `plain` was made from."""
        return cls(**plain)

    def brackets(self, evaluations: int) -> list[int]:
        """Hyperband's: min_iter * eta^k up to `evaluations`, or max_iter / eta^k for k = 1 to s; ascending."""
        if self.min_iter:
            count = math.floor(math.log(max(evaluations / self.min_iter, 1)) / math.log(self.eta) + 1e-9) + 1
            found = [int(self.min_iter * self.eta**k) for k in range(count)]
        else:
            found = [int((self.max_iter or 0) / self.eta**k) for k in range(self.s or 0, 0, -1)]
        return [bracket for bracket in found if 1 <= bracket <= evaluations]


def proposed(rules: Rules, own: Sequence[float], rivals: Sequence[Sequence[float]]) -> bool:
    """Whether the method would stop a run with the scores `own`, higher is better, in the order of its evaluations.

    Median: its best is below the median of the others at the same evaluation (as Golovin et al. 2017, Vizier, section
    3.2.2, without their running average). Hyperband as W&B's: at the last bracket passed, its best is below the score
    in place n / eta, counted from 0, of all n runs there, its own among them (after Li et al. 2018, JMLR 18(185)).
    """
    if rules.method == "median":
        others = [scores[len(own) - 1] for scores in rivals if len(scores) >= len(own)]
        return bool(others) and max(own) < float(np.median(others))
    passed = rules.brackets(len(own))
    if rules.method != "hyperband" or not passed:
        return rules.method == "bound"
    there = sorted((scores[passed[-1] - 1] for scores in (own, *rivals) if len(scores) >= passed[-1]), reverse=True)
    return max(own) < there[int(len(there) / rules.eta)]


def collapsed(now: Mapping[str, float], base: Mapping[str, float]) -> str | None:
    """Told where the fixed prompts' answers have degenerated against the base's: they loop, or nothing is said.

    They loop if their mean rep-3 (Welleck et al., arXiv:1908.04319) has come more than half of the way from the base's
    to 1, where every 3-gram is a repeat. A sound run may answer longer or shorter, and end more or less often, so that
    of their lengths only a mean below one token counts, where the base says more.
    """
    loops, looped = now.get(REPETITION, math.nan), base.get(REPETITION, math.nan)
    if loops > (1 + looped) / 2:
        return (
            f"the answers to the fixed prompts loop: {loops:.0%} of their 3-grams are repeats, the base model's "
            f"{looped:.0%}"
        )
    if now.get(TOKENS, math.nan) < EMPTY <= base.get(TOKENS, math.nan):
        return (
            f"the answers to the fixed prompts are empty: {now[TOKENS]:.1f} tokens, the base model's {base[TOKENS]:.1f}"
        )
    return None


def broken(now: Mapping[str, float], base: Mapping[str, float], score: float, start: float) -> str | None:
    """Told where the run cannot be of use; `now` and `base` have W&B keys, `base` from before training.

    Its loss is NaN, its answers have collapsed, or it is worse than no training both by its own loss, against its own
    start (`watch.diverging`), and by the objective: `score` against `start`. Each alone does not do: with a large beta
    the loss of the best run may be far above its start, and a run may begin slowly.
    """
    loss = now.get(LOSS, 0.0)
    if math.isnan(loss):
        return "the evaluation loss is NaN"
    return collapsed(now, base) or (diverging(loss, base.get(LOSS, math.inf)) if score <= start else None)


class Judge:
    """Says after each evaluation of the run `name` whether to stop it, by the other runs of `sweep` in `runs`.

    It only reads, what other processes write at the same time as well.
    """

    def __init__(self, rules: Rules, runs: Path, sweep: str, name: str) -> None:
        self._rules = rules
        self._runs = runs
        self._sweep = sweep
        self._name = name
        self._history = HistoryReader(runs / name)
        self._beta = rules.common_beta if rules.objective == "common_beta_loss" else None
        self._siblings: Siblings | None = None

    def __call__(self, step: int, max_steps: int, scores: pa.Table, metrics: Mapping[str, float]) -> str | None:
        """The reason to stop the run now, in one sentence; None to go on, and at its last step.

        `scores` has the columns of SCORE_COLUMNS, `metrics` the W&B keys of this evaluation.
        """
        values, start = self._values(scores), float(pair_scores(np.zeros(1), self._beta)[0])
        if step == 0 or step >= max_steps:
            return "the evaluation loss is NaN" if math.isnan(metrics.get(LOSS, 0.0)) else None
        told = broken(metrics, self._base(), float(values.mean()), start)
        if told is not None or self._rules.method == "none":
            return told
        found = self._standing(step, max_steps, scores["pair_id"].to_pylist(), values, start)
        return self._sentence(found) if found is not None and found.beaten else None

    def _values(self, scores: pa.Table) -> Values:
        return pair_scores(margins(scores), self._beta)

    def _base(self) -> dict[str, float]:
        """The metrics of this run before training, from its record: a resumed run was not asked then."""
        found = self._history.read()
        return {key: series.values[0] for key, series in found.items() if series.steps[0] == 0}

    def _standing(
        self, step: int, max_steps: int, pair_ids: list[str], values: Values, start: float
    ) -> Standing | None:
        if self._siblings is None:
            about = read_run(self._runs / self._name)
            digest = about.data.get("eval")
            self._schedule = _schedule(about.config, max_steps)
            self._siblings = Siblings(self._runs, self._sweep, digest, pair_ids, self._values)
            self._clusters = prompt_codes(self._runs, digest, pair_ids)
        rivals = self._siblings.curves()
        own = {at: found for at, found in rivals.pop(self._name, {}).items() if at < step} | {step: values}
        if not proposed(self._rules, _means(own), [_means(curve) for curve in rivals.values()]):
            return None
        return standing(own, rivals, self._clusters, step, self._schedule, start)

    def _sentence(self, found: Standing) -> str:
        what = "accuracy" if self._beta is None else f"loss at beta {self._beta:g}"
        score, best = (abs(value) for value in (found.score, found.best))
        behind, least, most = -found.end.mean, -found.end.high, -found.end.low
        return (
            f"{score:.3f} {what} at step {found.step} against {best:.3f} of {found.rival} at step {found.rival_step}: "
            f"even at its pace since step {found.since} it ends {behind:.3f} [{least:.3f}, {most:.3f}] behind (99%)"
        )


def _means(curve: Curve) -> list[float]:
    """The score of each evaluation after step 0, in order; NaN is worse than any."""
    means = (float(curve[step].mean()) for step in sorted(curve) if step)
    return [-math.inf if math.isnan(mean) else mean for mean in means]


def _schedule(config: Mapping[str, Any], max_steps: int) -> Schedule:
    """The schedule that a run's recorded arguments (TRL's names) ask for."""
    warmup = float(config.get("warmup_steps") or 0)
    if 0 < warmup < 1:
        warmup = math.ceil(max_steps * warmup)
    shaped = config.get("lr_scheduler_kwargs")
    return Schedule(max_steps, warmup, "constant" if shaped else str(config.get("lr_scheduler_type", "constant")))
