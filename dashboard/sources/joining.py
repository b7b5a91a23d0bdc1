"""The same run seen twice is one: told by its W&B id, its name or its curves, and never against the evidence."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from dashboard.sources.imported import Imported, with_evaluations
from dashboard.sources.sameness import WANDB_ID, Comparison, Seen, compare, cut
from training.record.schema import History, Run, Series

COMMON = 8
"""Runs that may share a value before it is no trace of any: many runs have ln 2 as their first loss."""

_NAMED = 5


_Group = list[Seen]


@dataclass
class _Told:
    """What the notes say, by the sources concerned."""

    joined: dict[tuple[str, ...], list[str]] = field(default_factory=lambda: defaultdict(list))
    differing: dict[tuple[str, ...], list[str]] = field(default_factory=lambda: defaultdict(list))
    unclear: dict[tuple[str, ...], list[str]] = field(default_factory=lambda: defaultdict(list))


def joined(parts: Sequence[Imported]) -> Imported:
    """All runs of some sources, each once, in the order of the input, with notes on what was joined and what was not.

    Two runs of one source are never joined. Runs of two sources are the same

    - if W&B gave them the same id;
    - if they have the same name, no other run of their sources has it, and nothing contradicts; two tables, which
      have no curves, must have a value in common;
    - if they have the same name as others too (seeds), and at least two metrics show that they are the same;
    - if they have different names, and at least two metrics have POINTS equal points (step, value).

    A contradiction is a value of the configuration, or a metric, that differs by more than PRECISION. A metric that
    is 0.4535 in one source and 0.453459 in another does not differ: Transformers rounds its log to four digits. TRL's
    own evaluation, means of batch means, differs a little from our exact means: a foreign `eval/loss` may equal either
    `eval/loss` or `eval/trl/loss` of our run. Curves need not have the same steps (W&B counts its own), as long as 90%
    of the shorter one's values are in the longer one. Last values at different steps are not compared, nor clocks,
    speeds, schedules, names and folders.

    Of a joined run our own folder wins, then the source that tells more; what that one lacks comes from the others.
    """
    full = [part for part in parts if part.runs]
    if len(full) == 1:
        notes = dict.fromkeys(note for part in parts for note in part.notes)
        return replace(full[0], notes=tuple(notes))
    seen = [item for number, part in enumerate(parts) for item in _seen(number, part)]
    told = _Told()
    groups = _grouped(seen, told)
    runs: list[Run] = []
    histories: dict[str, History] = {}
    folders: dict[str, Path] = {}
    used: set[str] = set()
    for group in groups:
        run, history, folder = _merged(group)
        run = replace(run, id=_unused(run.id, used))
        runs.append(run)
        if history:
            histories[run.id] = history
        if folder is not None:
            folders[run.id] = folder
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    return Imported(tuple(runs), (*notes, *_notes(told)), histories, folders)


def _seen(number: int, part: Imported) -> Iterator[Seen]:
    names = Counter(run.name for run in part.runs)
    for run in part.runs:
        yield Seen(number, run, part.histories.get(run.id, {}), part.folders.get(run.id), names[run.name] > 1)


def _grouped(seen: Sequence[Seen], told: _Told) -> list[_Group]:
    """Every run in the first group it belongs to. Groups are found by id, name and traces: no run meets all others."""
    groups: list[_Group] = []
    shared = _shared(seen)
    traces = [set(item.traces(shared)) for item in seen]
    holders = Counter(trace for found in traces for trace in found)
    known: dict[Hashable, dict[int, _Group]] = defaultdict(dict)
    for item, found in zip(seen, traces, strict=True):
        ident, name = ("id", item.run.environment.get(WANDB_ID)), ("name", item.run.name)
        rare = [trace for trace in found if 1 < holders[trace] <= COMMON]
        group = _first(item, known[ident].values() if ident[1] else ()) or _named(item, known[name].values(), told)
        group = group or _traced(item, _likely(known[trace].values() for trace in rare), told)
        if group is None:
            group = []
            groups.append(group)
        group.append(item)
        for key in (*([ident] if ident[1] else []), *([] if item.twin else [name]), *rare):
            known[key][id(group)] = group
    _tell_unclear(groups, told)
    for group in groups:
        if len(group) > 1:
            told.joined[_sources(group)].append(_title(group))
    return groups


def _shared(seen: Sequence[Seen]) -> frozenset[str]:
    """The metrics that several sources have: no other can show that a run is in two of them."""
    metrics: dict[int, set[str]] = defaultdict(set)
    for item in seen:
        metrics[item.part] |= item.metrics
    counts = Counter(key for keys in metrics.values() for key in keys)
    return frozenset(key for key, count in counts.items() if count > 1)


def _first(item: Seen, groups: Iterable[_Group]) -> _Group | None:
    return next((group for group in groups if all(other.part != item.part for other in group)), None)


def _named(item: Seen, groups: Iterable[_Group], told: _Told) -> _Group | None:
    """The group of the same name that nothing contradicts; what contradicts is told. A twin's name proves nothing."""
    if item.twin:
        return None
    for group in islice(groups, COMMON):
        if all(other.part != item.part for other in group):
            found = _compared(item, group)
            if found.differs:
                told.differing[_sources([*group, item])].append(f"{_name(item)} ({found.differs})")
            elif found.same or item.history or any(other.history for other in group):
                return group
    return None


def _traced(item: Seen, groups: Iterable[_Group], told: _Told) -> _Group | None:
    """The only group that shows the same values; two such groups are equal runs, and this could be either."""
    proven = []
    for group in groups:
        if all(other.part != item.part for other in group):
            found = _compared(item, group)
            alike = found.same if all(other.run.name == item.run.name for other in group) else found.curves
            if alike >= 2 and not found.differs:
                proven.append(group)
    if len(proven) > 1:
        told.unclear[_sources([*proven[0], *proven[1], item])].append(_name(item))
    return proven[0] if len(proven) == 1 else None


def _likely(groups: Iterable[Iterable[_Group]]) -> list[_Group]:
    """The groups that share the most traces, at most COMMON."""
    found = [group for some in groups for group in some]
    by_key = {id(group): group for group in found}
    return [by_key[key] for key, _ in Counter(map(id, found)).most_common(COMMON)]


def _compared(item: Seen, group: _Group) -> Comparison:
    """The most that speaks for the run being one with some run of the group, and what speaks against it."""
    found = [compare(other, item) for other in group]
    differs = next((one.differs for one in found if one.differs), None)
    return Comparison(max(one.same for one in found), max(one.curves for one in found), differs)


def _merged(group: _Group) -> tuple[Run, History, Path | None]:
    """The best source's run with what it lacks from the others; each metric keeps one source's curve, its steps too."""
    if len(group) == 1:
        return group[0].run, group[0].history, group[0].folder
    ordered = sorted(group, key=Seen.facts, reverse=True)
    best, runs = ordered[0], [item.run for item in ordered]
    history: dict[str, Series] = {}
    for item in ordered:
        for key, series in item.history.items():
            if key not in history or (best.folder is None and len(series) > len(history[key])):
                history[key] = series
    known: dict[str, Any] = {name: _first_known([getattr(run, name) for run in runs]) for name in _SINGLE}
    known |= {name: _union([getattr(run, name) for run in runs]) for name in _MAPPINGS}
    evaluated = next((run for run in runs if run.best), best.run)
    known |= {name: getattr(evaluated, name) for name in ("best", "best_step", "best_metric")}
    run = replace(best.run, notes=tuple(dict.fromkeys(note for run in runs for note in run.notes)), **known)
    if best.folder is None and any(key.startswith("eval/") for key in history):
        # Each source chose the best evaluation by its own metrics; together they may know a better one to choose by.
        run = with_evaluations(replace(run, best={}, best_step=None, best_metric=None), history)
    return run, history, best.folder


_MAPPINGS = ("config", "metrics", "data", "environment")
_SINGLE = ("status", "step", "max_steps", "epoch", "n_eval", "sweep", "created", "updated", "seconds", "error")


def _union(mappings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: value for mapping in reversed(mappings) for key, value in mapping.items()}


def _first_known(values: Sequence[Any]) -> Any:
    return next((value for value in values if value is not None and value != "unknown"), values[0])


def _unused(ident: str, used: set[str]) -> str:
    """The id, or with a number where two sources (two folders of runs) use it for two runs."""
    number, found = 1, ident
    while found in used:
        number += 1
        found = f"{ident}~{number}"
    used.add(found)
    return found


def _tell_unclear(groups: Sequence[_Group], told: _Told) -> None:
    """Runs left alone because another source has several of their name: nothing says which of them it is."""
    twins: dict[str, dict[int, Seen]] = defaultdict(dict)
    for group in groups:
        for item in group:
            if item.twin:
                twins[item.run.name].setdefault(item.part, item)
    for group in groups:
        others = [twin for part, twin in twins[group[0].run.name].items() if part != group[0].part]
        if len(group) == 1 and others:
            told.unclear[_sources([*others, group[0]])].append(_name(group[0]))


def _sources(items: Iterable[Seen]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cut(item.run.source, 80) for item in items))


def _name(item: Seen) -> str:
    return cut(item.run.name, 80)


def _title(group: _Group) -> str:
    """The winner's name, with the others' names where they differ."""
    names = list(dict.fromkeys(_name(item) for item in sorted(group, key=Seen.facts, reverse=True)))
    return names[0] if len(names) == 1 else f"{names[0]} (also called {_listed(names[1:])})"


def _listed(names: Sequence[str], most: int = _NAMED) -> str:
    shown, more = [*dict.fromkeys(names)][:most], len({*names}) - most
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _notes(told: _Told) -> Iterator[str]:
    for sources, names in told.joined.items():
        place = f"both {sources[0]} and {sources[1]}" if len(sources) == 2 else _listed(sources)
        yield f"{_listed(names)} {'is' if len({*names}) == 1 else 'are'} in {place}: shown once."
    for sources, names in told.differing.items():
        yield f"The same name, but not the same run in {_listed(sources)}: {_listed(names)}. They are shown apart."
    for sources, names in told.unclear.items():
        yield f"Runs named {_listed(names)} in {_listed(sources)} cannot be told apart: they are left apart."
