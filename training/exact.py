"""Means over evaluation pairs, each pair once, from their log-probabilities."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.record import metrics as names


def exact_metrics(scores: pa.Table, beta: float) -> dict[str, float]:
    """Means over pairs of DPO's implicit rewards, in nats x beta, and the reward accuracy, ties counting half.

    The reward of an answer is beta * (log policy - log reference), summed over its tokens (Rafailov et al. 2023,
    arXiv:2305.18290, section 4). `scores` has the columns SCORE_COLUMNS. Metrics are named without split.
    """
    chosen = pc.subtract(scores["chosen_logp"], scores["ref_chosen_logp"])
    rejected = pc.subtract(scores["rejected_logp"], scores["ref_rejected_logp"])
    margin = pc.subtract(chosen, rejected)
    right = pc.add(pc.cast(pc.greater(margin, 0), "float64"), pc.multiply(pc.cast(pc.equal(margin, 0), "float64"), 0.5))
    accuracy = float("nan") if pc.any(pc.is_nan(margin)).as_py() else pc.mean(right).as_py()
    return {
        names.CHOSEN: beta * pc.mean(chosen).as_py(),
        names.REJECTED: beta * pc.mean(rejected).as_py(),
        names.MARGIN: beta * pc.mean(margin).as_py(),
        names.ACCURACY: accuracy,
        names.LOGPS_CHOSEN: pc.mean(scores["chosen_logp"]).as_py(),
        names.LOGPS_REJECTED: pc.mean(scores["rejected_logp"]).as_py(),
    }


def common_beta_loss(scores: pa.Table, beta: float) -> float:
    """Mean of softplus(-beta h), h in nats: the sigmoid loss at one beta, whatever beta the run was trained with."""
    policy, reference = (
        pc.subtract(scores[f"{model}chosen_logp"], scores[f"{model}rejected_logp"]) for model in ("", "ref_")
    )
    h = pc.subtract(policy, reference).to_numpy()
    return float(np.logaddexp(0.0, -beta * h).mean())
