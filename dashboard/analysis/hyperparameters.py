"""Which hyper-parameters tell the runs apart, and on which scale each is compared."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from training.record.history import number
from training.record.metrics import split_key
from training.record.schema import Run

FIRST = ("beta", "learning_rate", "loss_type", "model_name_or_path", "dataset_name")
EFFECTIVE_BATCH = "effective_batch_size"
SEEDS = ("seed", "data_seed")

_BOOKKEEPING = ("_dir", "_name", "_id", "_token", "_file", "_path", "_steps_per_second")
_NEVER = frozenset(
    {
        "name",
        "runs",
        "report_to",
        "config",
        "tags",
        "notes",
        "user",
        "created",
        "project",
        "sweep",
        "quiet",
        "trackio_space_id",
    }
)
_CADENCE = frozenset({"eval_steps", "save_steps", "logging_steps", "save_total_limit", "sample_max_new_tokens"})
_MIXED_UP = frozenset({"model_name_or_path", "dataset_name"})
BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")

MOST = 12
"""Hyper-parameters analysed at once: more of them than that need more runs than people have."""

_MOST_LEVELS = 10

_BY_FACTORS = frozenset({"beta", "learning_rate", EFFECTIVE_BATCH, *BATCH, "lora_r", "lora_alpha"})
"""Chosen by factors, not by differences: 1e-6 to 2e-6 is as large a change as 1e-5 to 2e-5."""

_PLAIN = frozenset({str, int, float, bool})

Floats = npt.NDArray[np.float64]


def text(value: Any) -> str:
    """A configuration value as one short text: lists joined with +, floats without trailing zeros."""
    if isinstance(value, list | tuple):
        return "+".join(text(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def words(key: str) -> str:
    """A hyper-parameter as it stands in a sentence: `learning_rate` is learning rate."""
    return key[:60].replace("_", " ")


def upper(sentence: str) -> str:
    """The sentence with a capital letter at its beginning."""
    return sentence[:1].upper() + sentence[1:]


def varying(runs: Iterable[Run], most: int = 8) -> tuple[str, ...]:
    """The configuration keys with more than one value among the runs that have them: beta and learning rate first.

    Names, paths, identifiers and logged metrics (`train/learning_rate`) are left out: they differ by definition. A key
    that a source does not give says nothing about its value, so it is compared only among the runs that have it.
    """
    first: dict[str, tuple[type, Any]] = {}
    differing: set[str] = set()
    for run in runs:
        for key, value in run.config.items():
            if key in differing or value is None:
                continue
            # Of many runs most have the same values: 1 and True are equal, but not written alike.
            kind, known = first.get(key, (None, None))
            if type(value) is kind and kind in _PLAIN and value == known:
                continue
            if not is_parameter(key) or isinstance(value, dict):
                continue
            if kind is None:
                first[key] = type(value), value
            elif text(value) != text(known):
                differing.add(key)
    return tuple(sorted(differing, key=_order)[:most])


@lru_cache(maxsize=4096)
def is_parameter(key: str) -> bool:
    """Whether a configuration key is an argument of training: no name, path, identifier, cadence or logged metric."""
    if key in _MIXED_UP:
        return True
    kept_apart = key.lower() in _NEVER | _CADENCE or key.lower().endswith(_BOOKKEEPING)
    return not kept_apart and not split_key(key)[0]


def _order(key: str) -> tuple[int, str]:
    return (FIRST.index(key) if key in FIRST else len(FIRST), key)


def value_of(run: Run, key: str) -> Any:
    """The run's value of a hyper-parameter, `effective_batch_size` among them; None if its source does not say."""
    if key != EFFECTIVE_BATCH:
        return run.config.get(key)
    pairs = math.prod(math.nan if (size := number(run.config.get(part))) is None else size for part in BATCH)
    return int(pairs) if math.isfinite(pairs) else None


def log_scale(key: str, values: Sequence[float] | Floats) -> bool:
    """Whether a numeric hyper-parameter is compared by its logarithm.

    True for those that people choose by factors (learning rate, beta, batch size), and for any other whose values
    differ tenfold or more and lie more evenly there (their median is nearer to the middle). Never where one is 0 or
    less.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known) or known.min() <= 0:
        return False
    return key in _BY_FACTORS or bool(known.max() >= 10 * known.min() and _uneven(np.log(known)) < _uneven(known))


def _uneven(values: Floats) -> float:
    """How far the median is from the middle of the range, as a share of the range."""
    low, high = float(values.min()), float(values.max())
    return abs(float(np.median(values)) - (low + high) / 2) / (high - low)


@dataclass(frozen=True, eq=False)
class Column:
    """One hyper-parameter over the configurations: `values` of shape (n,), as configured, None where unknown.

    `numbers`, shape (n,), are the values, log10 of them if `log`, NaN where unknown; None for categories.
    """

    key: str
    values: tuple[Any, ...]
    numbers: Floats | None
    log: bool

    @property
    def labels(self) -> tuple[str | None, ...]:
        """The values as text, None where unknown."""
        return tuple(None if value is None else text(value) for value in self.values)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Shape (n,): where the value is known."""
        return np.array([value is not None for value in self.values], dtype=bool)


@dataclass(frozen=True, eq=False)
class Design:
    """What was tried: one row per configuration, one column per hyper-parameter that varies.

    `runs` are the runs of each row: seeds of one configuration are one point of the design, not several.
    """

    columns: tuple[Column, ...]
    runs: tuple[tuple[Run, ...], ...]

    def column(self, key: str) -> Column | None:
        """The column of a hyper-parameter; None if it does not vary."""
        return next((column for column in self.columns if column.key == key), None)


def parameters(runs: Sequence[Run], most: int = MOST) -> tuple[str, ...]:
    """The hyper-parameters worth an analysis: those that vary, without seeds.

    Where batch size and accumulation both vary, their product stands for both: the gradient is the mean over that many
    pairs, however they are split (one device; the number of devices is the same in all runs or unknown).
    """
    keys = [key for key in varying(runs, most + len(SEEDS)) if key not in SEEDS]
    if all(key in keys for key in BATCH):
        keys = [EFFECTIVE_BATCH if key == BATCH[0] else key for key in keys if key != BATCH[1]]
        if len({value_of(run, EFFECTIVE_BATCH) for run in runs} - {None}) < 2:
            keys.remove(EFFECTIVE_BATCH)
    return tuple(keys[:most])


def design(runs: Sequence[Run]) -> Design:
    """The design of some runs; a category of many values, or of one per run, is a name and left out."""
    keys = parameters(runs)
    rows: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        rows.setdefault(tuple(text(value_of(run, key)) for key in keys), []).append(run)
    columns = [_column(key, tuple(value_of(group[0], key) for group in rows.values())) for key in keys]
    kept = tuple(column for column in columns if column.numbers is not None or _repeats(column))
    return Design(kept, tuple(map(tuple, rows.values())))


def _column(key: str, values: tuple[Any, ...]) -> Column:
    known = [value for value in values if value is not None]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in known):
        return Column(key, values, None, False)
    values = tuple(value if value is not None and math.isfinite(value) else None for value in values)
    numbers = np.array([math.nan if value is None else float(value) for value in values])
    log = log_scale(key, numbers)
    return Column(key, values, np.log10(numbers) if log else numbers, log)


def _repeats(column: Column) -> bool:
    labels = [label for label in column.labels if label is not None]
    return len(set(labels)) <= max(2, min(_MOST_LEVELS, len(labels) / 2))
