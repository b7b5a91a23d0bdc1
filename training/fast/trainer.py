"""TRL's DPO trainer without a reference model: its scores come from the store, computed where nobody has before."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers.trainer_utils import EvalLoopOutput
from trl import DPOTrainer
from trl.trainer import dpo_trainer

from training.fast import batches
from training.fast.references import COLUMNS, References
from training.kept import Kept
from training.watch import untrained_loss

_OF_BATCHES = frozenset({"aot", "aot_unpaired", "sft"})  # loss types in which a pair's loss depends on its batch


class ReferenceTrainer(DPOTrainer):
    """DPOTrainer with reference scores of `references`; without them it is TRL's own.

    With them no reference model is loaded, evaluations go by batches of as many tokens as pay off, and an evaluation
    before training that another run of this process has made (`kept`) is not made again: the policy is its reference.
    `head` takes the place of TRL's add_fused_lm_head. Raises RuntimeError for a training batch that was not foreseen.
    """

    def __init__(
        self,
        *args: Any,
        references: References | None = None,
        head: Callable[..., None] | None = None,
        kept: Kept | None = None,
        **options: Any,
    ) -> None:
        self.references = references
        self._kept = kept or Kept()
        ours: dict[str, Any] = {"add_fused_lm_head": head} if head else {}
        if references:  # which have a fingerprint of their own
            ours["hash_module"] = lambda _: None
        with patch.multiple(dpo_trainer, **ours) if ours else nullcontext():
            super().__init__(*args, **options)

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        if self.references is None:
            return super()._precompute_ref_logps(dataset, name, batch_size)
        return self.references.columns(self, dataset, name)

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> torch.Tensor:
        if self.references and any(bool(inputs[column].isnan().any()) for column in COLUMNS):
            raise RuntimeError("training came to a pair without reference score, out of its order; use --fast false")
        loss: torch.Tensor = super().training_step(model, inputs, *args, **options)
        return loss

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        if not self._packs_batches():
            return super().get_eval_dataloader(eval_dataset)
        sizes = batches.positions(self.eval_dataset, self.args.max_length)
        room = batches.budget(sizes, self.args.eval_batch_size, self.args.device.type)
        sampler = batches.token_batches(sizes, room)
        loader = DataLoader(self.eval_dataset, batch_sampler=sampler, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)

    def _packs_batches(self) -> bool:
        """Whether evaluations may go by other batches than TRL's."""
        is_split = self.args.world_size > 1 or self.accelerator.split_batches
        return self.references is not None and not is_split and not _OF_BATCHES.intersection(self.loss_types)

    def evaluation_loop(self, *args: Any, **options: Any) -> EvalLoopOutput:
        loss = untrained_loss(self.args, self.model)
        if self.references is None or self.state.global_step or loss is None:
            return super().evaluation_loop(*args, **options)
        batches_by = self.args.eval_batch_size, self._packs_batches()  # of a pair's logits, means of means are logged
        start = (self.references.fingerprint, self.references.digest, *batches_by)
        metrics = self._kept.find("start", start)
        if metrics is None:
            output = super().evaluation_loop(*args, **options)
            self._kept.keep("start", start, dict(self._metrics["eval"]))
            return output
        self._metrics["eval"] = defaultdict(list, metrics)
        self.model.eval()
        return EvalLoopOutput(None, None, {"eval_loss": loss}, len(self.eval_dataset))
