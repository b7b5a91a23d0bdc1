"""Whether a run is better than the base model: what must be shown, and what is left open."""

import math

import numpy as np
import pytest
from verdicts import right, run, with_scores

from dashboard.analysis import improvement
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.study import Evidence
from training.record.intervals import wilson


def judged(evidence, runs=1):
    return improvement.over_base(evidence, "last", runs)


def by_means(*, accuracy=0.8, loss=0.5, n=1000, **about):
    return Evidence(run("a", accuracy, loss, n, **about))


def test_an_accuracy_above_one_half_and_a_loss_below_ln_2_are_better():
    """Wilson for 800 of 1,000: 77.4% to 82.4%."""
    found = judged(by_means())
    assert found.proven
    assert found.sentence == (
        "It is better than the base model on these pairs: 80.0% of the pairs ranked right (95% interval 77.4% to 82.4%)"
        " against 50%, and a loss of 0.5000 against 0.6931 before training, if it is the sigmoid loss."
    )


def test_an_accuracy_within_chance_of_one_half_is_not_proven():
    """54 of 100: 44.3% to 63.4%."""
    found = judged(by_means(accuracy=0.54, n=100))
    assert found.sentence == (
        "It is not proven to be better than the base model: 54.0% of the pairs ranked right (95% interval 44.3% to "
        "63.4%) against 50%."
    )
    assert not found.proven


def test_an_accuracy_below_one_half_is_worse():
    found = judged(by_means(accuracy=0.3))
    assert found.sentence.startswith("It is worse than the base model on these pairs: 30.0% of the pairs ranked right")
    assert not found.proven


def test_the_best_of_many_runs_must_show_more():
    """57 of 100 ends at 47.2%; 60 of 100 at 50.2%, but at 1 - 0.05 / 20 at 45.0%."""
    alone, best = judged(by_means(accuracy=0.6, n=100)), judged(by_means(accuracy=0.6, n=100), 20)
    assert alone.proven and not best.proven
    assert best.sentence.endswith("against 50%, which the best of 20 runs may reach by luck.")
    assert wilson(60, 100).low > 0.5 > wilson(60, 100, 1 - 0.05 / 20).low


def test_the_best_of_twenty_runs_no_better_than_the_base_is_proven_better_in_at_most_one_sample_of_twenty():
    """Each right on half of 400 pairs: by 95% intervals one of 20 is above one half in 40 of 100 samples."""
    rng = np.random.default_rng(0)
    best = rng.binomial(400, 0.5, (400, 20)).max(axis=1) / 400
    found = [(judged(by_means(accuracy=float(a), n=400)), judged(by_means(accuracy=float(a), n=400), 20)) for a in best]
    assert np.mean([alone.proven for alone, _ in found]) > 0.3
    assert np.mean([corrected.proven for _, corrected in found]) <= 0.05


@pytest.mark.parametrize(
    ("loss", "config", "words"),
    [
        (0.8, {}, "but a loss of 0.8000 against 0.6931 before training, if it is the sigmoid loss: where"),
        (0.6931, {}, "; not by loss: 0.6931 against 0.6931 before training, if it is"),
        (0.6925, {}, "; not by loss: 0.6925 against 0.6931 before training, if it is"),
        (math.nan, {}, "; it has no loss to say the same."),
        (0.5, {"loss_type": ["sigmoid", "sft"]}, "; what loss, now 0.5000, it had before training is not known."),
        (30.0, {"loss_type": ["ipo"], "beta": 0.1}, "but a loss of 30.0000 against 25.0000 before training"),
    ],
)
def test_a_loss_that_does_not_say_the_same_leaves_it_open(loss, config, words):
    found = judged(by_means(loss=loss, config=config))
    assert words in found.sentence
    assert not found.proven


def test_a_loss_of_another_type_is_held_against_its_own_start():
    """IPO starts at 1 / (4 x 0.1^2) = 25."""
    assert judged(by_means(loss=20.0, config={"loss_type": ["ipo"], "beta": 0.1})).proven


@pytest.mark.parametrize(
    ("metrics", "n", "why"),
    [
        ({EVAL_LOSS: 0.5}, 1000, "it has no reward accuracy"),
        ({EVAL_ACCURACY: math.nan, EVAL_LOSS: 0.5}, 1000, "it has no reward accuracy"),
        ({EVAL_ACCURACY: 83.7, EVAL_LOSS: 0.5}, 1000, "83.7 is no reward accuracy from 0 to 1"),
        (
            {EVAL_ACCURACY: 0.8, EVAL_LOSS: 0.5},
            None,
            "80.0% of the pairs are ranked right, but of how many the source does not say",
        ),
        (
            {EVAL_ACCURACY: 0.8, EVAL_LOSS: 0.5, "eval/log_odds_ratio": -0.6},
            1000,
            "it was trained without a reference model, and its rewards do not compare it with one",
        ),
    ],
)
def test_what_cannot_be_told_is_said_to_be(metrics, n, why):
    found = judged(Evidence(run("a", n=n, metrics=metrics)))
    assert found.sentence == f"Whether it is better than the base model cannot be told: {why}."
    assert not found.proven


def test_scores_give_the_interval_of_accuracy_and_loss():
    """One of 200 pairs at -900 nats: mean loss (199 softplus(-1) + 90) / 200 = 0.762, above ln 2 with 99.5% right."""
    h = np.full(200, 10.0)
    h[0] = -900
    found = judged(with_scores("a", h))
    assert (
        "99.5% of the pairs ranked right (95% interval 97.2% to 99.9%) against 50%, but a loss of 0.76"
        in found.sentence
    )
    h[0] = -500
    found = judged(with_scores("a", h))
    assert "; not by loss: 0.5617 (95.0% interval 0.0" in found.sentence
    assert not found.proven
    assert judged(with_scores("a", right(150, 200))).proven


def test_pairs_of_one_prompt_widen_the_interval():
    """70 of 100 by pair: 60.4% to 78.1%. Ten prompts of ten pairs, all right or all wrong: seven results of ten."""
    prompts, h = np.arange(100) // 10, right(70, size=3.0)
    assert judged(with_scores("a", h)).proven
    assert not judged(with_scores("a", h, prompts)).proven
    narrow, wide = (improvement.interval(with_scores("a", h, of), "last") for of in (None, prompts))
    assert wide.low < 0.5 < narrow.low < narrow.high < wide.high


def test_scores_that_are_not_all_finite_give_no_interval_of_their_own():
    h = right(60)
    h[0] = np.nan
    found = with_scores("a", h, accuracy=0.6, loss=0.5)
    assert improvement.interval(found, "last") == wilson(60, 100)
