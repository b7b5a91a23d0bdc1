"""What corrections of a file change, in words and first runs, before they are kept."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dash import html

from dashboard.analysis import numbers
from dashboard.components.layout import notice, table
from dashboard.sources.taken import Role, Taken, taken
from dashboard.sources.uploads import Upload
from training.record.schema import Run

WORDS: Mapping[Role, str] = {"metric": "metric", "config": "setting", "other": "neither", "ignored": "ignored"}
"""What a name is, in words."""

_SHOWN, _RUNS, _COLUMNS = 20, 5, 4


def means(one: Taken) -> str:
    """What a name is, with its key where that is another word."""
    return f"{WORDS[one.role]} {one.key}" if one.key and one.key != one.name else WORDS[one.role]


def values(found: Sequence[object]) -> str:
    """The first values in a row."""
    shown = [numbers.metric(value) if isinstance(value, float) else numbers.setting(value) for value in found]
    return ", ".join(map(numbers.visible, shown))


def effect(before: Upload, after: Upload) -> list[Any]:
    """Each change in a sentence, the first runs with what changed, and the notes that are new."""
    was, now = ({one.name: one for one in taken(up.imported, up.corrections)} for up in (before, after))
    changed = [one for name, one in now.items() if name not in was or means(was[name]) != means(one)]
    told = [*_counts(before, after), *(_change(was.get(one.name), one) for one in changed), *_betas(before, after)]
    fresh = [note for note in after.notes if note not in before.notes]
    if not told and not fresh:
        return [notice("This changes nothing.")]
    more = [f"{len(told) - _SHOWN:,} more changes."] if len(told) > _SHOWN else []
    sentences = [html.Li(numbers.visible(text)) for text in [*told[:_SHOWN], *more]]
    return [
        html.H3("What this changes"),
        html.Ul(sentences, className="import-changes"),
        *_runs(after.runs[:_RUNS], changed[:_COLUMNS]),
        *([html.H3("New notes"), html.Ul([html.Li(numbers.visible(n)) for n in fresh[:_SHOWN]])] if fresh else []),
    ]


def _counts(before: Upload, after: Upload) -> Iterator[str]:
    if len(before.runs) != len(after.runs):
        yield f"{len(before.runs):,} runs become {len(after.runs):,}."


def _change(was: Taken | None, one: Taken) -> str:
    shown = f": {values(one.values)}" if one.values else ""
    return f"{one.name} was {means(was) if was else 'not there'}, becomes {means(one)}{shown}."


def _betas(before: Upload, after: Upload) -> Iterator[str]:
    """Runs by the beta that they get; the same number for all of them is one sentence."""
    told = before.corrections.beta.keys() | after.corrections.beta.keys()
    known = {run.id: run.config.get("beta") for run in before.runs}
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in after.runs:
        change = (numbers.setting(known.get(run.id)), numbers.setting(run.config.get("beta")))
        if change[0] != change[1] and {run.name, ""} & told:
            groups.setdefault(change, []).append(run)
    for (old, new), runs in groups.items():
        whose = runs[0].name if len(runs) == 1 else f"{len(runs):,} runs"
        yield f"beta of {whose} was {old}, becomes {new}."


def _runs(runs: Sequence[Run], changed: Sequence[Taken]) -> list[Any]:
    columns = [one for one in changed if one.role in ("metric", "config")]
    if not runs or not columns:
        return []
    head = ["Run", *(one.key for one in columns)]
    rows = [[numbers.visible(run.name), *(values([_value(run, one)]) for one in columns)] for run in runs]
    return [table([numbers.visible(text) for text in head], rows, "First runs with what changes", range(1, len(head)))]


def _value(run: Run, one: Taken) -> object:
    held: Mapping[str, object] = run.metrics if one.role == "metric" else run.config
    return held.get(one.key)
