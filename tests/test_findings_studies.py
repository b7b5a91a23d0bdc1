"""What must not be concluded: each fault of a study is found, and alone."""

import math
from array import array
from dataclasses import replace

import pytest

from dashboard.analysis.batch_means import batch_size, right_counts
from dashboard.analysis.findings import studies
from dashboard.analysis.findings.per_run import enumerated
from dashboard.analysis.study import Evidence, study
from training.record.schema import Run, Series


def run(name="a", accuracy=0.8, n=1000, status="finished", step=100, metrics=None, **config) -> Evidence:
    shown = {"eval/loss": 0.5, "eval/rewards/accuracies": accuracy, "eval/rewards/margins": 1.0}
    about = {"beta": 0.1, "loss_type": "sigmoid", **config}
    made = Run(name, name, "log", status, about, {**shown, **(metrics or {})}, step=step, n_eval=n)
    return Evidence(made)


def found(*runs):
    return {finding.id: finding for finding in studies.check(study(runs), "last")}


def test_a_sound_study_is_silent():
    assert found(run("a"), run("b", accuracy=0.7835)) == {}


def test_losses_of_several_betas_are_found_alone_and_margins_told_in_nats():
    """1.49 / 0.01 = 149 nats, 3.20 / 0.2 = 16 nats."""
    low = run("low", beta=0.01, metrics={"eval/rewards/margins": 1.49})
    high = run("high", beta=0.2, metrics={"eval/rewards/margins": 3.2})
    only = found(low, high)
    assert list(only) == ["loss-not-comparable"]
    assert only["loss-not-comparable"].sentence == (
        "Beta differs (0.01–0.2), so eval loss and rewards are on different scales: rank by reward accuracy. A margin "
        "of 1.49 at beta 0.01 is 149 nats (low), one of 3.20 at beta 0.2 is 16 nats (high)."
    )


def test_losses_of_several_types_are_found_alone():
    only = found(run("a"), run("b", loss_type="hinge"))
    assert list(only) == ["loss-not-comparable"]
    assert "The loss type differs (hinge, sigmoid)" in only["loss-not-comparable"].sentence


def test_different_budgets_are_found_alone():
    only = found(run("a", step=100), run("b", step=500))
    assert list(only) == ["different-budgets"]
    assert only["different-budgets"].sentence.startswith("The runs trained for 100 to 500 steps: ")
    assert found(run("a", step=100), run("b", step=110)) == {}
    assert found(run("a", step=100), run("b", step=500, status="running")) == {}


def test_budgets_on_other_evaluation_sets_are_not_compared():
    assert found(run("a", step=100), run("b", step=500, n=640)) == {}


def test_equal_pairs_in_other_batches_are_one_budget():
    def batches(name, size, steps):
        made = run(name, step=steps, per_device_train_batch_size=size, gradient_accumulation_steps=1)
        return replace(made, run=replace(made.run, environment={"devices": 1}))

    assert found(batches("a", 8, 100), batches("b", 2, 400)) == {}
    assert (
        "100 to 800 training pairs" in found(batches("a", 8, 100), batches("b", 1, 100))["different-budgets"].sentence
    )


def test_a_common_step_is_offered():
    def curve(name, steps):
        nothing = array("d", [math.nan] * len(steps))
        made = run(name, step=steps[-1])
        return replace(made, history={"eval/loss": Series(array("q", steps), nothing, nothing, array("d", steps))})

    only = found(curve("a", [100, 200]), curve("b", [100, 200, 300]))
    assert only["different-budgets"].sentence.endswith("All were evaluated near step 200: compare them there.")


def test_a_tiny_evaluation_set_is_found_alone_with_what_it_can_say():
    """5 of 6 right: Wilson's interval is 43.6% to 97.0%."""
    only = found(run("a", accuracy=5 / 6, n=6))
    assert list(only) == ["tiny-evaluation-set"]
    words = "a (83.3% of 6 pairs, 95% interval 43.6% to 97.0%, only multiples of 1/6 possible)"
    assert words in only["tiny-evaluation-set"].sentence
    assert only["tiny-evaluation-set"].evidence["runs"]["a"]["possible"] == [k / 6 for k in range(7)]
    assert "possible" not in found(run("a", accuracy=0.8, n=50))["tiny-evaluation-set"].sentence
    assert found(run("a", accuracy=0.8, n=100)) == {}


def test_five_of_five_right_is_57_to_100_percent():
    """Wilson's lower end at k = n is n / (n + z^2) = 5 / (5 + 3.8415) = 0.5655."""
    assert "95% interval 56.6% to 100.0%" in found(run("a", accuracy=1.0, n=5))["tiny-evaluation-set"].sentence


def test_a_mean_of_batch_means_is_found_alone_and_its_counts_told():
    """Batches of 8 and 2, n = 10: 0.6875 = (a / 8 + b / 2) / 2 for (a, b) = (7, 1) and (3, 2)."""
    both = found(run("a", accuracy=0.6875, n=10, per_device_eval_batch_size=8))
    assert sorted(both) == ["batch-mean-accuracy", "tiny-evaluation-set"]
    assert "a (5 or 8 of 10 pairs right). In batches of 8 only" in both["batch-mean-accuracy"].sentence
    assert list(found(run("a", accuracy=0.8123, n=1000))) == ["batch-mean-accuracy"]


@pytest.mark.parametrize(
    ("accuracy", "n", "size", "counts"),
    [(0.6875, 10, 8, (5, 8)), (0.625, 10, 8, (4, 7)), (0.7, 10, 8, ()), (0.5, 16, 8, ()), (1.5, 10, 8, ())],
)
def test_counts_behind_a_mean_of_batch_means(accuracy, n, size, counts):
    assert right_counts(accuracy, n, size) == counts


def test_counts_hold_the_truth():
    """Every split of 23 pairs in batches of 8, 8 and 7: the mean of batch means names the number that made it."""
    for first in range(17):
        for last in range(8):
            assert first + last in right_counts((first / 8 + last / 7) / 3, 23, 8)


@pytest.mark.parametrize(
    ("runtime", "speed", "stated", "size"),
    [(111.3291, 1.446, None, 8), (111.3291, 1.446, 16, None), (None, None, 8, 8), (None, None, None, None)],
)
def test_the_batch_size_is_proven_by_the_number_of_batches(runtime, speed, stated, size):
    """111.3291 s at 1.446 batches per second is 161 batches: ceil(1286 / 8) = 161; on two devices it is not 16."""
    config = {} if stated is None else {"per_device_eval_batch_size": stated}
    metrics = {} if runtime is None else {"eval/runtime": runtime, "eval/steps_per_second": speed}
    assert batch_size(Run("a", "a", "s", "finished", config, metrics, n_eval=1286)) == size


def test_an_accuracy_without_a_number_of_pairs_is_found_alone():
    only = found(run("a", n=None))
    assert list(only) == ["accuracy-without-n"]
    assert "eval/runtime and eval/samples_per_second" in only["accuracy-without-n"].sentence


def test_a_run_without_evaluation_is_found_alone_unless_it_is_running():
    def bare(status):
        return Evidence(
            Run("b", "b", "log", status, {"beta": 0.1, "loss_type": "sigmoid"}, {"train/loss": 0.3}, step=100)
        )

    assert list(found(run("a"), bare("finished"))) == ["no-evaluation"]
    assert found(run("a"), bare("running")) == {}


def test_an_unknown_state_is_found_alone():
    only = found(run("a", status="unknown"))
    assert list(only) == ["unknown-state"]
    assert only["unknown-state"].severity == "info"


def test_a_metric_that_no_run_has_is_told():
    made = run("a")
    metrics = {"eval/loss": 0.5}
    only = found(replace(made, run=replace(made.run, metrics=metrics)))
    assert list(only) == ["missing-metrics"]
    assert only["missing-metrics"].sentence.startswith("No run has eval/rewards/accuracies: they cannot be ranked by")


def test_runs_that_cannot_be_compared_have_no_budgets_to_compare():
    """Steps of a foreign chart may be its logger's; without a loss or an accuracy nothing looks better."""
    bare = [
        Evidence(Run(name, name, "log", "finished", {}, {"eval/x": 1.0}, step=step)) for name, step in ((1, 9), (2, 99))
    ]
    assert "different-budgets" not in found(*bare)


@pytest.mark.parametrize(("margin", "words"), [(0.13, "1.3 nats"), (0.01, "0.1 nats"), (149.4, "1,494 nats")])
def test_nats_have_two_digits_or_more(margin, words):
    low = run("low", beta=0.1, metrics={"eval/rewards/margins": margin})
    high = run("high", beta=0.5, metrics={"eval/rewards/margins": 1.2 * margin})
    assert f"is {words} (low)" in found(low, high)["loss-not-comparable"].sentence


def test_margins_of_nearly_the_same_nats_are_no_example():
    low = run("low", beta=0.1, metrics={"eval/rewards/margins": 1.5})
    high = run("high", beta=0.15, metrics={"eval/rewards/margins": 2.0})
    assert found(low, high)["loss-not-comparable"].sentence.endswith("rank by reward accuracy.")


def test_what_all_runs_have_in_common_is_said_once():
    several = [run(name, n=None) for name in "abcdefgh"]
    assert "unknown: all 8 runs. eval/runtime" in found(*several)["accuracy-without-n"].sentence
    some = [run(name, n=6) for name in "abc"] + [run(name, n=6, accuracy=1.0) for name in "de"]
    sentence = found(*some)["tiny-evaluation-set"].sentence
    assert "a, b and c (each 80.0% of 6 pairs" in sentence and " and d and e (each 100.0% of 6 pairs" in sentence


@pytest.mark.parametrize(
    ("names", "words"),
    [("a", "a"), ("abc", "a, b and c"), ("abcdef", "a, b, c, d, e and f"), ("abcdefg", "a, b, c, d, e and 2 more")],
)
def test_at_most_five_are_named_unless_one_is_left(names, words):
    assert enumerated(list(names)) == words
