"""Runs put together by what they have in common."""

from dataclasses import replace

import pytest

from dashboard.analysis import grouping
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from training.record.schema import Run


def run(name: str, loss: float = 0.5, sweep: str | None = None, status: str = "finished", **config: object) -> Run:
    settings = {"model_name_or_path": "m", **config}
    return Run(name, name, "runs", status, settings, {EVAL_LOSS: loss}, sweep=sweep, step=10)  # type: ignore[arg-type]


SEEDS = [run("a1", 0.4, beta=0.1, seed=1), run("a2", 0.6, beta=0.1, seed=2), run("b1", 0.3, beta=0.2, seed=1)]


def test_only_what_tells_runs_apart_is_offered():
    offered = grouping.choices([run("a", sweep="s", beta=0.1), run("b", sweep="t", beta=0.2)])
    assert offered == {"sweep": "Sweep", "config.beta": "Beta"}
    assert "seed" in grouping.choices(SEEDS)
    assert grouping.choices([run("a")]) == {}


def test_a_run_whose_source_does_not_tell_is_in_a_group_of_its_own():
    found = grouping.groups([run("a", beta=0.1), run("b"), run("c", beta=0.1)], "config.beta")
    assert [(group.name, [one.id for one in group.runs]) for group in found] == [
        ("0.1", ["a", "c"]),
        ("not stated", ["b"]),
    ]


def test_seeds_of_one_configuration_are_named_by_what_tells_it_from_others():
    found = grouping.groups(SEEDS, "seed")
    assert [(group.name, len(group.runs)) for group in found] == [("beta 0.1", 2), ("b1", 1)]


def test_mean_and_spread_are_those_of_student():
    """0.4 and 0.6: mean 0.5, sd = sqrt(2 x 0.1^2 / 1) = 0.1414, half width t(1) 12.706 x 0.1414 / sqrt(2) = 1.2706."""
    group = grouping.groups(SEEDS, "seed")[0]
    found = grouping.measured(group, EVAL_LOSS, "last")
    assert (found.n, found.mean, found.sd) == (2, 0.5, pytest.approx(0.14142, abs=1e-5))
    assert found.interval == pytest.approx((0.5 - 1.2706, 0.5 + 1.2706), abs=1e-3)


def test_runs_that_share_a_setting_have_a_spread_and_no_interval():
    """0.4 and 0.3 of one learning rate, of two schedulers: mean 0.35, sd 0.0707; which were run was no draw."""
    runs = [run("a", 0.4, learning_rate=1e-4, lr_scheduler_type="x"), run("b", 0.3, learning_rate=1e-4, optim="y")]
    (group,) = grouping.groups(runs, "config.learning_rate")
    found = grouping.measured(group, EVAL_LOSS, "last")
    assert (found.n, found.mean, found.sd) == (2, pytest.approx(0.35), pytest.approx(0.0707, abs=1e-4))
    assert found.interval is None


def test_repeats_whose_seed_is_not_stated_have_no_interval():
    """They may be one seed run twice, which says nothing of other seeds."""
    (group,) = grouping.groups([run("a", 0.4, beta=0.1), run("b", 0.5, beta=0.1)], "seed")
    assert len(group.runs) == 2
    assert grouping.measured(group, EVAL_LOSS, "last").interval is None


def test_losses_on_several_scales_have_no_mean():
    """Losses of beta 0.1 and 0.5 are two functions; their accuracies are on one scale."""
    runs = [replace(run("a", 0.4, beta=0.1), sweep="s"), replace(run("b", 0.6, beta=0.5), sweep="s")]
    runs = [replace(one, metrics={**one.metrics, EVAL_ACCURACY: 0.7}) for one in runs]
    (group,) = grouping.groups(runs, "sweep")
    assert grouping.measured(group, EVAL_LOSS, "last") is None
    assert "Beta differs (0.1–0.5)" in grouping.refusal(group, EVAL_LOSS)
    assert grouping.measured(group, EVAL_ACCURACY, "last").mean == pytest.approx(0.7)
    assert grouping.refusal(group, EVAL_ACCURACY) == ""


def test_one_run_has_no_spread_and_a_running_one_does_not_count():
    alone = grouping.Group("g", (run("a"), run("b", status="running")))
    assert grouping.measured(alone, EVAL_LOSS, "last") is None
    assert grouping.best(alone, EVAL_LOSS, "last").id == "a"
