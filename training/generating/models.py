"""Models in memory: those used last stay, as far as they fit."""

import gc
import json
import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from peft import PeftModel
from safetensors import SafetensorError, safe_open
from trl.trainer.utils import create_model_from_path, use_adapter

from training.arguments import model_path
from training.fast.forward import PairForward
from training.generating.protocol import Refused
from training.generating.trained import Trained, Weights, weight_files
from training.seq2seq import add_seq2seq_head

ADAPTERS = 8  # on one model: beyond, they are put on anew
_BROKEN = (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError, SafetensorError)
_NOT_TAKEN = frozenset({"trust_remote_code", "attn_implementation", "device_map", "use_safetensors", "revision"})

T = TypeVar("T")


@dataclass
class _Held:
    """A model, with the adapters put on it by the folder and time of their files."""

    model: Any
    adapted: PeftModel | None = None
    adapters: dict[tuple[Path, int], str] = field(default_factory=dict)


class Models:
    """Policies and references, ready to score: `model(..., labels=..., fused_lm_head=True)` gives log-probabilities.

    All their weights together take at most `budget` bytes; the ones used longest ago go first. Adapters share one copy
    of their base model, which without them is their reference. Only files on this machine's disk are read, and of
    weights only safetensors.
    """

    def __init__(self, budget: int, device: str = "cpu") -> None:
        self._budget = budget
        self._device = device
        self._held: OrderedDict[tuple[Path, int, str, str], _Held] = OrderedDict()
        self._compared: set[str] = set()

    @contextmanager
    def policy(self, trained: Trained) -> Iterator[Any]:
        """The model of a checkpoint. Raises Refused if it cannot be loaded."""
        if not trained.is_adapter:
            weights = Weights(str(trained.checkpoint), None, trained.base.dtype, trained.base.options)
            yield self._model(trained.checkpoint, weights).model
            return
        held = self._model(folder(trained.base), trained.base)
        name = _adapter(held, trained.checkpoint)
        with use_adapter(held.adapted, name):
            yield held.adapted

    @contextmanager
    def reference(self, trained: Trained) -> Iterator[Any]:
        """The model that training began with. Raises Refused if it cannot be loaded."""
        held = self._model(folder(trained.base), trained.base)
        if held.adapted is None:
            yield held.model
        else:
            with use_adapter(held.adapted, None):
                yield held.adapted

    def __len__(self) -> int:
        return len(self._held)

    def clear(self) -> None:
        """Gives back all memory."""
        self._held.clear()
        _collect()

    @property
    def bytes(self) -> int:
        """What all weights take, those of adapters with them."""
        return sum(_size(held.model) for held in self._held.values())

    def _model(self, place: Path, weights: Weights) -> _Held:
        key = (place.resolve(), _changed(place), weights.dtype, weights.options)
        if key not in self._held:
            self._make_room(place, weights)
            self._held[key] = _Held(_broken_told(place, lambda: self._load(place, weights)))
        self._held.move_to_end(key)
        return self._held[key]

    def _make_room(self, place: Path, weights: Weights) -> None:
        needed = _broken_told(place, lambda: sum(_bytes(path, weights.dtype) for path in weight_files(place)))
        if needed > self._budget:
            raise Refused(
                f"{weights.name} needs {needed / 1e9:.2g} GB of memory, and of what is free here models may take "
                f"{self._budget / 1e9:.2g} GB"
            )
        while self._held and self.bytes + needed > self._budget:
            self._held.popitem(last=False)
            _collect()

    def _load(self, place: Path, weights: Weights) -> Any:
        options = {name: value for name, value in json.loads(weights.options).items() if name not in _NOT_TAKEN}
        model: Any = create_model_from_path(
            str(place),
            dtype=weights.dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            device_map=None if self._device == "cpu" else self._device,
            **options,
        )
        model.eval().requires_grad_(False)
        self._add_head(model)
        return model

    def _add_head(self, model: Any) -> None:
        """As in training: the first model of a kind is compared with TRL's own forward, on its first pair."""
        if model.config.is_encoder_decoder:
            add_seq2seq_head(model)
            return
        about = {name: value for name, value in model.config.to_dict().items() if name != "_name_or_path"}
        kind = json.dumps([type(model).__name__, about], sort_keys=True, default=str)
        PairForward(_tell, kind in self._compared, lambda: self._compared.add(kind)).install(model)


def folder(weights: Weights) -> Path:
    """Where a model lies on this machine's disk. Raises Refused if it does not, or not as safetensors."""
    place = Path(model_path(weights.name)).expanduser()
    if not place.is_dir():
        try:
            place = Path(snapshot_download(weights.name, revision=weights.revision, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
            raise Refused(
                f"the run's base model {weights.name!r} is not on this machine: without it there is no reference; "
                "download it once, or put its folder where it was"
            ) from error
    if not weight_files(place):
        raise Refused(f"{weights.name!r} has no .safetensors files; weights in other formats are not loaded")
    return place


def lacks_memory(error: BaseException) -> bool:
    """Whether this is how torch or Python say that memory ran out; on a processor torch has no type for it."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def _adapter(held: _Held, checkpoint: Path) -> str:
    """The name of a checkpoint's adapter, which is put on the model if it is not there yet."""
    key = (checkpoint, _changed(checkpoint))
    if held.adapted is not None and key not in held.adapters and len(held.adapters) >= ADAPTERS:
        held.model, held.adapted = held.adapted.unload(), None
        held.adapters.clear()
    if key not in held.adapters:
        name = f"adapter{len(held.adapters)}"
        _broken_told(checkpoint, lambda: _put_on(held, checkpoint, name))
        held.adapters[key] = name
    return held.adapters[key]


def _put_on(held: _Held, checkpoint: Path, name: str) -> None:
    if held.adapted is None:
        held.adapted = PeftModel.from_pretrained(held.model, str(checkpoint), adapter_name=name)
    else:
        held.adapted.load_adapter(str(checkpoint), adapter_name=name)
    held.adapted.eval()


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _broken_told(place: Path, load: Callable[[], T]) -> T:
    """What `load` returns; files that cannot be used are the user's, and are told in one sentence."""
    try:
        return load()
    except _BROKEN as error:
        if lacks_memory(error):
            raise
        about = " ".join(str(error).split())[:300]
        raise Refused(f"{place} cannot be loaded: {about}") from error


def _bytes(path: Path, dtype: str) -> int:
    """What the weights of a file will take as `dtype`."""
    if dtype == "auto":
        return path.stat().st_size
    with safe_open(path, framework="pt") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118  it is no mapping
    size: int = getattr(torch, dtype).itemsize
    return size * sum(map(math.prod, shapes))


def _changed(place: Path) -> int:
    """When its weights were written, in nanoseconds: a better checkpoint takes the place of the best."""
    return max((path.stat().st_mtime_ns for path in weight_files(place)), default=0)


def _size(model: Any) -> int:
    return sum(int(parameter.numel() * parameter.element_size()) for parameter in model.parameters())


def _collect() -> None:
    """A model is held by its own forward: it goes with the garbage."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
