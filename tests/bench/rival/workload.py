"""Models with random weights and pairs of random tokens, of the sizes that are measured against stock TRL."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel
from trl import DPOConfig, DPOTrainer

from training.arguments import EMBEDDED_MODEL
from training.data.tokens import Limits
from training.fast.forward import PairForward
from training.fast.references import References
from training.kept import Kept
from training.scoring import PAIR_INDEX, ScoringTrainer


@dataclass(frozen=True)
class Workload:
    """A model's size, and log-normal lengths (median, sigma of the logarithm) of prompts and answers, in tokens.

    `steps` training steps and a pass over `evaluation` pairs are measured.
    """

    layers: int
    width: int
    heads: int
    vocabulary: int
    prompt: tuple[float, float]
    answer: tuple[float, float]
    steps: int
    evaluation: int


WORKLOADS = {
    "long": Workload(6, 384, 6, 50257, prompt=(180, 0.4), answer=(120, 0.4), steps=3, evaluation=32),
    "short": Workload(4, 256, 4, 8192, prompt=(24, 0.4), answer=(28, 0.4), steps=20, evaluation=320),
}
LONGEST = 1024
BATCH = 8  # pairs; TRL's default for training and evaluation


def save_model(work: Workload, folder: Path) -> Path:
    """A GPT-2 of this size with random weights, and the built-in tokenizer, in a folder."""
    torch.manual_seed(0)
    about = GPT2Config(
        vocab_size=work.vocabulary,
        n_positions=LONGEST,
        n_embd=work.width,
        n_layer=work.layers,
        n_head=work.heads,
        bos_token_id=1,
        eos_token_id=1,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    GPT2LMHeadModel(about).save_pretrained(folder)
    AutoTokenizer.from_pretrained(EMBEDDED_MODEL).save_pretrained(folder)
    return folder


def pairs(work: Workload, count: int, seed: int) -> Dataset:
    """Tokenised pairs; every prompt and answer has its own length."""
    draw = np.random.default_rng(seed)

    def ids(median: float, sigma: float) -> list[int]:
        length = int(np.clip(draw.lognormal(np.log(median), sigma), 4, LONGEST // 3))
        return draw.integers(2, work.vocabulary, length).tolist()

    rows = [
        {"prompt_ids": ids(*work.prompt), "chosen_ids": ids(*work.answer), "rejected_ids": ids(*work.answer)}
        for _ in range(count)
    ]
    return Dataset.from_list(rows)


class Stock(DPOTrainer):
    """TRL's DPOTrainer as it is, on data that is tokenised already."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def config(folder: Path, **more: Any) -> DPOConfig:
    """The arguments of both trainers."""
    return DPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        max_length=LONGEST,
        learning_rate=1e-5,
        gradient_checkpointing=False,
        report_to="none",
        bf16=False,
        use_cpu=True,
        disable_tqdm=True,
        **more,
    )


def stock(model: Path, train: Dataset, evaluation: Dataset, folder: Path) -> DPOTrainer:
    tokenizer = AutoTokenizer.from_pretrained(model)
    return Stock(
        str(model),
        args=config(folder),
        train_dataset=train,
        eval_dataset=evaluation,
        processing_class=tokenizer,
    )


def ours(model: Path, train: Dataset, evaluation: Dataset, folder: Path) -> ScoringTrainer:
    """What `training.trainer.build` makes with --fast, over a store that is filled here."""
    limits = Limits(LONGEST)
    count = len(evaluation)
    return ScoringTrainer(
        str(model),
        args=config(folder, precompute_ref_log_probs=True),
        train_dataset=train,
        eval_dataset=evaluation.add_column(PAIR_INDEX, list(range(count))),
        processing_class=AutoTokenizer.from_pretrained(model),
        pair_ids=[str(index) for index in range(count)],
        limits=limits,
        references=References(folder / ".shared", limits, Kept(), str(model), print),
        head=PairForward(print).install,
    )
