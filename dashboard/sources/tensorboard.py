"""Runs from TensorBoard event files: one file is one start of a training, with curves and hyper-parameters in it."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from dashboard.sources import kept_events
from dashboard.sources.curves import EPOCHS, Column, joined, plain
from dashboard.sources.curves import history as curves
from dashboard.sources.evaluated import RUNTIME, SPEED, pairs
from dashboard.sources.event_file import ARGUMENTS, MODEL, Events
from dashboard.sources.event_frames import is_event_file
from dashboard.sources.files import File
from dashboard.sources.imported import NO_CORRECTIONS, Corrections, Imported, SourceError, with_evaluations
from dashboard.sources.vocabulary import key
from training.record.schema import History, Run

__all__ = ["is_event_file", "read"]

_RUNTIMES = ("train/runtime", "train/train_runtime", "train_runtime")
_NO_NAMES = frozenset({"", "runs", "run", "logs", "log", "tb", "tb_logs", "tensorboard", "lightning_logs"})
_TIME_STAMP = re.compile(r"[A-Z][a-z]{2}\d{2}_\d{2}-\d{2}-\d{2}_.*|version_\d+|\d{8}[-_]\d{6}", re.ASCII)
_CUT = 80


@dataclass(frozen=True)
class _Start:
    """One start of a training: an event file, or several of one folder that continue each other."""

    path: PurePosixPath
    events: Events
    files: int = 1

    @property
    def steps(self) -> tuple[int, int]:
        """First and last step."""
        columns = self.events.scalars.values()
        return min(int(column.steps[0]) for column in columns), max(int(column.steps[-1]) for column in columns)

    @property
    def only_evaluates(self) -> bool:
        """Whether `Trainer.evaluate` wrote it: no arguments, and nothing of training."""
        return ARGUMENTS not in self.events.texts and all(tag.startswith("eval/") for tag in self.events.scalars)


def read(files: Sequence[File], prefix: str, corrections: Corrections = NO_CORRECTIONS) -> Imported:
    """The runs in event files: one per file, except files of one folder that continue each other.

    Raises SourceError if no file holds a scalar.
    """
    starts, notes = [], []
    for file in files:
        try:
            events = kept_events.read(file)
        except SourceError as problem:
            notes.append(str(problem) if file.path.name in str(problem) else f"{_shown(file.path)}: {problem}")
            continue
        notes += _remarks(file.path, events)
        if events.scalars:
            starts.append(_Start(file.path, events))
    if not starts:
        raise SourceError(" ".join(notes[:3]) or "There is no event file.")
    joined, about = _joined(starts)
    runs, histories = [], {}
    for number, (start, name) in enumerate(zip(joined, _names(joined), strict=True), 1):
        run, history, remarks = _run(start, f"{prefix}-{number}", name, corrections)
        runs.append(run)
        histories[run.id] = history
        notes += remarks
    named = frozenset(tag for start in starts for tag in start.events.scalars)
    return Imported(tuple(runs), (*notes, *about), histories, named=named, keys=corrections.keys(named, key))


def _shown(path: object) -> str:
    text = str(path)
    return text if len(text) <= _CUT else f"...{text[3 - _CUT :]}"


def _remarks(path: PurePosixPath, events: Events) -> list[str]:
    """What was wrong with a file."""
    notes = []
    if not events.scalars:
        cut = f"it was cut: its last {events.unread:,} bytes are no whole record" if events.unread else "it has none"
        notes.append(f"{_shown(path)} holds no scalars ({cut}).")
    elif events.unread:
        notes.append(f"{_shown(path)} was cut: what is whole is used, the last {events.unread:,} bytes are not.")
    if events.damaged:
        notes.append(f"{_shown(path)} has {events.damaged:,} records that are damaged or no events; left out.")
    return notes


def _joined(starts: Iterable[_Start]) -> tuple[list[_Start], list[str]]:
    """The starts of each folder, those that continue each other as one, and what was decided."""
    folders: dict[PurePosixPath, list[_Start]] = defaultdict(list)
    for start in sorted(
        starts, key=lambda start: (str(start.path.parent), start.events.started or 0.0, start.path.name)
    ):
        folders[start.path.parent].append(start)
    found, notes = [], []
    for folder, members in folders.items():
        kept: list[_Start] = []
        for start in sorted(members, key=lambda start: start.only_evaluates):
            before = next((number for number in reversed(range(len(kept))) if _continues(start, kept[number])), None)
            if before is None:
                kept.append(start)
            else:
                kept[before] = _merged(kept[before], start)
        notes += [
            f"{_shown(start.path.parent)}: {start.files} event files continue each other and are one run."
            for start in kept
            if start.files > 1
        ]
        if len(kept) > 1:
            notes.append(f"{_shown(folder)} holds {len(kept)} separate starts: each is a run of its own.")
        found += kept
    return found, notes


def _continues(start: _Start, other: _Start) -> bool:
    """Whether `start` goes on with the run of `other`, begun before it in the same folder.

    A training that begins again logs the same first step. One that is resumed begins later, at the latest where the
    other ended; without arguments to compare it must begin after the other's last step.
    """
    (first, _), (begun, ended) = start.steps, other.steps
    if start.only_evaluates:
        return first >= ended
    arguments, others = (each.events.texts.get(ARGUMENTS) for each in (start, other))
    if arguments is None or others is None:
        return arguments == others and first > ended
    return arguments == others and first > begun


def _merged(start: _Start, later: _Start) -> _Start:
    """Both as one start; of a step that both have, the later file's values count."""
    columns: dict[str, list[Column]] = defaultdict(list)
    for events in (start.events, later.events):
        for tag, column in events.scalars.items():
            columns[tag].append(column)
    scalars = {tag: joined(parts) for tag, parts in columns.items()}
    texts = {**start.events.texts, **later.events.texts}
    return replace(start, events=replace(start.events, scalars=scalars, texts=texts), files=start.files + later.files)


def _names(starts: Sequence[_Start]) -> list[str]:
    """A name for each: the nearest folder above it that is no time stamp and no `runs`, else its output_dir.

    Runs of one name are told apart by their folder, starts in one folder by their number.
    """
    names = [_name(start) for start in starts]
    repeated = Counter(names)
    fuller = [
        f"{name} ({start.path.parent.name})"
        if repeated[name] > 1 and start.path.parent.name not in ("", name)
        else name
        for name, start in zip(names, starts, strict=True)
    ]
    counts, seen = Counter(fuller), Counter[str]()
    numbered = []
    for name in fuller:
        seen[name] += 1
        numbered.append(f"{name} (start {seen[name]})" if counts[name] > 1 else name)
    return numbered


def _name(start: _Start) -> str:
    folders = [part for part in reversed(start.path.parent.parts) if part.lower() not in _NO_NAMES]
    told = _arguments(start.events.texts.get(ARGUMENTS, ""))
    output = PurePosixPath(str(told.get("output_dir") or "").replace("\\", "/")).name
    meant = [part for part in folders if not _TIME_STAMP.fullmatch(part)]
    return (meant + [output] * bool(output) + folders + [start.path.name])[0][:200]


def _arguments(text: str) -> dict[str, Any]:
    """The object in a text summary: JSON as Transformers writes it, alone or in a Markdown block; {} if it is cut."""
    try:
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _config(texts: Mapping[str, str]) -> dict[str, Any]:
    """TRL's arguments and the model's name; what is not set is left out, and so are nested settings."""
    told, model = (_arguments(texts.get(tag, "")) for tag in (ARGUMENTS, MODEL))
    named = {"model_name_or_path": model["_name_or_path"]} if model.get("_name_or_path") else {}
    return plain(named | told)


def _run(start: _Start, run_id: str, name: str, corrections: Corrections) -> tuple[Run, History, list[str]]:
    events = start.events
    config = _config(events.texts)
    scalars = events.scalars.keys() - corrections.ignored
    config |= {tag: float(events.scalars[tag].values[-1]) for tag in corrections.config & scalars}
    named: dict[str, str] = {}
    for tag in sorted(scalars - corrections.config):
        named.setdefault(corrections.renamed.get(tag) or key(tag), tag)
    left_out = sorted(scalars - corrections.config - set(named.values()))
    notes = [f"{_shown(start.path)}: {_shown(tag)} means a metric that is there already; left out." for tag in left_out]
    history = curves({metric: events.scalars[tag] for metric, tag in named.items()})
    runtime = next((history[tag].values[-1] for tag in _RUNTIMES if tag in history), None)
    limit = config.get("max_steps")
    run = Run(
        id=run_id,
        name=name,
        source=str(start.path.parent) if start.files > 1 else str(start.path),
        status="unknown" if runtime is None else "finished",
        config=config,
        max_steps=limit if isinstance(limit, int) and limit > 0 else None,
        epoch=next((float(events.scalars[tag].values[-1]) for tag in EPOCHS if tag in events.scalars), None),
        created=events.started,
        updated=max(float(column.times[-1]) for column in events.scalars.values()),
        seconds=runtime,
    )
    run = with_evaluations(run, history)
    return replace(run, n_eval=pairs(_as_printed(run.metrics))), history, notes


def _as_printed(metrics: Mapping[str, float]) -> dict[str, float]:
    """Transformers rounds speeds before it logs them; 32-bit floats hide that."""
    digits = {RUNTIME: 4, SPEED: 3}
    return {name: round(metrics[name], count) for name, count in digits.items() if name in metrics}
