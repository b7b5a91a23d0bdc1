"""What curves and last values say of a run: each check at its threshold, and what it must not say."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dashboard.analysis.findings import outcome, overfitting, training
from dashboard.analysis.logged import pairs_behind, pairs_in, recent
from dashboard.analysis.memorising import epoch_steps
from dashboard.analysis.study import Evidence, study
from tests.studies import Plan, series, simulated
from training.record.schema import Run

MODULES = (training, overfitting, outcome)
LAST = {
    "eval/loss": 0.6584,
    "eval/rewards/accuracies": 0.8219,
    "eval/rewards/margins": 3.2,
    "train/loss": 0.141,
    "train/rewards/accuracies": 0.95625,
    "train/rewards/margins": 5.8,
}


def run(n_eval=1286, config=None, **metrics) -> Run:
    settings = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, **(config or {})}
    return Run("a", "sweep-1", "export", "finished", config=settings, metrics={**LAST, **metrics}, n_eval=n_eval)


def findings(evidence: Evidence, at="last"):
    return {finding.id: finding for module in MODULES for finding in module.check(study([evidence]), at)}


def curves(run=None, epoch=100, **points) -> Evidence:
    history = {key.replace("__", "/"): series(values, epoch) for key, values in points.items()}
    return Evidence(run or Run("a", "a run", "x", "finished", metrics={"train/rewards/accuracies": 0.7}), history)


def test_the_least_number_of_pairs_that_has_a_share():
    """0.95625 = 153 / 160; as a 32-bit float it is 0.9562500119; a share of 1 or of no small number tells nothing."""
    assert pairs_in(0.95625) == pairs_in(float(np.float32(0.95625))) == 160
    assert pairs_in(1.0) == pairs_in(0.7123456) == pairs_in(math.nan) == 1


def test_pairs_behind_shares_are_whole_steps():
    """0.95 = 19 / 20, and steps of 8 x 2 pairs: 80 is the least multiple of 20 and 16; twice that for two logs."""
    assert pairs_behind([0.95], run()) == 80
    assert pairs_behind([0.95, 0.95], run()) == 160
    assert pairs_behind([], run()) == 0


def test_recent_training_values_are_those_since_the_evaluation_before_the_judged_one():
    """Evaluated at 50 and 100, judged at 100: logs of 60 to 100, of which the last quarter of 100 begins at 75."""
    about = Run("a", "a", "x", "finished", metrics={"eval/loss": 0.5}, step=100)
    found = curves(about, eval__loss={50: 0.6, 100: 0.5}, train__loss={step: step / 100 for step in range(10, 121, 10)})
    assert recent(found, "loss", "last") == [0.8, 0.9, 1.0]


def test_overfitting_shows_in_the_last_values_of_a_runs_table():
    """A gap of 0.134 on 160 and 1,286 pairs; accuracy and loss are in the sentence, the margin too in the evidence."""
    found = findings(Evidence(run()))
    assert found.keys() == {"over-fitting"}
    assert "sweep-1 (accuracy 95.6% against 82.2%, loss 0.1410 against 0.6584)" in found["over-fitting"].sentence
    assert found["over-fitting"].evidence["runs"]["a"]["margin"] == [5.8, 3.2]
    assert found["over-fitting"].evidence["runs"]["a"]["train_pairs_at_least"] == 160


@pytest.mark.parametrize(
    ("changed", "n_eval"),
    [
        ({"train/rewards/accuracies": 0.90625}, 1286),  # a gap of 0.08
        ({}, 30),  # 0.8219 on 30 pairs is known to 0.07
        ({"train/rewards/accuracies": 0.9375}, 1286),  # 15 / 16: 16 pairs, and the gap of 0.12 is one pair
    ],
)
def test_a_gap_that_is_small_or_may_be_chance_is_not_told(changed, n_eval):
    assert findings(Evidence(run(n_eval, **changed))) == {}


def test_a_mean_loss_above_ln_2_is_told_and_said_to_be_a_mean_only():
    found = findings(Evidence(run(**{"eval/loss": 0.7029, "train/rewards/accuracies": 0.825})))
    assert found.keys() == {"worse-than-untrained"}
    assert found["worse-than-untrained"].sentence.endswith(
        "(0.7029 against 0.6931). Where no interval is given, only the mean is known, which does not tell whether it "
        "is more than chance. Where no loss type is stated, it is taken as sigmoid, TRL's default."
    )


def test_a_loss_that_pairs_do_not_show_above_ln_2_is_not_called_worse():
    """Margins N(6, 26) at beta 0.1 on 100 pairs: a mean loss of 0.98 with a standard error of 0.13."""
    loud = [findings(simulated(Plan(n=100, mean=6, spread=26, tokens_slope=0), seed), "last") for seed in range(20)]
    assert any("no-better-than-untrained" in found for found in loud)
    assert not any({"no-better-than-untrained", "worse-than-untrained"} <= found.keys() for found in loud)


@pytest.mark.parametrize(
    "other",
    [
        {"config": {"loss_type": "ipo"}},  # its loss begins at 1 / (4 beta^2)
        {"train/nll_loss": 1.2},  # ORPO and CPO: no reference, another loss
    ],
)
def test_other_losses_are_not_held_against_ln_2(other):
    assert "worse-than-untrained" not in findings(Evidence(run(**{"eval/loss": 2.3, **other})))


def test_a_language_model_without_rewards_is_not_held_against_ln_2():
    """nanoGPT logs train/loss alone, 10.9 at the start."""
    gpt = Run("a", "gpt", "x", "finished", metrics={"eval/loss": 3.3})
    assert findings(curves(gpt, train__loss={step: 10.9 - step / 10 for step in range(0, 60, 2)})) == {}


def test_a_loss_that_is_nan_at_the_end_diverged_and_one_that_recovered_did_not():
    stayed = curves(train__loss={1: 0.69, 2: 0.6, 3: math.nan, 4: math.nan})
    once = curves(eval__loss={100: 0.6, 200: math.nan, 300: 0.5})
    assert findings(stayed).keys() == {"divergence"}
    assert "train/loss 2 times, first at step 3" in findings(stayed)["divergence"].sentence
    assert findings(once).keys() == {"loss-not-finite"}
    assert "eval/loss once, at step 200" in findings(once)["loss-not-finite"].sentence
    assert findings(Evidence(run(**{"eval/loss": math.nan, "train/rewards/accuracies": 0.825}))).keys() == {
        "divergence"
    }


def test_a_spike_is_ten_times_the_median_of_the_norms_before():
    """Norms 1 and 2 in turn: the median of the logarithms is ln(2) / 2, so 10 times is 14.1."""
    norms = {step: 1.0 + step % 2 for step in range(40)}
    assert "gradient-spikes" not in findings(curves(train__grad_norm={**norms, 40: 14.0}))
    found = findings(curves(train__grad_norm={**norms, 40: 60.0}))["gradient-spikes"]
    assert found.evidence["runs"]["a"] == {
        "spikes": 1,
        "largest_step": 40,
        "largest_ratio": pytest.approx(60 / math.sqrt(2)),
    }


def test_norms_spread_over_decades_have_no_spikes():
    rng = np.random.default_rng(0)
    wild = {step: float(value) for step, value in enumerate(rng.lognormal(0, 2, 2000), 1)}
    assert findings(curves(train__grad_norm=wild)) == {}


def test_clipping_is_told_from_more_than_half_of_the_steps():
    about = Run("a", "a run", "x", "finished", config={"max_grad_norm": 1.0})
    half = {step: 0.5 + step % 2 for step in range(40)}
    assert findings(curves(about, train__grad_norm=half)) == {}
    found = findings(curves(about, train__grad_norm={**half, 0: 1.5}))["clipped-gradients"]
    assert "52.5% of 40 logged steps" in found.sentence


def test_trls_accuracy_of_zero_before_training_is_no_fault():
    """TRL counts margins above 0 only: at step 0 all are 0, and its accuracy too."""
    rewards = {"eval__rewards/chosen": {0: 0.0, 50: 0.1}, "eval__rewards/accuracies": {0: 0.0, 50: 0.6}}
    assert findings(curves(eval__loss={0: 0.693147, 50: 0.65}, **rewards)) == {}


@pytest.mark.parametrize(
    ("loss", "epoch", "wrong"),
    [
        (0.75, 100, True),
        (0.60, 100, True),
        (0.71, 100, False),  # 2.4%, within what 16 bits explain
        (0.75, None, True),
        (0.60, None, False),  # a foreign log's step 0 may be after some training, which lowers the loss
    ],
)
def test_the_start_must_be_ln_2(loss, epoch, wrong):
    found = findings(curves(epoch=epoch, eval__loss={0: loss, 50: 0.55}))
    assert ("wrong-start" in found) == wrong


def test_a_first_step_above_ln_2_is_noise_unless_dropout_was_asked_for():
    noisy = {1: 0.9, 2: 0.8, 3: 0.6}
    assert "noisy-start" in findings(curves(train__loss=noisy))
    asked = Run("a", "a", "x", "finished", {"disable_dropout": False}, {"train/rewards/accuracies": 0.7})
    assert findings(curves(asked, train__loss=noisy)) == {}


def test_a_run_that_still_improves_at_its_end_is_told_and_one_that_levels_off_is_not():
    """A straight fall has 25% of itself in its last quarter; of 1 - exp(-4 t) the last quarter has 3%."""
    straight = {step: 0.69 - step / 1000 for step in range(0, 201, 20)}
    level = {step: 0.69 - 0.2 * (1 - math.exp(-step / 50)) for step in range(0, 201, 20)}
    assert (
        "25.0% of the fall from 0.6900 to 0.4900" in findings(curves(eval__loss=straight))["still-improving"].sentence
    )
    assert findings(curves(eval__loss=level)) == {}


def test_a_turn_needs_the_pairs_to_bear_it_out_where_they_were_scored():
    """The loss rises by a fifth; with the same scores at both steps there is no rise in the pairs."""
    rising = {step: 0.5 + abs(step - 60) / 400 for step in range(0, 201, 20)}
    falling = {step: 0.69 - step / 500 for step in range(5, 201, 5)}
    about = simulated()
    bare = curves(epoch=None, eval__loss=rising, train__loss=falling)
    assert findings(bare).keys() == {"evaluation-loss-turned"}
    assert "from 0.5000 at step 60 to 0.8500 at step 200" in findings(bare)["evaluation-loss-turned"].sentence
    scored = replace(bare, run=about.run, scores={60: about.scores[200], 200: about.scores[200]})
    assert "evaluation-loss-turned" not in findings(scored)


def test_steps_between_epochs_are_measured_beyond_the_slope():
    """A line of slope -0.3 per epoch with steps of 0.2 at 1 and 2: the excess at each end is the step, 0.2."""
    rng = np.random.default_rng(0)
    epochs = np.arange(1, 181) / 60
    losses = 1 - 0.3 * epochs - 0.2 * (epochs > 1) - 0.2 * (epochs > 2) + rng.normal(0, 0.01, 180)
    found = epoch_steps(epochs, losses)
    assert found is not None and found.boundaries == 2
    assert found.drop == pytest.approx(0.2, abs=0.02) and found.z > 15


def test_no_epoch_steps_are_seen_where_there_are_none_or_nothing_can_be_seen():
    """Under noise alone z is about normal: of 500, none above the threshold of 4, and a spread of about 1 or less."""
    rng = np.random.default_rng(1)
    epochs = np.arange(1, 181) / 60
    z = [found.z for _ in range(500) if (found := epoch_steps(epochs, rng.normal(0.6, 0.1, 180)))]
    assert len(z) == 500 and max(z) < 4 and 0.8 < np.std(z) < 1.1
    assert epoch_steps([math.nan] * 9, [0.5] * 9) is None
    assert epoch_steps([1.0, 2.0, 3.0], [0.3, 0.2, 0.1]) is None


def test_a_score_is_said_to_have_fallen_only_beside_a_growing_margin():
    grown = Plan(prompts=120, gold=lambda step: 0.7 - step / 400)
    assert "over-optimisation" in findings(simulated(grown))
    flat = simulated(replace(grown, mean=0, spread=0.01, tokens_slope=0))
    shrunk = {**flat.history, "eval/rewards/margins": series({step: -step / 100 for step in range(0, 201, 20)})}
    assert not {"over-optimisation", "score-fell"} & findings(replace(flat, history=shrunk)).keys()


def test_a_running_run_is_not_said_to_have_ended_early():
    about = Run("a", "a", "runs", "running", step=40, max_steps=80)
    assert findings(Evidence(about)) == {}
    stopped = findings(Evidence(replace(about, status="stopped")))
    assert "a (step 40 of 80, stopped)" in stopped["ended-early"].sentence


def test_an_accuracy_in_percent_is_no_share_and_raises_nothing():
    assert findings(Evidence(run(**{"eval/rewards/accuracies": 77.8, "train/rewards/accuracies": 98.1}))) == {}
    assert findings(Evidence(run(**{"eval/rewards/accuracies": -1.0}))) == {}


def test_pairs_solved_in_a_first_epoch_were_easy_and_not_learned_by_heart():
    solved = {"train/rewards/accuracies": 1.0, "train/loss": 0.006, "eval/rewards/accuracies": 0.95}
    first, third = (
        findings(Evidence(replace(run(**solved), epoch=epoch)))["training-pairs-solved"].sentence
        for epoch in (0.8, 3.0)
    )
    assert first.endswith("trivially easy to tell apart.") and "by heart" not in first
    assert "by heart" in third


@pytest.mark.parametrize("lowest", [0.0, -1.0])
def test_a_loss_that_goes_to_zero_or_below_it_has_no_relative_rise(lowest):
    made = curves(eval__loss={20: 0.6, 40: lowest, 60: 0.5, 80: 0.6}, train__loss=dict.fromkeys(range(5, 80, 5), 0.1))
    assert "evaluation-loss-turned" not in findings(made)


def test_an_infinite_loss_at_the_start_is_a_divergence_and_no_wrong_start():
    found = findings(curves(eval__loss={0: math.inf, 20: 0.6}))
    assert "wrong-start" not in found and "loss-not-finite" in found


def test_an_accuracy_that_is_nan_is_not_the_best():
    losses, accuracies = {20: 0.5, 40: 0.6, 60: 0.7, 80: 0.8}, {20: 0.7, 40: math.nan, 60: 0.8, 80: 0.6}
    falling = {step: 1 / step for step in range(5, 85, 5)}
    made = curves(eval__loss=losses, eval__rewards__accuracies=accuracies, train__loss=falling)
    assert "the accuracy was best at step 60" in findings(made)["evaluation-loss-turned"].sentence
