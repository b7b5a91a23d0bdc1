"""Reads the CSV of scalars that TensorBoard downloads: one tag of one run per file, both named only in its path."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dashboard.sources.files import File
from dashboard.sources.imported import NO_CORRECTIONS, Corrections, Imported, SourceError, with_evaluations
from dashboard.sources.points import MOST_NOTES, Point, few, series, whole
from dashboard.sources.table import Table, parse
from dashboard.sources.vocabulary import key
from training.record.schema import Run, Series

HEADER = ("wall time", "step", "value")
LONGEST_NAME = 200
"""Characters of a file's name, from its end, that are looked at."""

_DOWNLOADED = re.compile(r"run[-_,](?P<run>.+?)[-_,]tag[-_,](?P<tag>.+)", re.IGNORECASE)
_ENDS = "-_. "
_WORD_END = re.compile(f"[{_ENDS}]+")
_SPLIT_IN_A_FILE_NAME = re.compile(r"(train|eval)_", re.IGNORECASE)


@dataclass(frozen=True)
class _Tag:
    """One file: the run and the tag that its name seems to mean ("" where it names none), and its W&B key."""

    file: File
    run: str
    tag: str
    key: str


def read(files: Sequence[File], prefix: str, corrections: Corrections = NO_CORRECTIONS) -> Imported:
    """The runs in TensorBoard's downloads; the files of one folder that name the same run are joined.

    What a file's name seems to mean is a note, with how to correct it. Ids are `prefix` and a number from 1. Raises
    SourceError, one sentence, if no file holds a point.
    """
    grouped: dict[tuple[str, str], list[_Tag]] = defaultdict(list)
    tags = _tags(files, corrections)
    for tag in (tag for tag in tags if tag.tag not in corrections.ignored):
        grouped[str(tag.file.path.parent), tag.run].append(tag)
    runs: list[Run] = []
    histories: dict[str, dict[str, Series]] = {}
    notes: list[str] = []
    used: list[_Tag] = []
    for (_, name), tags in sorted(grouped.items()):
        history, kept = _history(tags, notes)
        if history:
            ident = f"{prefix}-{len(runs) + 1}"
            runs.append(_run(ident, name, kept, history))
            histories[ident] = history
            used += kept
    if not runs:
        raise SourceError(notes[0] if notes else "There is no TensorBoard scalar export.")
    told = (*_mapping(used), *few(notes, "notes on scalar exports"))
    named = {tag.tag for tag in used} | {tag.tag for tag in tags if tag.tag in corrections.ignored}
    return Imported(tuple(runs), told, histories, named=frozenset(named), keys={tag.tag: tag.key for tag in used})


def _tags(files: Iterable[File], corrections: Corrections) -> list[_Tag]:
    """What each file's name means. A beginning that belongs to the run in one file does so in all of its folder."""
    tags = [_tag(file, corrections) for file in sorted(files, key=lambda file: str(file.path))]
    beginnings: dict[str, set[str]] = defaultdict(set)
    for tag in tags:
        if tag.run and tag.tag:
            beginnings[str(tag.file.path.parent)].add(tag.file.path.stem.removesuffix(tag.tag))
    return [_shortened(tag, beginnings[str(tag.file.path.parent)], corrections) for tag in tags]


def _tag(file: File, corrections: Corrections) -> _Tag:
    """Run and tag as TensorBoard names its downloads, else the longest end of the name that is a known metric."""
    stem = file.path.stem[-LONGEST_NAME:]
    if match := _DOWNLOADED.fullmatch(stem):
        return _Tag(file, match["run"].strip(_ENDS), match["tag"], _known(match["tag"], corrections) or match["tag"])
    for start in (0, *(match.end() for match in _WORD_END.finditer(stem))):
        if found := _known(stem[start:], corrections):
            return _Tag(file, stem[:start].strip(_ENDS), stem[start:], found)
    return _Tag(file, "", stem, stem)


def _known(tag: str, corrections: Corrections) -> str | None:
    """The W&B key of a tag; TensorBoard's tags have slashes, which a file name has as underscores."""
    if tag in corrections.renamed:
        return corrections.renamed[tag]
    for spelling in (_SPLIT_IN_A_FILE_NAME.sub(r"\1/", tag, count=1), tag):
        if (found := key(spelling)) != spelling or found.startswith(("train/", "eval/")):
            return found
    return None


def _shortened(tag: _Tag, beginnings: Iterable[str], corrections: Corrections) -> _Tag:
    """The tag without the run's name in front, where a file beside it has that name in front of a known metric."""
    if tag.run or tag.key != tag.tag or tag.tag in corrections.renamed.values():
        return tag
    for beginning in sorted(beginnings, key=len, reverse=True):
        rest = tag.tag.removeprefix(beginning)
        if rest and rest != tag.tag:
            return _Tag(tag.file, beginning.strip(_ENDS), rest, corrections.renamed.get(rest, rest))
    return tag


def _history(tags: Sequence[_Tag], notes: list[str]) -> tuple[dict[str, Series], list[_Tag]]:
    """The curves of one run and the files that they are from; what could not be used is added to the notes."""
    history: dict[str, Series] = {}
    kept = []
    for tag in tags:
        try:
            points = _points(parse(tag.file.content()), tag.file, notes)
        except SourceError as problem:
            notes.append(f"{tag.file.path}: {problem}")
            continue
        if not points:
            notes.append(f"{tag.file.path} is a TensorBoard scalar export without a single point.")
        elif tag.key in history:
            notes.append(f"{tag.file.path} is a second {tag.key[:80]} of its run; the first is used.")
        else:
            history[tag.key] = series(points)
            kept.append(tag)
    return history, kept


def _points(table: Table, file: File, notes: list[str]) -> Mapping[int, Point]:
    """Step -> point; where a restarted run logged a step again, the later wall time wins."""
    names = [name.lower() for name in table.header]
    if sorted(names) != sorted(HEADER):
        shown = ", ".join(table.header[:6])[:200]
        raise SourceError(f"no TensorBoard scalar export: its columns are {shown}, not Wall time, Step, Value.")
    times, steps, values = (table.numbers(names.index(name)) for name in HEADER)
    points: dict[int, Point] = {}
    bad, repeated = [], 0
    for row, (time, step, value) in enumerate(zip(times, steps, values, strict=True)):
        at = whole(step)
        if at is None or value is None:
            bad.append(f"{file.path}, row {row + 1}: step or value is no number; the row is left out.")
            continue
        point = Point(value, time=math.nan if time is None else time)
        known = points.get(at)
        repeated += known is not None
        if known is None or not point.time < known.time:
            points[at] = point
    notes += few(bad, f"rows of {file.path} are left out")
    if repeated:
        notes.append(f"{file.path}: {repeated:,} steps are there again (a restart?): the latest in time is used.")
    return points


def _run(ident: str, name: str, tags: Sequence[_Tag], history: Mapping[str, Series]) -> Run:
    """The run, named by its folder, by what stands before the metric in its files' names, or by both."""
    first = tags[0].file
    folder = first.path.parent.name
    beside = first.origin.parent.name if first.origin is not None else ""
    called = "/".join(part for part in (folder, name) if part) or beside or first.path.stem
    times = [time for curve in history.values() for time in (curve.times[0], curve.times[-1]) if math.isfinite(time)]
    source = str(first.path.parent) if folder else str(first.path) if len(tags) == 1 else f"{len(tags)} scalar exports"
    run = Run(
        ident, called[:200], source, "unknown", created=min(times, default=None), updated=max(times, default=None)
    )
    return with_evaluations(run, history)


def _mapping(tags: Sequence[_Tag]) -> list[str]:
    """What the names of the files were taken to mean, and how to say it better."""
    meant = list(dict.fromkeys((tag.tag[:80], tag.key[:80]) for tag in tags))
    told = [f"{tag} is {known}" if tag != known else f"{tag} is not known and kept" for tag, known in meant]
    more = [f"{len(told) - MOST_NOTES} more"] if len(told) > MOST_NOTES else []
    example = next((f"{tag}={known}" for tag, known in meant if tag != known), f"{meant[0][0]}=eval/loss")
    proposed = "; ".join(told[:MOST_NOTES] + more)
    return [
        f"TensorBoard's CSV files name run and metric only in their path. Proposed: {proposed}. "
        f"To correct one: --map {example}."
    ]
