"""What a run recorded of its training: which weights a checkpoint and its reference are, and how texts are scored."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from training.data.arguments import EMBEDDED, DataArguments
from training.data.tokens import Limits
from training.generating.protocol import Refused
from training.record import reader, schema
from training.record.history import number, whole
from training.record.schema import RecordError, Run

BEST: Final = "best"
ADAPTER = "adapter_config.json"

Which = int | Literal["best"] | None


@dataclass(frozen=True)
class Weights:
    """A model as training loads it: folder or Hub id, which revision, as which type, with which options (JSON)."""

    name: str
    revision: str | None = None
    dtype: str = "float32"
    options: str = "{}"


@dataclass(frozen=True)
class Trained:
    """A checkpoint of the run `run`, and all that the implicit rewards of its answers depend on.

    `base` is what training began with: the reference, and what an adapter is put on.
    """

    run: str
    checkpoint: Path
    base: Weights
    beta: float
    limits: Limits
    data: DataArguments

    @property
    def is_adapter(self) -> bool:
        return (self.checkpoint / ADAPTER).is_file()


def read(directory: Path, which: Which) -> Trained:
    """The checkpoint "best", that of a step, or, for None, the best or else the newest, of the run in `directory`.

    Raises Refused if there is no such run or checkpoint, or its rewards cannot be computed from what was kept.
    """
    try:
        run = reader.read_run(directory)
    except RecordError as error:
        raise Refused(str(error)) from error
    config = run.config
    beta = number(config.get("beta"))
    if beta is None:
        raise Refused(f"{run.id} has no beta in its {schema.CONFIG}, so its rewards cannot be computed")
    if config.get("sync_ref_model"):
        raise Refused(f"{run.id} was trained with --sync_ref_model: its reference changed, and was not kept")
    if config.get("load_in_4bit") or config.get("load_in_8bit"):
        raise Refused(f"{run.id} was trained over quantised weights, whose rewards are not computed here")
    return Trained(run.id, _checkpoint(directory, run, which), _base(run), beta, _limits(config), _data(config))


def _checkpoint(directory: Path, run: Run, which: Which) -> Path:
    """The folder of a checkpoint. Raises Refused, with those that are there, if it is not among them."""
    folder = directory / schema.CHECKPOINTS
    found = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    by_step = {int(path.name.removeprefix("checkpoint-")): path for path in found if weight_files(path)}
    best = folder / BEST if weight_files(folder / BEST) else None
    if which == BEST:
        asked, place = "best checkpoint", best
    elif which is None:
        asked, place = "checkpoint", best or by_step.get(max(by_step, default=0))
    else:
        asked = f"checkpoint of step {which}"
        place = by_step.get(which) or (best if which == run.best_step else None)
    if place is None:
        names = [f"step {step}" for step in sorted(by_step)] + ([f"the best (step {run.best_step})"] if best else [])
        raise Refused(f"{run.id} ({run.status}) has no {asked}; kept: {', '.join(names) or 'none'}")
    return place


def weight_files(folder: Path) -> list[Path]:
    """The files of a model's or an adapter's weights: safetensors, which cannot carry code; nothing else is loaded."""
    return list(folder.glob("*model*.safetensors"))


def _base(run: Run) -> Weights:
    """What the run began with; a relative path is one of the folder in which it was started."""
    config = run.config
    name = str(config.get("model_name_or_path") or EMBEDDED)
    began = Path(str(run.environment.get("folder") or "."))
    if name != EMBEDDED and (began / name).exists():
        name = str(began / name)
    revision, dtype = config.get("model_revision"), config.get("dtype")
    stated = config.get("model_init_kwargs")
    options = {"dtype": dtype, **stated} if isinstance(stated, dict) else {"dtype": dtype}
    kind = str(options.pop("dtype") or "float32")
    return Weights(name, str(revision) if revision else None, kind, json.dumps(options, sort_keys=True))


def _limits(config: Mapping[str, Any]) -> Limits:
    mode: Literal["keep_start", "keep_end"] = "keep_start"
    if config.get("truncation_mode") == "keep_end":
        mode = "keep_end"
    return Limits(whole(config.get("max_length")), whole(config.get("max_prompt_length")), mode)


def _data(config: Mapping[str, Any]) -> DataArguments:
    """How prompts and answers are brought into the tokenizer's form."""
    template, user, assistant = map(config.get, ("use_chat_template", "user_marker", "assistant_marker"))
    return DataArguments(
        use_chat_template=template if isinstance(template, bool) else None,
        user_marker=user if isinstance(user, str) else None,
        assistant_marker=assistant if isinstance(assistant, str) else None,
    )
