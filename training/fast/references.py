"""The reference's log-probabilities of the pairs that a run sees: from the store, computed where it lacks them."""

import math
from collections.abc import Callable, Hashable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from accelerate.data_loader import SeedableRandomSampler
from accelerate.utils import gather_object
from datasets import Dataset

from training import processes
from training.data.tokens import Limits
from training.fast import batches
from training.kept import Kept
from training.reference import ReferenceStore, Segments, fingerprint, pair_keys

COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")
CHUNK = 64  # batches between two entries in the store: what a kill costs

Logps = npt.NDArray[np.float64]


class References:
    """Gives a trainer's data sets TRL's columns of reference log-probabilities.

    `base` names the model as it was loaded. `counts` says, for each data set, how many pairs were `found` in the store
    and how many were `computed`; `digest` is the content of the evaluation set, as the models see it.
    """

    def __init__(self, shared: Path, limits: Limits, kept: Kept, base: Hashable, tell: Callable[[str], None]) -> None:
        self.counts: dict[str, dict[str, int]] = {}
        self.fingerprint = ""
        self.digest = ""
        self._shared = shared
        self._limits = limits
        self._kept = kept
        self.base = base
        self._tell = tell
        self._store: ReferenceStore | None = None

    def columns(self, trainer: Any, dataset: Dataset, name: str) -> Dataset:
        """`dataset` with the columns; NaN where training ends before it comes to a pair."""
        keys = self._kept.get(
            "pair keys", (dataset._fingerprint, self._limits), lambda: pair_keys(dataset, self._limits)
        )
        if name == "eval":
            self.digest = sha256(b"".join(bytes(key) for key in keys)).hexdigest()
        store = self._store = self._store or self._opened(trainer)
        known: Logps = processes.agreed(lambda: store.find(keys))
        wanted = np.arange(len(keys)) if name == "eval" else _to_be_seen(trainer, dataset)
        missing = wanted[np.isnan(known[wanted, 0])]
        for rows, values in self._compute(trainer, dataset, missing):
            known[rows] = np.where(np.isfinite(values), values, np.inf)  # computed: a loss that is not finite says so
            if processes.is_first():
                store.add([keys[row] for row in rows], values)
        self.counts[name] = {"found": len(wanted) - len(missing), "computed": len(missing)}
        table = dataset.data.table
        for column, values in zip(COLUMNS, known.T, strict=True):
            table = table.append_column(column, pa.array(values))
        return Dataset(table, fingerprint=f"{dataset._fingerprint}-{self.fingerprint}")  # else hashed at a high price

    def _opened(self, trainer: Any) -> ReferenceStore:
        precision = f"{trainer.model.dtype}, {trainer.accelerator.mixed_precision}"
        base = (self.base, precision)
        self.fingerprint = self._kept.get("fingerprint", base, lambda: fingerprint(trainer.model, precision))
        segments = self._kept.get("reference", (str(self._shared), self.fingerprint), Segments, most=2)
        return ReferenceStore(self._shared, self.fingerprint, self._tell, segments)

    def _compute(
        self, trainer: Any, dataset: Dataset, missing: npt.NDArray[np.int64]
    ) -> Iterator[tuple[list[int], Logps]]:
        """Log-probabilities of these rows, some at a time, shape (rows, 2); the same in every process."""
        if not len(missing):
            return
        sizes = batches.positions(dataset, self._limits.max_length)[missing]
        room = batches.budget(sizes, trainer.args.per_device_eval_batch_size, trainer.args.device.type)
        todo = [missing[batch].tolist() for batch in batches.token_batches(sizes, room)]
        count, own = trainer.accelerator.num_processes, trainer.accelerator.process_index
        for start in range(0, len(todo), CHUNK * count):
            mine = todo[start : start + CHUNK * count][own::count]
            found = [(rows, self._batch(trainer, dataset, rows)) for rows in mine]
            everyone = gather_object(found)
            yield [row for rows, _ in everyone for row in rows], np.concatenate([values for _, values in everyone])

    def _batch(self, trainer: Any, dataset: Dataset, rows: list[int]) -> Logps:
        inputs = trainer._prepare_inputs(trainer.data_collator([dataset[row] for row in rows]))
        logps = trainer.compute_ref_log_probs(trainer.model, inputs)
        found: Logps = torch.stack(logps, dim=1).double().cpu().numpy()
        return found


def _to_be_seen(trainer: Any, dataset: Dataset) -> npt.NDArray[np.int64]:
    """The rows that training comes to: all, unless it ends within the first epoch and its order can be told."""
    args = trainer.args
    steps = args.max_steps
    if steps <= 0:
        steps = math.ceil(args.num_train_epochs * len(dataset))
    pairs = steps * args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    if pairs < len(dataset):
        sampler = trainer.get_train_dataloader().batch_sampler
        while not isinstance(sampler, SeedableRandomSampler) and sampler is not None:
            sampler = getattr(sampler, "sampler", None) or getattr(sampler, "batch_sampler", None)
        if sampler is not None:
            return np.sort(np.fromiter(sampler, dtype=np.int64)[:pairs])
    return np.arange(len(dataset))
