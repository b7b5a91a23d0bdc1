"""Findings on disk, under the state of the runs and of the code that they were worked out from."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from dashboard import analysis
from dashboard.analysis.findings.finding import SEVERITIES, Finding
from dashboard.analysis.ranking import At
from dashboard.sources import cache as disk
from dashboard.sources.catalog import Snapshot
from training.record import metrics

_TEXTS = ("id", "severity", "sentence", "source")


def recall(snapshot: Snapshot, root: Path, at: At) -> tuple[Finding, ...] | None:
    """The findings on these very runs, if they were kept; None otherwise."""
    content = disk.get(_key(snapshot, root, at))
    try:
        return decode(content) if content is not None else None
    except ValueError:
        return None


def keep(snapshot: Snapshot, root: Path, at: At, found: Sequence[Finding]) -> None:
    """Keeps the findings for as long as neither the runs nor the code changes."""
    disk.put(_key(snapshot, root, at), encode(found))


def encode(found: Sequence[Finding]) -> bytes:
    """The findings as JSON; numbers that JSON has not become null."""
    return orjson.dumps(list(found), default=str, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def decode(content: bytes) -> tuple[Finding, ...]:
    """The findings in `encode`'s bytes. Raises ValueError if they are none."""
    rows = orjson.loads(content)
    if not isinstance(rows, list):
        raise ValueError("no kept findings")
    return tuple(map(_finding, rows))


def _finding(row: Any) -> Finding:
    if not isinstance(row, dict) or row.keys() != {*_TEXTS, "runs", "evidence"}:
        raise ValueError("no kept finding")
    texts = all(isinstance(row[key], str) for key in _TEXTS)
    runs = isinstance(row["runs"], list) and all(isinstance(run, str) for run in row["runs"])
    if not texts or not runs or not isinstance(row["evidence"], dict) or row["severity"] not in SEVERITIES:
        raise ValueError("no kept finding")
    return Finding(row["id"], row["severity"], tuple(row["runs"]), row["sentence"], row["source"], row["evidence"])


def _key(snapshot: Snapshot, root: Path, at: At) -> str:
    found = hashlib.sha256(f"{_code()} {root.absolute()}".encode(errors="surrogateescape"))
    for run_id, run in snapshot.runs.items():
        found.update(repr((run_id, snapshot.files.get(run_id) or run)).encode(errors="surrogatepass"))
    return f"findings {at} {found.hexdigest()}"


@cache
def _code() -> str:
    """A digest of what findings are worked out by: other code finds other things."""
    files = [*sorted(Path(str(analysis.__file__)).parent.rglob("*.py")), Path(metrics.__file__)]
    found = hashlib.sha256()
    for path in files:
        found.update(path.read_bytes())
    return found.hexdigest()
