"""Every evaluation pair under every run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dashboard.analysis import pair_matrix
from dashboard.analysis.pair_matrix import ORDERS, PairMatrix, cells, disagreement, matrix, ordered, tally
from dashboard.analysis.study import Evidence, Scores, study
from training.record.schema import Run


def scored(h, pairs=None, step=10, tokens=None, reference=None):
    """Scores with margins `h`; `tokens` and `reference` are (2, n), chosen above rejected."""
    h = np.asarray(h, dtype=np.float64)
    n = len(h)
    chosen, rejected = h / 2, -h / 2
    before = np.zeros((2, n)) if reference is None else np.asarray(reference, dtype=np.float64)
    long = np.ones((2, n), dtype=np.int64) if tokens is None else np.asarray(tokens)
    names = tuple(pairs) if pairs is not None else tuple(f"p{i}" for i in range(n))
    return Scores(
        step,
        names,
        np.arange(n),
        chosen,
        rejected,
        before[0] + chosen,
        before[1] + rejected,
        *long,
        np.zeros(n, dtype=bool),
    )


def evidence(run, h, digest="aaaa", **how):
    found = Run(run, run, "runs", "finished", data={"eval": digest}, step=10)
    return Evidence(found, scores={10: scored(h, **how)})


def made(*columns, **how) -> PairMatrix:
    found = matrix(study(evidence(f"r{i}", h, **how) for i, h in enumerate(columns)), "last")
    assert found is not None
    return found


def test_pairs_are_brought_into_one_order():
    """Pair a has margin 1 in both runs though it is the first row of one and the last of the other."""
    both = study([evidence("x", [1, -2], pairs="ab"), evidence("y", [-2, 1], pairs="ba")])
    found = matrix(both, "last")
    assert found.pairs == ("a", "b")
    assert found.h.tolist() == [[1, 1], [-2, -2]]


def test_runs_on_other_pairs_are_left_out_and_named():
    all_of = study(
        [
            evidence("x", [1, 2]),
            evidence("other", [1, 2], digest="bbbb"),
            evidence("y", [3, 4]),
            evidence("z", [1, 2, 3]),
        ]
    )
    found = matrix(all_of, "last")
    assert found.runs == ("x", "y") and set(found.other) == {"other", "z"}
    assert matrix(all_of, "last", ["other", "x"]).runs == ("other",)
    assert matrix(all_of, "last", ["other", "x"]).other == ("x",)


def test_without_scores_there_is_no_matrix():
    bare = study([Evidence(Run("x", "x", "orca.csv", "finished", step=10))])
    assert matrix(bare, "last") is None
    assert matrix(study([evidence("x", [1])]), "last", ["gone"]) is None


def test_no_more_runs_than_asked_for():
    assert matrix(study(evidence(f"r{i}", [1, 2]) for i in range(9)), "last", most=4).runs == ("r0", "r1", "r2", "r3")


def test_the_tally_counts_ties_and_nan_as_contested():
    """Of five pairs one is right twice, one wrong twice; a tie, a NaN and a difference are neither."""
    found = made([1, -1, 0, np.nan, 1], [1, -1, 1, 1, -1])
    assert tally(found) == (1, 1, 3)


def test_disagreement_is_the_share_of_twos_that_differ():
    """Of 4 runs 2 right and 2 wrong differ in 4 of 6 twos, 1 and 3 in 3 of 6, 4 and 0 in none."""
    found = made([1, 1, 1], [1, -1, 1], [-1, -1, 1], [-1, -1, 1])
    assert disagreement(found).tolist() == pytest.approx([4 / 6, 3 / 6, 0])


def test_margins_are_divided_by_what_is_typical_of_their_run():
    """Median |h| of the first run is 2, of the second 200: both have relative margins of -1, 0.5 and 2."""
    found = made([-2, 1, 4], [-200, 100, 400])
    assert found.relative.tolist() == [[-1, -1], [0.5, 0.5], [2, 2]]


def test_a_run_that_never_moved_has_no_scale():
    assert made([0, 0], [1, 2]).scale.tolist() == [1, 1.5]


def test_orders_put_first_what_they_are_named_after():
    tokens = [[9, 1, 5, 2], [1, 1, 9, 3]]
    found = made([1, -1, 2, 3], [1, 1, -2, 3], tokens=tokens)
    first = {order: int(ordered(found, order, np.array([0.0, 1, 2, -3]))[0]) for order in ORDERS}
    assert first == {"suspicion": 3, "disagreement": 1, "margin": 1, "length": 2, "difference": 0, "data": 0} | {
        "margin": int(found.relative.mean(axis=1).argmin()),
        "disagreement": first["disagreement"],
    }
    assert found.right[first["disagreement"]].sum() == 1


def test_runs_are_ordered_by_accuracy_on_these_pairs_ties_counting_half():
    """Right on 1 of 2, on 2 of 2, on 1 and a half of 2."""
    assert pair_matrix.by_rank(made([1, -1], [1, 1], [1, 0])) == [1, 2, 0]


def test_runs_that_decide_alike_stand_beside_each_other():
    a, b = [1, 1, -1, -1, 1, -1], [-1, -1, 1, 1, -1, 1]
    order = pair_matrix.by_similarity(made(a, b, a, b, a))
    assert sorted(order) == [0, 1, 2, 3, 4]
    kinds = [column % 2 for column in order]
    assert kinds in ([0, 0, 0, 1, 1], [1, 1, 0, 0, 0])


def test_the_four_cells_are_reference_x_run():
    """Reference log-probabilities -5 and -9 are right, -9 and -5 wrong, by 4 nats; margins of 6 nats turn them.

    Pair 5 is a tie before, pair 6 after (-4 + 4): both are in no cell.
    """
    reference = [[-5, -9, -5, -9, -7, -9], [-9, -5, -9, -5, -7, -5]]
    found = made([6, 6, -6, -6, 1, 4], reference=reference)
    assert {cell: np.flatnonzero(rows[:, 0]).tolist() for cell, rows in cells(found, False).items()} == {
        "knew": [0],
        "learned": [1],
        "forgot": [2],
        "never": [3],
    }


def test_a_margin_that_does_not_turn_the_preference_has_turned_nothing():
    """The reference prefers the rejected answer by 4 nats, the run has margin 1: by -4 + 1 = -3 it still does.

    And 4 - 1 = 3 the other way round: nothing is learned, nothing forgotten, though the rewards say right and wrong.
    """
    found = made([1, -1], reference=[[-9, -5], [-5, -9]])
    assert found.right[:, 0].tolist() == [True, False]
    assert {cell: np.flatnonzero(rows[:, 0]).tolist() for cell, rows in cells(found, False).items()} == {
        "knew": [1],
        "learned": [],
        "forgot": [],
        "never": [0],
    }


def test_per_token_a_longer_answer_is_not_punished():
    """Before: -10 over 10 tokens is -1 a token, above -6 over 2, -3 a token, though the sum is lower by 4.

    After, with margin 6: -7 and -9, so right by the sum; per token -0.7 and -4.5, so right as before.
    """
    found = made([6.0], reference=[[-10], [-6]], tokens=[[10], [2]])
    assert cells(found, False)["learned"].tolist() == [[True]]
    assert cells(found, True)["knew"].tolist() == [[True]]


@given(arrays.arrays(np.float64, (6, 3), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_any_margins_have_an_order_and_each_pair_is_in_one_cell_at_most(h):
    found = made(*h.T)
    for order in ORDERS:
        assert sorted(ordered(found, order, h[:, 0])) == list(range(6))
    assert sum(rows.astype(int) for rows in cells(found, False).values()).max() <= 1
    assert sum(tally(found)) == 6
    assert sorted(pair_matrix.by_rank(found)) == sorted(pair_matrix.by_similarity(found)) == [0, 1, 2]
