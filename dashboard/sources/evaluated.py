"""How many pairs an evaluation had, recovered from how long it took and how fast it was."""

from collections.abc import Mapping

RUNTIME, SPEED = "eval/runtime", "eval/samples_per_second"


def pairs(metrics: Mapping[str, float]) -> int | None:
    """How many pairs were evaluated: `counted` of the metrics' runtime and samples per second."""
    return counted(metrics.get(RUNTIME), metrics.get(SPEED))


def counted(runtime: float | None, speed: float | None) -> int | None:
    """Seconds x pairs per second, if that is close to a whole number; None if it is not, or one of them is unknown.

    Both are printed with four and three digits after the point, so the product is known to within
    runtime * 0.0005 + speed * 0.00005; it must be that close to a whole number, and that below a half.
    """
    if runtime is None or speed is None or not 0 < runtime * speed < 1e9:
        return None
    error = runtime * 0.0005 + speed * 0.00005
    count = round(runtime * speed)
    return count if count >= 1 and error < 0.5 and abs(runtime * speed - count) <= error else None
