"""How sure it is that a run is the best: by paired tests on the same pairs, and from means."""

import re

import numpy as np
import pytest
from verdicts import drawn, right, run, with_scores

from dashboard.analysis import certainty, certainty_pairs, paired, power
from dashboard.analysis.common_scale import EVAL_CALIBRATED, EVAL_COMMON, with_common_scale
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.study import Evidence, study


def sure(found, best, key=EVAL_ACCURACY, b=None):
    known = with_common_scale(study(found), b)
    return certainty.certainty(known[best].run, [one.run for one in known.values()], key, "last", known, b)


def test_a_run_that_is_right_where_the_other_is_wrong_is_proven_better():
    """90 of 100 against 60, all its 60 among them: 30 discordant pairs on one side, p = 2 / 2^30."""
    found = sure([with_scores("a", right(90)), with_scores("b", right(60))], "a")
    assert found.sentence == "It is better than the other run (exact McNemar test on the same 100 pairs, 95%)."
    assert (found.tied, found.proven) == ({"a"}, True)


def test_more_pairs_are_asked_for_as_the_power_of_the_test_has_it():
    """62 against 60 of 100, discordant on 2 pairs: what 2% against 2% needs, less the 100 that there are."""
    more = power.pairs_needed(0.02, 0.02) - 100
    assert 300 < more < 600
    found = sure([with_scores("a", right(62)), with_scores("b", right(60))], "a")
    assert found.sentence == (
        "It is not proven to be the best: the other run cannot be told apart from it (exact McNemar test on the same "
        f"100 pairs, 95%); about {certainty_pairs.rounded(more)} more pairs would decide between it and b."
    )


def test_the_smallest_detectable_difference_is_told_of_the_nearest_run():
    """88 against 80 of 200, discordant on 72; four pairs of a prompt that are alike count as one."""
    counts = [48, 80, 40, 32]
    a, b = np.repeat([1.0, -1.0, 1.0, -1.0], counts), np.repeat([1.0, -1.0, -1.0, 1.0], counts)
    for pairs, prompts in [(200, None), (50, np.arange(200) // 4)]:
        found = sure([with_scores("a", a, prompts), with_scores("b", b, prompts)], "a")
        least = power.smallest_detectable(pairs, 0.36)
        assert found.notes[0] == (
            f"Smallest detectable difference between a and b, on these 200 pairs: a true difference of {least:.1%} "
            "is shown four times in five (power 80%)."
        ).replace("% is", " points or more is")


def test_the_smallest_detectable_difference_of_a_loss_is_2_8_standard_errors():
    """(1.96 + 0.8416) standard errors of the mean difference of the losses."""
    rng = np.random.default_rng(0)
    h, other = rng.normal(5, 20, 400), rng.normal(5, 20, 400)
    off = np.logaddexp(0, -0.1 * h) - np.logaddexp(0, -0.1 * other)
    best = "a" if off.mean() < 0 else "b"
    found = sure([with_scores("a", h), with_scores("b", other)], best, EVAL_COMMON, 0.1)
    least = 2.8016 * off.std(ddof=1) / 20
    assert f"a true difference of {least:.3f}" in found.notes[0]


def test_means_tell_a_smallest_detectable_difference_too():
    """70% of 200 pairs: 13.4 points below, 56.6%, (1.96 + 0.8416)^2 (0.7 x 0.3 + 0.566 x 0.434) / 0.134^2 = 200."""
    assert sure([Evidence(run("a", 0.7, n=200)), Evidence(run("b", 0.68, n=200))], "a").notes[0] == (
        "Smallest detectable difference from means of 200 pairs: a true difference of 13.4 points or more is shown "
        "four times in five (power 80%)."
    )
    few = sure([Evidence(run("a", 0.5, n=4)), Evidence(run("b", 0.25, n=4))], "a").notes[0]
    assert few == "Smallest detectable difference from means of 4 pairs: none is shown four times in five (power 80%)."


@pytest.mark.parametrize(("key", "per_prompt"), [(EVAL_ACCURACY, 1), (EVAL_COMMON, 4)])
def test_as_many_more_pairs_as_are_asked_for_decide_in_four_of_five_samples(key, per_prompt):
    """Asked for where the difference seen is the true one, that of 40,000 pairs; then so many are drawn 40 times."""

    def gap(found):
        return found["run 0"].run.metrics[key] - found["run 1"].run.metrics[key]

    truths = [0.80, 0.75]
    true = gap(with_common_scale(drawn(0, 40_000, truths, per_prompt), 0.1))
    samples = (with_common_scale(drawn(seed, 200, truths, per_prompt), 0.1) for seed in range(200))
    asked = next(
        found[1]
        for sample in samples
        if abs(gap(sample) / true - 1) < 0.05
        and (found := re.search(r"about ([\d,]+) more", sure(sample.values(), "run 0", key, 0.1).sentence))
    )
    total = 200 + int(asked.replace(",", ""))
    drawings = (drawn(1000 + seed, total - total % per_prompt, truths, per_prompt) for seed in range(40))
    assert 0.65 < np.mean([sure(found.values(), "run 0", key, 0.1).proven for found in drawings]) < 0.93


def test_equal_runs_are_said_to_be_exactly_as_good():
    found = sure([with_scores(name, right(80)) for name in "abc"], "a")
    assert found.sentence.startswith(
        "It is not proven to be the best: none of the other 2 runs can be told apart from it"
    )
    assert found.sentence.endswith("; on these pairs b is exactly as good.")
    assert found.tied == {"a", "b", "c"}


def test_a_ranked_run_without_scores_leaves_it_open():
    rest = [Evidence(run("c", 0.5, n=100)), with_scores("b", right(60))]
    found = sure([with_scores("a", right(90)), *rest], "a")
    assert found.sentence == (
        "It is not proven to be the best: it is better than the other run (exact McNemar test on the same 100 pairs, "
        "95%; 1 more not compared, without scores on these pairs)."
    )
    assert (found.proven, found.compared) == (False, {"a", "b"})


def test_scores_on_other_pairs_are_not_compared():
    others = [f"other {i}" for i in range(100)]
    found = sure([with_scores("a", right(90)), with_scores("b", right(60), pairs=others)], "a")
    assert "unpaired z test" in found.sentence


def test_the_same_pairs_in_another_order_are_the_same():
    order = np.random.default_rng(0).permutation(100)
    names = [f"pair-{i}" for i in order]
    found = sure([with_scores("a", right(90)), with_scores("b", right(60)[order], pairs=names)], "a")
    assert found.sentence.startswith("It is better than the other run (exact McNemar")
    shuffled = sure([with_scores("a", right(62)), with_scores("b", right(60)[order], pairs=names)], "a")
    assert shuffled.sentence == sure([with_scores("a", right(62)), with_scores("b", right(60))], "a").sentence


def test_a_run_that_its_scores_do_not_bear_out_is_not_called_the_best():
    """a logs 95% but was right on 60 pairs of 100, b on 90."""
    found = sure([with_scores("a", right(60), accuracy=0.95), with_scores("b", right(90))], "a")
    assert found.sentence.startswith("By the scores of each pair it is not the best: b is better (exact McNemar test")
    assert not found.proven and "b" not in found.tied


def test_a_pair_without_a_number_sets_a_run_apart():
    h = right(60).copy()
    h[0] = np.nan
    found = sure([with_scores("a", right(90)), with_scores("b", h, accuracy=0.6, loss=0.5)], "a")
    assert "unpaired z test" in found.sentence
    three = sure([with_scores("a", right(90)), with_scores("b", h, accuracy=0.6), with_scores("c", right(50))], "a")
    assert "1 more not compared" in three.sentence and not three.proven


def test_pairs_of_one_prompt_are_no_independent_evidence():
    """12 more right of 60, all of 3 prompts of 4 pairs: 12 : 0 by pairs is p = 0.0005, 3 : 0 by prompts is nothing."""
    prompts = np.arange(60) // 4
    found = sure([with_scores("a", right(42, 60), prompts), with_scores("b", right(30, 60), prompts)], "a")
    assert paired.CLUSTERED in found.sentence
    assert not found.proven
    alone = sure([with_scores("a", right(42, 60)), with_scores("b", right(30, 60))], "a")
    assert alone.proven


def test_the_luck_of_the_best_is_told_for_accuracies_and_for_losses():
    """Of equal runs the picked one is flattered: new pairs give a lower accuracy, and a higher loss."""
    known = with_common_scale(drawn(3, 200, [0.75] * 10), 0.1)
    for key, better, shown in [(EVAL_ACCURACY, max, r"near ([\d.]+)%"), (EVAL_COMMON, min, r"near ([\d.]+),")]:
        best = better(known, key=lambda run: known[run].run.metrics[key])
        found = certainty.certainty(known[best].run, [one.run for one in known.values()], key, "last", known, 0.1)
        note = found.notes[-1]
        assert note.startswith(f"{best} was picked as the best of 10 by these very pairs, which flatters it")
        assert 0 < int(re.search(r"chance of (\d+)%", note)[1]) < 100
        expected, seen = float(re.search(shown, note)[1]), known[best].run.metrics[key]
        assert expected / 100 < seen if key == EVAL_ACCURACY else expected > seen


def test_a_loss_is_tested_where_its_scores_give_it():
    rng = np.random.default_rng(1)
    h = rng.normal(8, 14, 300)
    found = [with_scores("a", h + 6), with_scores("b", h)]
    assert sure(found, "a", EVAL_LOSS).sentence == (
        "It is better than the other run (paired t test clustered by prompt on the same 300 pairs, 95%)."
    )
    assert sure(found, "a", EVAL_COMMON, 0.2).proven
    assert sure(found, "a", EVAL_CALIBRATED).proven


@pytest.mark.parametrize(
    "config",
    [{"loss_type": ["ipo"]}, {"beta": None}, {"label_smoothing": 0.2}],
)
def test_a_loss_that_the_scores_do_not_give_is_not_tested(config):
    """With label smoothing of 0.2 the loss is 0.8 softplus(-b h) + 0.2 softplus(b h): not what is logged here."""
    h = np.random.default_rng(1).normal(8, 14, 300)
    smoothed = float((0.8 * np.logaddexp(0, -0.1 * h) + 0.2 * np.logaddexp(0, 0.1 * h)).mean())
    about = {"config": config, "loss": smoothed}
    found = sure(
        [with_scores("a", h, **about), with_scores("b", h, **{**about, "loss": smoothed + 0.1})], "a", EVAL_LOSS
    )
    assert found.sentence.startswith("It is not proven to be the best: means allow no test of the eval loss")


def test_losses_at_two_betas_are_not_tested_against_each_other():
    h = np.random.default_rng(1).normal(8, 14, 300)
    found = sure([with_scores("a", h, beta=0.1), with_scores("b", h, beta=0.5)], "a", EVAL_LOSS)
    assert found.sentence.startswith("It is not proven to be the best: means allow no test of the eval loss")


def test_the_scale_of_margins_does_not_matter_to_the_calibrated_loss():
    h = np.random.default_rng(1).normal(8, 14, 300)
    found = sure([with_scores("a", h, beta=0.1), with_scores("b", 5 * h, beta=0.5)], "a", EVAL_CALIBRATED)
    assert "on these pairs b is exactly as good" in found.sentence


def by_means(*runs, best="a", key=EVAL_ACCURACY):
    return sure([Evidence(one) for one in runs], best, key)


def test_from_means_the_far_run_of_those_alike_says_how_many_pairs_are_needed():
    """84% against 82% of 1,000: 7.849 (0.84 x 0.16 + 0.82 x 0.18) / 0.02^2 = 5,533.4, 4,534 more, 4,600 so rounded."""
    found = by_means(run("a", 0.84), run("b", 0.82))
    assert found.sentence == (
        "It is not proven to be the best: the other run cannot be told apart from it (unpaired z test on the means, "
        "95%); about 4,600 more pairs would tell the two apart."
    )
    assert power.pairs_needed_unpaired(0.02, 0.84) == 5534


def test_a_winner_that_is_only_the_luckiest_of_many_is_not_proven():
    """z of 0.84 against 0.805 on 1,000 is 2.05, p = 0.040: below 0.05, but not below 0.05 / 6."""
    found = by_means(run("a", 0.84), *(run(f"r{i}", 0.805) for i in range(6)))
    assert found.sentence == (
        "It is not proven to be the best: by itself each of the other 6 runs is worse, but corrected for 6 comparisons "
        "6 cannot be told apart from it (unpaired z test on the means, 95%)."
    )
    assert (found.tied, found.proven) == ({"a"}, False)


def test_six_pairs_prove_nothing():
    """6 of 6 against 3 of 6: z = 2.45 as they are; 7/8 against 4/8 with two pairs added, z = 1.77."""
    assert not by_means(run("a", 1.0, n=6), run("b", 0.5, n=6)).proven


def test_a_ranked_run_of_an_unknown_number_of_pairs_leaves_it_open():
    found = by_means(run("a", 0.9), run("b", 0.5), run("c", 0.4, n=None))
    assert found.sentence == (
        "It is not proven to be the best: it is better than the other run (unpaired z test on the means, 95%; 1 more "
        "not compared, without accuracy or number of pairs)."
    )
    assert not found.proven


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        ([run("a", n=None), run("b")], "its number of evaluation pairs is unknown"),
        ([run("a", metrics={EVAL_LOSS: 0.4}), run("b")], "it has no reward accuracy"),
        ([run("a"), run("b", n=None)], "the other run's accuracy or number of pairs is unknown"),
        ([run("a"), run("b", n=None), run("c", n=None)], "the other 2 runs' accuracy or number of pairs is unknown"),
    ],
)
def test_what_is_missing_is_said(runs, why):
    found = by_means(*runs, key=EVAL_LOSS)
    assert found.sentence == f"How sure that is cannot be told: {why}."
    assert (found.tied, found.proven) == ({"a"}, False)


@pytest.mark.parametrize(
    ("accuracies", "stands", "tied"),
    [
        ([0.9, 0.7], "better than the other run", {"a"}),
        ([0.8, 0.81], "not told apart from the other run", {"a", "r1"}),
        ([0.7, 0.9], "worse than the other run", {"a"}),
        (
            [0.8, 0.6, 0.81, 0.9],
            "better than 1 and worse than 1 and not told apart from 1 of the other 3 runs",
            {"a", "r2"},
        ),
        ([0.8, 0.6, 0.6], "better than each of the other 2 runs", {"a"}),
    ],
)
def test_the_best_by_loss_is_not_proven_by_its_accuracy(accuracies, stands, tied):
    first, *rest = accuracies
    found = by_means(run("a", first, 0.4), *(run(f"r{i}", value) for i, value in enumerate(rest, 1)), key=EVAL_LOSS)
    assert found.sentence == (
        "It is not proven to be the best: means allow no test of the eval loss, and by reward accuracy it is "
        f"{stands} (unpaired z test on the means, 95%)."
    )
    assert (found.tied, found.proven) == (tied, False)


def test_from_means_the_best_is_said_to_be_flattered_by_at_most_so_much():
    """The largest of 2 standard normals is 0.564 on average; times sqrt(0.8 x 0.2 / 1000) = 1.26 points: 0.7."""
    assert by_means(run("a", 0.8), run("b", 0.8)).notes[-1] == (
        "The best of 2 is also the luckiest: its accuracy is too high by up to 0.7 points on average."
    )


@pytest.mark.parametrize(
    ("count", "shown"), [(1, "1"), (99.2, "100"), (101, "110"), (22345, "23,000"), (4533.4, "4,600")]
)
def test_numbers_of_pairs_are_rounded_up_to_two_digits(count, shown):
    assert certainty_pairs.rounded(count) == shown
