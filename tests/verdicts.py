"""Runs to be judged, by means alone or with per-pair scores: shared by the tests of the verdict and its parts."""

from dataclasses import replace

import numpy as np
from scored import margins, scored

from dashboard.analysis import common_beta
from dashboard.analysis.comparability import EvaluationSet
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.study import Evidence, Study, study
from training.record.schema import Run


def run(name: str, accuracy: float = 0.8, loss: float = 0.5, n: int | None = 1000, **about) -> Run:
    """A finished run by its means; beside the fields of `Run`, `about` may have its `config`."""
    metrics = {EVAL_LOSS: loss, EVAL_ACCURACY: accuracy}
    return Run(name, name, "export.csv", **{"status": "finished", "metrics": metrics, "n_eval": n, "step": 10, **about})


def together(*runs: Run, proven: bool = True) -> EvaluationSet:
    return EvaluationSet("the same pairs", tuple(runs), proven)


def with_scores(name: str, h, prompts=None, beta: float = 0.1, pairs=None, **about) -> Evidence:
    """A run of the sigmoid loss with these margins, in nats, at its last evaluation, and the means of them."""
    h = np.asarray(h, dtype=np.float64)
    found = scored(h, prompts, pairs)
    config = {"beta": beta, "loss_type": ["sigmoid"], **about.pop("config", {})}
    means = {"accuracy": float(found.right.mean()), "loss": common_beta.loss(h, beta)}
    made = run(name, **{**means, **about}, n=len(h), config=config)
    return Evidence(made, scores={10: replace(found, step=10)})


def right(count: int, n: int = 100, size: float = 10.0):
    """Margins of n pairs, of which the first `count` are right."""
    return np.where(np.arange(n) < count, size, -size)


def drawn(seed: int, n: int, truths, per_prompt: int = 1, scores: bool = True, beta: float = 0.1) -> Study:
    """Runs that are right on a pair with probability `truths`, all on the same n pairs."""
    h, prompts = margins(np.random.default_rng(seed), n, truths, per_prompt=per_prompt)
    found = [with_scores(f"run {i}", 10 * row, prompts, beta) for i, row in enumerate(h)]
    return study(found if scores else [Evidence(one.run) for one in found])
