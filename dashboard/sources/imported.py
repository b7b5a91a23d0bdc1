"""What every reader of foreign logs gives back: runs, their curves, and notes to the user."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from training.record.metrics import ACCURACY, LOSS
from training.record.schema import History, Run, Series

_COMPARED = 5_000
_LONGEST = 80


class SourceError(Exception):
    """A source that holds no runs this code can read; the message is one sentence for the user."""


@dataclass(frozen=True)
class Corrections:
    """What the user says about columns and metrics, over what their names tell.

    `config`, `metrics` and `ignored` are column names as the source writes them; `renamed` maps a source's metric name
    to a W&B key (`EvalRewardsMargins` to `eval/rewards/margins`). `beta` is that of runs whose log does not tell it, by
    their names; the one under "" is for all others that tell none. Whatever is named here wins over a reader's rules.
    """

    config: frozenset[str] = frozenset()
    metrics: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    beta: Mapping[str, float] = field(default_factory=dict)

    def told(self) -> bool:
        """Whether there is any."""
        return bool(self.config or self.metrics or self.renamed or self.ignored or self.beta)

    def keys(self, names: Iterable[str], key: Callable[[str], str]) -> dict[str, str]:
        """Name -> key of all names that are not ignored: as the user says, else a setting's own, else by `key`."""
        plain = {name: name if name in self.config else key(name) for name in names if name not in self.ignored}
        return {name: self.renamed.get(name) or found for name, found in plain.items()}

    def missed(self, named: Collection[str]) -> list[str]:
        """A note for each name here that no source has, with those of theirs that are spelt nearly so."""
        notes = []
        for name in sorted((self.config | self.metrics | self.ignored | self.renamed.keys()).difference(named)):
            shown = [other for other in sorted(named)[:_COMPARED] if 0 < len(other) <= _LONGEST]
            near = " or ".join(f'"{other}"' for other in get_close_matches(name[:_LONGEST], shown, n=3))
            hint = f" Did you mean {near}?" if near else ""
            notes.append(f'There is no column or metric "{name[:_LONGEST]}".{hint}')
        return notes

    def no_run(self, runs: Sequence[Run]) -> list[str]:
        """A note for each run of `beta` that the source does not have."""
        names = {run.name for run in runs}
        return [
            f'There is no run "{name[:_LONGEST]}" to give a beta.' for name in self.beta if name and name not in names
        ]

    def with_beta(self, run: Run) -> Run:
        """The run with the beta that the user gives for it, which its notes say."""
        beta = self.beta.get(run.name, self.beta.get("") if run.config.get("beta") is None else None)
        if beta is None:
            return run
        return replace(run, config={**run.config, "beta": beta}, notes=(*run.notes, f"beta = {beta:g}, as you say."))


NO_CORRECTIONS = Corrections()


@dataclass(frozen=True)
class Imported:
    """What a reader found: runs, notes on what was dropped, assumed, mapped or wrong, and curves by run id.

    `folders` has the run directory of each run in our own format: its scores and samples can be read there. `named` are
    columns, metrics and tags as the source writes them: what a correction may name; `keys` has the key that those
    have their values under that are read as a setting or a metric. `formats` says in words what the source was taken
    for, one for each kind of log in it.
    """

    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()
    histories: Mapping[str, History] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    keys: Mapping[str, str] = field(default_factory=dict)
    formats: tuple[str, ...] = ()


def with_evaluations(run: Run, history: History) -> Run:
    """The run with what its curves tell and it does not say yet: last values, step, epoch, best evaluation.

    `metrics` are the last value of each key; those that the source states itself win. `best` is the evaluation of the
    highest reward accuracy after step 0, equal ones by the lower loss (our own rule: runs/README.md), the first where
    the source has no accuracy but a loss; NaN never wins.
    """
    last = {key: series.values[-1] for key, series in history.items() if len(series)}
    steps = [series.steps[-1] for series in history.values() if len(series)]
    epochs = [series.epochs[-1] for series in history.values() if len(series) and math.isfinite(series.epochs[-1])]
    step = run.best_step if run.best_step is not None and not run.best else best_step(history)
    best = {key: value for key in history if key.startswith("eval/") and (value := at(history[key], step)) is not None}
    return replace(
        run,
        metrics={**last, **run.metrics},
        step=max(steps, default=None) if run.step is None else run.step,
        epoch=max(epochs, default=None) if run.epoch is None else run.epoch,
        best=run.best or best,
        best_step=run.best_step if run.best else (step if best else None),
        best_metric=run.best_metric or _metric(best),
    )


def _metric(best: Mapping[str, float]) -> str | None:
    """What the best evaluation was chosen by."""
    return next((key for key in (f"eval/{ACCURACY}", f"eval/{LOSS}") if key in best), None)


def at(series: Series, step: int | None) -> float | None:
    """The value logged at exactly this step, if there is one."""
    return series.values[series.steps.index(step)] if step is not None and step in series.steps else None


def best_step(history: History) -> int | None:
    """The step, after 0, of the best evaluation by reward accuracy, then by loss; None without a finite one."""
    accuracy, loss = history.get(f"eval/{ACCURACY}", Series()), history.get(f"eval/{LOSS}", Series())
    losses = {step: value for step, value in zip(loss.steps, loss.values, strict=True) if math.isfinite(value)}
    by_accuracy = [
        (-value, losses.get(step, math.inf), step)
        for step, value in zip(accuracy.steps, accuracy.values, strict=True)
        if step > 0 and math.isfinite(value)
    ]
    by_loss = [(0.0, value, step) for step, value in losses.items() if step > 0]
    return min(by_accuracy or by_loss, default=(0.0, 0.0, None))[2]
