"""Which hyper-parameters tell the runs apart."""

from collections.abc import Iterable
from typing import Any

from training.record.schema import Run

FIRST = ("beta", "learning_rate", "loss_type", "model_name_or_path", "dataset_name")

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


def text(value: Any) -> str:
    """A configuration value as one short text: lists joined with +, floats without trailing zeros."""
    if isinstance(value, list | tuple):
        return "+".join(text(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def varying(runs: Iterable[Run], most: int = 8) -> tuple[str, ...]:
    """The configuration keys with more than one value among the runs that have them: beta and learning rate first.

    Names, paths and identifiers are left out: they differ by definition. A key that a source does not give says
    nothing about its value, so it is compared only among the runs that have it.
    """
    values: dict[str, set[str]] = {}
    for run in runs:
        for key, value in run.config.items():
            if value is not None and _is_parameter(key) and not isinstance(value, dict):
                values.setdefault(key, set()).add(text(value))
    differing = [key for key, seen in values.items() if len(seen) > 1]
    return tuple(sorted(differing, key=_order)[:most])


def _is_parameter(key: str) -> bool:
    return key in _MIXED_UP or not (key.lower() in _NEVER | _CADENCE or key.lower().endswith(_BOOKKEEPING))


def _order(key: str) -> tuple[int, str]:
    return (FIRST.index(key) if key in FIRST else len(FIRST), key)
