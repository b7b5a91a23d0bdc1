"""A run's configuration as a recipe in YAML and as a command that repeats it."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from dashboard.components.run.defaults import ALIASES, ALWAYS, DEFAULTS, OF_ONE_RUN


@dataclass(frozen=True)
class Command:
    """A command line, and the arguments whose value none can say: they need the recipe."""

    text: str
    unsaid: tuple[str, ...]


def changed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that differ from what `training.run` takes where nothing is said, and those it always needs."""
    mine = {key: value for key, value in config.items() if key not in OF_ONE_RUN | ALIASES and not _hidden(key, value)}
    return {key: value for key, value in mine.items() if key in ALWAYS or _differs(value, DEFAULTS.get(key))}


def _differs(value: Any, usual: Any) -> bool:
    return bool(value != usual) or isinstance(value, bool) != isinstance(usual, bool)


def _hidden(key: str, value: Any) -> bool:
    """Whether a record holds a placeholder in place of a secret: `<HUB_TOKEN>`."""
    return bool(value == f"<{key.upper()}>")


def recipe(config: Mapping[str, Any]) -> str:
    """The arguments as YAML, as `--config FILE` reads them."""
    return str(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True, width=110))


def command(arguments: Mapping[str, Any], runs: str | None = None) -> Command:
    """`python -m training.run` with these arguments, quoted for a POSIX shell; `runs` is the folder for the new run."""
    words, unsaid = ["python", "-m", "training.run"], []
    for key, value in arguments.items():
        said = _words(key, value)
        words += said or []
        unsaid += [] if said else [key]
    words += ["--runs", runs] if runs else []
    return Command(shlex.join(words), tuple(unsaid))


def _words(key: str, value: Any) -> list[str] | None:
    """`--key value`, None for what argparse would not take as that: nothing, no items, items that look like flags."""
    if value is None or value == [] or not key.isidentifier():
        return None
    if isinstance(value, list):
        items = [_text(item) for item in value]
        return None if any(item.startswith("-") for item in items) else [f"--{key}", *items]
    text = _text(value)
    return [f"--{key}={text}"] if text.startswith("-") else [f"--{key}", text]


def _text(value: Any) -> str:
    """A value as `training.run` reads it: true and false in small letters, objects as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
