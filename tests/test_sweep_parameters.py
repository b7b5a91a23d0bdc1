"""Parameters of a sweep file: what W&B's distributions draw, and what is said of a mistake."""

import json
import math
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy import stats

from training.sweeps.parameters import KINDS, Parameter, parse
from training.sweeps.trial import SweepError

SHARES = st.floats(0, 1)
REFERENCES: list[tuple[dict[str, Any], Any]] = [
    ({"distribution": "uniform", "min": -1, "max": 3}, stats.uniform(-1, 4)),
    ({"distribution": "log_uniform", "min": -4, "max": 2}, stats.loguniform(math.exp(-4), math.exp(2))),
    ({"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-3}, stats.loguniform(1e-6, 1e-3)),
    ({"distribution": "inv_log_uniform", "min": -2, "max": 4}, stats.loguniform(math.exp(-4), math.exp(2))),
    ({"distribution": "inv_log_uniform_values", "min": 0.5, "max": 8}, stats.loguniform(0.5, 8)),
    ({"distribution": "normal", "mu": 2, "sigma": 3}, stats.norm(2, 3)),
    ({"distribution": "normal"}, stats.norm(0, 1)),
    ({"distribution": "log_normal", "mu": -9, "sigma": 0.5}, stats.lognorm(s=0.5, scale=math.exp(-9))),
    ({"distribution": "beta", "a": 2, "b": 5}, stats.beta(2, 5)),
]


def refused(content: Any, name: str = "learning_rate") -> str:
    with pytest.raises(SweepError) as caught:
        parse(name, content)
    message = str(caught.value)
    assert message.startswith(f"parameters.{name}") and "\n" not in message
    return message


def drawn(parameter: Parameter, seed: int, count: int = 40) -> list[Any]:
    """Values as a random search gets them from Optuna."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    space = {"x": parameter.distribution()}
    return [parameter.value(study.ask(space).params["x"]) for _ in range(count)]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.mark.parametrize(("content", "reference"), REFERENCES, ids=[str(content) for content, _ in REFERENCES])
def test_quantiles_are_those_of_the_stated_distribution(content: dict[str, Any], reference: Any) -> None:
    parameter = parse("x", content)
    for share in (0.001, 0.1, 0.25, 0.5, 0.9, 0.999):
        assert parameter.quantile(share) == pytest.approx(reference.ppf(share), rel=1e-9)


@pytest.mark.parametrize(("content", "reference"), REFERENCES, ids=[str(content) for content, _ in REFERENCES])
def test_what_optuna_draws_follows_the_stated_distribution(content: dict[str, Any], reference: Any) -> None:
    """Kolmogorov-Smirnov, n = 1,000 by a fixed seed: a distance of 0.0616 comes with p = 0.001."""
    values = drawn(parse("x", content), seed=7, count=1000)
    assert stats.kstest(values, reference.cdf).statistic < 0.0616


@pytest.mark.parametrize("kind", ["uniform", "log_uniform", "log_uniform_values", "normal", "log_normal", "beta"])
def test_a_quantised_draw_is_the_nearest_multiple_of_q(kind: str) -> None:
    """As W&B: round(X / q) * q, X as without q. Where that is within the bounds."""
    step = {"q": 0.05}
    bounds = {"min": 1, "max": 3} if "min" in KINDS[kind] else {}
    plain, stepped = (
        parse("x", {"distribution": f"{q}{kind}", **bounds, **more}) for q, more in (("", {}), ("q_", step))
    )
    for at in range(1, 100):
        expected = round(plain.quantile(at / 100) / 0.05) * 0.05
        if plain.low <= expected <= plain.high:
            assert stepped.quantile(at / 100) == pytest.approx(expected)


@given(
    st.sampled_from(["uniform", "log_uniform_values", "inv_log_uniform_values", "q_uniform", "q_log_uniform_values"]),
    st.floats(1e-6, 1e3),
    st.floats(0, 1e3),
    st.sampled_from([0.1, 0.25, 1, 3]),
    SHARES,
)
def test_no_draw_lies_outside_the_bounds(kind: str, low: float, width: float, q: float, share: float) -> None:
    content = {"distribution": kind, "min": low, "max": low + width, **({"q": q} if kind.startswith("q_") else {})}
    try:
        parameter = parse("x", content)
    except SweepError as error:
        assert "no multiple of q" in str(error)
        return
    value = parameter.quantile(share)
    assert low <= value <= low + width
    if kind.startswith("q_"):
        assert value / q == pytest.approx(round(value / q))


@given(st.floats(-700, 600), st.floats(0, 100), SHARES)
def test_log_uniform_stays_between_the_exponents(low: float, width: float, share: float) -> None:
    try:
        parameter = parse("x", {"distribution": "log_uniform", "min": low, "max": low + width})
    except SweepError as error:
        assert "log_uniform_values" in str(error)
        return
    assert math.exp(low) <= parameter.quantile(share) <= math.exp(low + width)


@given(st.integers(-50, 50), st.integers(0, 20))
def test_int_uniform_draws_whole_numbers_with_both_ends(low: int, width: int) -> None:
    parameter = parse("x", {"min": low, "max": low + width})
    assert parameter.kind == "int_uniform" and parameter.distribution() == IntDistribution(low, low + width)
    assert [parameter.quantile(share) for share in (0.0, 1.0)] == [low, low + width]
    assert parameter.grid() == list(range(low, low + width + 1))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"value": 3}, "constant"),
        ({"values": [1, 2]}, "categorical"),
        ({"values": [1, 2], "distribution": "categorical"}, "categorical"),
        ({"min": 1, "max": 3}, "int_uniform"),
        ({"min": 1, "max": 3.0}, "uniform"),
        ({"min": 0.1, "max": 0.3}, "uniform"),
        ({"min": "1e-7", "max": "1e-3"}, "uniform"),
    ],
)
def test_the_distribution_is_inferred_from_the_keys(content: dict[str, Any], kind: str) -> None:
    assert parse("x", content).kind == kind


def test_text_that_yaml_leaves_of_a_number_is_a_number() -> None:
    """YAML 1.1 wants a point and a sign: 1e-7 is text to it."""
    parameter = parse("learning_rate", {"distribution": "log_uniform_values", "min": "1e-7", "max": "1E-4"})
    assert (parameter.low, parameter.high) == (1e-7, 1e-4)
    assert parse("x", {"values": ["1e-7", "100", "+.5", "sigmoid", "1_0", "nan"]}).values == (
        *(1e-7, 100, 0.5),
        *("sigmoid", "1_0", "nan"),
    )
    assert parse("x", {"value": "5e-5"}).values == (5e-5,)


def test_optuna_gets_its_own_distributions_where_they_fit() -> None:
    listed = parse("x", {"values": [1, "a", True, None, [2, 3]]})
    assert listed.distribution() == CategoricalDistribution(["1", '"a"', "true", "null", "[2, 3]"])
    assert [listed.value(choice) for choice in listed.distribution().choices] == list(listed.values)
    assert parse("x", {"min": 0.0, "max": 2.0}).distribution() == FloatDistribution(0, 2)
    log = parse("x", {"distribution": "log_uniform_values", "min": 0.1, "max": 2}).distribution()
    assert log == FloatDistribution(0.1, 2, log=True)
    assert parse("x", {"distribution": "normal"}).distribution() == FloatDistribution(0, 1)


@pytest.mark.parametrize("kind", ["normal", "log_normal", "beta", "q_normal", "q_log_normal", "q_beta"])
def test_the_ends_of_an_unbounded_distribution_are_numbers(kind: str) -> None:
    parameter = parse("x", {"distribution": kind})
    assert all(math.isfinite(parameter.value(end)) for end in (0.0, 1.0))


def test_probabilities_are_the_shares_of_the_draws() -> None:
    """0.2, 0, 0.8: of 1,000 draws about 200 are the first; three standard deviations are 38."""
    parameter = parse("x", {"values": ["a", "b", "c"], "probabilities": [0.2, 0, 0.8]})
    values = drawn(parameter, seed=3, count=1000)
    assert 162 <= values.count("a") <= 238 and "b" not in values
    assert [parameter.quantile(share) for share in (0, 0.19, 0.21, 1)] == ["a", "a", "c", "c"]


def test_a_draw_in_whole_steps_is_an_int() -> None:
    values = drawn(parse("max_steps", {"distribution": "q_uniform", "min": 100, "max": 500, "q": 100}), seed=0)
    assert set(values) == {100, 200, 300, 400, 500} and {type(value) for value in values} == {int}


def test_steps_are_as_they_are_written() -> None:
    """3 x 0.1 is 0.3, where floats say 0.30000000000000004."""
    assert parse("x", {"distribution": "q_uniform", "min": 0.1, "max": 0.5, "q": 0.1}).grid() == [
        *(0.1, 0.2, 0.3),
        *(0.4, 0.5),
    ]


def test_a_grid_lists_values_and_steps() -> None:
    assert parse("x", {"value": 4}).grid() == [4]
    assert parse("x", {"values": [3, 1]}).grid() == [3, 1]
    assert parse("x", {"distribution": "q_uniform", "min": 1, "max": 10, "q": 4}).grid() == [1, 5, 9]


@pytest.mark.parametrize(
    "content",
    [
        *({"distribution": kind, "min": 1, "max": 2} for kind in ("uniform", "log_uniform", "q_log_uniform")),
        *({"distribution": kind} for kind in ("normal", "q_normal", "beta")),
        {"values": [1, 2], "probabilities": [0.5, 0.5]},
        {"min": 0, "max": 10**9},
    ],
)
def test_what_no_grid_can_list_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(SweepError, match=r"parameters.x: a grid .*give values"):
        parse("x", content).grid()


def test_exponents_that_look_like_values_are_told_with_what_they_would_draw() -> None:
    """A file that is on the Hub asks for learning rates from e^1e-9 = 1."""
    message = refused({"distribution": "log_uniform", "min": "1e-9", "max": 1e-3})
    assert "would draw from 1 to 1.001" in message and "write log_uniform_values" in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"min": 2, "max": 1}, "min 2 is above max 1"),
        ({"values": []}, "at least one value"),
        ({"values": 3}, "must be a list"),
        ({"values": [0.1, 0.2, 0.1]}, "has 0.1 twice"),
        ({"values": [1, 2], "probabilities": [0.5]}, "2 values need 2 probabilities, got 1"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "sum to 1.1"),
        ({"values": [1, 2], "probabilities": [-0.5, 1.5]}, "at least 0"),
        ({"values": [1, 2], "probabilities": ["a", "b"]}, "must be a number"),
        ({"distribution": "loguniform", "min": 1, "max": 2}, "did you mean log_uniform?"),
        ({"distribution": "log_uniform", "min": 1, "max": 800}, "takes natural logarithms, and exp(1) .. exp(800)"),
        ({"distribution": "log_uniform", "min": -800, "max": -700}, "is no range of numbers"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "takes values above 0, got min 0"),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}, "q must be above 0"),
        ({"distribution": "q_uniform", "min": 1, "max": 2, "q": 5}, "no multiple of q = 5 lies between 1 and 2"),
        ({"distribution": "uniform", "min": 0}, "`max` is missing"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "needs whole numbers"),
        ({"distribution": "normal", "sigma": 0}, "sigma must be above 0"),
        ({"distribution": "log_normal", "mu": 800}, "exp(800) is huge"),
        ({"distribution": "beta", "a": 0}, "a must be above 0"),
        ({"distribution": "normal", "mean": 0}, "normal has no `mean`; it takes mu, sigma"),
        ({"value": 1, "values": [1]}, "constant has no `values`"),
        ({"min": "a", "max": 1}, "min must be a number, got 'a'"),
        ({"min": True, "max": 3}, "min must be a number, got True"),
        ({"min": 0, "max": math.inf}, "max must be a number, got inf"),
        ({"min": 0, "max": 10**400}, "max must be a number"),
        ({"min": 0}, "has only min"),
        ({}, "has nothing; give value, values, min and max"),
        (1e-5, "write `value: 1e-05` below learning_rate"),
        ([1, 2], "write `values: [1, 2]` below"),
        (None, "write `value: None`"),
        ({"values": [math.nan]}, "neither number"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_that_names_the_parameter(content: Any, said: str) -> None:
    assert said in refused(content)


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    refused({"values": [endless]})
    refused({"value": endless})


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from([*sorted({key for keys in KINDS.values() for key in keys}), "distribution", "other"]),
        JUNK | st.sampled_from(sorted(KINDS)),
        max_size=4,
    )
    | JUNK
)
def test_whatever_stands_there_is_a_parameter_or_a_sweep_error(content: Any) -> None:
    try:
        parameter = parse("x", content)
    except SweepError as error:
        assert "\n" not in str(error)
        return
    values = [parameter.quantile(share) for share in (0.0, 0.3, 1.0)] + parameter.extremes()
    json.dumps(values, allow_nan=False)
    if not parameter.constant:
        assert parameter.distribution() == parameter.distribution()
