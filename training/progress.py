"""What a person at the terminal sees while a run trains."""

import math
import sys
import time
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_SHOWN = (("loss", "loss"), ("rewards/accuracies", "accuracy"), ("rewards/margins", "margin"))


class ProgressCallback(TrainerCallback):
    """A bar with loss, reward accuracy, margin and remaining time; plain lines where stderr is no terminal."""

    def __init__(self, name: str, quiet: bool) -> None:
        self._name = name
        self._quiet = quiet
        self._bar: Any = None
        self._started = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._started = time.monotonic()
        if not self._quiet and sys.stderr.isatty():
            self._bar = tqdm(total=state.max_steps, desc=self._name, unit="step", dynamic_ncols=True, leave=False)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        evaluated = "eval_loss" in logs
        prefix = "eval_" if evaluated else ""
        shown = [(label, logs[prefix + key]) for key, label in _SHOWN if prefix + key in logs]
        if self._quiet or not shown:
            return
        values = "  ".join(f"{label} {value:.3f}" for label, value in shown)
        if self._bar is None:
            if evaluated:
                print(f"step {state.global_step}/{state.max_steps}  eval {values}{self._eta(state)}", file=sys.stderr)
        elif evaluated:
            self._bar.write(f"step {state.global_step}/{state.max_steps}  eval {values}", file=sys.stderr)
        else:
            self._bar.set_postfix_str(values)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.close()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _eta(self, state: TrainerState) -> str:
        if not 0 < state.global_step < state.max_steps:
            return ""
        left = (time.monotonic() - self._started) / state.global_step * (state.max_steps - state.global_step)
        return f"  ETA {math.ceil(left)} s"
