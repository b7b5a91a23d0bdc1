"""Seeds of one configuration: how they are found, and what their spread is."""

import math

import numpy as np
import pytest

from dashboard.analysis.seeds import groups, measured, spread
from training.record.schema import Run

KEY = "eval/rewards/accuracies"


def run(name, value=0.7, config=None, status="finished", data=None, source="runs"):
    metrics = {} if value is None else {KEY: value}
    return Run(name, name, source, status, config=config or {}, metrics=metrics, step=10, data=data or {})


def sweep():
    """Two betas, three seeds each, and a run of its own."""
    made = [
        run(
            f"b{beta}-{seed}",
            value,
            {"beta": beta, "seed": seed, "run_name": f"b{beta}-{seed}", "output_dir": str(seed)},
        )
        for beta, values in ((0.1, (0.70, 0.72, 0.74)), (0.3, (0.60, 0.61, 0.65)))
        for seed, value in enumerate(values)
    ]
    return [*made, run("alone", 0.9, {"beta": 0.5, "seed": 0})]


def names(found):
    return [[member.name for member in group.runs] for group in found]


def test_runs_that_differ_by_seed_alone_are_one_group():
    found = groups(sweep())
    assert names(found) == [["b0.1-0", "b0.1-1", "b0.1-2"], ["b0.3-0", "b0.3-1", "b0.3-2"]]
    assert all(group.proven for group in found)
    assert all(group.same_pairs is None for group in found)


def test_a_name_alone_makes_no_group_where_configurations_are_known():
    made = [run("dpo", config={"beta": 0.1, "seed": 1}), run("dpo", config={"beta": 0.2, "seed": 2})]
    assert groups(made) == ()


def test_a_nested_difference_is_a_difference():
    made = [run(str(r), config={"seed": r, "peft": {"r": r}}) for r in (8, 16)]
    assert groups(made) == ()


def test_without_any_configuration_names_are_all_there_is():
    """The same name, or names that differ by a seed; only within one source, and said to be unproven."""
    made = [run("dpo-seed1"), run("dpo-seed2"), run("dpo"), run("other"), run("dpo", source="elsewhere")]
    made = [Run(**{**vars(member), "id": str(i)}) for i, member in enumerate(made)]
    found = groups(made)
    assert names(found) == [["dpo-seed1", "dpo-seed2", "dpo"]]
    assert not found[0].proven


def test_a_repeated_seed_is_no_second_seed():
    made = [run("a", config={"beta": 0.1, "seed": 1}), run("b", config={"beta": 0.1, "seed": 1})]
    assert groups(made) == ()
    found = groups([*made, run("c", config={"beta": 0.1, "seed": 2})])
    assert names(found) == [["b", "c"]]


@pytest.mark.parametrize(("digests", "same"), [(("x", "x"), True), (("x", "y"), False), ((None, "x"), None)])
def test_whether_the_seeds_saw_the_same_pairs_is_told(digests, same):
    made = [run(str(i), config={"beta": 0.1, "seed": i}, data={"eval": d}) for i, d in enumerate(digests)]
    assert groups(made)[0].same_pairs is same


def test_mean_and_interval_by_hand():
    """0.70, 0.72, 0.74: mean 0.72, sd 0.02, t(2) = 4.3027: 0.72 +- 4.3027 * 0.02 / sqrt(3) = 0.0497."""
    found = measured(groups(sweep())[0], KEY, "last")
    assert (found.n, found.mean, found.sd) == (3, pytest.approx(0.72), pytest.approx(0.02))
    assert found.interval == pytest.approx((0.72 - 0.0497, 0.72 + 0.0497), abs=1e-4)


def test_the_spread_is_pooled_over_groups():
    """Sums of squares 0.0008 and 0.0014 on 2 degrees each: sqrt(0.0022 / 4) = 0.02345.

    Chi-square of 4 degrees: 11.143 and 0.4844, so sqrt(0.0022 / 11.143) = 0.01405 to sqrt(0.0022 / 0.4844) = 0.0674.
    Two single runs must differ by t(4) = 2.7764 times sqrt(2) * 0.02345 = 0.0921.
    """
    found = spread(groups(sweep()), KEY, "last")
    assert (found.freedom, found.groups) == (4, 2)
    assert found.sd == pytest.approx(0.02345, abs=1e-5)
    assert found.interval == pytest.approx((0.01405, 0.0674), abs=1e-4)
    assert found.of_difference == pytest.approx(math.sqrt(2) * found.sd)
    assert found.least_difference() == pytest.approx(0.0921, abs=1e-4)


def test_running_failed_and_diverged_runs_have_no_say():
    made = [
        run("a", 0.7, {"seed": 0}),
        run("b", 0.8, {"seed": 1}, status="failed"),
        run("c", 0.8, {"seed": 2}, status="running"),
        run("d", math.nan, {"seed": 3}),
        run("e", None, {"seed": 4}),
    ]
    found = groups(made)
    assert measured(found[0], KEY, "last") is None
    assert spread(found, KEY, "last") is None


def test_one_seed_per_configuration_leaves_the_spread_unknown():
    found = groups([run("a", config={"beta": 0.1, "seed": 1}), run("b", config={"beta": 0.2, "seed": 1})])
    assert spread(found, KEY, "last") is None


def test_the_spread_of_many_seeds_is_their_standard_deviation():
    values = np.random.default_rng(1).normal(0.7, 0.02, 200)
    made = [run(str(i), value, {"seed": i, "beta": 0.1}) for i, value in enumerate(values)]
    assert spread(groups(made), KEY, "last").sd == pytest.approx(values.std(ddof=1))
