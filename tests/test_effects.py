"""The effect of a hyper-parameter: found where it is, with the interval it claims, and not told where it cannot be."""

import csv
import itertools
from dataclasses import replace

import numpy as np
import pytest

from dashboard.analysis.effects import Effect, _slope, effects, outcomes, probability
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
    assert "Learning rate changes reward accuracy: -5.0 points for ten times the value" in effect.sentence


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
    assert "cannot be told, for it moves together with" in found[0].sentence


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


def test_no_effect_is_claimed_whose_size_may_be_nothing():
    """Every rank in order and one value far out: Spearman 1, and a straight line whose slope may be 0."""
    values = [0.7000, 0.7001, 0.7002, 0.7003, 0.7004, 0.7005, 0.9]
    found = effects([run(str(n), value, beta=0.01 * 2**n) for n, value in enumerate(values)], "last")
    assert found[0].p_corrected < 0.05
    assert found[0].interval is not None and found[0].interval.low < 0 < found[0].interval.high
    assert not found[0].proven
    assert found[0].sentence.startswith("No effect of beta on reward accuracy is proven: +")


def test_of_six_runs_no_effect_is_told_of_two_that_move_together_by_chance():
    """As in the demo: Spearman 0.85 of six hand-picked configurations, and nothing can be held fixed."""
    picked = [(0.5, 1e-4), (0.5, 3e-4), (0.3, 3e-4), (0.1, 3e-4), (0.05, 2e-3), (0.1, 5e-3)]
    accuracies = (0.872, 0.869, 0.862, 0.861, 0.845, 0.792)
    runs = [
        run(str(n), accuracy, beta=beta, learning_rate=rate)
        for n, ((beta, rate), accuracy) in enumerate(zip(picked, accuracies, strict=True))
    ]
    found = by_key(effects(runs, "last"))
    assert found["learning_rate"].p_corrected < 0.05
    assert not any(effect.proven for effect in found.values())
    assert found["learning_rate"].sentence.endswith("cannot be told, for it moves together with beta.")


def test_what_the_others_explain_is_no_effect():
    """The accuracy follows the learning rate alone; warmup goes with it in part (0.46), and seems to matter."""
    rng = np.random.default_rng(5)
    power = rng.permutation(np.linspace(-6, -3, 40))
    warmup = 0.35 * power + rng.normal(0, 0.45, 40)
    runs = [
        run(str(n), 0.4 - 0.1 * x, learning_rate=float(10**x), warmup_ratio=float(w))
        for n, (x, w) in enumerate(zip(power, warmup, strict=True))
    ]
    found = by_key(effects(runs, "last"))
    assert found["learning_rate"].proven
    assert found["warmup_ratio"].p < 0.05 and not found["warmup_ratio"].proven
    assert "changes" not in found["warmup_ratio"].sentence


def test_a_category_is_told_by_its_correlation_ratio_also_on_several_loss_scales():
    found = by_key(effects(grid(noise=0.002), "last", EVAL_LOSS))
    assert "Spearman" not in found["loss_type"].sentence


@pytest.mark.parametrize(
    ("p", "words"), [(0.0504, "p = 0.0504"), (0.036, "p = 0.036"), (0.00001, "p < 0.001"), (1.0, "p = 1")]
)
def test_a_p_value_is_not_rounded_onto_the_level(p, words):
    assert probability(p) == words
