"""The effect of a hyper-parameter: found where it is, with the interval it claims, and not told where it cannot be."""

import csv
import itertools
from dataclasses import replace

import numpy as np
import pytest

from dashboard.analysis.effects import Effect, _slope, effects, outcomes
from dashboard.analysis.hyperparameters import design
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from training.record.schema import Run


def run(name: str, accuracy: float, loss: float = 0.5, **config: object) -> Run:
    metrics = {EVAL_ACCURACY: accuracy, EVAL_LOSS: loss}
    return Run(id=name, name=name, source="runs", status="finished", config=config, metrics=metrics, n_eval=1000)


def grid(noise: float = 0.0, seed: int = 0, betas: tuple[float, ...] = (0.05, 0.1, 0.2)) -> list[Run]:
    """Accuracy falls by 0.05 for ten times the learning rate, rises by 0.02 from sigmoid to ipo; beta does nothing."""
    rng = np.random.default_rng(seed)
    found = []
    for beta, power, loss_type in itertools.product(betas, (-6, -5, -4, -3), ("sigmoid", "ipo")):
        accuracy = 0.5 - 0.05 * power + 0.02 * (loss_type == "ipo") - 0.1 + noise * rng.standard_normal()
        config = {"beta": beta, "learning_rate": 10.0**power, "loss_type": loss_type}
        found.append(run(f"{beta} {power} {loss_type}", accuracy, **config))
    return found


def by_key(found: list[Effect]) -> dict[str, Effect]:
    return {effect.key: effect for effect in found}


def orca(shared_data) -> list[Run]:
    keys = ("beta", "learning_rate", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps")
    with (shared_data / "wandb_runs" / "orca_sweep_export.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        run(
            row["Name"],
            float(row["eval/rewards/accuracies"]),
            float(row["eval/loss"]),
            **{key: float(row[key]) for key in keys},
        )
        for row in rows
    ]


def test_a_planted_slope_is_found_per_tenfold_value():
    effect = by_key(effects(grid(noise=0.002), "last"))["learning_rate"]
    assert effect.unit == "for ten times the value"
    assert effect.slope == pytest.approx(-0.05, abs=0.003)
    assert effect.interval is not None
    assert effect.interval.low < -0.05 < effect.interval.high
    assert effect.strength < -0.9
    assert effect.proven
    assert "learning rate changes reward accuracy: -0.0498 for ten times the value" in effect.sentence


def test_a_planted_difference_of_levels_is_found_once_the_rest_is_constant():
    runs = [one for one in grid(noise=0.002) if one.config["learning_rate"] == 1e-5]
    runs += [replace(one, id=one.id + "'", config={**one.config, "beta": 0.4}) for one in runs[:2]]
    effect = by_key(effects(runs, "last"))["loss_type"]
    assert effect.levels == ("sigmoid", "ipo")
    assert effect.slope == pytest.approx(0.02, abs=0.003)
    assert effect.interval is not None
    assert effect.interval.low > 0


def test_what_does_nothing_is_not_proven():
    beta = by_key(effects(grid(noise=0.002), "last"))["beta"]
    assert not beta.proven
    assert beta.sentence.startswith("No effect of beta on reward accuracy is proven")


def test_twenty_four_configurations_without_any_effect_are_called_an_effect_in_less_than_five_of_a_hundred():
    rng = np.random.default_rng(4)
    runs, wrong = grid(), 0
    for _ in range(200):
        values = (0.7 + 0.01 * rng.standard_normal(len(runs))).tolist()
        null = [replace(one, metrics={EVAL_ACCURACY: value}) for one, value in zip(runs, values, strict=True)]
        wrong += any(effect.proven for effect in effects(null, "last"))
    assert wrong / 200 <= 0.05 + 2 * (0.05 * 0.95 / 200) ** 0.5


def test_the_interval_of_a_slope_covers_in_95_of_100():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(2000):
        x = rng.choice([-6.0, -5.5, -5.0, -4.0, -3.0], size=12)
        _, interval = _slope(x, 0.9 - 0.02 * x + 0.01 * rng.standard_normal(12))
        assert interval is not None
        covered += interval.low <= -0.02 <= interval.high
    assert 0.93 <= covered / 2000 <= 0.97


def test_the_interval_between_two_levels_covers_in_95_of_100():
    rng = np.random.default_rng(6)
    runs = [run(str(n), 0.5, bf16=n % 2 == 0, warmup_ratio=n / 100) for n in range(12)]
    covered = 0
    for _ in range(400):
        values = (0.7 + 0.01 * rng.standard_normal(12) + 0.02 * np.array([n % 2 == 0 for n in range(12)])).tolist()
        drawn = [replace(one, metrics={EVAL_ACCURACY: value}) for one, value in zip(runs, values, strict=True)]
        effect = by_key(effects(drawn, "last"))["bf16"]
        assert effect.interval is not None
        sign = 1 if effect.levels == ("False", "True") else -1
        covered += effect.interval.low <= 0.02 * sign <= effect.interval.high
    assert 0.92 <= covered / 400 <= 0.98


def test_seeds_are_averaged_and_do_not_add_up_to_evidence():
    """Three configurations of ten seeds: three points, of which nothing can be told."""
    runs = [run(f"{b} {s}", 0.7 + b / 10, beta=b, seed=s) for b in (0.1, 0.2, 0.3) for s in range(10)]
    assert effects(runs, "last") == []
    rows = design([run("a", 0.7, beta=0.1, seed=1), run("b", 0.8, beta=0.1, seed=2), run("c", float("nan"), beta=0.2)])
    np.testing.assert_allclose(outcomes(rows, EVAL_ACCURACY, "last"), [0.75, np.nan])


def test_runs_that_diverged_or_failed_are_left_out():
    runs = grid(noise=0.002)
    worse = [
        replace(runs[0], id="nan", metrics={EVAL_ACCURACY: float("nan")}),
        replace(runs[1], id="f", status="failed"),
    ]
    assert by_key(effects([*runs, *worse], "last"))["beta"].n == len(runs)


def test_the_effect_of_confounded_parameters_is_not_told():
    runs = [run(str(n), 0.6 + 0.01 * n, beta=0.01 * 2**n, learning_rate=1e-6 * 2**n) for n in range(10)]
    found = effects(runs, "last")
    assert {effect.key for effect in found} == {"beta", "learning_rate"}
    assert not any(effect.proven for effect in found)
    assert "cannot be told, because it moves together with" in found[0].sentence


def test_an_effect_that_another_parameter_explains_is_gone_with_it_held_fixed():
    """Warm-up follows the learning rate loosely (rho about 0.5) and does nothing itself."""
    rng = np.random.default_rng(8)
    powers = rng.uniform(-6, -3, 60)
    warmup = 0.6 * (powers + 4.5) / 0.87 + rng.standard_normal(60)
    values = zip(powers.tolist(), (0.1 + 0.01 * warmup).tolist(), rng.standard_normal(60).tolist(), strict=True)
    runs = [
        run(str(n), 0.5 - 0.05 * p + 0.005 * e, learning_rate=10**p, warmup_ratio=w)
        for n, (p, w, e) in enumerate(values)
    ]
    found = by_key(effects(runs, "last"))
    assert found["warmup_ratio"].strength < -0.3
    assert abs(found["warmup_ratio"].adjusted or 1) < 0.25
    assert (found["learning_rate"].adjusted or 0) < -0.9


def test_of_the_loss_no_effect_of_beta_is_told():
    """A loss that is a function of beta alone; learning rates do nothing at each beta."""
    rng = np.random.default_rng(9)
    runs = [
        run(f"{b} {lr}", 0.7, loss=1 - b + 0.01 * rng.standard_normal(), beta=b, learning_rate=lr)
        for b in (0.05, 0.1, 0.3, 0.5)
        for lr in (1e-6, 1e-5, 1e-4, 1e-3)
    ]
    found = by_key(effects(runs, "last", EVAL_LOSS))
    assert "another function at each beta" in found["beta"].untold
    assert not found["beta"].proven
    assert found["learning_rate"].slope is None


def test_the_learning_rate_s_effect_on_the_loss_is_judged_at_fixed_beta():
    """Loss rises with the learning rate within each beta and jumps by far more between betas: +1 inside, held fixed."""
    runs = [
        run(f"{b} {n}", 0.7, loss=10 * b + 0.01 * n, beta=b, learning_rate=1e-6 * 2**n)
        for b in (0.1, 0.2, 0.5)
        for n in range(5)
    ]
    effect = by_key(effects(runs, "last", EVAL_LOSS))["learning_rate"]
    assert effect.strength < 0.5
    assert effect.adjusted == pytest.approx(1, abs=1e-6)


def test_the_orca_sweep(shared_data):
    """Spearman of learning rate and loss is +0.83, at fixed beta +0.82; neither it nor beta is proven on accuracy."""
    loss = by_key(effects(orca(shared_data), "last", EVAL_LOSS))
    assert loss["learning_rate"].strength == pytest.approx(0.833, abs=0.001)
    assert loss["learning_rate"].adjusted == pytest.approx(0.82, abs=0.01)
    assert "another function at each beta" in loss["beta"].untold
    accuracy = effects(orca(shared_data), "last")
    assert not any(effect.proven for effect in accuracy)
    assert by_key(accuracy)["learning_rate"].strength == pytest.approx(-0.574, abs=0.001)
    assert "moves together with beta" in by_key(accuracy)["learning_rate"].sentence
