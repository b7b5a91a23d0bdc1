"""TRL's log events -> the record; the only place that renames metrics."""

import math
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow as pa
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training import checkpoints
from training.checks import RunError
from training.processes import is_first, shared
from training.record import metrics as names
from training.record.writer import RunWriter
from training.watch import check_finite

BEST = "best"
Judge = Callable[[int, int, pa.Table, Mapping[str, float]], str | None]
Notice = Callable[[int, str, str], None]
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOT_METRICS = frozenset({"epoch", "step", "total_flos", "eval_model_preparation_time"})


def standard_key(key: str) -> str:
    """TRL's name of a logged metric as W&B shows it: `eval_loss` is `eval/loss`, `loss` is `train/loss`."""
    return f"eval/{key.removeprefix('eval_')}" if key.startswith("eval_") else f"train/{key}"


class Stopped(BaseException):
    """Ctrl-C came while an evaluation ran."""


class RecordCallback(TrainerCallback):
    """Appends each log event of the main process to the run's record and keeps the best checkpoint.

    Best is by `metric` (a W&B key; `higher` says which way), ties by lower eval loss; NaN never wins, and neither does
    step 0. `save` writes the model into a folder.
    """

    def __init__(
        self, run: RunWriter, scores: Callable[[], pa.Table], save: Callable[[Path], None], metric: str, higher: bool
    ) -> None:
        self._run = run
        self._scores = scores
        self._save = save
        self._metric = metric
        self._higher = higher
        self.best: tuple[float, float] | None = None
        self.best_step: int | None = None
        self.best_metrics: dict[str, float] = {}
        self._due: TrainerState | None = None

    def restore(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes over the best evaluation of a run that goes on."""
        self.best, self.best_step, self.best_metrics = self._rank(metrics), step, dict(metrics)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._run.expect(state.max_steps)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        if state.is_world_process_zero:
            metrics = {standard_key(key): value for key, value in logs.items() if key not in _NOT_METRICS}
            self._run.log(state.global_step, state.epoch, metrics)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict[str, float], **_: Any
    ) -> None:
        found = {standard_key(key): value for key, value in metrics.items() if key not in _NOT_METRICS}
        if state.is_world_process_zero:
            self._run.scores(state.global_step, self._scores())
        check_finite(found[f"eval/{names.LOSS}"], state.global_step, "evaluation loss")
        if self._metric not in found:
            known = ", ".join(sorted(key.removeprefix("eval/") for key in found))
            raise RunError(f"--metric_for_best_model {self._metric} is not evaluated; these are: {known}")
        if state.global_step and self._improves(found):
            self.best_step, self.best_metrics = state.global_step, found
            if not control.should_save or args.fsdp or args.deepspeed:  # their checkpoints hold no model as a whole
                self._keep(state, self._save)
            else:
                self._due = state

    def take(self, checkpoint: Path) -> None:
        """The best model, of a checkpoint that is about to appear, where it is saved right after its evaluation.

        It is there before the checkpoint is: a run that is killed in between is evaluated at that step again.
        """
        state, self._due = self._due, None
        if state is not None and checkpoint.name == f"checkpoint-{state.global_step}":
            first = state.is_world_process_zero
            self._keep(state, lambda folder: checkpoints.link_model(checkpoint, folder) if first else None)

    def _rank(self, metrics: Mapping[str, float]) -> tuple[float, float]:
        value, loss = metrics.get(self._metric, math.nan), metrics.get(f"eval/{names.LOSS}", math.nan)
        return (value if self._higher else -value, -loss)

    def _improves(self, metrics: Mapping[str, float]) -> bool:
        rank = self._rank(metrics)
        if math.isnan(rank[0]) or (self.best is not None and rank <= self.best):
            return False
        self.best = rank
        return True

    def _keep(self, state: TrainerState, save: Callable[[Path], None]) -> None:
        """Saves the model as checkpoints/best: the new one is whole before the old one goes."""
        folder = self._run.checkpoints / BEST
        new = folder.with_name(f".{BEST}.new")
        if state.is_world_process_zero:
            shutil.rmtree(new, ignore_errors=True)
        save(new)
        if state.is_world_process_zero:
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
            self._run.best(state.global_step, self._metric, self.best_metrics)


class JudgeCallback(TrainerCallback):
    """Ends a run of a sweep after an evaluation if `judge` (step, max_steps, scores, metrics) gives a reason."""

    def __init__(self, judge: Judge, scores: Callable[[], pa.Table], notice: Notice) -> None:
        self.reason: str | None = None
        self._judge = judge
        self._scores = scores
        self._notice = notice

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict[str, float], **_: Any
    ) -> None:
        found = {standard_key(key): value for key, value in metrics.items() if key not in _NOT_METRICS}
        if is_first():
            self.reason = self._judge(state.global_step, state.max_steps, self._scores(), found)
        self.reason = shared(self.reason) if args.world_size > 1 else self.reason
        if self.reason is not None:
            self._notice(state.global_step, "pruned", self.reason)
            control.should_training_stop = True


class StopCallback(TrainerCallback):
    """Ends training after the current step, with a checkpoint, once Ctrl-C or SIGTERM has come; evaluates at the end.

    A second Ctrl-C, or one during an evaluation, does not wait; several processes agree on the step at which they end.
    Used as a context manager around training.
    """

    def __init__(self, processes: int = 1) -> None:
        self.asked = False
        self._processes = processes
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopCallback":
        self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def on_prediction_step(self, *_: Any, **__: Any) -> None:
        if self.asked and self._processes == 1:
            raise Stopped

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._processes > 1:
            asked = torch.tensor(float(self.asked), device=args.device)
            torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
            self.asked = bool(asked)
        if self.asked:
            control.should_training_stop = control.should_save = True
            control.should_evaluate = False
        elif state.global_step >= state.max_steps and args.eval_strategy != "epoch":  # the epoch's end evaluates
            control.should_evaluate = True
