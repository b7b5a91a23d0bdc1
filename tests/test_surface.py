"""Between the runs: interpolation inside the hull of what was measured alone, and the line of a proven effect."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.analysis.effects import effects, outcomes
from dashboard.analysis.hyperparameters import design
from dashboard.analysis.ranking import EVAL_ACCURACY
from dashboard.analysis.surface import Line, Surface, line, surface
from training.record.intervals import t_value
from training.record.schema import Run


def run(accuracy: float, **config: object) -> Run:
    name = "-".join(map(str, config.values()))
    metrics = {EVAL_ACCURACY: accuracy}
    return Run(id=name, name=name, source="runs", status="finished", config=config, metrics=metrics, step=100)


def between(runs: list[Run], x: str, y: str) -> Surface:
    rows = design(runs)
    first, second = rows.column(x), rows.column(y)
    assert first is not None and second is not None
    return surface(first, second, outcomes(rows, EVAL_ACCURACY, "last"), rows.runs)


def lined(runs: list[Run], key: str) -> Line | None:
    rows = design(runs)
    column = rows.column(key)
    (effect,) = [one for one in effects(runs, "last") if one.key == key]
    assert column is not None
    return line(effect, column, outcomes(rows, EVAL_ACCURACY, "last"))


def test_a_plane_is_found_again_between_its_corners():
    """Linear interpolation of a plane is the plane: 0.5 + 0.1 log10(lr / 1e-6) + 0.2 x dropout."""
    corners = [
        run(0.5 + 0.1 * power + 0.2 * dropout, learning_rate=10.0 ** (power - 6), lora_dropout=dropout)
        for power in (0, 2)
        for dropout in (0.0, 0.5)
    ]
    found = between(corners, "learning_rate", "lora_dropout")
    expected = 0.5 + 0.1 * (np.log10(found.x)[None, :] + 6) + 0.2 * found.y[:, None]
    assert found.refused == ""
    assert (found.x_log, found.y_log) == (True, False)
    np.testing.assert_allclose(found.z, expected, atol=1e-9)


def test_nothing_is_said_outside_the_hull():
    """Of the unit square only the triangle (0, 0), (1, 0), (0, 1) was tried: its half x + y <= 1."""
    tried = [run(0.7, weight_decay=x, lora_dropout=y) for x, y in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))]
    found = between(tried, "weight_decay", "lora_dropout")
    inside = found.x[None, :] + found.y[:, None] <= 1 + 1e-9
    np.testing.assert_array_equal(np.isfinite(found.z), inside)
    assert sorted(map(tuple, found.hull.tolist())) == [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)]


def test_replicates_at_one_place_are_their_mean():
    """At (0, 0) 0.6 and 0.8 were measured with two schedulers: 0.7."""
    tried = [
        run(0.6, weight_decay=0.0, lora_dropout=0.0, lr_scheduler_type="cosine"),
        run(0.8, weight_decay=0.0, lora_dropout=0.0, lr_scheduler_type="linear"),
        run(0.7, weight_decay=1.0, lora_dropout=0.0, lr_scheduler_type="linear"),
        run(0.7, weight_decay=0.0, lora_dropout=1.0, lr_scheduler_type="cosine"),
    ]
    found = between(tried, "weight_decay", "lora_dropout")
    (place,) = [place for place in found.places if (place.x, place.y) == (0.0, 0.0)]
    assert (place.n, len(place.runs)) == (2, 2)
    assert place.mean == pytest.approx(0.7)
    np.testing.assert_allclose(found.z[np.isfinite(found.z)], 0.7)


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        (((0.0, 0.1), (1.0, 0.2)), "Measured at 2 places"),
        (((0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (0.25, 0.25)), "lie on one line"),
    ],
)
def test_too_few_or_collinear_places_are_refused_with_the_reason(places, reason):
    found = between([run(0.7, weight_decay=x, lora_dropout=y) for x, y in places], "weight_decay", "lora_dropout")
    assert reason in found.refused
    assert len(found.places) == len(places)
    assert found.z.size == 0


def test_what_lies_on_one_line_of_logarithms_is_refused_too():
    """beta = 1e4 x learning rate: a curve on the page, a line on the scales that are compared."""
    tried = [run(0.7, learning_rate=lr, beta=1e4 * lr) for lr in (1e-6, 3e-6, 1e-5, 7e-5)]
    assert "lie on one line" in between(tried, "learning_rate", "beta").refused


def test_a_category_has_nothing_between_its_values():
    tried = [run(0.7, beta=beta, lr_scheduler_type=name) for beta in (0.1, 0.2) for name in ("cosine", "linear")]
    rows = design(tried)
    with pytest.raises(ValueError, match="lr_scheduler_type is no number"):
        surface(rows.columns[1], rows.columns[0], np.zeros(4), rows.runs)


@given(st.lists(st.tuples(*(st.floats(0, 1, width=16),) * 3), min_size=2, max_size=12, unique_by=lambda p: p[:2]))
def test_no_value_is_beyond_what_was_measured(points):
    tried = [run(value, weight_decay=x, lora_dropout=y) for x, y, value in points]
    rows = design(tried)
    x, y = rows.column("weight_decay"), rows.column("lora_dropout")
    if x is None or y is None:
        return
    found = surface(x, y, outcomes(rows, EVAL_ACCURACY, "last"), rows.runs)
    known = found.z[np.isfinite(found.z)]
    if known.size:
        values = [value for *_, value in points]
        assert min(values) - 1e-6 <= known.min() <= known.max() <= max(values) + 1e-6


def ten(slope: float, noise: float) -> list[Run]:
    """Ten learning rates, a quarter of a decade apart, the noise of alternating sign."""
    return [run(0.6 + slope * n / 4 + noise * (-1) ** n, learning_rate=10 ** (-6 + n / 4), seed=n) for n in range(10)]


def test_the_line_of_an_effect_is_least_squares_with_the_band_of_its_mean():
    """At the mean of x the half width is t(8) s / sqrt(10); at the ends sqrt(1 / 10 + (x - mean)^2 / Sxx) times t s."""
    runs = ten(0.1, 0.005)
    found = lined(runs, "learning_rate")
    x = np.array([-6 + n / 4 for n in range(10)])
    y = np.array([one.metrics[EVAL_ACCURACY] for one in runs])
    slope, intercept = np.polyfit(x, y, 1)
    s = math.sqrt(float(((y - slope * x - intercept) ** 2).sum()) / 8)
    sxx = float(((x - x.mean()) ** 2).sum())
    at = np.log10(found.x)
    half = t_value(0.95, 8) * s * np.sqrt(1 / 10 + (at - x.mean()) ** 2 / sxx)
    np.testing.assert_allclose(found.y, intercept + slope * at, atol=1e-9)
    np.testing.assert_allclose(found.high - found.y, half, atol=1e-9)
    np.testing.assert_allclose(found.y - found.low, half, atol=1e-9)


def test_no_line_is_drawn_of_what_is_not_proven():
    assert lined(ten(0.0, 0.02), "learning_rate") is None


def test_the_band_of_a_strong_effect_covers_its_line():
    """0.1 a decade, noise of 0.005: always proven. Of 200 samples 95% are 190, with a standard deviation of 3.1."""
    rng, inside = np.random.default_rng(8), np.zeros(25)
    for _ in range(200):
        noise = rng.normal(0, 0.005, 8)
        runs = [run(0.6 + 0.1 * n / 4 + e, learning_rate=10 ** (-6 + n / 4), seed=n) for n, e in enumerate(noise)]
        found = lined(runs, "learning_rate")
        truth = 0.6 + 0.1 * (np.log10(found.x) + 6)
        inside += (found.low <= truth) & (truth <= found.high)
    assert 180 <= inside[[0, 12, 24]].min() <= inside[[0, 12, 24]].max() <= 199
