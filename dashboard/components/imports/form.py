"""What a user says in the mapping editor, as corrections: whatever the browser sent."""

from collections.abc import Mapping
from typing import Any

from dashboard.sources import corrections_json
from dashboard.sources.imported import Corrections
from dashboard.sources.taken import taken
from dashboard.sources.uploads import Upload

ROLES = {"config": "Setting", "metric": "Metric", "ignored": "Ignore"}
"""What a name may be made, with its words."""


def said(told: Corrections) -> Mapping[str, frozenset[str]]:
    """Role -> the names that were given it."""
    return {"config": told.config, "metric": told.metrics, "ignored": told.ignored}


def told(upload: Upload, form: Mapping[str, Any]) -> Corrections:
    """The corrections in what a browser sent: any JSON under names, roles, keys, runs, betas.

    Raises ValueError with one sentence.
    """
    names, roles, keys = (_list(form.get(part)) for part in ("names", "roles", "keys"))
    now = {one.name: one.role for one in taken(upload.imported, upload.corrections)}
    shown = {name for name in names if isinstance(name, str)}
    found: dict[str, Any] = {role: [*sorted(held - shown)] for role, held in said(upload.corrections).items()}
    renamed = {name: key for name, key in upload.corrections.renamed.items() if name not in shown}
    for name, role, key in zip(names, roles, keys, strict=False):
        written = isinstance(key, str) and bool(key.strip())
        if role in ROLES:
            found[role].append(name)
        elif written and isinstance(name, str) and now.get(name) == "config":
            found["config"].append(name)
        if written and isinstance(name, str) and role != "ignored":
            renamed[name] = key
    pairs = zip(_list(form.get("runs")), _list(form.get("betas")), strict=False)
    betas = {name: beta for name, beta in pairs if isinstance(name, str) and beta not in (None, "")}
    lists = {"config": found["config"], "metrics": found["metric"], "ignored": found["ignored"]}
    return corrections_json.load({**lists, "renamed": renamed, "beta": betas})


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
