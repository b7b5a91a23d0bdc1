"""The verdict: which run is best, is that proven, and when it must not be said to be."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verdicts import drawn, right, run, together, with_scores

from dashboard.analysis import verdict
from dashboard.analysis.common_scale import EVAL_CALIBRATED, EVAL_COMMON, with_common_scale
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.study import study


def judged(found, key=EVAL_ACCURACY, at="last", b=None):
    known = with_common_scale(found, b)
    return verdict.answer(together(*(evidence.run for evidence in known.values())), key, at, known, b)


def test_the_answer_is_three_sentences_with_their_numbers():
    """SE of 0.84 against 0.82 on 1,000: sqrt(0.1344/1000 + 0.1476/1000) = 0.0168; z = 1.19. Against 0.70: z = 7.5."""
    found = verdict.answer(together(run("top", 0.84), run("near", 0.82), run("far", 0.7)), EVAL_ACCURACY, "last")
    assert found.best == "top"
    assert found.tied == {"top", "near"}
    assert not found.proven
    which, others, base = found.sentences
    assert which == "top has the highest reward accuracy: 84.0% (95% interval 81.6% to 86.1%)."
    assert others.startswith("It is not proven to be the best: 1 of the other 2 runs cannot be told apart from it")
    assert base == (
        "It is better than the base model on these pairs: 84.0% of the pairs ranked right (95% interval 81.6% to 86.1%)"
        " against 50%, and a loss of 0.5000 against 0.6931 before training, if it is the sigmoid loss."
    )


def test_every_sentence_is_short_enough_to_be_read():
    found = [
        verdict.answer(together(run("top", 0.84), run("near", 0.82)), key, "last") for key in (EVAL_ACCURACY, EVAL_LOSS)
    ]
    found += [judged(drawn(0, 300, [0.75] * 8), key, b=0.1) for key in (EVAL_ACCURACY, EVAL_COMMON, EVAL_CALIBRATED)]
    assert max(len(sentence.split()) for one in found for sentence in one.sentences) <= 50


def test_a_proven_winner_is_called_one_and_only_on_pairs_known_to_be_the_same():
    runs = run("top", 0.9), run("far", 0.7)
    found = verdict.answer(together(*runs), EVAL_ACCURACY, "last")
    assert found.proven
    assert found.sentences[1] == "It is better than the other run (unpaired z test on the means, 95%)."
    assumed = verdict.answer(together(*runs, proven=False), EVAL_ACCURACY, "last")
    assert not assumed.proven
    assert assumed.sentences[1].endswith("name the evaluation pairs; they are taken to be the same for all these runs.")
    hashed = [replace(one, data={"eval": "e" * 64}) for one in runs]
    assumed = verdict.answer(together(*hashed, proven=False), EVAL_ACCURACY, "last")
    assert not assumed.proven
    assert assumed.sentences[1].endswith("tell the reference model; it is taken to be the same for all these runs.")


def test_nothing_is_proven_where_the_base_model_may_be_as_good():
    """55 of 100 against 20 of 100: better than the other run, but 55% is within chance of 50%."""
    found = verdict.answer(together(run("top", 0.55, n=100), run("far", 0.2, n=100)), EVAL_ACCURACY, "last")
    assert found.sentences[1].startswith("It is better than the other run")
    assert not found.proven


def test_equal_runs_share_the_first_place_and_none_is_proven():
    found = verdict.answer(together(run("a", 0.9), run("b", 0.9), run("c", 0.1)), EVAL_ACCURACY, "last")
    assert found.headline.startswith("a and 1 other run have the highest reward accuracy: 90.0%")
    assert found.tied == {"a", "b"}
    assert not found.proven
    scored = judged(study([with_scores("a", right(90)), with_scores("b", right(90)), with_scores("c", right(10))]))
    assert "on these pairs b is exactly as good" in scored.sentences[1]
    assert scored.tied == {"a", "b"}


def test_one_run_alone_is_the_best_of_nothing():
    found = verdict.answer(together(run("only", 0.9)), EVAL_ACCURACY, "last")
    assert (found.best, found.tied, found.proven) == ("only", {"only"}, False)
    assert found.sentences[1] == "No other run is ranked: there is nothing to compare it with."


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_diverged_is_neither_the_best_nor_compared(bad):
    found = verdict.answer(together(run("bad", bad, bad), run("good", 0.6)), EVAL_ACCURACY, "last")
    assert (found.best, found.tied) == ("good", {"good"})
    assert verdict.answer(together(run("bad", bad, bad)), EVAL_LOSS, "last").headline == (
        "No run can be ranked: none that has ended has a finite eval loss."
    )


def test_no_winner_is_claimed_while_all_are_running():
    found = verdict.answer(together(run("a", status="running")), EVAL_LOSS, "last")
    assert found.best is None
    assert found.sentences == ("No run has ended yet; 1 is running and will be ranked then.",)
    mixed = verdict.answer(together(run("a", status="running"), run("b", status="failed")), EVAL_LOSS, "last")
    assert mixed.headline == "No run can be ranked: 1 running and 1 failed."


def test_runs_left_out_of_the_ranking_are_counted():
    apart = run("d", apart="a mean of several runs")
    runs = run("a"), run("b", status="running"), run("c", status="failed"), apart
    found = verdict.answer(together(*runs), EVAL_LOSS, "last")
    assert "Not ranked: 1 running, 1 failed and 1 (a mean of several runs)." in found.details


def test_a_run_evaluated_only_before_training_never_wins():
    base, late = run("base", 0.99, 0.69, step=0), run("late", 0.6, 0.8)
    found = verdict.answer(together(base, late), EVAL_ACCURACY, "last")
    assert found.best == "late"
    assert "Not ranked: 1 evaluated at step 0, before training." in found.details
    alone = verdict.answer(together(base), EVAL_LOSS, "best")
    assert alone.headline == "No run can be ranked: an evaluation at step 0 is that of the model before training."


def test_an_accuracy_that_is_a_mean_of_batch_means_is_said_to_be():
    """0.8005 of 1,000 pairs is 800 and a half, a tie; 0.8003 is no number of pairs."""
    exact = verdict.answer(together(run("a", 0.8005), run("b")), EVAL_ACCURACY, "last")
    assert not any("batch means" in text for text in exact.details)
    rough = verdict.answer(together(run("a", 0.8003), run("b")), EVAL_ACCURACY, "last")
    assert any(text.startswith("One accuracy is no whole number of pairs") for text in rough.details)


def test_the_best_checkpoint_is_said_to_be_chosen_on_the_same_pairs():
    recorded = replace(run("a"), best={EVAL_LOSS: 0.4, EVAL_ACCURACY: 0.8}, best_step=5)
    sentence = "The best of several checkpoints was chosen on these same pairs, so its accuracy is a little optimistic."
    assert sentence in verdict.answer(together(recorded, run("b")), EVAL_ACCURACY, "best").details
    assert sentence not in verdict.answer(together(recorded, run("b")), EVAL_ACCURACY, "last").details
    assert sentence not in verdict.answer(together(run("b")), EVAL_ACCURACY, "best").details


def test_runs_without_a_best_checkpoint_are_said_to_be_judged_by_their_last_evaluation():
    recorded = replace(run("a"), best={EVAL_LOSS: 0.4, EVAL_ACCURACY: 0.8}, best_step=5)
    for runs, words in [
        ((run("a"),), "This run records"),
        ((run("a"), run("b")), "These runs record"),
        ((recorded, run("b")), "1 of these runs records"),
    ]:
        found = verdict.answer(together(*runs), EVAL_ACCURACY, "best")
        assert f"{words} no best checkpoint: the last evaluation is used." in found.details


def test_a_metric_is_named_with_its_split_and_shown_in_its_own_unit():
    loss = run("a", metrics={"train/loss": 0.00012, EVAL_ACCURACY: 0.8})
    assert verdict.answer(together(loss), "train/loss", "last").headline == "a has the lowest train loss: 1.2e-4."
    percent = run("a", metrics={EVAL_ACCURACY: 83.7})
    assert verdict.answer(together(percent), EVAL_ACCURACY, "last").headline == (
        "a has the highest reward accuracy: 83.7000."
    )


def test_of_twenty_equal_runs_none_is_proven_the_best():
    assert not any(judged(drawn(seed, 500, [0.75] * 20)).proven for seed in range(20))


@pytest.mark.parametrize("key", [EVAL_ACCURACY, EVAL_LOSS, EVAL_CALIBRATED])
def test_of_two_equal_runs_one_is_proven_the_best_in_five_of_a_hundred_samples(key):
    """The hardest case for the level. Binomial: at 5%, 11 or fewer of 100 in 99.6%."""
    assert sum(judged(drawn(seed, 200, [0.75] * 2), key).proven for seed in range(100)) <= 11


def test_worse_runs_beside_two_equally_good_ones_change_nothing():
    """Binomial: at 5%, 6 or fewer of 40 in 99.7%; in 200 seeds with 18 worse runs it was 3% (accuracy), 5.5% (loss)."""
    assert sum(judged(drawn(seed, 200, [0.85] * 2 + [0.6] * 6)).proven for seed in range(40)) <= 6


@pytest.mark.parametrize("scores", [True, False])
def test_a_run_ten_points_better_than_nineteen_others_is_proven_the_best(scores):
    """On 500 pairs: in 95.5% of 200 seeds with per-pair scores, in 86.5% from means."""
    found = [judged(drawn(seed, 500, [0.85, *[0.75] * 19], scores=scores)) for seed in range(15)]
    proven = [one for one in found if one.proven]
    assert len(proven) >= (13 if scores else 10)
    assert {one.best for one in proven} == {"run 0"}


means = st.tuples(
    st.sampled_from([0.0, 0.2, 0.5, 0.8, 0.81, 1.0, math.nan]),
    st.sampled_from([0.1, 0.5, 0.6931, 0.9, math.nan, math.inf]),
    st.sampled_from([None, 1, 6, 500]),
    st.sampled_from(["finished", "running", "failed", "unknown"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(means, min_size=1, max_size=5), st.sampled_from([EVAL_ACCURACY, EVAL_LOSS]), st.booleans())
def test_proven_is_never_said_where_something_is_open(found, key, same):
    runs = [run(f"r{i}", accuracy, loss, n, status=status) for i, (accuracy, loss, n, status) in enumerate(found)]
    answer = verdict.answer(together(*runs, proven=same), key, "last")
    assert 1 <= len(answer.sentences) <= 3
    assert all(sentence.endswith(".") and "nan" not in sentence.lower() for sentence in answer.sentences)
    assert answer.best is None or answer.best in answer.tied
    if answer.proven:
        ranked = [one for one in runs if one.status in ("finished", "unknown") and math.isfinite(one.metrics[key])]
        best = next(one for one in ranked if one.id == answer.best)
        assert same and key == EVAL_ACCURACY and len(ranked) > 1
        assert answer.tied == {answer.best}
        assert all(one.n_eval and one.metrics[key] < best.metrics[key] for one in ranked if one is not best)
        assert best.metrics[EVAL_ACCURACY] > 0.5 and best.metrics[EVAL_LOSS] < math.log(2)


def test_a_beta_that_is_not_known_does_not_break_the_answer_by_loss():
    rng = np.random.default_rng(0)
    found = study([with_scores(name, rng.normal(5, 10, 50), config={"beta": None}) for name in "ab"])
    assert judged(found, EVAL_LOSS).sentences[1].startswith("It is not proven to be the best: means allow no test")
