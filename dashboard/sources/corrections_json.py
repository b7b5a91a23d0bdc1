"""Corrections as JSON, from a browser or from disk: nothing in it is believed before it is looked at."""

import math
from collections.abc import Mapping
from typing import Any

from dashboard.sources.imported import NO_CORRECTIONS, Corrections

MOST = 2_000
"""Names in one place."""

LONGEST = 300
LARGEST_BETA = 1_000.0


def dump(told: Corrections) -> dict[str, Any]:
    """Plain JSON of the corrections, without what is empty."""
    found: dict[str, Any] = {
        "config": sorted(told.config),
        "metrics": sorted(told.metrics),
        "ignored": sorted(told.ignored),
        "renamed": dict(told.renamed),
        "beta": dict(told.beta),
    }
    return {name: value for name, value in found.items() if value}


def load(value: Any) -> Corrections:
    """The corrections in any JSON. Raises ValueError with one sentence that says what cannot be used."""
    if not isinstance(value, dict):
        raise ValueError("Corrections are an object of names.")
    config, metrics, ignored = (_names(value.get(place, [])) for place in ("config", "metrics", "ignored"))
    if twice := (config & metrics) | (config & ignored) | (metrics & ignored):
        raise ValueError(f'"{min(twice)[:80]}" is corrected in two ways.')
    renamed = {name: _key(key) for name, key in _mapping(value.get("renamed", {})).items()}
    return Corrections(
        config, metrics, renamed, ignored, {n: _beta(b) for n, b in _mapping(value.get("beta", {})).items()}
    )


def kept(value: Any) -> Corrections:
    """The corrections that were kept on disk; none where they cannot be used."""
    try:
        return load(value)
    except ValueError:
        return NO_CORRECTIONS


def _names(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or len(value) > MOST:
        raise ValueError(f"Names are a list of at most {MOST:,} texts.")
    return frozenset(map(_name, value))


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or len(value) > MOST:
        raise ValueError(f"Names are at most {MOST:,}, each with what it is to be.")
    return {_name(name): meant for name, meant in value.items()}


def _name(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST or not _is_text(value):
        raise ValueError(f"A name is a text of at most {LONGEST} characters.")
    return value


def _key(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or not value.strip() or len(value) > LONGEST:
        raise ValueError(f"A key is a printable text of 1 to {LONGEST} characters, such as eval/loss.")
    return value.strip()


def _beta(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LARGEST_BETA
    if not known or not math.isfinite(value):
        raise ValueError(f"beta is a number above 0, at most {LARGEST_BETA:g}.")
    return float(value)


def _is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: half a surrogate pair cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
