"""Tells by its header what a table is."""

import re
from collections.abc import Iterable, Sequence

_PANEL = re.compile(r".+__(MIN|MAX)")
_OF_WANDB = frozenset({"State", "ID", "Runtime", "Sweep", "Tags", "Created", "End Time", "Updated"})
_LOGGED = re.compile(r"(?!rewards/|logps/|logits/)[\w-]+([./][\w-]+)+|_\w+", re.IGNORECASE)
_SEEMS = (
    ({"chosen", "rejected"}, "preference pairs (training data)"),
    ({"text", "score"}, "a list of texts and scores"),
    ({"prompt", "completion"}, "prompts and completions (training data)"),
    ({"prompt", "response"}, "prompts and responses (training data)"),
    ({"instruction", "output"}, "instructions and answers (training data)"),
    ({"messages"}, "conversations (training data)"),
    ({"text", "label"}, "texts and labels (training data)"),
)


def is_panel(header: Sequence[str]) -> bool:
    """Whether these are the columns of a chart's export from W&B: x, then `RUN - METRIC`, mostly with __MIN, __MAX."""
    named = [column for column in header[1:] if column]
    return any(map(_PANEL.fullmatch, header)) or (bool(named) and all(" - " in column for column in named))


def is_scalars(header: Sequence[str]) -> bool:
    """Whether these are the columns of a TensorBoard scalar export: `Wall time,Step,Value`."""
    return [column.strip().lower() for column in header if column.strip()] == ["wall time", "step", "value"]


def is_runs_table(header: Sequence[str]) -> bool:
    """Whether these are the columns of W&B's table of runs: `Name`, and neither a chart's columns nor a `Step`.

    People call a column of their own tables so too: another column must be one of W&B's own, or spelt as what is
    logged to it (`eval/loss`, `data.classes`, `_step`).
    """
    theirs = any(column in _OF_WANDB or _LOGGED.fullmatch(column) for column in header)
    return "Name" in header and "Step" not in header and theirs and not is_panel(header)


def seems(header: Sequence[str]) -> str:
    """What a file with these columns seems to be, as a noun phrase; "" where nothing is known about it."""
    if is_panel(header):
        return "a W&B chart export (curves)"
    if is_scalars(header):
        return "a TensorBoard scalar export"
    if is_runs_table(header):
        return "a W&B runs table"
    names = {column.strip().lower() for column in header}
    return next((kind for needed, kind in _SEEMS if needed <= names), "")


def shown(header: Iterable[str]) -> str:
    """The first names of a header, short enough for a message."""
    names = [column for column in header if column]
    return (", ".join(name[:80] for name in names[:6]) + (", ..." if len(names) > 6 else ""))[:200]
