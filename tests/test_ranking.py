"""Which run is best, what may be compared, and what is said about it."""

import math
from array import array
from dataclasses import replace

import pytest

from dashboard.analysis import budgets, comparability, hyperparameters, ranking, verdict
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.study import Evidence
from training.record.schema import Run, Series


def run(name: str, loss: float = 0.5, accuracy: float = 0.8, status: str = "finished", **config: object) -> Run:
    metrics = {EVAL_LOSS: loss, EVAL_ACCURACY: accuracy}
    return Run(id=name, name=name, source="runs", status=status, config=config, metrics=metrics, n_eval=1000)


def group(*runs: Run) -> comparability.EvaluationSet:
    (found,) = comparability.evaluation_sets(runs)
    return found


def test_direction_is_known_and_equal_values_share_the_better_rank():
    runs = [run("a", loss=0.5), run("b", loss=0.4), run("c", loss=0.5), run("d", loss=0.9)]
    assert ranking.rank(runs, EVAL_LOSS, "last") == {"b": 1, "a": 2, "c": 2, "d": 4}
    assert ranking.rank([run("a", accuracy=0.7), run("b", accuracy=0.9)], EVAL_ACCURACY, "last") == {"b": 1, "a": 2}


@pytest.mark.parametrize("bad", [math.nan, -math.inf, math.inf])
def test_what_diverged_never_wins(bad):
    assert ranking.rank([run("bad", loss=bad), run("good", loss=3.0)], EVAL_LOSS, "last") == {"good": 1}


@pytest.mark.parametrize("status", ["running", "failed"])
def test_running_and_failed_runs_stand_apart(status):
    assert "apart" not in ranking.rank([run("apart", loss=0.1, status=status), run("b")], EVAL_LOSS, "last")


def test_a_run_of_unknown_state_is_ranked():
    assert ranking.rank([run("a", status="unknown")], EVAL_LOSS, "last") == {"a": 1}


def test_a_metric_without_a_direction_is_no_ranking():
    with pytest.raises(ValueError, match="neither more nor less of it is better"):
        ranking.rank([run("a")], "eval/rewards/margins", "last")


def test_best_checkpoint_and_last_evaluation_can_disagree():
    early = replace(run("early", loss=0.9), best={EVAL_LOSS: 0.3}, best_step=100, step=500)
    late = replace(run("late", loss=0.5), best={EVAL_LOSS: 0.5}, best_step=500, step=500)
    assert ranking.rank([early, late], EVAL_LOSS, "best") == {"early": 1, "late": 2}
    assert ranking.rank([early, late], EVAL_LOSS, "last") == {"late": 1, "early": 2}
    assert (ranking.evaluation_step(early, "best"), ranking.evaluation_step(early, "last")) == (100, 500)


def test_loss_is_compared_only_at_one_beta_and_one_loss_type():
    assert comparability.loss_scale([run("a", beta=0.1), run("b", beta=0.1)]).comparable
    different = comparability.loss_scale([run("a", beta=0.5), run("b", beta=0.01)])
    assert not different.comparable
    assert different.reason == "beta differs (0.01–0.5)"
    types = comparability.loss_scale([run("a", loss_type=["sigmoid"]), run("b", loss_type="ipo")])
    assert types.reason == "the loss type differs (ipo, sigmoid)"
    assert comparability.loss_scale([run("a", beta=0.1), run("b")]).comparable


def test_the_natural_metric_avoids_a_loss_that_is_not_comparable():
    assert comparability.natural_metric([run("a", beta=0.1)]) == EVAL_LOSS
    assert comparability.natural_metric([run("a", beta=0.1), run("b", beta=0.2)]) == EVAL_ACCURACY


def test_only_a_logistic_loss_starts_at_ln_2():
    assert comparability.worse_than_untrained(run("a"), 0.70)
    assert not comparability.worse_than_untrained(run("a"), 0.69)
    assert not comparability.worse_than_untrained(run("a", loss_type=["ipo"]), 25.0)
    assert comparability.untrained_loss(run("a", loss_type=["sigmoid"])) == pytest.approx(math.log(2))


def test_runs_are_grouped_by_the_hash_of_their_pairs_else_by_source_and_number():
    known = [replace(run(name), data={"eval": "abc", "dataset": "ours"}) for name in "ab"]
    other = replace(run("c"), data={"eval": "xyz"})
    foreign = [replace(run(name), source="export.csv") for name in "def"]
    sets = comparability.evaluation_sets([*known, other, *foreign])
    assert [[r.id for r in found.runs] for found in sets] == [["d", "e", "f"], ["a", "b"], ["c"]]
    assert [found.proven for found in sets] == [False, True, True]
    assert sets[0].name == "1,000 pairs of export.csv"
    assert sets[1].name == "1,000 pairs of ours"


def test_varying_leaves_out_names_and_what_is_equal():
    runs = [run("a", beta=0.1, seed=1, output_dir="x", warmup=5), run("b", beta=0.2, seed=1, output_dir="y")]
    assert hyperparameters.varying(runs) == ("beta",)
    runs = [run("a", seed=1, learning_rate=1e-5, beta=0.1), run("b", seed=2, learning_rate=2e-5, beta=0.3)]
    assert hyperparameters.varying(runs) == ("beta", "learning_rate", "seed")
    assert hyperparameters.varying(runs, most=2) == ("beta", "learning_rate")


def test_the_answer_names_the_best_and_who_is_tied():
    """SE of 0.84 against 0.82 on 1,000: sqrt(0.1344/1000 + 0.1476/1000) = 0.0168; z = 1.19. Against 0.70: z = 7.5."""
    found = verdict.answer(
        group(run("top", accuracy=0.84), run("near", accuracy=0.82), run("far", accuracy=0.7)), EVAL_ACCURACY, "last"
    )
    assert found.best == found.most_accurate == "top"
    assert found.tied == {"top", "near"}
    assert found.headline == "top has the highest reward accuracy: 84.0% (95% interval 81.6% to 86.1%)."
    assert found.details[0].startswith("1 of the other 2 runs cannot be told apart from it")


def test_a_proven_winner_is_called_one():
    found = verdict.answer(group(run("top", accuracy=0.9), run("far", accuracy=0.7)), EVAL_ACCURACY, "last")
    assert found.details[0] == "It is better than the other ranked run (unpaired z test on the means, 95%)."


def test_a_winner_that_is_only_the_luckiest_of_many_is_not_proven():
    """z of 0.84 against 0.805 on 1,000: 0.035 / 0.0171 = 2.05: above 1.96, but below 2.64, the limit for 6 tests."""
    others = [run(f"r{i}", accuracy=0.805) for i in range(6)]
    found = verdict.answer(group(run("top", accuracy=0.84), *others), EVAL_ACCURACY, "last")
    assert found.tied == {"top"}
    assert found.details[0].startswith("That it is the best is not proven: taken one at a time the other 6 are worse")


def test_the_answer_by_loss_claims_no_test():
    found = verdict.answer(group(run("a", loss=0.4, beta=0.1), run("b", beta=0.5)), EVAL_LOSS, "last")
    assert found.headline == "a has the lowest eval loss: 0.4000."
    assert found.details[0].startswith("Means alone allow no test of the loss;")
    assert found.warnings[0].startswith("Beta differs (0.1–0.5): eval loss is not comparable")


@pytest.mark.parametrize(
    ("accuracies", "place"),
    [
        ((0.9, 0.7), "it is better than each other run, taken one at a time"),
        ((0.8, 0.81), "it is one of 2 runs that cannot be told apart from the best"),
        ((0.7, 0.9), "it is worse than the best"),
    ],
)
def test_the_answer_by_loss_says_where_its_run_stands_by_accuracy(accuracies, place):
    first, second = accuracies
    runs = group(run("lowest", loss=0.4, accuracy=first), run("other", accuracy=second))
    found = verdict.answer(runs, EVAL_LOSS, "last")
    assert f"by reward accuracy {place} (unpaired z test, 95%)." in found.details[0]


def test_no_winner_is_claimed_while_all_are_running():
    found = verdict.answer(group(run("a", status="running")), EVAL_LOSS, "last")
    assert found.best is None
    assert found.headline == "No run has ended yet; 1 is running and will be ranked then."


def test_an_accuracy_that_is_a_mean_of_batch_means_is_said_to_be():
    """0.8005 of 1,000 pairs is 800 and a half, a tie; 0.8003 is no number of pairs."""
    exact = verdict.answer(group(run("a", accuracy=0.8005), run("b")), EVAL_ACCURACY, "last")
    assert not any("batch means" in text for text in exact.details)
    rough = verdict.answer(group(run("a", accuracy=0.8003), run("b")), EVAL_ACCURACY, "last")
    assert any(text.startswith("One accuracy is no whole number of pairs") for text in rough.details)


def test_runs_left_out_of_the_ranking_are_counted():
    found = verdict.answer(group(run("a"), run("b", status="running"), run("c", status="failed")), EVAL_LOSS, "last")
    assert "Not ranked: 1 running and 1 failed." in found.details


def test_a_run_evaluated_only_before_training_is_not_worse_than_the_untrained_model_and_never_wins():
    """float32 of ln 2 is 0.69314718246, 1.9e-9 above the float64."""
    base = replace(run("base", loss=0.6931471824645996, accuracy=0.99), step=0)
    late = replace(run("late", loss=0.8, accuracy=0.6), step=100)
    assert not comparability.worse_than_untrained(base, 0.6931471824645996)
    assert ranking.rank([base, late], EVAL_LOSS, "last") == {"late": 1}
    found = verdict.answer(group(base, late), EVAL_ACCURACY, "last")
    assert (found.best, found.most_accurate) == ("late", "late")
    assert "Not ranked: 1 evaluated at step 0, before training." in found.details
    alone = verdict.answer(group(base), EVAL_LOSS, "best")
    assert alone.best is None
    assert alone.headline == "No run can be ranked: an evaluation at step 0 is that of the model before training."


@pytest.mark.parametrize(
    ("argument", "value", "shown"),
    [
        ("label_smoothing", 0.1, "0, 0.1"),
        ("loss_weights", [0.5], "0.5, None"),
        ("use_weighting", True, "False, True"),
        ("f_divergence_type", "js_divergence", "js_divergence, reverse_kl"),
    ],
)
def test_loss_is_not_compared_across_other_loss_arguments(argument, value, shown):
    scale = comparability.loss_scale([run("a", beta=0.1), run("b", beta=0.1, **{argument: value})])
    assert scale.reason == f"{argument} differs ({shown})"


def test_an_absent_loss_argument_is_the_same_as_trls_default():
    written = run("b", label_smoothing=0, loss_weights=[1.0], use_weighting=False, f_divergence_type="reverse_kl")
    old = run("c", f_divergence_type="FDivergenceType.REVERSE_KL", loss_weights="None")
    assert comparability.loss_scale([run("a"), written, old]).comparable


def test_a_weighted_loss_does_not_start_at_ln_2_and_a_smoothed_one_does():
    assert comparability.untrained_loss(run("a", loss_weights=[0.5])) is None
    assert comparability.untrained_loss(run("a", use_weighting=True)) is None
    plain = run("a", loss_type=["sigmoid"], label_smoothing=0.1, loss_weights=[1.0])
    assert comparability.untrained_loss(plain) == comparability.UNTRAINED


def test_the_best_checkpoint_is_said_to_be_chosen_on_the_same_pairs():
    recorded = replace(run("a"), best={EVAL_LOSS: 0.4, EVAL_ACCURACY: 0.8}, best_step=50, step=100)
    sentence = "The best of several checkpoints was chosen on these same pairs, so its accuracy is a little optimistic."
    assert sentence in verdict.answer(group(recorded, run("b")), EVAL_ACCURACY, "best").details
    assert sentence not in verdict.answer(group(recorded, run("b")), EVAL_ACCURACY, "last").details
    assert sentence not in verdict.answer(group(run("b")), EVAL_ACCURACY, "best").details


def test_pruned_runs_stand_apart_and_stopped_ones_do_not():
    runs = [run("pruned", loss=0.1, status="pruned"), run("stopped", loss=0.2, status="stopped"), run("b")]
    assert ranking.rank(runs, EVAL_LOSS, "last") == {"stopped": 1, "b": 2}


def test_the_user_may_say_which_way_an_unknown_metric_is_better():
    runs = [
        replace(run(name), metrics={"eval/bleu": value}) for name, value in (("a", 0.2), ("b", 0.4), ("c", math.nan))
    ]
    with pytest.raises(ValueError, match="eval/bleu has no better direction"):
        ranking.rank(runs, "eval/bleu", "last")
    assert ranking.rank(runs, "eval/bleu", "last", "higher") == {"b": 1, "a": 2}
    assert ranking.winner(runs, "eval/bleu", "last", "lower").id == "a"


def test_given_values_are_ranked_and_what_is_not_finite_is_not():
    assert ranking.rank_values({"a": 0.5, "b": math.nan, "c": 0.5, "d": 0.9}, "lower") == {"a": 1, "c": 1, "d": 3}
    assert ranking.rank_values({"a": 0.5, "b": math.inf, "d": 0.9}, "higher") == {"d": 1, "a": 2}


def test_ranks_by_several_metrics_at_once():
    runs = [run("a", loss=0.4, accuracy=0.7), run("b", loss=0.5, accuracy=0.9), run("c", status="failed")]
    found = ranking.ranks(runs, [EVAL_LOSS, EVAL_ACCURACY, "eval/rewards/margins"], "last")
    assert found == {"a": {EVAL_LOSS: 1, EVAL_ACCURACY: 2}, "b": {EVAL_LOSS: 2, EVAL_ACCURACY: 1}, "c": {}}


def evaluated(name: str, losses: dict[int, float], status: str = "finished") -> Evidence:
    nothing = array("d", [math.nan] * len(losses))
    history = {EVAL_LOSS: Series(array("q", losses), nothing, nothing, array("d", losses.values()))}
    last = max(losses)
    return Evidence(replace(run(name, loss=losses[last], status=status), step=last, best_step=last), history)


def test_a_common_step_is_the_latest_that_all_reached():
    short, long = (
        evaluated("short", {0: 0.7, 100: 0.6, 200: 0.5}),
        evaluated("long", {0: 0.7, 100: 0.65, 200: 0.55, 400: 0.3}),
    )
    assert budgets.common_step([short, long]) == 200
    there = [budgets.at_step(found, 200) for found in (short, long)]
    assert [(found.step, found.metrics[EVAL_LOSS]) for found in there] == [(200, 0.5), (200, 0.55)]
    assert ranking.rank(there, EVAL_LOSS, "best") == {"short": 1, "long": 2}
    assert ranking.rank([short.run, long.run], EVAL_LOSS, "last") == {"long": 1, "short": 2}


def test_a_common_step_may_be_five_percent_off_and_no_more():
    first = evaluated("a", {100: 0.6, 200: 0.5})
    assert budgets.common_step([first, evaluated("b", {104: 0.6, 195: 0.5})]) == 195
    assert budgets.at_step(first, 195).step == 200
    assert budgets.common_step([first, evaluated("b", {150: 0.6})]) is None
    assert budgets.common_step([first, evaluated("b", {0: 0.6})]) is None
    assert budgets.at_step(first, 150) is None


def test_at_a_step_state_is_kept_and_nothing_of_later():
    found = budgets.at_step(evaluated("a", {100: 0.6, 200: 0.5}, status="failed"), 100)
    assert (found.status, found.best, found.metrics) == ("failed", {}, {EVAL_LOSS: 0.6})


def test_budgets_in_words():
    """100 steps of 4 x 2 pairs on 2 devices are 1,600 pairs; on how many devices is unknown without the summary."""
    config = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    base = replace(run("a", **config), step=100, max_steps=500, epoch=0.25)
    assert budgets.budget(replace(base, environment={"devices": 2})) == "100 of 500 steps, 0.25 epochs, 1,600 pairs"
    assert budgets.budget(base) == "100 of 500 steps, 0.25 epochs"
    summary = {"train/train_runtime": 12.3456, "train/train_samples_per_second": 129.601}
    assert budgets.pairs_seen(replace(base, metrics=summary)) == 1600
    assert budgets.budget(run("b")) == ""
