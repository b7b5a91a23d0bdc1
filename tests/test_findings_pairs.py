"""What scored pairs and the audit say of a run: each check at its threshold, and what it must not say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis.budgets import training_pairs
from dashboard.analysis.findings import data, outcome, pairs
from dashboard.analysis.gradients import effective_share, pulls, weights
from dashboard.analysis.lengths import length_slope, rule_right
from dashboard.analysis.study import Evidence, Scores, study
from tests.studies import simulated, with_h
from training.record.schema import Run

MARGINS = st.lists(st.floats(-50, 50), min_size=2, max_size=40).map(np.array)


def findings(evidence: Evidence, at="last"):
    return {finding.id: finding for module in (pairs, data) for finding in module.check(study([evidence]), at)}


def scored(chosen, rejected, chosen_tokens=None, prompts=None, **more) -> Scores:
    n, zero = len(chosen), np.zeros(len(chosen))
    tokens = np.full(n, 10)
    about = {"chosen_logp": zero + chosen, "rejected_logp": zero + rejected, "truncated": zero > 0, **more}
    return Scores(
        10,
        tuple(map(str, range(n))),
        np.arange(n) if prompts is None else prompts,
        np.asarray(chosen, float),
        np.asarray(rejected, float),
        chosen_tokens=tokens if chosen_tokens is None else np.asarray(chosen_tokens),
        rejected_tokens=tokens,
        **about,
    )


def judged(scores: Scores, beta=0.1, **config) -> Evidence:
    loss = float(np.logaddexp(0, -beta * scores.h).mean())
    metrics = {"eval/loss": loss, "eval/rewards/accuracies": float(scores.right.mean())}
    settings = {"beta": beta, "loss_type": ["sigmoid"], **config}
    run = Run("a", "a run", "runs", "finished", settings, metrics, step=10, n_eval=len(scores))
    return Evidence(run, scores={10: scores})


def means(chosen, rejected, **config) -> Evidence:
    metrics = {"eval/rewards/chosen": chosen, "eval/rewards/rejected": rejected, "eval/rewards/accuracies": 0.7}
    return Evidence(Run("a", "a run", "x", "finished", config, metrics, n_eval=1000))


def test_displacement_is_told_with_share_and_depth():
    """100 chosen answers of 10 tokens, three at -4 nats for each at +4: mean -2, -0.2 per token, 75% fell."""
    chosen = np.tile([-4.0, -4.0, -4.0, 4.0], 25)
    found = findings(judged(scored(chosen, chosen - 8)))["likelihood-displacement"]
    assert "a run (chosen -2.00 nats, -0.20 per token, 75.0% of them fell; rejected -10.00)" in found.sentence
    assert found.severity == "info" and "harmful only if samples get worse" in found.sentence


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        (np.tile([-4.0, 4.1], 50), -8.0),  # both signs, about 0
        (np.tile([-4.0, 3.8], 50), -8.0),  # mean -0.1, not beyond chance
        (np.full(100, -0.5), -8.0),  # beyond chance, but a fifteenth of the margin
        (np.full(100, -5.0), -4.0),  # no margin: pairs ranked backwards, another finding's
    ],
)
def test_a_small_or_uncertain_fall_is_no_displacement(chosen, rejected):
    assert "likelihood-displacement" not in findings(judged(scored(chosen, np.zeros(100) + rejected)))


def test_displacement_from_means_is_in_nats_where_beta_is_known():
    """-0.3978 / 0.01 = -39.78 nats."""
    known = findings(means(-0.3978, -1.886, beta=0.01))["likelihood-displacement"]
    unknown = findings(means(-0.3978, -1.886))["likelihood-displacement"]
    assert "chosen -39.78 nats, rejected -188.60)" in known.sentence
    assert "chosen -0.40, rejected -1.89 in reward)" in unknown.sentence
    assert findings(means(0.01, -1.28, beta=0.1)) == findings(means(-0.05, -1.29, beta=0.1)) == {}


def test_rewards_without_a_reference_are_no_log_ratios():
    """ORPO's reward of an answer is beta times its log-probability: below 0 without any training."""
    orpo = means(-0.4, -1.9, beta=0.1)
    metrics = {**orpo.run.metrics, "train/nll_loss": 1.2}
    assert findings(Evidence(replace(orpo.run, metrics=metrics))) == {}


@pytest.mark.parametrize(("right", "told"), [(60, False), (59, True), (50, True), (20, True)])
def test_accuracy_may_be_chance_where_its_interval_holds_one_half(right, told):
    """Wilson's 95% interval: 60 of 100 has 0.502 to 0.691, 59 of 100 0.492 to 0.681."""
    metrics = {"eval/rewards/accuracies": right / 100}
    found = findings(Evidence(Run("a", "a run", "x", "finished", {}, metrics, n_eval=100)))
    assert ("accuracy-may-be-chance" in found) == told


def test_pairs_of_one_prompt_are_no_independent_evidence():
    """65 of 100 right is above one half; on five prompts of 20 pairs, each all right or nearly all wrong, it is not."""
    right = np.repeat([1, 1, 1, 0, 0], 20) + np.tile([0] * 16 + [1, 1] + [0, 0], 5) > 0
    h = np.where(right, 5.0, -4.0)
    alone, clustered = (judged(scored(h, 0 * h, prompts=p)) for p in (None, np.repeat(range(5), 20)))
    assert "accuracy-may-be-chance" not in findings(alone)
    assert "accuracy-may-be-chance" in findings(clustered)


def test_saturated_pairs_are_those_of_gradient_weight_below_a_hundredth():
    """sigmoid(-beta h) < 0.01 for beta h > ln 99 = 4.595: at beta 0.1 46 nats and not 45.9."""
    h = np.where(np.arange(200) < 140, 46.0, -1.0)
    found = findings(judged(scored(h, 0 * h)))["saturation"]
    assert "70.0% of 200 pairs" in found.sentence
    h[:140] = 45.9
    assert "saturation" not in findings(judged(scored(h, 0 * h)))


def test_saturation_is_the_sigmoid_losss_own():
    h = np.full(200, 90.0)
    assert "saturation" not in findings(judged(scored(h, 0 * h), loss_type=["ipo"]))


def test_effective_share_of_equal_weights_is_one_and_of_one_pair_in_four_a_quarter():
    assert effective_share(np.full(8, 0.3)) == pytest.approx(1)
    assert effective_share(np.array([1.0, 0, 0, 0])) == 0.25
    assert effective_share(np.zeros(4)) == 0
    assert weights(0.1, np.array([0.0, math.log(99) * 10])) == pytest.approx([0.5, 0.01])


@given(MARGINS, st.floats(0.01, 1))
def test_pulls_are_the_slope_of_the_loss_by_beta(h, b):
    """The central difference of softplus(-b h) over 2e-5, whose error is about h^3 1e-10 / 60."""
    slope = (np.logaddexp(0, -(b + 1e-5) * h) - np.logaddexp(0, -(b - 1e-5) * h)) / 2e-5
    assert pulls(b, h) == pytest.approx(slope, abs=1e-4)


def test_overconfidence_needs_margins_twice_too_large_beyond_chance():
    """75% right at +-30 nats: calibrated at 0.0366, slope 0.37 at beta 0.1; at +-20 the slope is 0.55.

    Eight pairs show nothing.
    """
    h = np.tile([1.0, 1, 1, -1], 250)
    found = findings(judged(scored(30 * h, 0 * h)))["over-confident"]
    assert "2.7 times too large at beta 0.1" in found.sentence
    assert "over-confident" not in findings(judged(scored(20 * h, 0 * h)))
    assert "over-confident" not in findings(judged(scored(30 * h[:8], 0 * h[:8])))


def test_ranking_is_compared_with_the_base_model_pair_by_pair():
    """The base ranks 150 of 200 right; the policy loses 40 of them and gains 10: 0.75 to 0.60."""
    base = np.repeat([1.0, -1.0], [150, 50])
    policy = base.copy()
    policy[:40], policy[-10:] = -1, 1
    lost = scored(policy - base + 4, np.full(200, 4.0), chosen_logp=policy, rejected_logp=np.zeros(200))
    found = findings(judged(lost))
    assert "75.0% before, 60.0% now; 10 pairs gained, 40 lost" in found["ranking-worse-than-base"].sentence
    assert "ranking-unchanged" not in found


def test_a_ranking_is_unchanged_only_where_that_is_shown():
    """1 of 2,000 pairs gained is less than 2 points beyond doubt; 10 of 200 gained, 10 lost, may be anything."""
    base = np.repeat([1.0, -1.0], [1000, 1000])
    policy = base.copy()
    policy[-1] = 1
    zero = np.zeros(2000)
    found = findings(judged(scored(policy - base, zero, chosen_logp=policy, rejected_logp=zero)))
    assert "ranking-unchanged" in found
    few, before = np.repeat([1.0, -1.0], 100), np.repeat([1.0, -1.0], 100)
    few[:10], few[-10:] = -1, 1
    zero = np.zeros(200)
    assert "ranking-unchanged" not in findings(judged(scored(few - before, zero, chosen_logp=few, rejected_logp=zero)))


def test_the_length_rule_counts_equal_lengths_half():
    assert rule_right(scored(np.zeros(3), np.zeros(3), chosen_tokens=[11, 10, 9])).tolist() == [1, 0.5, 0]


def test_the_slope_on_length_is_that_of_least_squares():
    """h = 2 d + 1 on d = -2 .. 2 exactly, each five times: slope 2, interval of no width, R^2 1."""
    d = np.repeat(np.arange(-2, 3), 5)
    found = length_slope(scored(2.0 * d + 1, np.zeros(25), chosen_tokens=10 + d))
    assert found is not None
    assert found.value == pytest.approx(2) and found.r2 == pytest.approx(1)
    assert found.interval == pytest.approx((2, 2))
    assert length_slope(scored(np.ones(25), np.zeros(25), chosen_tokens=10 + d)) is None


def test_the_interval_of_the_slope_covers_what_it_claims():
    """2,000 studies of 100 pairs in 50 prompts that share an error and a length difference: 95% hold the slope."""
    rng, held = np.random.default_rng(0), 0
    prompts = np.repeat(np.arange(50), 2)
    for _ in range(2000):
        d = rng.integers(-6, 7, 50)[prompts] + rng.integers(-3, 4, 100)
        h = 0.5 * d + rng.normal(0, 3, 50)[prompts] + rng.normal(0, 3, 100)
        found = length_slope(scored(h, np.zeros(100), chosen_tokens=20 + d, prompts=prompts))
        held += found is not None and found.interval.low <= 0.5 <= found.interval.high
    assert 0.93 <= held / 2000 <= 0.97


def test_a_run_that_follows_length_and_beats_it_is_not_blamed():
    """Margins follow length, but pairs that length gets wrong are right too."""
    rng = np.random.default_rng(0)
    d = rng.integers(-10, 20, 500)
    shared = scored(np.zeros(500), np.zeros(500), chosen_tokens=10 + d)
    learned, better = with_h(shared, 1.0 * d + rng.normal(0, 2, 500)), with_h(shared, 1.0 * d + 9)
    blamed = findings(judged(learned))["length-bias"]
    assert blamed.evidence["runs"]["a"]["r2"] > 0.9
    assert blamed.evidence["runs"]["a"]["where_rule_is_wrong"] < 0.3
    assert "length-bias" not in findings(judged(better))


def test_audit_findings_need_an_audit_and_more_than_one_in_a_hundred():
    def audited(**counts):
        return findings(
            Evidence(Run("a", "a run", "runs", "finished", data={"n_train": 1000, "n_eval": 100, **counts}))
        )

    assert audited() == audited(audit=None) == audited(audit={"duplicates": {"near": "many"}}) == {}
    assert audited(audit={"duplicates": {"eval_prompts_in_train": 1, "exact": 5, "near": 5}}) == {}
    found = audited(audit={"duplicates": {"eval_prompts_in_train": 2, "exact": 6, "near": 5, "contradictions": 11}})
    assert found.keys() == {"evaluation-prompts-in-training", "repeated-pairs", "contradictory-pairs"}
    assert "a run (2 of 100 evaluation pairs, 2.0%)" in found["evaluation-prompts-in-training"].sentence


def test_truncated_pairs_are_told_above_one_in_twenty():
    h = np.tile([5.0, -1.0, 5.0, 5.0], 25)
    for count, told in ((5, False), (6, True)):
        found = findings(judged(scored(h, 0 * h, truncated=np.arange(100) < count), max_length=512))
        assert ("truncated-pairs" in found) == told
    assert "6.0% of 100, max length 512" in found["truncated-pairs"].sentence


def test_scores_with_nan_give_findings_or_none_but_no_error():
    evidence = simulated()
    broken = {
        step: with_h(scores, np.where(scores.h > 9, np.nan, scores.h)) for step, scores in evidence.scores.items()
    }
    assert isinstance(findings(replace(evidence, scores=broken)), dict)


def test_the_untrained_model_is_not_judged():
    evidence = simulated()
    at_start = replace(evidence.run, step=0, best={}, metrics={"eval/rewards/accuracies": 0.5, "eval/loss": 0.69})
    assert findings(replace(evidence, run=at_start)) == {}


def test_pairs_of_one_prompt_prove_nothing():
    """150 of 200 right, but of one prompt: that is one right answer. Alone, the same pairs are above one half."""
    h = np.where(np.arange(200) < 150, 5.0, -4.0)
    alone, one = (judged(scored(h, 0 * h, prompts=p)) for p in (None, np.zeros(200, dtype=int)))
    assert "accuracy-may-be-chance" not in findings(alone)
    assert "accuracy-may-be-chance" in findings(one)


def test_reversed_labels_need_more_than_one_prompt():
    h = np.where(np.arange(200) < 190, -4.0, 5.0)
    for prompts, told in ((None, True), (np.zeros(200, dtype=int), False)):
        made = judged(scored(h, 0 * h, prompts=prompts), per_device_train_batch_size=16)
        metrics = {**made.run.metrics, "train/rewards/accuracies": 0.90234375}
        changed = replace(made, run=replace(made.run, metrics=metrics))
        found = {finding.id for finding in outcome.check(study([changed]), "last")}
        assert ("reversed-labels" in found) == told


def test_a_training_set_is_counted_from_the_trainers_summary():
    """52.615 s x 6.215 pairs a second = 327.0 = 3 epochs of 109; 9.999 a second make no whole number."""
    metrics = {"train/train_runtime": 52.6152, "train/train_samples_per_second": 6.215}
    made = Run("a", "a run", "x", "finished", {"num_train_epochs": 3.0, "max_steps": -1}, metrics, epoch=2.81)
    assert "a run (109 pairs, 2.8 epochs)" in findings(Evidence(made))["tiny-training-set"].sentence
    assert training_pairs(made) == 109
    assert training_pairs(replace(made, metrics={**metrics, "train/train_samples_per_second": 9.999})) is None
    assert training_pairs(replace(made, config={"num_train_epochs": 3.0, "max_steps": 500})) is None
    assert training_pairs(replace(made, data={"n_train": 5})) == 5
    assert findings(Evidence(replace(made, data={"n_train": 200}))) == {}
