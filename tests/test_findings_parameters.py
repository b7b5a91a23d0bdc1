"""Each fault of a design is found, alone; a healthy grid is silent."""

import itertools
import json

import numpy as np

from dashboard.analysis.findings.parameters import check
from dashboard.analysis.ranking import EVAL_ACCURACY
from dashboard.analysis.study import Evidence, study
from training.record.schema import Run


def run(name: str, accuracy: float, **config: object) -> Run:
    return Run(id=name, name=name, source="runs", status="finished", config=config, metrics={EVAL_ACCURACY: accuracy})


def grid(noise: float, rng: np.random.Generator, best: float = -5.0, seeds: tuple[int, ...] = (1, 2)) -> list[Run]:
    """3 x 5 configurations; accuracy falls with the distance of the learning rate from 10^best; beta does nothing."""
    return [
        run(
            f"{beta} {power} {seed}",
            0.8 - 0.05 * abs(power - best) + noise * rng.standard_normal(),
            beta=beta,
            learning_rate=10.0**power,
            seed=seed,
        )
        for beta, power, seed in itertools.product((0.05, 0.1, 0.2), (-7, -6, -5, -4, -3), seeds)
    ]


def ids(runs: list[Run]) -> list[str]:
    return [finding.id for finding in check(study(map(Evidence, runs)), "last")]


def test_a_healthy_grid_is_silent_in_a_hundred_draws():
    rng = np.random.default_rng(1)
    assert [ids(grid(0.01, rng)) for _ in range(100)] == [[]] * 100


def test_a_grid_without_any_effect_is_silent_in_95_of_100_draws():
    rng = np.random.default_rng(2)
    runs = grid(0.0, rng)
    draws = [[run(one.id, 0.7 + 0.01 * rng.standard_normal(), **one.config) for one in runs] for _ in range(100)]
    assert sum(bool(ids(drawn)) for drawn in draws) <= 5


def test_a_best_run_at_the_edge_is_found_alone():
    (finding,) = check(study(map(Evidence, grid(0.005, np.random.default_rng(3), best=-8.0))), "last")
    assert finding.id == "best-at-the-edge"
    assert finding.severity == "info"
    assert [one["parameter"] for one in finding.evidence["parameters"]] == ["learning_rate"]
    assert "at or near the lowest learning rate (Spearman -0.9" in finding.sentence
    json.dumps(finding.evidence)


def test_one_seed_is_found_alone():
    (finding,) = check(study(map(Evidence, grid(0.01, np.random.default_rng(4), seeds=(42,)))), "last")
    assert (finding.id, finding.severity) == ("one-seed-only", "info")
    assert finding.sentence.startswith("None of the 15 configurations was run with two seeds")


def test_confounded_parameters_are_found_alone():
    """Eight configurations of two seeds, both parameters doubled each time; the accuracy best in the middle."""
    runs = [
        run(f"{n} {seed}", 0.8 - abs(n - 3.4) / 50, beta=0.01 * 2**n, learning_rate=1e-6 * 2**n, seed=seed)
        for n in range(8)
        for seed in (1, 2)
    ]
    (finding,) = check(study(map(Evidence, runs)), "last")
    assert (finding.id, finding.severity) == ("confounded-hyper-parameters", "warning")
    assert set(finding.runs) == {one.id for one in runs}
    assert "cannot be told apart" in finding.sentence
    json.dumps(finding.evidence)


def test_one_run_or_none_is_no_design():
    assert ids([]) == []
    assert ids([run("only", 0.8, beta=0.1)]) == []


def test_a_repeat_of_unknown_seed_may_have_another():
    runs = [run(f"{n} {again}", 0.8 + n / 1000, beta=0.1 * n) for n in (1, 2, 3) for again in (1, 2)]
    assert ids(runs) == []


def test_two_ends_at_once_make_one_finding():
    """Accuracy falls with beta and with the learning rate: the best of the grid lies at both lower ends."""
    rng = np.random.default_rng(6)
    runs = [
        run(f"{b} {r} {seed}", 0.9 - 0.02 * b - 0.02 * r + 0.001 * rng.standard_normal(), **values, seed=seed)
        for b, r, seed in itertools.product(range(5), range(5), (1, 2))
        for values in [{"beta": 0.02 * 2**b, "learning_rate": 1e-6 * 4**r}]
    ]
    (finding,) = check(study(map(Evidence, runs)), "last")
    assert finding.id == "best-at-the-edge"
    assert {one["parameter"] for one in finding.evidence["parameters"]} == {"beta", "learning_rate"}
    assert finding.sentence.count("is best by") == 1
