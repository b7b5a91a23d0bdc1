"""The frame of the Hyper-parameters page: its controls, and the cards that what is worked out is put in."""

from collections.abc import Sequence
from typing import Any

from dash import dcc, html

from dashboard.analysis.hyperparameters import upper, words
from dashboard.components import layout as parts
from dashboard.components import query
from dashboard.components.hyperparameters import cards as hyper_cards
from dashboard.components.hyperparameters import words as hyper_words
from dashboard.components.hyperparameters.seen import ATS, Judged, Seen
from dashboard.components.no_runs import no_runs
from dashboard.sources.catalog import Snapshot


def empty(snapshot: Snapshot) -> html.Div:
    """What to do where there are no runs."""
    return no_runs(snapshot, "With runs of different settings, this page says which ones matter, and what to try next.")


def answer(shown: Seen, found: Judged) -> list[Any]:
    """The answer in words."""
    return [hyper_words.panel(hyper_words.answer(shown, found))]


def group_options(shown: Seen) -> list[dict[str, str]]:
    """The groups of runs that may be compared."""
    return [
        {
            "value": group.id,
            "label": f"{upper(group.label)} ({len(group.runs):,} {'run' if len(group.runs) == 1 else 'runs'})",
        }
        for group in shown.groups
    ]


def controls(shown: Seen, scope: Sequence[str]) -> list[Any]:
    """Which runs, and what they are judged by."""
    group = dcc.Dropdown(
        group_options(shown), shown.group.id if shown.group else None, id="hyper-group", clearable=False, maxHeight=360
    )
    scoped = html.Button(id="hyper-only", className="btn btn-quiet btn-tall", type="button", disabled=not scope)
    return [
        html.Div(parts.labelled("Runs that can be compared", group), className="grow"),
        parts.segmented("hyper-metric", "Rank by", shown.metrics or {shown.metric: shown.label}, shown.metric),
        parts.segmented("hyper-at", "Evaluated at", ATS, shown.at),
        parts.labelled("Which of them", scoped),
    ]


def importance() -> html.Section:
    """The card of the importance, which follows later."""
    mark = parts.help_mark(hyper_cards.ABOUT_IMPORTANCE)
    return parts.card("Importance", [html.Div(parts.skeleton(180), id="hyper-importance")], mark)


def confounding(shown: Seen, found: Judged) -> html.Section:
    """The card of what moved together."""
    mark = parts.help_mark(
        "Two hyper-parameters are confounded if each value of one was tried with one value of the other only, or if "
        "they are strongly associated (0.5 or more) beyond chance (p at most 0.05, corrected for the number of pairs)."
    )
    return parts.card(
        "What cannot be told apart", [html.Div(hyper_cards.confounding(shown, found), id="hyper-mixed")], mark
    )


def surface(shown: Seen, x: str, y: str) -> html.Section:
    """The card of two hyper-parameters, with their choice."""
    options = axis_options(shown)
    pick = [
        html.Div(
            parts.labelled(name, dcc.Dropdown(options, value or None, id=control, clearable=False)),
            className="hyper-axis-choice",
        )
        for name, control, value in (("Across", "hyper-x", x), ("Up", "hyper-y", y))
    ]
    return parts.card("Two together", [html.Div(hyper_cards.between(shown, x, y), id="hyper-surface")], pick)


def axis_options(shown: Seen) -> list[dict[str, str]]:
    """The hyper-parameters that can be an axis."""
    return [{"value": column.key, "label": words(column.key)} for column in shown.numeric]


def two(shown: Seen, found: Judged, x: Any, y: Any) -> tuple[str, str]:
    """The two hyper-parameters asked for, else the numbers whose effect is surest."""
    known = [column.key for column in shown.numeric]
    surest = [effect.key for effect in found.effects if effect.key in known]
    ordered = list(dict.fromkeys([*surest, *known])) or [""]
    first = query.choice(x, ordered) if query.one(x) in ordered else next((k for k in ordered if k != query.one(y)), "")
    second = query.one(y) if query.one(y) in ordered else next((k for k in ordered if k != first), "")
    return first, second


def slices(charts: list[Any]) -> html.Section:
    """The card of the small charts."""
    about = html.P(
        "A point per run; click one to select it. A line with its 95% band is drawn only where an effect is proven and "
        "no other hyper-parameter explains it.",
        className="chart-note",
    )
    return parts.card("One at a time", [about, html.Div(charts, id="hyper-slices", className="hyper-slices")])
