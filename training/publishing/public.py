"""What of a record may be said in public: ids on the Hub, and of a machine's paths only the last part."""

import re
from pathlib import Path

_NOT_ON_THE_HUB = frozenset({"embedded", "unknown"})
_DATA_FILE = re.compile(r"\.(jsonl?|csv|parquet|arrow|gz|zst|txt)$")
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_FOLDERS = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:|~)?[/\\](?:[^\s'\"/\\:]+[/\\])+(?=[^\s'\"/\\])")


def hub_id(name: str) -> str | None:
    """`name` if it is the Hub id of a model or data set; None for a path that exists, a file, what is built in."""
    local = name in _NOT_ON_THE_HUB or _DATA_FILE.search(name) or Path(name).exists()
    return name if not local and _HUB_ID.fullmatch(name) else None


def public(name: str) -> str:
    """A model or data set as it may be named in public: an id on the Hub as it is, of a path the last part."""
    return hub_id(name) or re.split(r"[/\\]", name.rstrip("/\\"))[-1]


def without_paths(text: str) -> str:
    """`text` with every absolute path cut to its last part."""
    return _FOLDERS.sub("", text)
