"""One run from start to end: data, model, TRL's trainer, record."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset
from jinja2 import TemplateError
from peft import PeftModel
from transformers import PreTrainedTokenizerBase
from transformers.trainer_callback import PrinterCallback
from trl import DPOConfig, ModelConfig, get_peft_config, get_quantization_config
from trl.trainer.utils import create_model_from_path, use_adapter

from training import environment, preferences
from training.arguments import RunArguments, model_path
from training.callback import RecordCallback, StopCallback, Stopped
from training.checks import RunError, check_space, load_tokenizer, one_line
from training.embedded import gold
from training.embedded import pairs as embedded
from training.preferences import Preferences
from training.progress import ProgressCallback
from training.record import metrics as names
from training.record.schema import Status
from training.record.writer import RunWriter, check_name, share_pairs
from training.samples import Sampler, Sampling
from training.scoring import PAIR_INDEX, ScoringTrainer

SAMPLES = 8
_HALTS = (KeyboardInterrupt, Stopped)


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `best` is the evaluation of the best checkpoint (W&B keys), taken at `best_step`."""

    directory: Path
    status: Status
    seconds: float
    n_eval: int
    best_step: int | None
    best: Mapping[str, float]
    error: str | None = None


def train(run: RunArguments, model: ModelConfig, config: DPOConfig) -> Outcome:
    """Trains one run and records it.

    Raises RunError, PreferenceError or RecordError before anything appears in `run.runs`; what goes wrong later is
    recorded in the run, and told by the outcome.
    """
    started = time.monotonic()
    runs = Path(run.runs)
    name = run.name or _free_name(runs, run)
    check_name(runs, name)
    tokenizer = load_tokenizer(model, config)
    data = preferences.load(run.dataset_name, config.seed, run.dataset_train_split, run.dataset_test_split)
    writer = RunWriter(runs, name)
    try:
        return _Training(run, model, config, tokenizer, data, writer).run(started)
    finally:
        writer.discard()


class _Training:
    """The parts of one run, wired together."""

    def __init__(
        self,
        run: RunArguments,
        model: ModelConfig,
        config: DPOConfig,
        tokenizer: PreTrainedTokenizerBase,
        data: Preferences,
        writer: RunWriter,
    ) -> None:
        self.arguments = {**asdict(run), **asdict(model), **config.to_dict(), "name": writer.name}
        self.run_arguments, self.model, self.config = run, model, config
        self.data, self.writer = data, writer
        self.sampler = _sampler(run, data, tokenizer)
        self.trainer = self._trainer(tokenizer)
        self.kept = [data.evaluation[index] for index in sorted(self.trainer.eval_dataset[PAIR_INDEX])]

    def _trainer(self, tokenizer: PreTrainedTokenizerBase) -> ScoringTrainer:
        self.config.output_dir = os.fspath(self.writer.checkpoints)
        self.config.disable_tqdm = True
        self.config.eval_on_start = True
        self.config.model_init_kwargs = {
            "revision": self.model.model_revision,
            "attn_implementation": self.model.attn_implementation,
            "dtype": self.model.dtype,
            **(self.config.model_init_kwargs or {}),
        }
        pairs = self.data.evaluation
        if tokenizer.chat_template is None:
            pairs = [preferences.as_text(pair) for pair in pairs]
        indexed = [{**_texts(pair), PAIR_INDEX: index} for index, pair in enumerate(pairs)]
        indexed.sort(key=_length, reverse=True)  # batches of like lengths pad little; too long for memory shows at once
        train = [_texts(pair if tokenizer.chat_template else preferences.as_text(pair)) for pair in self.data.train]
        try:
            return ScoringTrainer(
                model_path(self.model.model_name_or_path),
                args=self.config,
                train_dataset=Dataset.from_list(train),
                eval_dataset=Dataset.from_list(indexed),
                processing_class=tokenizer,
                quantization_config=get_quantization_config(self.model),
                peft_config=get_peft_config(self.model),
                pair_ids=[pair["pair_id"] for pair in pairs],
                evaluated=self._draw,
            )
        except (OSError, ValueError, TypeError, KeyError, ImportError, RuntimeError, TemplateError) as error:
            raise RunError(one_line(error)) from error

    def _draw(self, step: int, _scores: pa.Table) -> Mapping[str, float]:
        if not self.config.should_save:
            return {}
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        if self.sampler.base is None and step:  # resumed: the policy is the base no more
            with self._reference(model) as reference:
                self.sampler.draw(reference, 0)
        rows, metrics = self.sampler.draw(model, step)
        self.writer.samples(rows)
        return metrics

    @contextmanager
    def _reference(self, model: Any) -> Iterator[Any]:
        """The reference model: TRL's copy, the policy without what its adapter learned, or the model as it was."""
        if isinstance(model, PeftModel):
            with use_adapter(model, adapter_name="ref" if "ref" in model.peft_config else None):
                yield model
        else:
            options = {**(self.config.model_init_kwargs or {}), "device_map": model.device}
            yield self.trainer.ref_model or create_model_from_path(model_path(self.model.model_name_or_path), **options)

    def run(self, started: float) -> Outcome:
        self._check_kept()
        check_space(self.writer.runs, self.trainer.model, self.config)
        record = self._callbacks()
        head = self._head()
        self.writer.publish(head)
        if not self.run_arguments.quiet:
            print(_about_data(head["data"]), file=sys.stderr)
        self.config.output_dir = os.fspath(self.writer.checkpoints)
        status, error = self._train()
        self.writer.finish(status, error)
        return Outcome(
            self.writer.directory,
            status,
            time.monotonic() - started,
            len(self.kept),
            record.best_step,
            record.best_metrics,
            error,
        )

    def _check_kept(self) -> None:
        """TRL drops pairs whose prompt alone fills max_length."""
        for side, left, asked in (
            ("training", self.trainer.train_dataset, self.data.train),
            ("evaluation", self.trainer.eval_dataset, self.data.evaluation),
        ):
            if not len(left):
                raise RunError(
                    f"no {side} pair is left: the prompt alone fills --max_length {self.config.max_length} in all "
                    f"{len(asked)}; raise --max_length"
                )

    def _callbacks(self) -> RecordCallback:
        metric = _standard_metric(self.config.metric_for_best_model)
        stated = self.config.greater_is_better
        higher = stated if stated is not None else not metric.endswith(names.LOSS)
        # TRL's own best-of compares with a strict > and keeps no ties; checkpoints/best replaces it.
        self.config.metric_for_best_model, self.config.load_best_model_at_end = None, False
        record = RecordCallback(
            self.writer, lambda: self.trainer.scores, lambda folder: self._save(folder), metric, higher
        )
        self.trainer.remove_callback(PrinterCallback)
        self.trainer.add_callback(record)
        self.trainer.add_callback(ProgressCallback(self.writer.name, self.run_arguments.quiet))
        return record

    def _save(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.trainer.save_model(os.fspath(folder), _internal_call=True)

    def _head(self) -> dict[str, Any]:
        """The content of config.json; the evaluation pairs go to runs/.shared, once for all runs that use them."""
        evaluation = preferences.digest(self.kept)
        share_pairs(self.writer.runs, evaluation, pa.Table.from_pylist(self.kept))
        data = {
            "dataset": self.data.name,
            "train": preferences.digest(self.data.train),
            "eval": evaluation,
            "n_train": len(self.trainer.train_dataset),
            "n_eval": len(self.kept),
            "read": self.data.read,
            "dropped": {**self.data.dropped, "prompt fills max_length": self._too_long()},
        }
        return {
            "sweep": self.run_arguments.sweep or os.environ.get("WANDB_SWEEP_ID"),
            "config": self.arguments,
            "environment": environment.describe(self.trainer.model),
            "data": data,
        }

    def _too_long(self) -> int:
        asked = len(self.data.train) + len(self.data.evaluation)
        return asked - len(self.trainer.train_dataset) - len(self.kept)

    def _train(self) -> tuple[Status, str | None]:
        """Trains to the end, to Ctrl-C, or to an error, which is kept in error.log."""
        with StopCallback() as stop:
            self.trainer.add_callback(stop)
            try:
                self.trainer.train(resume_from_checkpoint=self.config.resume_from_checkpoint)
            except _HALTS:
                self._save_stopped()
                return "stopped", None
            except Exception as error:
                environment.keep_traceback(self.writer.directory)
                return "failed", one_line(error)
            return ("stopped" if stop.asked else "finished"), None

    def _save_stopped(self) -> None:
        """A checkpoint of an evaluation that was cut short, if there is anything to save."""
        if self.trainer.state.global_step:
            self.trainer._save_checkpoint(self.trainer.model, trial=None)


def _sampler(run: RunArguments, data: Preferences, tokenizer: PreTrainedTokenizerBase) -> Sampler:
    built_in = data.name == preferences.EMBEDDED
    if run.sample_prompts:
        prompts: list[Any] = [[{"role": "user", "content": text}] for text in run.sample_prompts]
    elif built_in:
        prompts = list(embedded.sample_prompts())
    else:
        prompts = [pair["prompt"] for pair in data.evaluation[:SAMPLES]]
    if tokenizer.chat_template is None:
        prompts = [preferences.as_text({"prompt": p, "chosen": _EMPTY, "rejected": _EMPTY})["prompt"] for p in prompts]
    score: Callable[[Any, str], float] | None = gold.gold_score if built_in else None
    return Sampler(prompts, tokenizer, Sampling(max_new_tokens=run.sample_max_new_tokens), score)


_EMPTY = [{"role": "assistant", "content": ""}]


def _texts(pair: preferences.Pair) -> dict[str, Any]:
    return {side: pair[side] for side in ("prompt", "chosen", "rejected")}


def _about_data(data: Mapping[str, Any]) -> str:
    """What is trained and evaluated on, and what was left out."""
    dropped = ", ".join(f"{count} {reason}" for reason, count in data["dropped"].items() if count)
    left_out = f"; left out: {dropped}" if dropped else ""
    return f"{data['n_train']:,} training and {data['n_eval']:,} evaluation pairs of {data['read']:,} rows{left_out}"


def _length(pair: preferences.Pair) -> int:
    """About how long the longer side is; only an order is made of it."""
    return len(str(pair["prompt"])) + max(len(str(pair["chosen"])), len(str(pair["rejected"])))


def _standard_metric(stated: str | None) -> str:
    """--metric_for_best_model as a W&B key."""
    return "eval/" + (stated or names.ACCURACY).removeprefix("eval_").removeprefix("eval/")


def _free_name(runs: Path, run: RunArguments) -> str:
    stem = Path(run.dataset_name).name.split(".")[0] or "run"
    base = f"{stem}-{time.strftime('%m%d-%H%M%S')}"
    taken = 1
    name = base
    while (runs / name).exists():
        taken += 1
        name = f"{base}-{taken}"
    return name
