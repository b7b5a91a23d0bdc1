"""The implicit reward of each token of a pair's answers: which words the policy learned to say, and which to avoid."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from trl.trainer.dpo_trainer import DataCollatorForPreference

from training.data import transcripts
from training.data.pairs import Pair, PreferenceError
from training.data.tokens import encode
from training.generating import trained
from training.generating.models import Models, lacks_memory
from training.generating.pieces import pieces
from training.generating.protocol import Refused
from training.generating.serving import Job
from training.generating.trained import Trained


@dataclass(frozen=True)
class TokenRewards:
    """Handler of "token_rewards": beta * (log policy - log reference) of each token of two answers, in nats x beta.

    The tokens are those that training scored, of the same pair: its two answers decide together what is cut of their
    prompt. So an answer's sum is its reward in scores/step-N.parquet (Rafailov et al. 2023, arXiv:2305.18290,
    section 4). Tokens that share a character are one entry.
    """

    models: Models

    def __call__(self, job: Job) -> Mapping[str, Any]:
        """Raises Refused if the rewards cannot be had."""
        content = job.request.content
        pair = _pair(content)
        asked = trained.read(_directory(content), _which(content.get("checkpoint")))
        try:
            found = self._rewards(asked, pair, job)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            self.models.clear()
            raise Refused("out of memory: there is too little for the model of this run; end other programs") from error
        except OSError as error:
            raise Refused(f"{asked.run} has replaced {asked.checkpoint.name} meanwhile, ask again: {error}") from error
        totals = [sum(rewards) for _, rewards in found]
        texts, rewards = ([list(column) for column in columns] for columns in zip(*found, strict=True))
        return {"tokens": texts, "rewards": rewards, "totals": totals, "checkpoint": asked.checkpoint.name}

    def _rewards(self, asked: Trained, pair: Pair, job: Job) -> list[tuple[list[str], list[float]]]:
        tokenizer = _tokenizer(asked.checkpoint, asked.checkpoint.stat().st_mtime_ns)
        batch, logps = self._of_policy(asked, pair, tokenizer, job)
        logps -= self._of_reference(asked, batch, job)
        scored = batch["completion_mask"][:, 1:] == 1  # no token is before the first: that one has no probability
        if not bool(logps[scored].isfinite().all()):
            raise Refused(f"{asked.run}, {asked.checkpoint.name}: log-probabilities are not finite; training diverged")
        rows = zip(batch["input_ids"][:, 1:], asked.beta * logps, scored, strict=True)
        return [_joined(tokenizer, ids[mask].tolist(), values[mask].tolist()) for ids, values, mask in rows]

    # One model at a time: where both do not fit, the policy must be gone before the reference comes.
    def _of_policy(
        self, asked: Trained, pair: Pair, tokenizer: PreTrainedTokenizerBase, job: Job
    ) -> tuple[dict[str, Tensor], Tensor]:
        with self.models.policy(asked) as policy:
            job.check()
            batch = _batch(asked, pair, tokenizer, policy.config.is_encoder_decoder)
            return batch, _log_probs(policy, batch)

    def _of_reference(self, asked: Trained, batch: dict[str, Tensor], job: Job) -> Tensor:
        job.check()
        with self.models.reference(asked) as reference:
            job.check()
            return _log_probs(reference, batch)


def _directory(content: Mapping[str, Any]) -> Path:
    run = content.get("run")
    if not isinstance(run, str) or "\0" in run or not Path(run).is_absolute():
        raise Refused('"run" is not the whole path of a run\'s folder')
    return Path(run)


def _which(stated: object) -> trained.Which:
    if stated is None or (isinstance(stated, int) and not isinstance(stated, bool)):
        return stated
    if stated == trained.BEST:
        return "best"
    raise Refused('"checkpoint" is neither "best" nor a step')


def _pair(content: Mapping[str, Any]) -> Pair:
    """Prompt and answers as pairs.parquet has them, text or messages."""
    answers = content.get("answers")
    if not isinstance(answers, list) or len(answers) != 2:
        raise Refused('"answers" are not the two of a pair')
    pair = dict(zip(("prompt", "chosen", "rejected"), (content.get("prompt"), *answers), strict=True))
    for name, side in pair.items():
        if not _is_side(side) or isinstance(side, str) != isinstance(pair["prompt"], str):
            raise Refused(f"the {name} of this pair is not like its prompt, a text or messages of role and content")
    return pair


def _is_side(value: Any) -> bool:
    if isinstance(value, str):
        return True
    is_list = isinstance(value, list) and bool(value)
    return is_list and all(
        isinstance(turn, dict) and all(isinstance(turn.get(key), str) for key in ("role", "content")) for turn in value
    )


@lru_cache(maxsize=8)
def _tokenizer(checkpoint: Path, _changed: int) -> PreTrainedTokenizerBase:
    """The tokenizer that was kept with a checkpoint."""
    try:
        return AutoTokenizer.from_pretrained(str(checkpoint), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise Refused(
            f"the tokenizer of {checkpoint} cannot be loaded: {' '.join(str(error).split())[:300]}"
        ) from error


def _batch(asked: Trained, pair: Pair, tokenizer: PreTrainedTokenizerBase, encoder_decoder: bool) -> dict[str, Tensor]:
    """The pair as TRL's collator gives it to the model: two rows, the first answer's and the second's."""
    try:
        formed = transcripts.formatter(tokenizer, asked.data).pair(pair)
        if isinstance(formed, str):
            raise Refused(f"training left such a pair out: {formed}")
        encoded = encode([formed], tokenizer, asked.limits, encoder_decoder)
    except (PreferenceError, TemplateError) as error:
        raise Refused(f"the pair cannot be brought into the model's form: {error}") from error
    if not encoded.kept:
        raise Refused(
            f"the prompt is too long: it fills all {asked.limits.max_length} tokens that {asked.run} was trained on "
            "(--max_length), and no token of an answer is left"
        )
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    collate = DataCollatorForPreference(padding, asked.limits.max_length, asked.limits.truncation_mode)
    found: dict[str, Tensor] = collate([encoded.dataset[0]])
    return found


@torch.no_grad()
def _log_probs(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """Log-probabilities in nats, shape (2, length - 1), of each row's tokens but the first; 0 where none is scored."""
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "labels": labels}
    output = model(**{name: x.to(model.device) for name, x in inputs.items()}, use_cache=False, fused_lm_head=True)
    return output.log_probs.double().cpu()  # type: ignore[no-any-return]


def _joined(tokenizer: PreTrainedTokenizerBase, ids: list[int], rewards: list[float]) -> tuple[list[str], list[float]]:
    """The texts of these tokens, and their rewards; of tokens that share a text, the sum."""
    texts, sums, start = [], [], 0
    for text, count in pieces(tokenizer, ids):
        texts.append(text)
        sums.append(sum(rewards[start : start + count]))
        start += count
    return texts, sums
