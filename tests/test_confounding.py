"""Hyper-parameters that move together are named; a grid, a Sobol sequence and a random search are not."""

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest

from dashboard.analysis.confounding import (
    Association,
    associations,
    basis,
    confounded,
    dependence,
    orthonormal,
    ranks,
    weighted_holm,
)
from dashboard.analysis.hyperparameters import Column, design
from training.record.schema import Run

KEYS = ("learning_rate", "beta", "max_steps", "warmup_ratio", "weight_decay")


def run(name: str, **config: object) -> Run:
    return Run(id=name, name=name, source="runs", status="finished", config=config)


def runs(*rows: dict[str, object]) -> list[Run]:
    return [run(f"run {number}", **row) for number, row in enumerate(rows)]


def column(values: list[float]) -> Column:
    return Column("x", tuple(values), np.array(values, dtype=float), False)


def orca(shared_data: Path) -> list[Run]:
    """The 14 runs of the sweep, with their five hyper-parameters."""
    keys = ("beta", "learning_rate", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps")
    with (shared_data / "wandb_runs" / "orca_sweep_export.csv").open(newline="") as file:
        return [run(row["Name"], **{key: float(row[key]) for key in keys}) for row in csv.DictReader(file)]


def test_ranks_share_ties():
    """Sorted 1 2 2 5: the two in the middle hold ranks 2 and 3, 2.5 each."""
    assert ranks(np.array([2.0, 5.0, 1.0, 2.0])).tolist() == [2.5, 4, 1, 2.5]


def test_the_exact_p_of_a_perfect_order_counts_both_directions():
    """Of 5! = 120 orders two, up and down, have |rho| = 1: p = 2 / 120."""
    known = np.ones(5, dtype=bool)
    x, y = basis(column([1, 2, 3, 4, 5]), known), basis(column([3, 7, 8, 9, 50]), known)
    statistic, p = dependence(x, y)
    assert statistic == pytest.approx(1)
    assert p == pytest.approx(2 / 120)


def test_the_statistic_of_two_categories_is_chi_square_over_n():
    """Table [[3, 1], [1, 3]] of 8: every expected count 2, chi^2 = 4 * (1 / 2) = 2, over n = 0.25.

    Of C(8, 4) = 70 ways to place the four, 1 + 16 on either side are at least as unequal: p = 34 / 70.
    """
    a = orthonormal(np.array([[1, 0]] * 4 + [[0, 1]] * 4, dtype=float))
    b = orthonormal(np.array([[1, 0]] * 3 + [[0, 1]] + [[1, 0]] + [[0, 1]] * 3, dtype=float))
    statistic, p = dependence(a, b)
    assert statistic == pytest.approx(0.25)
    assert p == pytest.approx(34 / 70)


def test_drawn_permutations_agree_with_chi_square_at_their_border():
    """A correlation of 0.3 of 50 rows (permutations) and of 51 (chi^2 of 50 * 0.09 = 4.5, one degree): p = 0.0339."""
    rng = np.random.default_rng(3)
    x = orthonormal(rng.standard_normal((50, 1)))
    noise = orthonormal(np.hstack([x, rng.standard_normal((50, 1))]))
    other = noise[:, 1:] - x * (x.T @ noise[:, 1:])
    y = 0.3 * x + (1 - 0.09) ** 0.5 * other / np.linalg.norm(other)
    _, drawn = dependence(x, y)
    _, large = dependence(np.vstack([x, [[0.0]]]), np.vstack([y, [[0.0]]]))
    assert drawn == pytest.approx(0.034, abs=0.006)
    assert large == pytest.approx(0.0339, abs=0.0001)


def test_holm_gives_each_test_its_share():
    """p 0.03 with weight 2 of 4, 0.01 and 0.5 with 1: 0.01 * 4, then 0.03 * 3 / 2 = 0.045, then 0.5 * 1 / 1.

    By p / weight the order is 0.01, 0.015, 0.5; 0.045 is above 0.04.
    """
    assert weighted_holm([0.03, 0.01, 0.5], [2, 1, 1]) == pytest.approx([0.045, 0.04, 0.5])
    assert weighted_holm([0.01, 0.04], [1, 1]) == pytest.approx([0.02, 0.04])


def test_a_full_grid_is_silent():
    rows = runs(
        *(
            {"beta": b, "learning_rate": lr, "loss_type": t}
            for b, lr, t in itertools.product((0.05, 0.1, 0.2), (1e-6, 1e-5, 1e-4), ("sigmoid", "ipo"))
        )
    )
    assert [pair.strength for pair in associations(design(rows))] == pytest.approx([0, 0, 0], abs=1e-9)
    assert confounded(design(rows)) == []


@pytest.mark.filterwarnings("ignore:The balance properties of Sobol")
def test_a_sobol_sequence_is_silent():
    from scipy.stats import qmc

    for seed in range(10):
        points = qmc.Sobol(3, seed=seed).random(20)
        rows = runs(*(dict(zip(KEYS, point, strict=False)) for point in (10.0**points).tolist()))
        assert confounded(design(rows)) == []


def test_a_random_search_is_named_in_less_than_five_of_a_hundred():
    """14 runs x 5 parameters, two of them of few values, as the sweeps of section 2 of the reference projects."""
    rng = np.random.default_rng(11)
    named = 0
    for _ in range(200):
        points = rng.random((14, 5))
        rows = [
            {
                "learning_rate": 10 ** (-6 + 3 * a),
                "beta": (0.01, 0.1, 0.2, 0.5)[int(4 * b)],
                "max_steps": (100, 200, 500)[int(3 * c)],
                "warmup_ratio": d,
                "weight_decay": e,
            }
            for a, b, c, d, e in points.tolist()
        ]
        named += bool(confounded(design(runs(*rows))))
    assert named / 200 < 0.05


def test_parameters_that_move_together_are_named():
    rows = runs(*({"beta": 0.01 * 2**n, "learning_rate": 1e-6 * 3 ** (n + n % 2), "seed": 1} for n in range(9)))
    (pair,) = confounded(design(rows))
    assert (pair.a, pair.b, pair.measure, pair.n) == ("beta", "learning_rate", "Spearman", 9)
    assert pair.strength > 0.9
    assert pair.sentence.startswith("Beta and learning rate move together here (Spearman 0.")
    assert pair.sentence.endswith("their effects cannot be told apart.")


def test_seeds_of_a_few_configurations_prove_nothing():
    """Four random configurations of five seeds are four points, not twenty: no order of four has p below 2 / 24."""
    rows = [
        {"beta": 0.1 * 2**n, "learning_rate": 1e-6 * 2**n, "warmup_ratio": 0.01 * seed, "seed": seed}
        for n in range(4)
        for seed in range(5)
    ]
    without = [{key: value for key, value in row.items() if key != "warmup_ratio"} for row in rows]
    (pair,) = associations(design(runs(*without)))
    assert (pair.n, pair.p) == (4, pytest.approx(2 / 24))
    assert pair.aliased


def test_a_parameter_that_another_fixes_is_named_at_any_number_of_runs():
    rows = runs(
        *(
            {"loss_type": t, "beta": b, "learning_rate": lr}
            for t, b in (("sigmoid", 0.1), ("ipo", 0.5))
            for lr in (1e-6, 1e-5)
        )
    )
    (pair,) = confounded(design(rows))
    assert {pair.a, pair.b} == {"loss_type", "beta"}
    assert "was tried with only one" in pair.sentence


def test_values_tried_once_fix_nothing():
    rows = runs(*({"learning_rate": lr, "beta": b} for lr, b in ((1e-6, 0.1), (1e-5, 0.2), (1e-4, 0.1), (1e-3, 0.2))))
    assert confounded(design(rows)) == []


def test_a_category_and_a_number_that_move_together_are_named():
    """Twelve models, each family with its own range of learning rates."""
    rows = runs(*({"model_name_or_path": "gpt2" if n < 6 else "qwen", "learning_rate": 1e-6 * 2**n} for n in range(12)))
    (pair,) = confounded(design(rows))
    assert pair.measure == "correlation ratio"
    assert pair.strength > 0.8


def test_two_categories_need_more_than_chance():
    """A 2 x 2 table of 12 with 5, 1, 1, 5: phi^2 = (25 - 1)^2 / 6^4 = 0.444, V = sqrt((0.444 - 1/11) / (1 - 1/11))."""
    cells = [("a", "x")] * 5 + [("a", "y"), ("b", "x")] + [("b", "y")] * 5
    rows = runs(*({"optim": o, "lr_scheduler_type": s, "warmup_ratio": n / 100} for n, (o, s) in enumerate(cells)))
    pair = next(p for p in associations(design(rows)) if p.measure == "Cramer's V")
    assert pair.strength == pytest.approx(((4 / 9 - 1 / 11) / (1 - 1 / 11)) ** 0.5)
    assert not pair.confounded


def test_small_or_uncertain_associations_are_not_named():
    weak = Association("a", "b", "Spearman", 0.3, 0.001, 100, False)
    unsure = Association("a", "b", "Spearman", 0.9, 0.06, 5, False)
    assert not weak.confounded
    assert not unsure.confounded


def test_the_orca_sweep_confounds_beta_and_learning_rate_and_nothing_else(shared_data):
    (pair,) = confounded(design(orca(shared_data)))
    assert (pair.a, pair.b) == ("beta", "learning_rate")
    assert pair.strength == pytest.approx(0.592, abs=0.001)
    assert "Spearman 0.59" in pair.sentence
