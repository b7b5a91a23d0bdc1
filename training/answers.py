"""What a run's fixed prompts are answered at every evaluation, by base and policy, into its record."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from peft import PeftModel
from trl.trainer.utils import create_model_from_path, use_adapter

from training.arguments import Arguments, model_path
from training.inputs import Inputs
from training.kept import Kept
from training.processes import shared
from training.record.writer import RunWriter
from training.samples import Sampler, Sampling


class Answers:
    """Draws and records the answers of a trainer's policy, the base model's before training.

    `known` are the base model's answers as an earlier part of the run recorded them, by the prompt's repr.
    """

    def __init__(
        self, told: Arguments, data: Inputs, writer: RunWriter, kept: Kept, known: Mapping[str, str] | None = None
    ) -> None:
        sampling = Sampling(max_new_tokens=told.run.sample_max_new_tokens)
        self._sampler = Sampler(data.prompts, data.tokenizer, sampling, data.gold)
        answers = [known.get(repr(prompt)) for prompt in data.prompts] if known else []
        self._sampler.base = [text for text in answers if text is not None] if answers and None not in answers else None
        self._told, self._writer, self._kept = told, writer, kept

    def draw(self, trainer: Any, step: int) -> Mapping[str, float]:
        """The metrics of the policy's answers; the same in every process."""
        metrics: Mapping[str, float] = {}
        if trainer.args.should_save:
            model = trainer.accelerator.unwrap_model(trainer.model)
            if self._sampler.base is None and step:  # the policy is the base no more
                with self._reference(trainer, model) as reference:
                    self._sampler.draw(reference, 0)
            rows, metrics = self._rows(trainer, model, step)
            self._writer.samples(rows)
        return shared(metrics)

    def _rows(self, trainer: Any, model: Any, step: int) -> tuple[list[dict[str, Any]], Mapping[str, float]]:
        """The sampler's rows and metrics; those of the untrained model are the same for every run."""
        if step or trainer.references is None:
            return self._sampler.draw(model, step)
        asked = repr(self._sampler.prompts), self._sampler.sampling, self._sampler.gold is None
        key = (trainer.references.base, trainer.references.fingerprint, *asked)  # weights alone do not say when to end
        rows, metrics = self._kept.get("answers", key, lambda: self._sampler.draw(model, step))
        self._sampler.base = [row["base"] for row in rows]
        return rows, metrics

    @contextmanager
    def _reference(self, trainer: Any, model: Any) -> Iterator[Any]:
        """The reference model: TRL's copy, the policy without what its adapter learned, or the model as it was."""
        if isinstance(model, PeftModel):
            with use_adapter(model, adapter_name="ref" if "ref" in model.peft_config else None):
                yield model
        else:
            options = {**(trainer.args.model_init_kwargs or {}), "device_map": model.device}
            copy = trainer.ref_model and trainer.accelerator.unwrap_model(trainer.ref_model)
            yield copy or create_model_from_path(model_path(self._told.model.model_name_or_path), **options)
