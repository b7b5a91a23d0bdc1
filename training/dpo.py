"""One run from start to end: data, model, TRL's trainer, record."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers import PretrainedConfig
from transformers.trainer_callback import PrinterCallback

from training import checkpoints, environment, inputs, resume
from training.answers import Answers
from training.arguments import Arguments
from training.callback import BEST, Judge, JudgeCallback, RecordCallback, StopCallback, Stopped
from training.checks import check_space, load_tokenizer, one_line, unwritable
from training.exact import common_beta_loss
from training.inputs import Inputs
from training.kept import Kept
from training.processes import agreed, is_first
from training.progress import ProgressCallback
from training.record import metrics as names
from training.record.schema import Status
from training.record.writer import RunWriter, check_name, share_audit, share_pairs
from training.reporting import ReportCallback
from training.resume import Earlier
from training.system import SystemCallback
from training.trainer import build
from training.watch import Diverged, WatchCallback

_HALTS = (KeyboardInterrupt, Stopped)


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `best` is the evaluation of the best checkpoint (W&B keys), taken at `best_step`.

    `error` says why it failed or was pruned. It `can_go_on` after a failure that was none of its own: a full disk.
    """

    directory: Path
    status: Status
    seconds: float
    n_eval: int
    best_step: int | None
    best: Mapping[str, float]
    error: str | None = None
    can_go_on: bool = False


def train(told: Arguments, kept: Kept | None = None, judge: Judge | None = None) -> Outcome:
    """Trains one run, or goes on with one, and records it.

    `kept` is what this process keeps for its next run. `judge` may end the run after an evaluation: "pruned".

    Raises RunError, PreferenceError or RecordError before anything appears in `run.runs`; what goes wrong later is
    recorded in the run, and told by the outcome.
    """
    earlier = _earlier(told)
    runs = Path(told.run.runs)
    name = earlier.directory.name if earlier else agreed(lambda: _name(runs, told))
    told.config.run_name = told.config.run_name or name
    kept = kept or Kept()
    about, tokenizer = load_tokenizer(told.model, told.config)
    recorded = {**asdict(told.run), **asdict(told.data), **asdict(told.model), **told.config.to_dict(), "name": name}
    recorded["pad_token"] = told.config.pad_token  # to_dict hides it, as if it were a password
    data = kept.get("inputs", inputs.key(told), lambda: inputs.load(told, tokenizer, about.is_encoder_decoder), most=2)
    if earlier is None:
        writer = RunWriter(runs, name, writes=is_first())
    else:
        inputs.check_same(data, earlier.directory)
        earlier = _earlier(told) or earlier  # while the data was loaded, somebody else may have gone on with the run
        writer = RunWriter.reopen(earlier.directory, earlier.progress, writes=is_first())
    try:
        return _Training(told, about, data, writer, earlier, kept, judge).run(recorded)
    finally:
        writer.discard()


def _earlier(told: Arguments) -> Earlier | None:
    """What the run to go on with has left behind, if one is named."""
    folder = told.run.resume
    return agreed(lambda: resume.earlier(Path(folder), told.config)) if folder else None


class _Training:
    """The parts of one run, wired together."""

    def __init__(
        self,
        told: Arguments,
        about: PretrainedConfig,
        data: Inputs,
        writer: RunWriter,
        earlier: Earlier | None,
        kept: Kept,
        judge: Judge | None,
    ) -> None:
        self.told, self.config = told, told.config
        self.data, self.writer, self.earlier = data, writer, earlier
        self.can_go_on = False
        self.judge = JudgeCallback(judge, lambda: self.trainer.scores, self._notice) if judge else None
        goes_on = earlier is not None and earlier.checkpoint is not None
        self.answers = Answers(told, data, writer, kept, earlier.base_answers if earlier and goes_on else None)
        self.config.output_dir = os.fspath(writer.checkpoints)
        self.trainer = build(told, about, data, self._evaluated, kept, lambda line: self._notice(0, "fast", line))
        if earlier is not None and earlier.checkpoint is not None:
            self._recall(earlier, earlier.checkpoint)

    def _recall(self, earlier: Earlier, checkpoint: Path) -> None:
        """What the run knew of its base model when it was left."""
        if earlier.base_scores is not None:
            self.trainer.remember(earlier.base_scores)
        self.config.eval_on_start = earlier.unevaluated
        self.trainer.count_tokens_from(checkpoints.state(checkpoint).num_input_tokens_seen)

    def _evaluated(self, step: int, scores: pa.Table) -> Mapping[str, float]:
        """What an evaluation logs beside the exact means."""
        metrics = dict(self.answers.draw(self.trainer, step))
        if self.told.run.common_beta is not None:
            metrics[names.COMMON_BETA_LOSS] = common_beta_loss(scores, self.told.run.common_beta)
        return metrics

    def run(self, recorded: Mapping[str, Any]) -> Outcome:
        record = self._callbacks()
        if self.earlier is None:
            self._publish(recorded)
        self.config.output_dir = os.fspath(self.writer.checkpoints)
        for note in self.told.notes:
            self._notice(0, "argument", note)
        status, error = self._train()
        try:
            self.writer.finish(status, error)
        except OSError as lost:  # as far as anybody can read, it has not ended
            status, error, self.can_go_on = "failed", error or unwritable(lost) or one_line(lost), True
        return Outcome(
            self.writer.directory,
            status,
            self.writer.seconds,
            len(self.data.kept),
            record.best_step,
            record.best_metrics,
            error,
            self.can_go_on,
        )

    def _publish(self, recorded: Mapping[str, Any]) -> None:
        """Lets the run appear, with its pairs and what was found in the data beside it, once for all runs alike."""
        agreed(lambda: self._appear(recorded))
        if not is_first():
            self.writer.publish({})
        self._say(*self.data.lines())

    def _appear(self, recorded: Mapping[str, Any]) -> None:
        check_space(self.writer.runs, self.trainer.model, self.config)
        share_pairs(self.writer.runs, self.data.digests["eval"], pa.Table.from_pylist(self.data.kept))
        share_audit(self.writer.runs, self.data.digests["audit"], self.data.audit)
        head = {
            "sweep": self.told.run.sweep or os.environ.get("WANDB_SWEEP_ID"),
            "config": recorded,
            "environment": environment.describe(self.trainer.model),
            "data": {**self.data.about(), "reference": self._reference_scores()},
        }
        self.writer.publish(head)

    def _reference_scores(self) -> Mapping[str, Any] | None:
        """For config.json: which reference, and how many of its scores were found and how many computed."""
        references = self.trainer.references
        return {"fingerprint": references.fingerprint, **references.counts} if references else None

    def _callbacks(self) -> RecordCallback:
        metric = _standard_metric(self.config.metric_for_best_model)
        stated = self.config.greater_is_better
        higher = stated if stated is not None else not metric.endswith(names.LOSS)
        # TRL's own best-of compares with a strict > and keeps no ties; checkpoints/best replaces it.
        self.config.metric_for_best_model, self.config.load_best_model_at_end = None, False
        record = RecordCallback(
            self.writer, lambda: self.trainer.scores, lambda folder: self._save(folder), metric, higher
        )
        if self.earlier is not None and self.earlier.progress.get("best_step"):
            record.restore(self.earlier.progress["best_step"], self.earlier.progress.get("best", {}))
        self.trainer.checkpoint_appears = record.take
        self.trainer.remove_callback(PrinterCallback)
        for callback in (
            record,
            WatchCallback(self._notice, lambda: self.trainer.scores),
            *([self.judge] if self.judge else []),
            SystemCallback(self.writer.log),
            self.trainer.throughput,
            ReportCallback(self.told),
            ProgressCallback(self.writer.name, self.told.run.quiet or not is_first()),
        ):
            self.trainer.add_callback(callback)
        return record

    def _notice(self, step: int, kind: str, message: str) -> None:
        self.writer.notice(step, kind, message)
        self._say(f"step {step}: {message}" if step else message)

    def _say(self, *lines: str) -> None:
        if is_first() and not self.told.run.quiet:
            print(*lines, sep="\n", file=sys.stderr)

    def _save(self, folder: Path) -> None:
        self.trainer.save_model(os.fspath(folder), _internal_call=True)

    def _train(self) -> tuple[Status, str | None]:
        """Trains to the end, to Ctrl-C, or to an error, which is kept in error.log."""
        with StopCallback(self.config.world_size) as stop:
            self.trainer.add_callback(stop)
            try:
                if self.earlier is not None and self.earlier.trained_out:
                    self._end(self.earlier)
                else:
                    self.trainer.train(resume_from_checkpoint=self._start())
            except Diverged as error:
                return "failed", f"{error}; {self._last_good()}"
            except _HALTS:
                return self._save_stopped()
            except Exception as error:
                return self._broken(error)
            if stop.asked:
                return "stopped", None
            reason = self.judge.reason if self.judge else None
            return ("pruned" if reason else "finished"), reason

    def _broken(self, error: Exception) -> tuple[Status, str | None]:
        """How a run ends by an error, which error.log explains."""
        if is_first():
            environment.keep_traceback(self.writer.directory)
        reason = unwritable(error)
        self.can_go_on = reason is not None
        return "failed", reason or one_line(error)

    def _start(self) -> str | None:
        """The checkpoint to start from, if any."""
        if self.earlier is None:
            stated: str | None = self.config.resume_from_checkpoint
            return stated
        if self.earlier.checkpoint is None:
            self._notice(0, "resumed", "no whole checkpoint was left: training starts anew")
            return None
        self._notice(self.earlier.step, "resumed", f"going on from {self.earlier.checkpoint.name}")
        return os.fspath(self.earlier.checkpoint)

    def _end(self, earlier: Earlier) -> None:
        """The last evaluation, if Ctrl-C came before it: TRL's trainer would first train another step."""
        if earlier.unevaluated and earlier.checkpoint is not None:
            self.trainer.restore(earlier.checkpoint)
            self.trainer.evaluate()

    def _last_good(self) -> str:
        """Takes away the checkpoint of the weights that diverged, and names the newest one before it."""
        if is_first():
            checkpoints.remove(self.writer.checkpoints, self.trainer.state.global_step)
        good = checkpoints.newest(self.writer.checkpoints)
        best = (self.writer.checkpoints / BEST).is_dir()
        if good is None and best:
            return f"the last good weights are checkpoints/{BEST}"
        return f"the last good checkpoint is {good.name}" if good else "no checkpoint was saved before"

    def _save_stopped(self) -> tuple[Status, str | None]:
        """A checkpoint of an evaluation that was cut short, if there is anything to save."""
        try:
            if self.trainer.state.global_step:
                self.trainer._save_checkpoint(self.trainer.model, trial=None)
        except Diverged as error:
            return "failed", f"{error}; {self._last_good()}"
        except Exception as error:
            return self._broken(error)
        return "stopped", None


def _standard_metric(stated: str | None) -> str:
    """--metric_for_best_model as a W&B key."""
    return "eval/" + (stated or names.ACCURACY).removeprefix("eval_").removeprefix("eval/")


def _name(runs: Path, told: Arguments) -> str:
    """The name of a new run. Raises RecordError if the one that was asked for cannot be had."""
    name = told.run.name or _free_name(runs, told)
    check_name(runs, name)
    return name


def _free_name(runs: Path, told: Arguments) -> str:
    stem = Path(told.data.dataset_name).name.split(".")[0] or "run"
    base = f"{stem}-{time.strftime('%m%d-%H%M%S')}"
    taken = 1
    name = base
    while (runs / name).exists():
        taken += 1
        name = f"{base}-{taken}"
    return name
