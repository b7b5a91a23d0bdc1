"""Log-probabilities of every evaluation pair, exactly, from the forward passes that TRL's evaluation makes anyway."""

import functools
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from datasets import Dataset
from peft import PeftModel

from training import checkpoints
from training.data.tokens import Limits, kept_tokens
from training.exact import exact_metrics
from training.fast.references import COLUMNS as REFERENCE
from training.fast.trainer import ReferenceTrainer
from training.record import metrics as names
from training.record.writer import SCORE_COLUMNS
from training.system import Throughput
from training.watch import MARGIN_ERROR, Diverged, check_finite, precision

PAIR_INDEX = "pair_index"
SIDES = ("chosen", "rejected")
_MEANS_OF_MEANS = ("rewards/", "logps/")

Evaluated = Callable[[int, pa.Table], Mapping[str, float]]


class ScoringTrainer(ReferenceTrainer):
    """TRL's DPO trainer whose evaluations score every pair once, and whose checkpoints are whole or not there.

    Its data sets come tokenised (`data.tokens.encode`); the evaluation set with a column `pair_index` (0, 1, ...;
    position in `pair_ids`). After an evaluation `scores` has one row per pair, in the columns of SCORE_COLUMNS. The log
    carries exact means over pairs under the standard keys; TRL's own means of batch means move to `eval_trl/...`.
    `evaluated(step, scores)` may add metrics to the log. `limits` are those that the data was encoded with.
    Raises Diverged while training, as soon as the loss or a weight is not finite.
    """

    precompute_ref_logps: bool

    def __init__(
        self,
        *args: Any,
        pair_ids: Sequence[str],
        limits: Limits,
        evaluated: Evaluated | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.data_collator: Callable[..., dict[str, Any]] = _with_pair_index(self.data_collator)
        self.scores: pa.Table = SCORE_COLUMNS.empty_table()
        self.throughput = Throughput()
        self.checkpoint_appears: Callable[[Path], None] = lambda _: None
        self._pair_ids = pair_ids
        self._limits = limits
        self._evaluated = evaluated
        self._scored: dict[int, list[float]] = {}
        self._losses: list[tuple[float, int]] = []
        self._reference: dict[int, list[float]] = {}

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def remember(self, scores: pa.Table) -> None:
        """Takes the reference's log-probabilities from an evaluation of before, with the columns SCORE_COLUMNS."""
        columns = (scores[f"ref_{side}_logp"].to_pylist() for side in SIDES)
        known = dict(zip(scores["pair_id"].to_pylist(), zip(*columns, strict=True), strict=True))
        if known.keys() == set(self._pair_ids):
            self._reference = {index: list(known[identity]) for index, identity in enumerate(self._pair_ids)}

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if PAIR_INDEX not in self._signature_columns:
            self._signature_columns.append(PAIR_INDEX)

    def count_tokens_from(self, seen: int) -> None:
        """Lets TRL's `num_tokens` go on from what a resumed run had trained on."""
        self._total_train_tokens = seen

    def restore(self, checkpoint: Path) -> None:
        """Takes over weights and state of a run whose training is over, to evaluate them."""
        self._load_from_checkpoint(os.fspath(checkpoint))
        self.state = checkpoints.state(checkpoint)
        self.state.is_world_process_zero = self.is_world_process_zero()

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(model, inputs, *args, **options)
        mask = inputs["attention_mask"]
        seen = torch.tensor([float(loss), len(mask) / 2, float(mask.sum())], device=loss.device)
        total, pairs, tokens = self.accelerator.reduce(seen, "sum")  # one process's NaN is everybody's
        check_finite(float(total), self.state.global_step + 1)
        self.throughput.count(int(pairs), int(tokens))
        return loss

    def prediction_step(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        indices = inputs[PAIR_INDEX]
        result, rows = self._score(model, inputs, *args, **options)
        gathered = self.accelerator.gather(rows).tolist()
        fresh = {int(row[0]): row[1:] for row in gathered if int(row[0]) not in self._scored}
        if len(fresh) == len(gathered):
            loss = float(self.accelerator.gather(result[0]).mean())
        else:  # the last batches of several processes are filled up with pairs that were scored before
            loss = self._mean_loss(model, list(fresh), len(indices))
        self._scored |= fresh
        self._losses.append((loss, len(fresh)))
        return result

    def _mean_loss(self, model: Any, indices: list[int], batch_size: int) -> float:
        """The mean loss over these pairs, by forward passes that leave no trace in TRL's own metrics."""
        place = {index: at for at, index in enumerate(self._column(PAIR_INDEX))}
        kept, self._metrics["eval"] = self._metrics["eval"], defaultdict(list)
        total = 0.0
        for start in range(0, len(indices), batch_size):
            chunk = indices[start : start + batch_size]
            inputs = self.data_collator([self.eval_dataset[place[index]] for index in chunk])
            total += float(self._score(model, inputs, True)[0][0]) * len(chunk)
        self._metrics["eval"] = kept
        return total / max(1, len(indices))

    def _score(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> tuple[Any, torch.Tensor]:
        """TRL's prediction step, and a row per pair, shape (pairs, 5): its index and four log-probabilities in nats."""
        index = inputs.pop(PAIR_INDEX)
        known = self._known_reference(index)
        if known is not None:
            inputs |= {f"ref_{side}_logps": logps.float() for side, logps in zip(SIDES, known.T, strict=True)}
        computed = self.precompute_ref_logps
        self.precompute_ref_logps = computed or known is not None
        try:
            with self._forwards() as sums:
                result = super().prediction_step(model, inputs, *args, **options)
        finally:
            self.precompute_ref_logps = computed
        if known is not None:
            reference = list(known.T)
        elif computed:
            reference = self._stored_reference(inputs, sums[0])
        else:
            reference = list(sums[1].chunk(2))
        columns = [index, *sums[0].chunk(2), *reference]
        return result, torch.stack([column.to(sums[0].device, torch.float64) for column in columns], dim=1)

    def _stored_reference(self, inputs: dict[str, Any], policy: torch.Tensor) -> list[torch.Tensor]:
        """The batch's columns; before training the policy's own values, as far as rounding explains the difference."""
        stored = [inputs[column] for column in REFERENCE]
        if self.state.global_step == 0:
            own = list(policy.chunk(2))
            error = max(float((mine - theirs).abs().max()) for mine, theirs in zip(own, stored, strict=True))
            if error <= MARGIN_ERROR[precision(self.args, self.model)]:
                return own
        return stored

    def _known_reference(self, index: torch.Tensor) -> torch.Tensor | None:
        """The reference's log-probabilities of these pairs, shape (pairs, 2), from the evaluation before, if any.

        They never change, unless the reference is told to follow the policy.
        """
        if not self._reference or self.args.sync_ref_model or self.ld_alpha is not None:
            return None
        return torch.tensor([self._reference[int(i)] for i in index], dtype=torch.float64, device=self.args.device)

    @contextmanager
    def _forwards(self) -> Iterator[list[torch.Tensor]]:
        """Collects the log-probability of each sequence, shape (2 * pairs,): the policy's, then the reference's."""
        sums: list[torch.Tensor] = []

        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            sums.append(output.log_probs.detach().double().sum(dim=1))

        policy = self.accelerator.unwrap_model(self.model)
        modules = [policy.get_base_model() if isinstance(policy, PeftModel) else policy]
        if self.ref_model is not None:
            modules.append(self.accelerator.unwrap_model(self.ref_model))
        hooks = [module.register_forward_hook(keep) for module in modules]
        try:
            yield sums
        finally:
            for hook in hooks:
                hook.remove()

    def evaluation_loop(self, *args: Any, **options: Any) -> Any:
        self._scored, self._losses = {}, []
        output = super().evaluation_loop(*args, **options)
        if not self._scored:  # before training, and known: every pair scores as under the reference
            columns = (self._column(name) for name in (PAIR_INDEX, *REFERENCE))
            self._scored = {index: [*pair, *pair] for index, *pair in zip(*columns, strict=True)}
            self._losses = [(output.metrics["eval_loss"], len(self._scored))]
        self.scores = self._table()
        return output

    def _table(self) -> pa.Table:
        """One row per pair, in the order of `pair_ids`."""
        self._reference = {index: row[2:] for index, row in self._scored.items()}
        lengths = self._lengths
        columns = zip(
            *([self._pair_ids[index], *self._scored[index], *lengths[index]] for index in sorted(self._scored)),
            strict=True,
        )
        return pa.table(list(map(list, columns)), schema=SCORE_COLUMNS)

    def _column(self, name: str) -> list[Any]:
        """A column of the evaluation set; `datasets` itself would go row by row."""
        found: list[Any] = self.eval_dataset.data.table[name].to_pylist()
        return found

    @functools.cached_property
    def _lengths(self) -> dict[int, tuple[int, int, bool, bool]]:
        """Per pair: tokens of chosen and of rejected that are scored, and whether each was cut."""
        table = self.eval_dataset.data.table
        lengths = (pc.list_value_length(table[f"{part}_ids"]).to_pylist() for part in ("prompt", *SIDES))
        found = {}
        for index, prompt, *full in zip(self._column(PAIR_INDEX), *lengths, strict=True):
            chosen, rejected = (kept_tokens(prompt, length, self._limits) for length in full)
            found[index] = (chosen, rejected, chosen < full[0], rejected < full[1])
        return found

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if not all(bool(p.isfinite().all()) for p in self.model.parameters() if p.requires_grad):
            raise Diverged(self.state.global_step)
        if self.args.include_num_input_tokens_seen == "no":  # a place that Trainer leaves free then
            self.state.num_input_tokens_seen = int(self._total_train_tokens)
        with checkpoints.staged(self, self.checkpoint_appears):
            super()._save_checkpoint(model, trial)

    def _save(self, output_dir: str | None = None, *args: Any, **options: Any) -> None:
        super()._save(output_dir, *args, **options)
        pickled = Path(output_dir or self.args.output_dir) / "training_args.bin"
        if self.args.should_save:
            pickled.unlink(missing_ok=True)  # nothing of ours reads it, and nobody should load a pickle

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """TRL's card says nothing true of a model that was loaded from a folder."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "eval_loss" in logs:
            renamed = {_trl_name(key): value for key, value in self._metrics["eval"].items()}
            self._metrics["eval"] = defaultdict(list, renamed)
            logs["eval_trl/loss"] = logs["eval_loss"]
            exact = exact_metrics(self.scores, self.beta)
            exact[names.LOSS] = sum(loss * n for loss, n in self._losses) / sum(n for _, n in self._losses)
            if self._evaluated is not None:
                exact.update(self._evaluated(self.state.global_step, self.scores))
            logs.update({f"eval_{name}": value for name, value in exact.items()})
        elif "loss" in logs:
            logs.update(self.throughput.take())
        super().log(logs, start_time)


def _trl_name(key: str) -> str:
    return f"trl/{key}" if key.startswith(_MEANS_OF_MEANS) else key


def _with_pair_index(collate: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def collate_with_index(examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = collate(examples)
        if PAIR_INDEX in examples[0]:
            batch[PAIR_INDEX] = torch.tensor([example[PAIR_INDEX] for example in examples])
        return batch

    return collate_with_index
