"""Metrics of an evaluation are exact means over its pairs."""

import math

import pyarrow as pa
import pytest

from training.exact import common_beta_loss, exact_metrics
from training.record.writer import SCORE_COLUMNS


def table(margins: list[float]):
    """Pairs whose log-ratio of chosen is the margin, and of rejected zero."""
    n = len(margins)
    columns = [[str(i) for i in range(n)], [m - 5.0 for m in margins], [-7.0] * n, [-5.0] * n, [-7.0] * n]
    return pa.table([*columns, [1] * n, [1] * n, [False] * n, [False] * n], schema=SCORE_COLUMNS)


def test_ties_count_half():
    """Margins 2, 0, -1, 3: right, half, wrong, right: (1 + 0.5 + 0 + 1) / 4 = 0.625."""
    assert exact_metrics(table([2.0, 0.0, -1.0, 3.0]), beta=0.1)["rewards/accuracies"] == 0.625


def test_an_untrained_policy_is_at_one_half():
    found = exact_metrics(table([0.0] * 7), beta=0.1)
    assert (found["rewards/accuracies"], found["rewards/margins"]) == (0.5, 0.0)


def test_rewards_are_beta_times_mean_log_ratio():
    """Log-ratios of chosen 2, 0, -1, 3: mean 1, times 0.5; of rejected 0."""
    found = exact_metrics(table([2.0, 0.0, -1.0, 3.0]), beta=0.5)
    assert (found["rewards/chosen"], found["rewards/rejected"], found["rewards/margins"]) == (0.5, 0.0, 0.5)
    assert (found["logps/chosen"], found["logps/rejected"]) == (-4.0, -7.0)


def test_a_diverged_policy_is_nan_not_wrong():
    found = exact_metrics(table([1.0, math.nan]), beta=0.1)
    assert math.isnan(found["rewards/accuracies"])
    assert math.isnan(found["rewards/margins"])


def test_the_loss_at_a_common_beta_is_the_mean_of_softplus_of_minus_beta_h():
    """h = 2 and 0 nats at beta 0.5: (ln(1 + e^-1) + ln 2) / 2 = (0.31326 + 0.69315) / 2 = 0.50320."""
    assert common_beta_loss(table([2.0, 0.0]), 0.5) == pytest.approx(0.50320, abs=1e-5)


def test_the_loss_at_a_common_beta_stays_finite_for_any_margin():
    """softplus(0.1 * 100,000) is 10,000; e^10,000 would overflow."""
    assert common_beta_loss(table([-1e5]), 0.1) == pytest.approx(1e4)
