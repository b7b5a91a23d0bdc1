"""What to try next: with a reason from the data, never something tried, and nothing where nothing can be said."""

import csv
import itertools
import math
from array import array
from dataclasses import replace

import pytest

from dashboard.analysis.hyperparameters import text, value_of
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.study import Evidence, Study, study
from dashboard.analysis.suggestions import MOST, Suggestion, suggestions, tried
from training.record.schema import History, Run, Series


def run(name: str, accuracy: float, n_eval: int | None = None, **config: object) -> Run:
    metrics = {EVAL_ACCURACY: accuracy, EVAL_LOSS: 0.6}
    return Run(
        id=name, name=name, source="runs", status="finished", config=config, metrics=metrics, n_eval=n_eval, step=500
    )


def studied(runs: list[Run], history: History | None = None) -> Study:
    return study(Evidence(one, history or {}) for one in runs)


def curve(values: list[float]) -> Series:
    steps = range(100, 100 * len(values) + 1, 100)
    nothing = array("d", [math.nan] * len(values))
    return Series(array("q", steps), nothing, nothing, array("d", values))


def about(found: list[Suggestion], words: str) -> list[Suggestion]:
    return [suggestion for suggestion in found if words in suggestion.reason]


def line(direction: float) -> list[Run]:
    """Two seeds of a 2 x 8 grid whose accuracy moves with the learning rate by `direction` a decade."""
    return [
        run(
            f"{beta} {power} {seed}",
            0.7 + direction * power / 10 + seed / 1000,
            beta=beta,
            seed=seed,
            learning_rate=10 ** (-6 + power / 4),
        )
        for beta, power, seed in itertools.product((0.1, 0.2), range(8), (1, 2))
    ]


def test_a_run_beyond_the_edge_is_suggested_on_the_side_where_it_gets_better():
    """The lowest learning rate tried is 1e-6, the highest 10^-4.25 = 5.62e-5: a third and three times of them."""
    (down,) = about(suggestions(studied(line(-0.1)), "last"), "lowest learning rate")
    (up,) = about(suggestions(studied(line(0.1)), "last"), "highest learning rate")
    assert down.config["learning_rate"] == pytest.approx(1e-6 / 3, rel=0.01)
    assert up.config["learning_rate"] == pytest.approx(1.69e-4, rel=0.01)
    assert "Spearman" in down.reason
    assert down.source


def test_a_best_run_inside_the_range_suggests_nothing_beyond_it():
    runs = [
        replace(one, metrics={EVAL_ACCURACY: 0.8 - abs(math.log10(one.config["learning_rate"]) + 5.2) / 10})
        for one in line(0.0)
    ]
    assert about(suggestions(studied(runs), "last"), "lies beyond") == []


def test_a_confounding_is_broken_by_one_value_changed():
    runs = [run(str(n), 0.8 - n / 100, beta=0.01 * 2**n, learning_rate=1e-6 * 2**n) for n in range(10)]
    first = suggestions(studied(runs), "last")[0]
    assert first.config == {"beta": pytest.approx(5.12), "learning_rate": 1e-6}
    assert "would show which of the two makes the difference" in first.reason


def test_a_second_seed_is_suggested_until_one_was_run():
    runs = [run(str(n), 0.7, beta=0.1 * n, seed=42) for n in (1, 2)]
    (seed,) = about(suggestions(studied(runs), "last"), "two seeds")
    assert seed.config == {"beta": 0.1, "seed": 43}
    both = [*runs, run("again", 0.7, beta=0.1, seed=43)]
    assert about(suggestions(studied(both), "last"), "two seeds") == []


def test_more_pairs_are_suggested_with_their_number():
    """0.80 and 0.77 of 1,000: (1.960 + 0.842)^2 (0.16 + 0.1771) / 0.03^2 = 2,940, about 3,000 (z test, 80% power)."""
    runs = [
        run("a", 0.80, 1000, beta=0.1, seed=1),
        run("b", 0.77, 1000, beta=0.2, seed=1),
        run("c", 0.76, 1000, beta=0.2, seed=2),
    ]
    (pairs,) = about(suggestions(studied(runs), "last"), "evaluation pairs")
    assert pairs.config["max_eval_samples"] == 3000
    far = [run("a", 0.90, 1000, beta=0.1), run("b", 0.70, 1000, beta=0.2)]
    assert about(suggestions(studied(far), "last"), "evaluation pairs") == []


def test_a_run_that_still_gets_better_is_trained_longer():
    runs = [run("a", 0.8, beta=0.1), run("b", 0.7, beta=0.2)]
    rising = {EVAL_ACCURACY: curve([0.60, 0.66, 0.70, 0.75, 0.78, 0.80])}
    (longer,) = about(suggestions(studied(runs, rising), "last"), "still got better")
    assert longer.config["max_steps"] == 1200
    settled = {EVAL_ACCURACY: curve([0.60, 0.66, 0.70, 0.75, 0.81, 0.80])}
    assert about(suggestions(studied(runs, settled), "last"), "still got better") == []


def test_an_over_fitted_run_is_stopped_where_its_loss_was_lowest():
    runs = [run("a", 0.8, beta=0.1), run("b", 0.7, beta=0.2)]
    turned = {EVAL_LOSS: curve([0.65, 0.50, 0.55, 0.60, 0.70])}
    (early,) = about(suggestions(studied(runs, turned), "last"), "was lowest there")
    assert early.config["max_steps"] == 200
    flat = {EVAL_LOSS: curve([0.65, 0.50, 0.51, 0.50, 0.52])}
    assert about(suggestions(studied(runs, flat), "last"), "was lowest there") == []


def test_nothing_that_was_tried_is_suggested():
    runs = [run(str(n), 0.8 - n / 100, beta=0.01 * 2**n, learning_rate=1e-6 * 2**n) for n in range(10)]
    swapped = replace(run("swapped", 0.1, beta=5.12, learning_rate=1e-6), status="failed")
    found = suggestions(studied([*runs, swapped]), "last")
    assert about(found, "which of the two") == []
    assert tried({"beta": 5.12, "learning_rate": 1e-6}, [swapped])


@pytest.mark.parametrize("runs", [[], [run("only", 0.8, beta=0.1)], [replace(run("a", 0.8), status="running")]])
def test_where_nothing_can_be_said_nothing_is(runs):
    assert suggestions(studied(runs), "last") == []


def test_the_orca_sweep(shared_data):
    """The best accuracy is ruby-sweep-8's, beta 0.1 at 3.03e-6: try beta 0.5 there, and lower learning rates."""
    keys = ("beta", "learning_rate", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps")
    with (shared_data / "wandb_runs" / "orca_sweep_export.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    runs = [
        run(row["Name"], float(row["eval/rewards/accuracies"]), 1286, **{key: float(row[key]) for key in keys})
        for row in rows
    ]
    found = suggestions(studied(runs), "last")
    assert 3 <= len(found) <= MOST
    assert found[0].config["beta"] == 0.5
    assert found[0].config["learning_rate"] == pytest.approx(3.026e-6, rel=1e-3)
    assert found[0].config["per_device_train_batch_size"] == 8
    assert found[1].config["learning_rate"] < 2.2e-6
    assert all("ruby-sweep-8" in suggestion.reason for suggestion in found)
    for suggestion in found:
        assert not any(all(text(value_of(one, k)) == text(v) for k, v in suggestion.config.items()) for one in runs)
