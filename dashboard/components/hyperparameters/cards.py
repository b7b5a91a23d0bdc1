"""The cards of the Hyper-parameters page: slices, importance, two parameters, confounding, what to try next."""

from collections.abc import Sequence
from typing import Any

from dash import dcc, html

from dashboard.analysis import improvement
from dashboard.analysis.confounding import Association
from dashboard.analysis.effects import FEW, Effect, probability
from dashboard.analysis.hyperparameters import Column, upper, words
from dashboard.analysis.importance import BEST_SHARE
from dashboard.analysis.numbers import one_line
from dashboard.analysis.proposals import Proposal, as_yaml
from dashboard.analysis.surface import line, surface
from dashboard.components import context
from dashboard.components import layout as parts
from dashboard.components.hyperparameters.seen import Advice, Judged, Seen
from dashboard.figures import importance as importance_figures
from dashboard.figures import theme
from dashboard.figures.slices import Point, slice_figure
from dashboard.figures.surface import surface_figure
from dashboard.sources.catalog import Snapshot
from training.record.metrics import describe

SLICE = "hyper-slice"
SLICE_HEIGHT, SURFACE_HEIGHT = 190, 420

_PLACEHOLDERS = {"model_name_or_path": "MODEL", "dataset_name": "DATASET"}

ABOUT_IMPORTANCE = (
    f"PED-ANOVA (Watanabe et al. 2023): how much the values of a hyper-parameter among the best {BEST_SHARE:.0%} of "
    "the configurations differ from those among all, as a share of the sum over all hyper-parameters. The interval is "
    "a 95% bootstrap over configurations; grey bars may be chance by a permutation test (p above 0.05)."
)


def slices(snapshot: Snapshot, shown: Seen, found: Judged) -> list[Any]:
    """One small chart per hyper-parameter, or why there is none."""
    if not shown.rows.columns or not shown.configurations:
        lacking = f"a run has a {shown.label}" if not shown.configurations else "a hyper-parameter varies"
        return [html.P(f"There is nothing to draw until {lacking}.", className="dim")]
    points = _points(shown)
    slots = context.catalog().colours(snapshot.runs)
    return [_slice(column, points, slots, shown, found.effect(column.key)) for column in shown.rows.columns]


def _points(shown: Seen) -> list[Point]:
    judged = [(run, value) for run in shown.runs if (value := shown.value(run)) is not None]
    return [
        Point(run, value, improvement.interval(shown.study[run.id], shown.at) if shown.share else None)
        for run, value in judged
    ]


def _slice(column: Column, points: Sequence[Point], slots: Any, shown: Seen, effect: Effect | None) -> html.Div:
    drawn = line(effect, column, shown.outcome) if effect else None
    figure = slice_figure(column, points, slots, shown.label, shown.share, drawn)
    name = upper(words(column.key))
    head = html.Div([html.H3(name), _verdict(effect)], className="hyper-slice-head")
    said = effect.sentence if effect else f"{name} against {shown.label}: too few runs to test."
    graph = dcc.Graph(
        id={"type": SLICE, "key": column.key},
        figure=figure,
        config=theme.CONFIG,
        style={"height": f"{SLICE_HEIGHT}px"},
    )
    chart = html.Figure(
        [graph, html.Figcaption(said, className="visually-hidden")],
        className="chart",
        style=parts.reserved(SLICE_HEIGHT),
    )
    return html.Div([head, chart], className="hyper-slice")


def _verdict(effect: Effect | None) -> html.Span:
    """What is known of the effect in two words, the sentence under the pointer."""
    if effect is None:
        return parts.badge("too few runs", "plain")
    if effect.proven:
        return parts.badge("effect proven", "good", effect.sentence)
    if effect.untold:
        return parts.badge("cannot be told", "warning", effect.sentence)
    return parts.badge("not proven", "plain", effect.sentence)


def importance(found: Advice) -> list[Any]:
    """The bars, or why there are none, with the sentences."""
    shown = found.importance
    if shown.refused:
        tested = [html.P("Effects are tested one by one above, from fewer.", className="answer-fine")]
        return [html.P(shown.refused), *(tested if shown.n >= FEW else [])]
    height = importance_figures.height(shown)
    chart = parts.chart(
        "hyper-importance-chart", importance_figures.importance(shown), height, " ".join(shown.sentences)
    )
    weak = [words(one.key) for one in shown.found if not one.important]
    chance = f" Chance may explain {', '.join(weak)}." if weak else ""
    said = (
        f"Share in being among the best {BEST_SHARE:.0%} by {describe(shown.metric).label}, over {shown.n} "
        f"configurations, with 95% intervals.{chance}"
    )
    return [chart, html.P(said, className="answer-fine")]


def confounding(shown: Seen, found: Judged) -> list[Any]:
    """Which hyper-parameters moved together, and what that means."""
    if len(shown.rows.columns) < 2:
        return [html.P("Fewer than two hyper-parameters vary: nothing can be mixed up.", className="dim")]
    if not found.pairs:
        return [html.P(f"Fewer than {FEW} configurations: what moved together cannot be tested.", className="dim")]
    notices = [parts.notice(pair.sentence, "warning") for pair in found.confounded]
    notices += [parts.notice(_close(pair), "info") for pair in found.close]
    if not notices:
        notices = [parts.notice(_clean(shown), "good")]
    body: list[Any] = list(notices)
    if found.confounded:
        body.append(
            html.P(
                "Whatever follows one of a pair may be the other's doing. A run that changes one and keeps the other "
                "would tell them apart.",
                className="answer-fine",
            )
        )
    others = [pair for pair in found.pairs if not pair.confounded]
    count = len(found.pairs)
    summary = "The one pair" if count == 1 else f"All {count} pairs"
    return [*body, parts.folded(summary, _pairs([*found.confounded, *others], found))]


def _clean(shown: Seen) -> str:
    n = len(shown.rows.runs)
    return f"No two hyper-parameters are shown to move together over these {n} configurations."


def _close(pair: Association) -> str:
    first, second = upper(words(pair.a)), words(pair.b)
    how = f"{pair.measure} {pair.strength:.2f} over {pair.n} configurations, p = {pair.p:.2g}"
    return (
        f"{first} and {second} are near to each other here ({how}). It may be chance, but there are too few runs to "
        "hold one of them fixed: their effects cannot be told apart."
    )


def _pairs(pairs: Sequence[Association], found: Judged) -> html.Div:
    rows = [
        [
            f"{words(pair.a)} and {words(pair.b)}",
            "each value with one only" if pair.aliased else pair.measure,
            f"{pair.strength:.2f}",
            probability(pair.p),
            "cannot be told apart" if pair.confounded or pair in found.close else "no sign of mixing",
        ]
        for pair in pairs
    ]
    head = ["Pair", "Measure", "Strength", "p, corrected", "Effects"]
    return parts.table(head, rows, "Association of every pair of hyper-parameters", numeric=(2, 3))


def between(shown: Seen, x: str, y: str) -> list[Any]:
    """The chart of two hyper-parameters, or why it is none."""
    first, second = shown.rows.column(x), shown.rows.column(y)
    if first is None or second is None or first.numbers is None or second.numbers is None or x == y:
        return [html.P(_no_surface(shown), className="dim hyper-surface-none")]
    if not shown.configurations:
        return [html.P(f"No run has a {shown.label}: there is nothing to draw.", className="dim")]
    found = surface(first, second, shown.outcome, shown.rows.runs)
    figure = surface_figure(found, shown.label, shown.share)
    said = f"{upper(shown.label)} over {words(x)} and {words(y)}, measured at {len(found.places)} places."
    note = found.refused or _interpolated(shown)
    kind = [parts.notice(note, "info")] if found.refused else [html.P(note, className="chart-note")]
    return [*kind, parts.chart("hyper-surface-chart", figure, SURFACE_HEIGHT, f"{said} {note}")]


def _interpolated(shown: Seen) -> str:
    others = " Other hyper-parameters vary too." if len(shown.rows.columns) > 2 else ""
    return (
        "Points are measured; the colour between them is interpolated between runs, not measured, and only where runs "
        f"lie around it.{others}"
    )


def _no_surface(shown: Seen) -> str:
    count = len(shown.numeric)
    if count >= 2:
        return "Choose two different hyper-parameters."
    return f"Two hyper-parameters that are numbers must vary; here {'one does' if count else 'none does'}."


def advice(found: Advice) -> list[Any]:
    """The runs worth trying as cards, and the file that runs them; or why there are none."""
    if found.proposal is None or found.best is None:
        text = (
            "Nothing is left to suggest: no run beyond these would tell more by the rules known here."
            if found.best
            else "Suggestions start from the best run, and none is known yet."
        )
        return [html.P(text, className="dim")]
    cards = [
        html.Article(
            [
                html.P(one_line(one.reason, 600)),
                parts.copyable(as_yaml(one.config), "Copy YAML"),
                html.P(one.source, className="hyper-source"),
            ],
            className="hyper-suggestion",
        )
        for one in found.suggestions
    ]
    return [html.Div(cards, className="hyper-suggestions"), *_written(found.proposal, one_line(found.best.name))]


def _written(proposal: Proposal, best: str) -> list[Any]:
    """The button that writes the files, and how they are run."""
    files, runs = len(proposal.files), sum(file.runs for file in proposal.files)
    if not files:
        return [parts.notice("None of this can be set by training.run: no sweep file can be written.", "warning")]
    single = files == 1
    words_of = "a sweep file" if single else f"{files} sweep files (.zip)"
    why = "" if single else " A sweep file is a grid, and no one grid holds exactly these runs."
    these = "this run" if runs == 1 else f"these {runs} runs"
    said = f"{'It makes' if single else 'Together they make'} exactly {these}; all else is set as in {best}.{why}"
    extra = " ".join(f"--{name} {_PLACEHOLDERS[name]}" for name in proposal.unstated)
    commands = [f"python -m training.sweep {file.name}{f' {extra}' if extra else ''}" for file in proposal.files]
    notes = []
    if proposal.unstated:
        named = " and ".join(proposal.unstated)
        notes.append(parts.notice(f"The log does not state {named}: give them on the command line.", "warning"))
    if proposal.unknown:
        named = ", ".join(one_line(name) for name in proposal.unknown)
        notes.append(parts.notice(f"No argument of training.run, so not in the file: {named}.", "warning"))
    unzip = [] if single else ["unzip next-runs.zip"]
    return [
        html.Div(
            [
                html.Button(f"Write {words_of}", id="hyper-write", className="btn btn-main", type="button"),
                html.Span(said),
            ],
            className="hyper-write",
        ),
        *notes,
        parts.copyable("\n".join([*unzip, *commands])),
    ]
