"""What speaks against a run: each finding appears where it should, and a sound run has none."""

import math
from dataclasses import replace

import pytest
from evidence import SOUND, evidence

from training.publishing.evaluation import Estimate
from training.publishing.findings import Evidence, findings
from training.record.intervals import Interval


def names(found: Evidence) -> set[str]:
    return {finding.name for finding in findings(found)}


def test_a_sound_run_has_only_its_selection_against_it():
    assert names(evidence()) == {"chosen on the same pairs"}
    assert names(evidence(best=False)) == set()


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"status": "stopped", "step": 12}, "not finished", "status is stopped; it reached step 12 of 20"),
        ({"curves": {"train/loss": {5: 0.6, 15: math.nan}}}, "diverged", "NaN or infinite 1 times, first at step 15"),
        ({"curves": {"eval/loss": {0: 0.6931, 10: 0.8}}}, "worse than untrained by loss", "0.8000, is above ln 2"),
        (
            {"curves": {"eval/loss": {0: 25.0, 10: 30.0}}, "config": {"loss_type": ["ipo"]}},
            "loss above its start",
            "30.0000, is above 25.0000",
        ),
        ({"evaluation": None}, "not evaluated", "not scored at step 10"),
        ({"evaluation": replace(SOUND, n=99)}, "few pairs", "on 99 pairs, fewer than 100"),
        (
            {"evaluation": replace(SOUND, accuracy=Estimate(0.52, Interval(0.48, 0.56)))},
            "accuracy may be chance",
            "0.5200 (0.4800 to 0.5600), is not shown to be above 0.5",
        ),
        ({"evaluation": replace(SOUND, accuracy=Estimate(math.nan))}, "accuracy may be chance", "nan"),
        (
            {"evaluation": replace(SOUND, chosen=Estimate(-2.0, Interval(-3, -1)))},
            "likelihood displacement",
            "chosen -2.00 nats, rejected -4.00 nats on average; 30.0% of the chosen ones",
        ),
        (
            {"evaluation": replace(SOUND, longer_wins=Estimate(0.78))},
            "no better than length",
            "longer answer is right in 0.78",
        ),
        (
            {"evaluation": replace(SOUND, longer_wins=Estimate(0.03))},
            "no better than length",
            "shorter answer is right in 0.97",
        ),
        ({"evaluation": replace(SOUND, truncated=Estimate(0.2))}, "truncated pairs", "20.0% of the evaluation pairs"),
        ({"curves": {"eval/rewards/accuracies": {0: 0.5, 5: 0.7, 10: 0.8}}}, "still improving", "last one (step 10)"),
        (
            {"curves": {"eval/rewards/accuracies": {0: 0.5, 10: 0.8, 20: 0.7}}},
            "worse later",
            "was 0.8000 here and 0.7000 at the last evaluation, step 20",
        ),
        (
            {"curves": {"train/rewards/accuracies": {5: 0.96, 10: 0.98, 15: 0.5}}},
            "over-fitting",
            "since step 0, 0.9700, is more than 0.1 above the evaluation's 0.8000",
        ),
        (
            {"n_eval": 600, "data": {"audit": {"duplicates": {"eval_prompts_in_train": 7}}}},
            "evaluation prompts in training",
            "of 7 of the 600 evaluation pairs (above 1%)",
        ),
        ({"curves": {"eval/samples/repetition": {0: 0.1, 10: 0.4}}}, "repetition", "40.0% of the 3-grams"),
        ({"curves": {"eval/samples/ended": {0: 0.9, 10: 0.6}}}, "answers do not end", "60% of its sampled answers end"),
        ({"curves": {"eval/samples/ended": {10: 0.3}}}, "answers do not end", "30% of its sampled answers end"),
    ],
)
def test_what_speaks_against_a_run_is_found(change, name, words):
    found = {finding.name: finding.sentence for finding in findings(evidence(**change))}
    assert words in found[name]
    assert set(found) <= {name, "chosen on the same pairs"}


def test_ln_2_is_no_limit_of_a_weighted_or_other_loss():
    for config in ({"loss_type": ["hinge"]}, {"loss_weights": [2.0]}, {"use_weighting": True}):
        curves = {"eval/loss": {0: 1.0, 10: 0.9}}
        assert names(evidence(curves=curves, config=config)) == {"chosen on the same pairs"}


def test_a_chosen_answer_that_fell_alone_is_no_displacement_if_it_may_be_noise():
    assert "likelihood displacement" not in names(
        evidence(evaluation=replace(SOUND, chosen=Estimate(-0.1, Interval(-0.5, 0.3))))
    )
