"""Which run is best, and what may be compared."""

import math
from array import array
from dataclasses import replace

import pytest

from dashboard.analysis import budgets, comparability, hyperparameters, ranking
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.study import Evidence
from training.record.schema import Run, Series


def run(name: str, loss: float = 0.5, accuracy: float = 0.8, status: str = "finished", **config: object) -> Run:
    metrics = {EVAL_LOSS: loss, EVAL_ACCURACY: accuracy}
    return Run(id=name, name=name, source="runs", status=status, config=config, metrics=metrics, n_eval=1000)


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


def test_a_run_evaluated_only_before_training_is_not_worse_than_the_untrained_model_and_never_wins():
    """float32 of ln 2 is 0.69314718246, 1.9e-9 above the float64."""
    base = replace(run("base", loss=0.6931471824645996, accuracy=0.99), step=0)
    late = replace(run("late", loss=0.8, accuracy=0.6), step=100)
    assert not comparability.worse_than_untrained(base, 0.6931471824645996)
    assert ranking.rank([base, late], EVAL_LOSS, "last") == {"late": 1}


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
