"""What a sweep has found: its runs ranked, and how sure the ranking is."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.record import metrics as names
from training.record import reader
from training.record.history import read_history
from training.record.intervals import accuracy_interval, mcnemar, mean_interval
from training.record.schema import RecordError
from training.sweeps.bound import Values, pair_scores
from training.sweeps.plan import Objective
from training.sweeps.siblings import prompt_codes
from training.sweeps.table import plain, settings
from training.watch import margins

CONFIDENCE = 0.95
SHOWN = 10  # ranked runs, and tied ones
ACCURACY, COMMON_BETA_LOSS = f"eval/{names.ACCURACY}", f"eval/{names.COMMON_BETA_LOSS}"


@dataclass(frozen=True)
class Result:
    """A run's best evaluation by the objective; `margins` are its pairs' margins of log-ratios there, in nats."""

    name: str
    params: Mapping[str, Any]
    value: float
    step: int
    margins: Mapping[str, float]

    @property
    def accuracy(self) -> float | None:
        """The reward accuracy at `step`, ties counting half."""
        return float(pair_scores(np.array([*self.margins.values()]), None).mean()) if self.margins else None


def evaluations(directory: Path, objective: Objective) -> dict[int, float]:
    """The objective at every evaluation after step 0, by step; those that are not finite are left out."""
    series = read_history(directory).get(objective.metric)
    points = zip(series.steps, series.values, strict=True) if series else ()
    return {step: value for step, value in points if step > 0 and math.isfinite(value)}


def best(values: Mapping[int, float], objective: Objective) -> int | None:
    """The step of the best value, the first of equals; None if there is none."""
    sign = -1 if objective.maximize else 1
    return min(values, key=lambda step: (sign * values[step], step), default=None)


def result(directory: Path, params: Mapping[str, Any], objective: Objective) -> Result | None:
    """The best evaluation of a run; None if it has none."""
    values = evaluations(directory, objective)
    step = best(values, objective)
    if step is None:
        return None
    try:
        scores = reader.read_scores(directory, step)
        found = dict(zip(scores["pair_id"].to_pylist(), margins(scores).tolist(), strict=True))
    except RecordError:  # its value ranks it all the same
        found = {}
    return Result(directory.name, params, values[step], step, found)


def ranked(results: Sequence[Result], objective: Objective) -> list[Result]:
    """The best first."""
    return sorted(results, key=lambda found: -found.value if objective.maximize else found.value)


def tied(results: Sequence[Result], objective: Objective, runs: Path) -> tuple[list[Result], int]:
    """Of the results after the first: those that cannot be told apart from it, and how many were compared with it.

    Paired, on the same pairs, each at 1 - 0.05 / comparisons (Bonferroni: Dunn 1961, JASA 56, 52-64), so that first and
    tied together hold the true best at 95% (multiple comparisons with the best: Hsu 1981, Annals of Statistics 9,
    1026-1034). A common-beta loss is compared by the mean of its differences, all pairs of one prompt being one cluster
    (the prompts are looked up in `runs`); any other objective by reward accuracy, with McNemar's exact test.
    """
    first = results[0]
    same = [other for other in results[1:] if other.margins and other.margins.keys() == first.margins.keys()]
    level = (1 - CONFIDENCE) / max(1, len(same))
    beta = objective.common_beta if objective.metric == COMMON_BETA_LOSS else None
    clusters = _prompts(runs, first) if beta is not None else []

    def alike(other: Result) -> bool:
        mine, theirs = (_scores(found, first, beta) for found in (first, other))
        if beta is None:
            return mcnemar(int((mine > theirs).sum()), int((mine < theirs).sum())) > level
        interval = mean_interval((mine - theirs).tolist(), clusters, 1 - level)
        return interval is None or interval.low <= 0 <= interval.high

    return [other for other in same if alike(other)], len(same)


def lines(id: str, states: Mapping[str, str], results: Sequence[Result], objective: Objective, runs: Path) -> list[str]:
    """The closing summary: `states` of all runs by name, `results` of those that finished, the best first."""
    counts = Counter(states.values())
    kinds = ", ".join(f"{counts[state]} {state}" for state in sorted(counts, key=lambda state: (-counts[state], state)))
    told = [f"sweep      {id} ({len(states)} {'run' if len(states) == 1 else 'runs'}: {kinds})"]
    if not results:
        return [*told, "best       none: no run has finished"]
    first, several = results[0], len(results) > 1
    told.append(f"best       {first.name}: {settings(first.params)}; step {first.step}: {_value(first, objective)}")
    if several:
        told.append(f"ranked     by {objective.metric} at each run's best evaluation; reward accuracy [95% interval]")
        told += _ranking(results)
        told.append(f"tied       {_ties(results, objective, runs)}")
    return told


def _ranking(results: Sequence[Result]) -> list[str]:
    shown = results[:SHOWN]
    rows = [(found.name, settings(found.params), f"step {found.step}", f"{found.value:.4f}") for found in shown]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    told = [
        f"{place:>9}  {'  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))}  {_short(found)}"
        for place, (found, row) in enumerate(zip(shown, rows, strict=True), 1)
    ]
    return [*told, f"           and {len(results) - SHOWN} more"] if len(results) > SHOWN else told


def _short(found: Result) -> str:
    interval = accuracy_interval(found.accuracy, len(found.margins), CONFIDENCE)
    return f"{found.accuracy:.3f} [{interval.low:.3f}, {interval.high:.3f}]" if interval else "-"


def _value(found: Result, objective: Objective) -> str:
    """The objective's value, and the reward accuracy with its interval."""
    parts = [] if objective.metric == ACCURACY and found.margins else [f"{objective.metric} {found.value:.4f}"]
    interval = accuracy_interval(found.accuracy, n := len(found.margins), CONFIDENCE)
    if interval is not None:
        about = f"(95% interval {interval.low:.3f} to {interval.high:.3f}, n = {n})"
        parts.append(f"reward accuracy {found.accuracy:.3f} {about}")
    return ", ".join(parts)


def _ties(results: Sequence[Result], objective: Objective, runs: Path) -> str:
    alike, compared = tied(results, objective, runs)
    others = len(results) - 1 - compared
    beside = f"; {others} not compared: evaluated on other pairs" if others else ""
    if not compared:
        return "not known: no other finished run was evaluated on the same pairs"
    by_loss = objective.metric == COMMON_BETA_LOSS
    test = f"paired on the same {len(results[0].margins)} pairs, 95% for all comparisons together" + (
        ", mean difference of the loss" if by_loss else ", McNemar's exact test of the reward accuracy"
    )
    named = f": {', '.join(plain(found.name) for found in alike[:SHOWN])}" if alike else ""
    return f"{len(alike)} of {compared} other finished runs cannot be told apart from the best ({test}){named}{beside}"


def _scores(found: Result, first: Result, beta: float | None) -> Values:
    """The objective per pair, higher is better, in the order of the first result's pairs."""
    return pair_scores(np.array([found.margins[pair] for pair in first.margins]), beta)


def _prompts(runs: Path, found: Result) -> list[int]:
    """A number for the prompt of each of its pairs."""
    try:
        digest = reader.read_run(runs / found.name).data.get("eval")
    except RecordError:
        digest = None
    return [int(code) for code in prompt_codes(runs, digest, list(found.margins))]
