"""A parameter of a W&B sweep file: its distribution, as Optuna draws from it."""

import difflib
import json
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN
from itertools import accumulate
from statistics import NormalDist
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.special import betaincinv

from training.sweeps.numbers import as_json, as_number, exact, finite, multiples, short, shortest
from training.sweeps.trial import SweepError

_BOUNDS = ("min", "max")
_LOG_UNIFORM = ("log_uniform", "log_uniform_values", "inv_log_uniform", "inv_log_uniform_values")
_SHAPES = {"normal": ("mu", "sigma"), "log_normal": ("mu", "sigma"), "beta": ("a", "b")}
_DEFAULTS = {"mu": 0.0, "sigma": 1.0, "a": 1.0, "b": 1.0, "q": 1}
# Each distribution's name, and the keys it takes.
KINDS: dict[str, tuple[str, ...]] = {
    "constant": ("value",),
    "categorical": ("values", "probabilities"),
    "int_uniform": _BOUNDS,
    **dict.fromkeys(("uniform", *_LOG_UNIFORM), _BOUNDS),
    **_SHAPES,
    **{f"q_{name}": (*_BOUNDS, "q") for name in ("uniform", "log_uniform", "log_uniform_values")},
    **{f"q_{name}": (*keys, "q") for name, keys in _SHAPES.items()},
}
_ALIASES = {"categorical_w_probabilities": "categorical"}
_EDGE = 2.0**-53  # the outermost quantile of an unbounded distribution: 8.2 standard deviations of a normal one
_MOST = 100_000


@dataclass(frozen=True)
class Parameter:
    """One parameter: `name` is that of training.run's argument (dotted below a dict-typed one), `kind` W&B's.

    `values` are a constant's one or a categorical's. `low` and `high` bound what is drawn, as values, also where the
    file gives exponents. `shape` is (mu, sigma) or (a, b); `q` the step to whose multiples a draw is rounded.
    Formulas: W&B's documentation, "Sweep configuration options", distribution options.
    """

    name: str
    kind: str
    values: tuple[Any, ...] = ()
    probabilities: tuple[float, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    shape: tuple[float, float] = (0.0, 1.0)
    q: float | None = None

    @property
    def constant(self) -> bool:
        return self.kind == "constant"

    def distribution(self) -> BaseDistribution:
        """What Optuna draws from, for `value`.

        Categorical over the values as JSON, int, float, or float on a log scale (all log_uniform kinds: a value whose
        logarithm, or whose inverse's, is uniform). What Optuna lacks (normal, log_normal, beta, probabilities) is a
        float in [0, 1] that `value` takes through the inverse cumulative distribution function. Raises SweepError for a
        constant, which is not drawn.
        """
        if self.constant:
            raise SweepError(f"parameters.{self.name} is a constant: there is nothing to search")
        if self.kind == "categorical" and not self.probabilities:
            return CategoricalDistribution([json.dumps(value) for value in self.values])
        if self.kind == "int_uniform":
            return IntDistribution(int(self.low), int(self.high))
        if self._uniform:
            return FloatDistribution(self.low, self.high, log=self._logarithmic)
        return FloatDistribution(0.0, 1.0)

    def value(self, drawn: Any) -> Any:
        """What training.run is told, from what Optuna drew. Multiples of `q` are kept within the bounds."""
        if self.constant:
            return self.values[0]
        if self.kind == "categorical" and not self.probabilities:
            return json.loads(drawn)
        if self.kind == "int_uniform":
            return int(drawn)
        return self._stepped(float(drawn)) if self._uniform else self.quantile(float(drawn))

    def quantile(self, share: float) -> Any:
        """The value below which a `share` (0 to 1) of the draws lies: the inverse cumulative distribution function."""
        if self.values:
            weights = self.probabilities or (1 / len(self.values),) * len(self.values)
            likely = [at for at, weight in enumerate(weights) if weight > 0]
            return self.values[min(bisect_right(list(accumulate(weights)), share), likely[-1])]
        if self.kind == "int_uniform":
            count = int(self.high) - int(self.low) + 1
            return int(self.low) + min(int(share * count), count - 1)
        return self._stepped(min(max(self._inverse(share), self.low), self.high))

    def extremes(self) -> list[Any]:
        """What shows whether all draws can be used: a list's values, of numbers the ends and one that is not whole.

        Of a range what lies just within its ends, and one value between; of a normal, log_normal or beta distribution
        what one draw in 1,000 lies beyond.
        """
        if self.values:
            if not all(type(value) in (int, float) for value in self.values):
                return list(self.values)
            broken = [value for value in self.values if value != int(value)]
            return list(dict.fromkeys((min(self.values), max(self.values), *broken[:1])))
        tail = 1e-9 if self._uniform or self.kind == "int_uniform" else 0.001  # an end itself is never drawn
        found = [self.quantile(share) for share in (tail, 0.382, 1 - tail)]
        return list(dict.fromkeys(found))

    def grid(self) -> list[Any]:
        """The values of a grid, as W&B lists them, with q_uniform's `max` where it is hit.

        Raises SweepError where there is none.
        """
        if self.values and not self.probabilities:
            return list(self.values)
        where = f"parameters.{self.name}"
        if self.kind not in ("int_uniform", "q_uniform"):
            what = "probabilities" if self.probabilities else self.kind
            raise SweepError(f"{where}: a grid cannot list {what}; give values, or write method: random or bayes")
        low, step = exact(self.low), exact(self.q or 1)
        count = int((exact(self.high) - low) / step) + 1
        if count > _MOST:
            raise SweepError(f"{where}: a grid of {count:,} values would never end; give values, or method: random")
        return [shortest(low + step * place) for place in range(count)]

    @property
    def _logarithmic(self) -> bool:
        return self.kind.removeprefix("q_") in _LOG_UNIFORM

    @property
    def _uniform(self) -> bool:
        return self._logarithmic or self.kind in ("uniform", "q_uniform")

    def _inverse(self, share: float) -> float:
        """The quantile before it is rounded."""
        if self._logarithmic:
            low, high = math.log(self.low), math.log(self.high)
            return math.exp(low + share * (high - low))
        if self._uniform:
            return self.low + share * (self.high - self.low)
        if self.kind.endswith("beta"):
            return float(betaincinv(*self.shape, share))
        found = NormalDist(*self.shape).inv_cdf(min(max(share, _EDGE), 1 - _EDGE))
        return math.exp(found) if self.kind.endswith("log_normal") else found

    def _stepped(self, found: float) -> Any:
        """The multiple of `q` next to `found` that lies within the bounds; `found` itself without a `q`."""
        if self.q is None:
            return found
        step = exact(self.q)
        least, most = multiples(self.low, self.high, step)
        return shortest(min(max((exact(found) / step).to_integral_value(ROUND_HALF_EVEN), least), most) * step)


def parse(name: str, content: Any) -> Parameter:
    """The parameter `name` of a sweep file, its distribution inferred from its keys as W&B does.

    Raises SweepError for what W&B does not know, and for what cannot be drawn.
    """
    where = f"parameters.{name}"
    if not isinstance(content, Mapping):
        key = "values" if isinstance(content, list) else "value"
        raise SweepError(f"{where} is {short(content)}; write `{key}: {short(content)}` below {name}")
    found = {str(key): as_number(value) for key, value in content.items() if key != "distribution"}
    kind = _kind(where, content.get("distribution"), found)
    for key in found:
        if key not in KINDS[kind]:
            raise SweepError(f"{where}: {kind} has no `{key}`; it takes {', '.join(KINDS[kind])}")
    if kind in ("constant", "categorical"):
        return _listed(where, name, kind, found)
    q = _read(where, found, "q") if "q" in KINDS[kind] else None
    if q is not None and q <= 0:
        raise SweepError(f"{where}: q must be above 0, got {q:g}: draws are rounded to its multiples")
    made = _bounded(where, name, kind, found, q) if "min" in KINDS[kind] else _shaped(where, name, kind, found, q)
    if q is not None and math.isfinite(made.low + made.high):
        least, most = multiples(made.low, made.high, exact(q))
        if least > most:
            raise SweepError(f"{where}: no multiple of q = {q:g} lies between {made.low:g} and {made.high:g}")
    return made


def _kind(where: str, stated: Any, found: Mapping[str, Any]) -> str:
    if stated is not None:
        name = stated if isinstance(stated, str) else short(stated)
        name = _ALIASES.get(name, name)
        if name not in KINDS:
            near = difflib.get_close_matches(name, KINDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(KINDS)}"
            raise SweepError(f"{where}: distribution {short(stated)} is unknown; {hint}")
        return name
    if "value" in found:
        return "constant"
    if "values" in found:
        return "categorical"
    if "min" in found and "max" in found:
        return "int_uniform" if all(type(found[key]) is int for key in _BOUNDS) else "uniform"
    given = f"only {', '.join(found)}" if found else "nothing"
    raise SweepError(f"{where} has {given}; give value, values, min and max, or a distribution")


def _listed(where: str, name: str, kind: str, found: Mapping[str, Any]) -> Parameter:
    key = KINDS[kind][0]
    if key not in found:
        raise SweepError(f"{where}: {kind} needs `{key}`")
    if kind == "constant":
        as_json(where, found["value"])
        return Parameter(name, kind, values=(found["value"],))
    values = found["values"]
    if not isinstance(values, list) or not values:
        raise SweepError(f"{where}: values must be a list of at least one value, got {short(values)}")
    values = [as_number(value) for value in values]
    seen: set[str] = set()
    for text, value in ((as_json(where, value), value) for value in values):
        if text in seen:
            raise SweepError(f"{where}: values has {short(value)} twice; leave one out")
        seen.add(text)
    return Parameter(name, kind, values=tuple(values), probabilities=_weights(where, found, len(values)))


def _weights(where: str, found: Mapping[str, Any], count: int) -> tuple[float, ...]:
    if "probabilities" not in found:
        return ()
    given = found["probabilities"]
    if not isinstance(given, list) or len(given) != count:
        number = len(given) if isinstance(given, list) else short(given)
        raise SweepError(f"{where}: {count} values need {count} probabilities, got {number}")
    weights = tuple(finite(where, "probabilities", as_number(weight)) for weight in given)
    if min(weights) < 0 or not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise SweepError(f"{where}: probabilities must be at least 0 and sum to 1, these sum to {sum(weights):g}")
    return weights


def _bounded(where: str, name: str, kind: str, found: Mapping[str, Any], q: float | None) -> Parameter:
    low, high = (_read(where, found, key) for key in _BOUNDS)
    if low > high:
        raise SweepError(f"{where}: min {low:g} is above max {high:g}; swap them")
    if kind == "int_uniform" and not (low.is_integer() and high.is_integer()):
        raise SweepError(f"{where}: int_uniform needs whole numbers as min and max, got {low:g} and {high:g}")
    if kind.endswith("log_uniform"):
        low, high = _powers(where, kind, low, high)
    elif kind.endswith("log_uniform_values") and low <= 0:
        raise SweepError(f"{where}: {kind} takes values above 0, got min {low:g}; log_uniform takes their logarithms")
    return Parameter(name, kind, low=low, high=high, q=q)


def _powers(where: str, kind: str, low: float, high: float) -> tuple[float, float]:
    """The bounds whose natural logarithms (of their inverses, for inv_log_uniform) the file gives."""
    values = kind.replace("log_uniform", "log_uniform_values")
    ends = (-high, -low) if kind.startswith("inv") else (low, high)
    try:
        bounds = math.exp(ends[0]), math.exp(ends[1])
    except OverflowError:
        bounds = (0.0, 0.0)
    if not bounds[0] > 0:
        raise SweepError(
            f"{where}: {kind} takes natural logarithms, and exp({ends[0]:g}) .. exp({ends[1]:g}) is no range of "
            f"numbers; for values write {values}"
        )
    if low >= 0 and 0 < high < 1:
        raise SweepError(
            f"{where}: {kind} takes natural logarithms, so min {low:g} and max {high:g} would draw from "
            f"{bounds[0]:.6g} to {bounds[1]:.6g}; for values from {low:g} to {high:g} write {values}"
        )
    return bounds


def _shaped(where: str, name: str, kind: str, found: Mapping[str, Any], q: float | None) -> Parameter:
    first, second = (key for key in KINDS[kind] if key != "q")
    shape = _read(where, found, first), _read(where, found, second)
    for key, number in zip((first, second), shape, strict=True):
        if key != "mu" and number <= 0:
            raise SweepError(f"{where}: {key} must be above 0, got {number:g}")
    if kind.endswith("beta"):
        return Parameter(name, kind, low=0.0, high=1.0, shape=shape, q=q)
    if kind.endswith("log_normal"):
        if shape[0] + 9 * shape[1] > 700:
            raise SweepError(f"{where}: {kind} takes mu and sigma of the natural logarithm; exp({shape[0]:g}) is huge")
        return Parameter(name, kind, low=0.0, shape=shape, q=q)
    return Parameter(name, kind, shape=shape, q=q)


def _read(where: str, found: Mapping[str, Any], key: str) -> float:
    if key not in found and key not in _DEFAULTS:
        raise SweepError(f"{where}: `{key}` is missing; give min and max")
    return finite(where, key, found.get(key, _DEFAULTS.get(key)))
