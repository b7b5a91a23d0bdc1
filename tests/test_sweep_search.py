"""The search of a sweep: what is asked, and that the same is asked again."""

import itertools
import math
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from searches import GRID, MIXED, NUMERIC, bowl, create, database, drain, points

from training.sweeps.search import Search

pytestmark = pytest.mark.usefixtures("sweep_files_read_once")


def test_a_grid_has_every_combination_once_in_the_files_order(tmp_path: Path) -> None:
    made = create(tmp_path, "grid", GRID)
    keys = ("beta", "seed", "warmup_steps", "loss_type")
    combinations = itertools.product([0.1, 0.5], [7], [0, 1, 2], ["sigmoid", "ipo"])
    assert points(made) == [dict(zip(keys, one, strict=True)) for one in combinations]
    assert list(points(made)) == []


def test_trials_are_named_by_the_sweep_and_two_digits_at_least(tmp_path: Path) -> None:
    made = create(tmp_path, "grid", "  seed: {min: 0, max: 100}")
    names = [trial.name for trial in drain(Search(made))]
    assert names[:2] == [f"{made.id}-00", f"{made.id}-01"]
    assert names[-1] == f"{made.id}-100"


@pytest.mark.parametrize(("count", "cap", "expected"), [(5, None, 5), (None, 4, 4), (5, 4, 4), (3, 4, 3), (40, 50, 12)])
def test_the_least_of_count_run_cap_and_grid_is_the_limit(
    tmp_path: Path, count: int | None, cap: int | None, expected: int
) -> None:
    assert len(points(create(tmp_path, "grid", GRID, count, cap=cap))) == expected


@pytest.mark.parametrize("method", ["random", "bayes"])
@pytest.mark.parametrize("parameters", [NUMERIC, MIXED])
def test_a_seed_gives_the_same_trials_again_also_when_reopened_after_each(
    tmp_path: Path, method: str, parameters: str
) -> None:
    first = points(create(tmp_path / "a", method, parameters, 16), bowl)
    made, again = create(tmp_path / "b", method, parameters, 16), []
    while (trial := Search(made).ask()) is not None:
        again.append(trial.params)
        Search(made).tell(trial.number, "finished", bowl(trial.params))
    assert again == first
    assert points(create(tmp_path / "c", method, parameters, 16, seed=1), bowl) != first


def test_random_numbers_are_evenly_spread(tmp_path: Path) -> None:
    """The first 16 points of a scrambled Sobol sequence have one in each sixteenth of every parameter.

    learning_rate: log10 from -7 to -4, so a sixteenth is 3/16; beta: 0.01 to 1.0, a sixteenth is 0.99/16.
    """
    found = points(create(tmp_path, "random", NUMERIC, 16))
    assert sorted(int((math.log10(one["learning_rate"]) + 7) / 3 * 16) for one in found) == list(range(16))
    assert sorted(int((one["beta"] - 0.01) / 0.99 * 16) for one in found) == list(range(16))


@pytest.mark.parametrize("method", ["random", "bayes"])
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("  beta: {values: [0.1, 0.5, 1.0]}\n  loss_type: {values: [sigmoid, ipo, hinge]}\n", 9),
        ("  loss_type: {values: [sigmoid, ipo]}\n  warmup_steps: {min: 1, max: 6}\n", 12),
        ("  warmup_steps: {min: 1, max: 14}\n", 14),
        ("  loss_type: {values: [sigmoid, ipo, hinge], probabilities: [0.5, 0.25, 0.25]}\n", 3),
    ],
)
def test_a_space_that_can_be_listed_is_tried_once_and_then_used_up(
    tmp_path: Path, method: str, parameters: str, expected: int
) -> None:
    found = points(create(tmp_path, method, parameters, count=100))
    assert len(found) == len({repr(one) for one in found}) == expected


def test_probabilities_are_kept_to(tmp_path: Path) -> None:
    """Of 100 draws with a probability of 0.9, sobol points are 90 within 3 (they spread evenly)."""
    made = create(
        tmp_path,
        "random",
        "  loss_type: {values: [sigmoid, ipo], probabilities: [0.9, 0.1]}\n  beta: {min: 0.1, max: 1.0}\n",
        100,
    )
    assert Counter(one["loss_type"] for one in points(made))["sigmoid"] == pytest.approx(90, abs=3)


def test_bayes_with_30_trials_beats_random_on_the_mean_of_10_seeds(tmp_path: Path) -> None:
    best: dict[str, list[float]] = {}
    for method, seed in itertools.product(("random", "bayes"), range(10)):
        made = create(tmp_path / f"{method}{seed}", method, NUMERIC, 30, seed)
        best.setdefault(method, []).append(min(map(bowl, points(made, bowl))))
    assert statistics.mean(best["bayes"]) < statistics.mean(best["random"]) / 2


def test_bayes_maximizes_where_that_is_the_goal(tmp_path: Path) -> None:
    """The goal is at beta = 1.0: of 30 trials, the last 10 by chance would have a mean beta of 0.5."""
    made = create(tmp_path, "bayes", NUMERIC, 30, maximize=True)
    assert statistics.mean(one["beta"] for one in points(made, lambda params: params["beta"])[20:]) > 0.8


def test_bayes_keeps_away_from_where_runs_fail(tmp_path: Path) -> None:
    """Learning rates above 10^-5.5, half the range, fail: by chance 15 of the last 30 would be there."""

    def loss(params: Any) -> float | None:
        return None if params["learning_rate"] > 10**-5.5 else bowl({**params, "learning_rate": 10**-5.2})

    asked = points(create(tmp_path, "bayes", NUMERIC, 40), loss)[10:]
    assert sum(one["learning_rate"] > 10**-5.5 for one in asked) < 10


def test_trials_of_parallel_workers_differ(tmp_path: Path) -> None:
    """Ten trials are asked with none told between: TPE takes those that run for bad, and does not repeat them."""
    made = create(tmp_path, "bayes", MIXED, 40)
    found = Search(made)
    for _ in range(15):
        trial = found.ask()
        assert trial is not None
        found.tell(trial.number, "finished", bowl(trial.params))
    asked = list(itertools.islice(drain(found), 10))
    assert len({trial.params["beta"] for trial in asked}) == 10


def test_nothing_of_optuna_reaches_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    points(create(tmp_path, "bayes", MIXED, 13), bowl)
    points(create(tmp_path, "random", NUMERIC, 3, storage=database(tmp_path)))
    assert capfd.readouterr() == ("", "")
