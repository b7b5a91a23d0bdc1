"""What files beside a trainer's state say of its run (adapter, model card, results), and what a folder's name hints."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import orjson

from dashboard.sources.files import File
from dashboard.sources.imported import SourceError
from dashboard.sources.table import decode
from training.record.history import number

LARGEST = 2**20
"""Bytes of one file beside; a model card is read up to here."""
MOST_NAMES = 300

_TEXT = 200
_ADAPTER = {
    "base_model_name_or_path": "model_name_or_path",
    "r": "lora_r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "target_modules": "lora_target_modules",
    "use_rslora": "use_rslora",
    "use_dora": "use_dora",
}
_MODEL = {"_name_or_path": "model_name_or_path"}
_CARD = {
    "num_epochs": "num_train_epochs",
    "training_steps": "max_steps",
    "lr_scheduler_warmup_ratio": "warmup_ratio",
    "lr_scheduler_warmup_steps": "warmup_steps",
}
_RESULTS = ("all_results.json", "eval_results.json", "train_results.json")
_SECRET = re.compile(r"token|.*(_token|_key|password|secret)", re.IGNORECASE)
_BARE_NAN = re.compile(rb"(?<=[:,\[])(\s{0,8})(?:NaN|-?Infinity)(?=\s{0,8}[,}\]])")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_LISTED = re.compile(r"^[ \t]*[-*] \**([A-Za-z]\w{1,60})\**[ \t]*:[ \t]*(\S.*)$", re.ASCII | re.MULTILINE)
_HYPERPARAMETERS = re.compile(
    r"^#[^\n]{0,200}hyper-?parameters[^\n]*\n(.*?)(?=^#|\Z)", re.DOTALL | re.IGNORECASE | re.MULTILINE
)
_BETA = re.compile(
    r"(?<![a-z])(?<!adam[_-])beta(?![12][_=-]\d)[_=-]?((?:0|[1-9]\d{0,3})?\.\d{1,8}|(?:0|[1-9]\d{0,3})(?:e-?\d)?)(?![\d.])",
    re.IGNORECASE | re.ASCII,
)


@dataclass
class Beside:
    """Configuration by TRL's argument names, results by the names of their file, and a note on each file used."""

    config: dict[str, Any] = field(default_factory=dict)
    results: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def look(folders: Iterable[PurePosixPath], siblings: Mapping[PurePosixPath, File]) -> Beside:
    """What the files in these folders say; of two that say the same thing the first counts, nearest folder first.

    Read are adapter_config.json, training_args.json, args.json, README.md, config.json and the results of a Trainer;
    never training_args.bin, which is a pickle.
    """
    found = Beside()
    for folder in folders:
        for name, read in _READERS.items():
            file = siblings.get(folder / name)
            if file is not None:
                _take(found, file, read)
        for name in _RESULTS:
            file = siblings.get(folder / name)
            if file is not None:
                _take_results(found, file)
    return found


def beta_of(name: str) -> float | None:
    """The beta that a folder's name hints at (`recovery_beta_0.05`, `dpo-lr1e-6-beta0.1`), if it names just one."""
    found = {float(match[1]) for match in _BETA.finditer(name[:_TEXT])}
    value = found.pop() if len(found) == 1 else None
    return value if value is not None and 0 < value <= 1000 else None


def _take(found: Beside, file: File, read: Callable[[File], Mapping[str, Any]]) -> None:
    try:
        said = read(file)
    except SourceError as problem:
        found.notes.append(f"{file.path} beside it is passed over: {problem}")
        return
    new = {name: value for name, value in said.items() if name not in found.config}
    found.config.update(new)
    if new:
        shown = ", ".join(f"{name} = {str(value)[:40]}" for name, value in list(new.items())[:8])
        more = f" and {len(new) - 8} more" if len(new) > 8 else ""
        found.notes.append(f"from {file.path}: {shown}{more}.")


def _take_results(found: Beside, file: File) -> None:
    try:
        said = {name: value for name, raw in _json(file).items() if (value := _number(raw)) is not None}
    except SourceError as problem:
        found.notes.append(f"{file.path} beside it is passed over: {problem}")
        return
    new = {name: value for name, value in said.items() if name not in found.results}
    found.results.update(new)
    if new:
        found.notes.append(f"{len(new)} results that its log may lack are from {file.path}.")


def _number(value: object) -> float | None:
    return None if isinstance(value, bool) else number(value)


def _json(file: File) -> Mapping[str, Any]:
    """The object in a small JSON file. Raises SourceError if there is none; NaN, which JSON lacks, becomes null."""
    if file.size > LARGEST:
        raise SourceError(f"it has {file.size / 2**20:,.0f} MB.")
    content = file.content()
    for text in (content, _BARE_NAN.sub(rb"\1null", content)):
        try:
            found = orjson.loads(text)
            break
        except ValueError:
            found = None
    if not isinstance(found, dict):
        raise SourceError("it is no JSON object.")
    return dict(list(found.items())[:MOST_NAMES])


def _plain(value: object) -> Any:
    """A number, a truth value, a text or a short list of them; None for anything else, and for empty text."""
    if isinstance(value, str):
        return value.strip()[:_TEXT] or None
    if isinstance(value, list):
        parts = [part[:_TEXT] if isinstance(part, str) else part for part in value[:50]]
        return parts if parts and all(isinstance(part, str | int | float) for part in parts) else None
    return value if isinstance(value, bool | int | float) else None


def _renamed(names: Mapping[str, str]) -> Callable[[File], Mapping[str, Any]]:
    """A reader of JSON that takes these names alone."""

    def read(file: File) -> Mapping[str, Any]:
        found = _json(file)
        return {new: value for old, new in names.items() if (value := _plain(found.get(old))) is not None}

    return read


def _arguments(file: File) -> Mapping[str, Any]:
    """Training arguments: every plain value but secrets."""
    said = {name: _plain(value) for name, value in _json(file).items() if not _SECRET.fullmatch(name)}
    return {name[:_TEXT]: value for name, value in said.items() if value is not None}


def _card(file: File) -> Mapping[str, Any]:
    """A model card: base model and data sets of its front matter, and the list under its heading of hyperparameters."""
    text = decode(file.head(LARGEST)).replace("\r\n", "\n").lstrip()
    found: dict[str, Any] = {}
    if front := _FRONT_MATTER.match(text):
        base, sets = _entry(front[1], "base_model"), _entry(front[1], "datasets")
        found |= {"model_name_or_path": base[0]} if base else {}
        found |= {"dataset_name": ", ".join(sets[:5])} if sets else {}
    if listed := _HYPERPARAMETERS.search(text):
        for match in list(_LISTED.finditer(listed[1]))[:MOST_NAMES]:
            found.setdefault(_CARD.get(match[1], match[1]), _value(match[2]))
    return found


def _entry(yaml: str, name: str) -> list[str]:
    """The values of one name in a front matter: after its colon, or in the list below it."""
    match = re.search(rf"^{name}:[ \t]*([^\n]*)((?:\n[ \t]*- [^\n]*)*)", yaml, re.MULTILINE)
    parts = [match[1], *re.findall(r"- ([^\n]*)", match[2])] if match else []
    cleaned = [part.strip().strip("\"'")[:_TEXT] for part in parts]
    return [part for part in cleaned if part and part not in ("[]", "null")]


def _value(text: str) -> Any:
    """A value of a model card's list: a number if it is one, else its text."""
    text = text.strip().strip("`")[:_TEXT]
    if not re.fullmatch(r"[-+]?(\d{1,15}\.?\d*|\.\d+)(e[-+]?\d{1,3})?", text, re.ASCII | re.IGNORECASE):
        return text
    found = float(text)
    return int(found) if re.fullmatch(r"[-+]?\d+", text) else found


_READERS: Mapping[str, Callable[[File], Mapping[str, Any]]] = {
    "adapter_config.json": _renamed(_ADAPTER),
    "training_args.json": _arguments,
    "args.json": _arguments,
    "README.md": _card,
    "config.json": _renamed(_MODEL),
}
