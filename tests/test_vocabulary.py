"""One key for every spelling, and nothing mapped that is not known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources.vocabulary import key, seems_dpo


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("eval_loss", "eval/loss"),
        ("eval_rewards/chosen", "eval/rewards/chosen"),
        ("eval_rewards/accuracies", "eval/rewards/accuracies"),
        ("eval_samples_per_second", "eval/samples_per_second"),
        ("eval/loss", "eval/loss"),
        ("train/rewards/chosen", "train/rewards/chosen"),
        ("loss/eval", "eval/loss"),
        ("loss/train", "train/loss"),
        ("rewards_eval/chosen", "eval/rewards/chosen"),
        ("rewards_train/margins", "train/rewards/margins"),
        ("rewards_eval/accuracies", "eval/rewards/accuracies"),
        ("logps_eval/rejected", "eval/logps/rejected"),
        ("validation loss", "eval/loss"),
        ("validation/chosen_rewards", "eval/rewards/chosen"),
        ("train/reward_margin", "train/rewards/margins"),
        ("chosen_rewards", "eval/rewards/chosen"),
        ("rejected_rewards", "eval/rewards/rejected"),
        ("reward_margin", "eval/rewards/margins"),
        ("Training Loss", "train/loss"),
        ("Validation Loss", "eval/loss"),
        ("Rewards/chosen", "eval/rewards/chosen"),
        ("Logps/rejected", "eval/logps/rejected"),
        ("Rewards/accuracies", "eval/rewards/accuracies"),
        ("EvalRewardsMargins", "eval/rewards/margins"),
        ("TrainRewardsChosen", "train/rewards/chosen"),
        ("EvalLoss", "eval/loss"),
        ("EvalRewardsAcc", "eval/rewards/accuracies"),
        ("TrainGradNorm", "train/grad_norm"),
        ("EVAL_LOSS", "eval/loss"),
        ("eval_rewards_margins", "eval/rewards/margins"),
        ("train_rewards_margins", "train/rewards/margins"),
        ("  eval_loss ", "eval/loss"),
    ],
)
def test_every_known_spelling_has_one_key(spelling, expected):
    assert key(spelling) == expected


@pytest.mark.parametrize(
    ("bare", "expected"),
    [
        ("loss", "train/loss"),
        ("rewards/chosen", "train/rewards/chosen"),
        ("logps/rejected", "train/logps/rejected"),
        ("grad_norm", "train/grad_norm"),
        ("learning_rate", "train/learning_rate"),
    ],
)
def test_a_bare_name_has_the_split_that_its_place_gives_it_and_none_otherwise(bare, expected):
    assert key(bare, "train") == expected
    assert key(bare, "eval") == expected.replace("train", "eval")
    assert key(bare) == bare


@pytest.mark.parametrize(
    "name",
    [
        "train_loss",  # TRL: the mean over the whole run, no curve
        "train_runtime",
        "eval_steps",  # configuration
        "eval_batch_size",
        "test_loss",
        "test/rewards/chosen",
        "chosen_cross_entropy_loss",  # H2O: a mean per token with the sign flipped, no log-probability
        "rollout/success_rate",
        "val_loss",
        "training_loss",
        "trainer",
        "evaluation",
        "",
        " ",
    ],
)
@pytest.mark.parametrize("split", [None, "train"])
def test_what_is_not_known_passes_through_unchanged(name, split):
    assert key(name, split) == name


def test_several_evaluation_sets_stay_apart_and_are_told_from_the_only_one():
    names = ["eval_helpful_loss", "eval_harmless_loss", "eval_loss", "eval_helpful_rewards/chosen"]
    assert [key(name) for name in names] == [
        "eval/helpful_loss",
        "eval/harmless_loss",
        "eval/loss",
        "eval/helpful_rewards/chosen",
    ]


def test_preference_training_is_told_by_its_rewards():
    assert seems_dpo(["eval/loss", "train/rewards/chosen"])
    assert seems_dpo(["eval/helpful_rewards/margins"])
    assert not seems_dpo(["eval/loss", "train/loss", "logps/chosen", "rollout/rewards"])


_PIECES = st.lists(
    st.sampled_from(
        ["eval", "train", "validation", "_", "/", " ", "rewards", "Rewards", "chosen", "acc", "loss", "Eval", "é", "x"]
    ),
    max_size=7,
).map("".join)


@given(st.text() | _PIECES, st.sampled_from([None, "train", "eval"]), st.sampled_from([None, "train", "eval"]))
def test_a_key_is_its_own_key(name, first, second):
    assert key(key(name, first), first) == key(name, first)
    if key(name, first) != name:
        assert key(key(name, first), second) == key(name, first)
