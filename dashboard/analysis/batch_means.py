"""Which numbers of right answers explain an accuracy that is a mean of batch means, as TRL logs it."""

import math

from training.record.history import whole
from training.record.schema import Run

ERROR = 1e-6
"""What 32-bit floats may change in a mean of batch means."""
MOST_PAIRS = 100_000


def batch_size(run: Run) -> int | None:
    """Pairs per evaluation batch: as stated, or the only size that makes the number of batches; None if unclear.

    Batches = eval/runtime x eval/steps_per_second, where that is a whole number to within its printed digits. On
    several devices a stated size is not that of the logged batches, unless it makes their number.
    """
    stated, batches = whole(run.config.get("per_device_eval_batch_size")), _batches(run)
    if not run.n_eval or batches is None:
        return stated if stated and stated > 0 else None
    fitting = [size for size in _sizes(run.n_eval, batches) if stated in (None, size)]
    return fitting[0] if len(fitting) == 1 else None


def _batches(run: Run) -> int | None:
    runtime, speed = run.metrics.get("eval/runtime"), run.metrics.get("eval/steps_per_second")
    if runtime is None or speed is None or not 0 < runtime * speed < 1e9:
        return None
    count, error = round(runtime * speed), runtime * 0.0005 + speed * 0.00005
    return count if count >= 1 and error < 0.5 and abs(runtime * speed - count) <= error else None


def _sizes(n: int, batches: int) -> list[int]:
    """The batch sizes by which `n` pairs make so many batches: ceil(n / size) = batches."""
    low = -(-n // batches)
    high = (n - 1) // (batches - 1) if batches > 1 else n
    return list(range(low, high + 1)) if batches > 1 else [n]


def right_counts(accuracy: float, n: int, size: int) -> tuple[int, ...]:
    """Every number of right pairs of `n` that gives this mean of batch means, in batches of `size` and a smaller last.

    With F full batches and r pairs in the last one, accuracy = (a / size + b / r) / (F + 1), of a + b right pairs
    (TRL counts a tie as wrong). Empty if none does, or if so many pairs would fit anything.
    """
    full, rest = divmod(n, size)
    if not 0 <= accuracy <= 1 or n > MOST_PAIRS or rest == 0:
        return ()
    if math.lcm(size, rest) * (full + 1) * 4 * ERROR > 1:
        return ()
    found = set()
    for last in range(rest + 1):
        first = (accuracy * (full + 1) - last / rest) * size
        off = abs(first - round(first))
        if off <= ERROR * (full + 1) * size and 0 <= round(first) <= full * size:
            found.add(round(first) + last)
    return tuple(sorted(found))
