"""What trackers are told beside what TRL tells them."""

from dataclasses import asdict
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.arguments import Arguments


class ReportCallback(TrainerCallback):
    """Adds our own arguments (data, model, LoRA) to the configuration of the W&B or Trackio run."""

    def __init__(self, told: Arguments) -> None:
        self._told = told

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        own = {**asdict(self._told.run), **asdict(self._told.data), **asdict(self._told.model)}
        if "wandb" in args.report_to:
            import wandb

            if wandb.run is not None:
                wandb.config.update(own, allow_val_change=True)
        if "trackio" in args.report_to:
            import trackio

            trackio.config.update(own, allow_val_change=True)
