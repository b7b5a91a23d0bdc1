"""What a check says: one sentence with the numbers it rests on, its threshold and its source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["bad", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("bad", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """One thing that a user must know of some runs.

    `id` is the check's name, stable (`likelihood-displacement`); `runs` are run ids; `evidence` has the numbers and the
    threshold, plain JSON values; `sentence` is plain words with those numbers; `source` a paper or a formula.
    """

    id: str
    severity: Severity
    runs: tuple[str, ...]
    sentence: str
    source: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
