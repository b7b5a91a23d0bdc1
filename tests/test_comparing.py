"""A few runs against one of them: where they differ, and how sure that is."""

import math
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
import yaml
from scored import scored
from verdicts import right, run, with_scores

from dashboard.analysis import comparability, comparing
from dashboard.analysis.common_scale import EVAL_COMMON
from dashboard.analysis.comparing import EVAL_MARGIN, UNPAIRED, Comparable
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.study import Evidence, study
from dashboard.figures import differences as drawn
from training.record.intervals import Interval
from training.record.schema import Run


def found(runs, baseline="a", b=0.1):
    known = study(runs)
    groups = Comparable(comparability.accuracy_groups(known), comparability.loss_groups(known))
    rows = comparing.differences(known, list(known), baseline, "last", b, groups)
    return {(one.run, one.key): one for one in rows}


def test_accuracies_of_scored_runs_are_compared_pair_by_pair():
    """a right on the first 80 of 100, b on the first 90: b alone on 10, a alone on none: p = 2 / 2^10 = 0.00195."""
    one = found([with_scores("a", right(80)), with_scores("b", right(90))])["b", EVAL_ACCURACY]
    assert one.comparison.difference == pytest.approx(0.1)
    assert (one.comparison.only_a, one.comparison.only_b) == (10, 0)
    assert one.p == pytest.approx(2 / 2**10)
    assert one.proven


def test_p_is_corrected_for_the_number_of_runs_set_against_one():
    """Holm for two: the smaller p is doubled, the larger stays. 2/2^10 becomes 4/2^10; 2/2^5 stays."""
    runs = [with_scores("a", right(80)), with_scores("b", right(90)), with_scores("c", right(85))]
    both = found(runs)
    assert both["b", EVAL_ACCURACY].p == pytest.approx(4 / 2**10)
    assert both["c", EVAL_ACCURACY].p == pytest.approx(2 / 2**5)
    assert not both["c", EVAL_ACCURACY].proven


def test_losses_are_compared_only_on_one_scale_and_the_common_beta_loss_always():
    """c has another beta: neither its loss nor its margin is set against a's; its loss at the common beta is."""
    runs = [
        with_scores("a", right(80)),
        with_scores("b", right(80, size=20.0)),
        with_scores("c", right(80), beta=0.5),
    ]
    rows = found(runs)
    assert rows["b", EVAL_LOSS].comparison is not None
    assert rows["c", EVAL_LOSS].comparison is None
    assert "not on one scale" in rows["c", EVAL_LOSS].why
    assert "beta differs" in rows["c", EVAL_MARGIN].why
    assert rows["c", EVAL_COMMON].comparison.difference == 0
    assert rows["b", EVAL_COMMON].comparison is not None


def test_the_margin_is_a_difference_of_rewards():
    """Margins of +-10 and +-20 nats, 80 right and 20 wrong: means 6 and 12, times beta 0.1: 0.6 apart."""
    rows = found([with_scores("a", right(80)), with_scores("b", right(80, size=20.0))])
    assert rows["b", EVAL_MARGIN].comparison.difference == pytest.approx(0.6)


def test_a_margin_that_the_scores_do_not_give_is_not_tested():
    """Scores with a mean of 0.6 beside a logged 5: the difference of the scores is not that of the numbers shown."""
    b = with_scores("b", right(80))
    b = replace(b, run=replace(b.run, metrics={**b.run.metrics, EVAL_MARGIN: 5.0}))
    one = found([with_scores("a", right(80, size=20.0)), b])["b", EVAL_MARGIN]
    assert one.comparison is None
    assert "do not give this metric" in one.why


def test_without_scores_accuracies_are_compared_by_their_means():
    """80% and 90% of 1,000, one right and one wrong added: 801/1002 and 901/1002.

    Difference -0.0998, error sqrt(0.1602/1002 + 0.0908/1002) = 0.01583, z = 6.31.
    """
    one = found([Evidence(run("b", 0.8)), Evidence(run("a", 0.9))])["b", EVAL_ACCURACY]
    assert one.comparison.test == UNPAIRED
    assert one.comparison.difference == pytest.approx(-0.1)
    assert one.comparison.interval == pytest.approx((-0.0998 - 1.96 * 0.01583, -0.0998 + 1.96 * 0.01583), abs=2e-4)
    assert one.comparison.p == pytest.approx(math.erfc(6.304 / math.sqrt(2)), rel=0.05)


def test_what_cannot_be_compared_says_why():
    rows = found([Evidence(run("a", 0.8, n=None)), Evidence(run("b", 0.9, n=None))])
    assert "number of pairs is not known" in rows["b", EVAL_ACCURACY].why
    assert "no per-pair scores" in rows["b", EVAL_LOSS].why
    rows = found([Evidence(run("a", 0.8)), Evidence(replace(run("b", 0.9), status="running"))])
    assert rows["b", EVAL_ACCURACY].why == "it is still running: a difference is not tested"
    rows = found([Evidence(replace(run("a", 0.8), status="failed")), Evidence(run("b", 0.9))])
    assert "set against is failed" in rows["b", EVAL_ACCURACY].why
    rows = found([Evidence(run("a", 80.0)), Evidence(run("b", 90.0))])
    assert "no reward accuracy from 0 to 1" in rows["b", EVAL_ACCURACY].why
    other = Evidence(run("c", 0.9, data={"eval": "f" * 16}))
    rows = found([Evidence(run("a", 0.8, data={"eval": "e" * 16})), other])
    assert "evaluated on other pairs" in rows["c", EVAL_ACCURACY].why
    assert "evaluated on other pairs" in rows["c", EVAL_LOSS].why


def test_what_is_taken_for_granted_is_told():
    """Without a hash of the pairs nothing shows that two logs are of one evaluation set."""
    logs = [Evidence(run("a", 0.8)), Evidence(run("b", 0.9))]
    assert found(logs)["b", EVAL_ACCURACY].assumed


@pytest.mark.parametrize(("n", "m", "p", "q"), [(20, 200, 0.9, 0.9), (100, 100, 0.65, 0.65), (500, 500, 0.62, 0.6)])
def test_the_interval_of_two_means_covers_the_difference(n, m, p, q):
    """Of 800 samples 95% are 760, with a standard deviation of 6.2; near 1 it covers more, by design (Agresti, Caffo).

    What has p below 0.05 is outside the interval: they rest on one standard error.
    """
    rng, inside = np.random.default_rng(17), 0
    for right_n, right_m in zip(rng.binomial(n, p, 800).tolist(), rng.binomial(m, q, 800).tolist(), strict=True):
        one, base = run("b", right_n / n, n=n), run("a", right_m / m, n=m)
        known = comparing.from_means(
            comparing.Difference("b", EVAL_ACCURACY, None, None, None, None), one, base, "last"
        )
        low, high = known.comparison.interval
        inside += low <= p - q <= high
        assert (known.comparison.p < 0.05) == (not low <= 0 <= high)
    assert 740 <= inside <= 795


def test_equal_runs_are_shown_to_differ_in_at_most_5_of_100_comparisons():
    """Two runs right on each pair with probability 0.8, 400 times: the exact test is conservative."""
    rng, shown = np.random.default_rng(5), 0
    for _ in range(400):
        h = np.where(rng.random((2, 200)) < 0.8, 1.0, -1.0)
        shown += found([with_scores("a", h[0]), with_scores("b", h[1])])["b", EVAL_ACCURACY].proven
    assert shown <= 28


def test_only_arguments_that_differ_are_listed_and_names_are_none():
    runs = [
        Run("a", "a", "runs", "finished", {"beta": 0.1, "learning_rate": 1e-4, "output_dir": "a", "seed": 1}),
        Run(
            "b",
            "b",
            "runs",
            "finished",
            {"beta": 0.1, "learning_rate": 3e-4, "output_dir": "b", "lora_r": 8, "seed": 1},
        ),
    ]
    rows, same = comparing.settings(runs)
    assert [(row.key, row.values) for row in rows] == [("learning_rate", (1e-4, 3e-4)), ("lora_r", (None, 8))]
    assert same == 3
    text = yaml.safe_dump(comparing.as_yaml(["a", "b"], rows))
    assert yaml.safe_load(text) == {"a": {"learning_rate": 1e-4}, "b": {"learning_rate": 3e-4, "lora_r": 8}}


def test_contested_pairs_come_with_the_widest_apart_first():
    """Pair p0 is right in both, p1 wrong in both, p2 and p3 contested by 3 and 11; p4 is a tie, p5 is not finite."""
    h = [[1, -1, 1, -1, 0, np.nan], [2, -2, -2, 10, 5, -1]]
    known = comparing.contested([scored(row, pairs=[f"p{i}" for i in range(6)]) for row in h])
    assert known.pairs == ("p3", "p2")
    assert known.h.tolist() == [[-1, 10], [1, -2]]
    assert known.of == 6


def test_runs_on_other_pairs_have_no_contested_ones():
    assert comparing.contested([scored([1, 2], pairs="ab"), scored([1, 2], pairs="ac")]) is None


def test_pairs_in_another_order_are_the_same_pairs():
    known = comparing.contested([scored([1, -1], pairs="ab"), scored([-1, -1], pairs="ba")])
    assert known.pairs == ("a",)


def test_the_chart_is_one_that_plotly_knows_and_has_zero_in_view():
    rows = [drawn.Row("<b>x</b>", 0, 0.02, Interval(0.01, 0.03)), drawn.Row("y", 7, 0.05, None)]
    figure = go.Figure(drawn.accuracy_differences(rows))
    assert figure.data[0].x[0] == pytest.approx(2)
    assert figure.data[0].error_x.array[0] == pytest.approx(1)
    low, high = figure.layout.xaxis.range
    assert low < 0 < 5 < high
    assert "<b>" not in figure.to_json()
