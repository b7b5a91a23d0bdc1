"""How small a difference a number of pairs can show, and how many pairs or votes would show it."""

import math
from statistics import NormalDist

from training.record.intervals import z_value

_HALVINGS = 60


def pairs_needed(difference: float, discordance: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """How many pairs, each of its own prompt, the exact McNemar test needs to show a `difference` in accuracy.

    `discordance` is the share of pairs that only one of the two runs gets right. Connor 1987 (Biometrics 43, 207-211):
    delta n = (z_alpha sqrt(psi) + z_power sqrt(psi - delta^2)) sqrt(n); the 1 that is taken off the left side is the
    continuity correction (Edwards 1948, Psychometrika 13, 185-187), without which the exact test falls short of
    `power`. Raises ValueError unless 0 < |difference| <= discordance <= 1: two accuracies cannot differ by more.
    """
    delta = abs(difference)
    _check(power, alpha)
    if not 0 < delta <= discordance <= 1:
        raise ValueError(f"needed: 0 < difference <= discordance <= 1, got {difference:g} and {discordance:g}")
    return math.ceil(_pairs(delta, discordance, power, alpha))


def smallest_detectable(n: int, discordance: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest difference in accuracy that `n` pairs show with `power`: `pairs_needed` turned round.

    Infinite where `n` pairs of this discordance show none at all. For one of many comparisons pass a smaller `alpha`.
    """
    _check(power, alpha)
    if n <= 0 or not 0 < discordance <= 1 or _pairs(discordance, discordance, power, alpha) > n:
        return math.inf
    low, high = 0.0, discordance
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = middle > 0 and _pairs(middle, discordance, power, alpha) <= n
        low, high = (low, middle) if enough else (middle, high)
    return high


def _pairs(delta: float, psi: float, power: float, alpha: float) -> float:
    """n from delta n - 1 = A sqrt(n), a quadratic in sqrt(n). It falls as delta grows."""
    a = z_value(1 - alpha) * math.sqrt(psi) + _z_power(power) * math.sqrt(psi - delta * delta)
    return float(((a + math.sqrt(a * a + 4 * delta)) / (2 * delta)) ** 2)


def smallest_detectable_unpaired(n: int, accuracy: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """How far below `accuracy` another run on `n` pairs must be to be told apart by the unpaired z test.

    delta^2 n = (z_alpha + z_power)^2 (p (1 - p) + (p - delta) (1 - p + delta)), a quadratic in delta (Fleiss, Levin and
    Paik 2003, Statistical Methods for Rates and Proportions, ch. 4; Miller 2024, arXiv:2411.00640, section 5). It needs
    means alone, and is larger than the paired one where the runs err on the same pairs. Infinite if none can be.
    """
    _check(power, alpha)
    if n <= 0 or not 0 <= accuracy <= 1:
        return math.inf
    q = (z_value(1 - alpha) + _z_power(power)) ** 2
    a, b, c = n + q, -q * (2 * accuracy - 1), -2 * q * accuracy * (1 - accuracy)
    delta = (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a)
    return delta if 0 < delta <= accuracy else math.inf


def pairs_needed_unpaired(difference: float, accuracy: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """How many pairs the unpaired z test needs to tell a run at `accuracy` from one `difference` below.

    Raises ValueError unless 0 < |difference| <= accuracy <= 1.
    """
    delta = abs(difference)
    _check(power, alpha)
    if not 0 < delta <= accuracy <= 1:
        raise ValueError(f"needed: 0 < difference <= accuracy <= 1, got {difference:g} and {accuracy:g}")
    variance = accuracy * (1 - accuracy) + (accuracy - delta) * (1 - accuracy + delta)
    return max(1, math.ceil((z_value(1 - alpha) + _z_power(power)) ** 2 * variance / delta**2))


def votes_needed(share: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """How many decisive votes show that a true `share` of wins is not one half, by the sign test.

    n = (z_alpha / 2 + z_power sqrt(p (1 - p)))^2 / (p - 1/2)^2, the normal approximation (Fleiss, Levin and Paik 2003,
    ch. 2); the exact test needs about 1 / |p - 1/2| votes more: 20 at 55%. Raises ValueError at one half.
    """
    _check(power, alpha)
    if not 0 <= share <= 1 or share == 0.5:
        raise ValueError(f"a share of wins in [0, 1] other than one half is needed, got {share:g}")
    root = z_value(1 - alpha) / 2 + _z_power(power) * math.sqrt(share * (1 - share))
    return math.ceil((root / (share - 0.5)) ** 2)


def _z_power(power: float) -> float:
    """The one-sided quantile: 0.8416 for 0.8."""
    return NormalDist().inv_cdf(power)


def _check(power: float, alpha: float) -> None:
    if not 0.5 <= power < 1 or not 0 < alpha < 1:
        raise ValueError(f"needed: power in [0.5, 1) and alpha in (0, 1), got {power:g} and {alpha:g}")
