"""The reference's log-probabilities, kept by content: for these weights, in this precision, of these token ids."""

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import Dataset
from peft import PeftModel, get_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import AuxiliaryTrainingWrapper
from transformers import PreTrainedModel

from training.data.tokens import SIDES, Limits
from training.record.writer import write_whole

FOLDER = "reference"
KEY_BYTES = 16
MANY = 32  # segments: beyond, they become one
_SCHEMA = pa.schema({"key": pa.binary(KEY_BYTES), "ref_chosen_logp": pa.float64(), "ref_rejected_logp": pa.float64()})
_IDS = ["prompt_ids", *(f"{side}_ids" for side in SIDES)]
_FINGERPRINT = b"fingerprint"
_UNKNOWN = (float("nan"), float("nan"))
# What a configuration says that changes no log-probability of given token ids.
_NOT_NUMBERS = frozenset(
    {
        *("_name_or_path", "architectures", "base_model_name_or_path", "dtype", "torch_dtype", "transformers_version"),
        *("bos_token_id", "eos_token_id", "pad_token_id", "id2label", "label2id", "problem_type"),
        *("initializer_factor", "initializer_range", "task_specific_params"),
        *("inference_mode", "output_attentions", "output_hidden_states", "return_dict", "use_cache"),
    }
)

Logps = npt.NDArray[np.float64]


class UnreadableWeights(Exception):
    """Weights that are not in this process as a whole, or not as tensors, so that nothing can tell them from others."""


def fingerprint(model: torch.nn.Module, precision: str) -> str:
    """SHA-256, in hexadecimal, of all that a reference's log-probabilities depend on beside the token ids.

    These are parameters and buffers (name, dtype, shape, bytes), the class and the configuration of the model, and
    `precision`: the dtypes of weights and autocast. A PEFT model's reference is its base model or, where TRL has added
    one, the adapter "ref". Dropout is not seen: it must be off. Raises UnreadableWeights for sharded or offloaded ones.
    """
    base, adapter = model, None
    if isinstance(model, PeftModel):
        base = model.get_base_model()
        if "ref" in model.peft_config:
            adapter = model.peft_config["ref"].to_dict()
    found = dict(_tensors(base, ""))
    if adapter is not None:
        learned = get_peft_model_state_dict(model, adapter_name="ref", save_embedding_layers=False)
        found |= {f"ref.{name}": value for name, value in learned.items()}
    unique = {id(value): value for value in found.values()}  # tied weights are read once
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = dict(zip(unique, pool.map(_digest, unique.values()), strict=True))
    config = base.config.to_dict() if isinstance(base, PreTrainedModel) else None
    about = [type(base).__name__, precision, _numbers(config), _numbers(adapter)]
    told = [about, sorted((name, digests[id(value)]) for name, value in found.items())]
    return sha256(json.dumps(told, sort_keys=True, default=_as_json).encode()).hexdigest()


def _tensors(module: torch.nn.Module, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers by the names that they have without adapters; quantised weights with their scales."""
    if isinstance(module, BaseTunerLayer):
        module = module.get_base_layer()
    elif isinstance(module, AuxiliaryTrainingWrapper):
        module = module.original_module
    own: dict[str, Any] = {}
    module._save_to_state_dict(own, "", keep_vars=True)
    own |= {name: buffer for name, buffer in module._buffers.items() if buffer is not None}
    for name, value in own.items():
        _check_whole(prefix + name, value)
        yield prefix + name, value
    for name, child in module._modules.items():
        if child is not None:
            yield from _tensors(child, f"{prefix}{name}.")


def _check_whole(name: str, value: Any) -> None:
    whole = isinstance(value, torch.Tensor) and not value.is_meta and not value.is_quantized
    # The marks of DeepSpeed ZeRO-3, of DTensor (FSDP 2, tensor parallelism) and of FSDP 1.
    if not whole or hasattr(value, "ds_id") or hasattr(value, "full_tensor") or "_fsdp_wrapped_module" in name:
        raise UnreadableWeights(f"{name} is sharded, offloaded or no plain tensor, so the weights cannot be compared")


def _digest(value: torch.Tensor) -> str:
    """Of one tensor: type, dtype, shape and bytes; of a quantised one, those of the tensors that it is made of."""
    digest = sha256(f"{type(value.data).__name__} {value.dtype} {tuple(value.shape)}".encode())
    if hasattr(value, "__tensor_flatten__"):
        parts, context = value.__tensor_flatten__()
        digest.update(repr(context).encode())
        for part in parts:
            digest.update(_digest(getattr(value, part)).encode())
    else:
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _numbers(config: Any) -> Any:
    """A configuration, and those within it, without what changes no log-probability."""
    if isinstance(config, dict):
        return {str(key): _numbers(value) for key, value in config.items() if key not in _NOT_NUMBERS}
    return config


def _as_json(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


def pair_keys(dataset: Dataset, limits: Limits) -> list[bytes]:
    """A digest of each row: of the token ids of prompt and answers that TRL's collator keeps under `limits`.

    `dataset` has the columns prompt_ids, chosen_ids and rejected_ids of `data.tokens.encode`.
    """
    tables = dataset.select_columns(_IDS).with_format("arrow").iter(batch_size=10_000)
    return [key for table in tables for key in _table_keys(table.select(_IDS), limits)]


def _table_keys(table: pa.Table, limits: Limits) -> Iterator[bytes]:
    (prompts, prompt_starts, prompt_ends), *answers = (_lists(column) for column in table.columns)
    sides = []
    for ids, starts, ends in answers:
        kept = _kept(prompt_starts, prompt_ends, starts, ends, limits)
        sides.append((ids, np.stack(kept, axis=1).tolist()))
    for row in range(len(table)):
        digest = blake2b(digest_size=KEY_BYTES)
        for ids, kept in sides:
            start, end, answer_start, answer_end = kept[row]
            digest.update(b"%d %d " % (end - start, answer_end - answer_start))
            digest.update(prompts[start:end].data)
            digest.update(ids[answer_start:answer_end].data)
        yield digest.digest()


def _lists(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """A column of lists as the values of all rows, and where each row's start and end in them."""
    lists = column.combine_chunks()
    offsets = lists.offsets.to_numpy().astype(np.int64)
    offsets -= offsets[0]
    return lists.flatten().cast(pa.int32()).to_numpy(), offsets[:-1], offsets[1:]


def _kept(start: Any, end: Any, answer_start: Any, answer_end: Any, limits: Limits) -> tuple[Any, Any, Any, Any]:
    """The same bounds of prompt and answer, arrays over rows, once the collator has cut prompt + answer."""
    if limits.max_length is None:
        return start, end, answer_start, answer_end
    prompt, answer = end - start, answer_end - answer_start
    cut = np.maximum(0, prompt + answer - limits.max_length)
    if limits.keeps_end:
        return start + np.minimum(prompt, cut), end, answer_start + np.maximum(0, cut - prompt), answer_end
    return start, end - np.maximum(0, cut - answer), answer_start, answer_end - np.minimum(answer, cut)


@dataclass
class Segments:
    """What a process has read of a store: its next run reads only what is new."""

    values: dict[bytes, tuple[float, float]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    merged: set[str] = field(default_factory=set)  # the names of segments whose values are all in `values`


class ReferenceStore:
    """Log-probabilities of one reference in `runs/.shared/reference/<fingerprint>/`, by the keys of `pair_keys`.

    A segment is a Parquet file that appears whole, never changes, and is named by the SHA-256 of its bytes. So any
    number of processes add and find at once, without locks. Many segments are merged into one: it is there before the
    others go, and a reader that misses one of those looks again. A segment that is not what its name and this store's
    fingerprint say is never used, and `tell` gets one line about it. `segments` are those read before.
    """

    def __init__(
        self, shared: Path, fingerprint: str, tell: Callable[[str], None], segments: Segments | None = None
    ) -> None:
        self._folder = shared / FOLDER / fingerprint
        self._fingerprint = fingerprint.encode()
        self._tell = tell
        self._segments = segments or Segments()

    def find(self, keys: Sequence[bytes]) -> Logps:
        """Log-probabilities in nats of (chosen, rejected), shape (len(keys), 2); NaN where they are not known."""
        self._refresh()
        found = [self._segments.values.get(bytes(key), _UNKNOWN) for key in keys]
        return np.array(found, dtype=np.float64).reshape(len(keys), 2)

    def add(self, keys: Sequence[bytes], values: Logps) -> None:
        """Keeps the rows of `values`, shape (len(keys), 2), in nats, that are finite and new.

        Where the folder cannot be written, they are kept for this object only, and `tell` gets a line.
        """
        rows = zip(map(bytes, keys), map(tuple, values.tolist()), strict=True)
        new = {key: row for key, row in rows if all(map(math.isfinite, row)) and key not in self._segments.values}
        self._segments.values |= new
        try:
            self._write(new)
            if len(self._names()) > MANY:
                self._merge()
        except OSError as error:
            self._tell(f"{self._folder} cannot be written, so reference scores are not kept: {error.strerror}")

    def _write(self, values: dict[bytes, tuple[float, float]]) -> None:
        if not values:
            return
        columns = [list(values), *map(list, zip(*values.values(), strict=True))]
        # Two processes may compute the same values: the number keeps their files apart.
        about = {_FINGERPRINT: self._fingerprint, b"id": uuid4().bytes.hex()}
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns, schema=_SCHEMA.with_metadata(about)), sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        path = self._folder / f"{sha256(content).hexdigest()}.parquet"
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
        self._segments.read.add(path.name)
        self._segments.merged.add(path.name)

    def _merge(self) -> None:
        """Writes all that is known as one segment, then removes the segments that it was read from."""
        self._refresh()
        old = self._segments.merged & self._names()
        if len(old) > MANY:
            self._write(self._segments.values)
            for name in old:
                (self._folder / name).unlink(missing_ok=True)
            self._segments.merged -= old

    def _names(self) -> set[str]:
        return {path.name for path in self._folder.glob("*.parquet")}

    def _refresh(self) -> None:
        """Reads the segments that are new; again when one was merged away in between."""
        while new := self._names() - self._segments.read:
            for name in sorted(new):
                self._segments.read.add(name)
                try:
                    self._take(name, self._load(self._folder / name))
                except FileNotFoundError:
                    continue
                except (OSError, pa.ArrowException, ValueError) as error:
                    self._tell(f"{self._folder / name} is not used: {str(error).splitlines()[0]}")

    def _take(self, name: str, table: pa.Table) -> None:
        keys, *logps = (column.to_pylist() for column in table.columns)
        fresh = dict(zip(keys, zip(*logps, strict=True), strict=True))
        self._segments.values = fresh | self._segments.values  # what was found once does not change
        self._segments.merged.add(name)

    def _load(self, path: Path) -> pa.Table:
        """Raises ValueError, OSError or ArrowException for a segment that cannot be trusted."""
        content = path.read_bytes()
        if sha256(content).hexdigest() != path.stem:
            raise ValueError("its content does not have the checksum in its name")
        table = pq.read_table(pa.BufferReader(content))
        if (table.schema.metadata or {}).get(_FINGERPRINT) != self._fingerprint:
            raise ValueError("it belongs to other weights")
        if not table.schema.equals(_SCHEMA):
            raise ValueError("its columns are not those of reference scores")
        if not all(np.isfinite(table[name].to_numpy()).all() for name in _SCHEMA.names[1:]):
            raise ValueError("it has log-probabilities that are not finite")
        return table
