"""The parts of the Compare page: the answer, metrics, configuration, curves, pairs."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from dash import dcc, html

from dashboard.analysis import comparing, logged, numbers
from dashboard.analysis.common_scale import EVAL_COMMON
from dashboard.analysis.comparing import EVAL_MARGIN, Difference, Setting
from dashboard.analysis.effects import probability
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.study import Study
from dashboard.components import layout as parts
from dashboard.components.context import catalog
from dashboard.figures import differences as drawn
from dashboard.figures.curves import panel_figure
from dashboard.figures.curves_view import PANELS, Curve, View
from dashboard.sources import pair_texts
from dashboard.sources.catalog import Snapshot
from dashboard.sources.pair_texts import PairTexts
from training.record.schema import Run

_NAMES = {
    EVAL_ACCURACY: "Reward accuracy",
    EVAL_LOSS: "Eval loss",
    EVAL_COMMON: "Common-beta loss",
    EVAL_MARGIN: "Reward margin",
}
_ASSUMED = "That both were evaluated on the same pairs with the same reference is taken for granted."
_PAIRS_SHOWN = 12
_LETTERS = 120
"""Of a prompt, in the list of pairs."""


def answer(found: Sequence[Difference], snapshot: Snapshot, baseline: str) -> html.Section:
    """What the accuracies say of each run against the baseline, in words."""
    rows = [one for one in found if one.key == EVAL_ACCURACY]
    proven = [one for one in rows if one.proven]
    told = len([one for one in rows if one.comparison is not None])
    against = numbers.visible(snapshot.runs[baseline].name)
    sentences = [_sentence(one, numbers.visible(snapshot.runs[one.run].name), against, told) for one in rows]
    head = (
        "None of these runs can be compared by accuracy with the baseline."
        if not told
        else f"{_how_many(len(proven), told)} shown to differ in reward accuracy from {against}."
    )
    details = [html.P(text, className="answer-detail") for text in sentences]
    return html.Section([html.P(head, className="headline"), *details], className="panel", **{"aria-live": "polite"})


def _how_many(proven: int, told: int) -> str:
    if told == 1:
        return f"The other run is {'' if proven else 'not '}".rstrip()
    return f"{proven or 'None'} of the {told} other runs {'is' if proven == 1 else 'are'}"


def _sentence(one: Difference, name: str, baseline: str, comparisons: int) -> str:
    found = one.comparison
    if found is None:
        return f"{name}: {one.why}."
    points = 100 * found.difference
    way = (
        "as accurate as"
        if points == 0
        else f"{abs(points):.1f} points {'more' if points > 0 else 'less'} accurate than"
    )
    spread = (
        f" (95% interval {_points(found.interval.low)} to {_points(found.interval.high)})" if found.interval else ""
    )
    sure = "shown" if one.proven else "not shown to be more than chance"
    on = f" on the same {found.n:,} pairs" if found.prompts else f" on {found.n:,} pairs or more each"
    corrected = f", corrected for {comparisons} comparisons" if comparisons > 1 else ""
    assumed = f" {_ASSUMED}" if one.assumed else ""
    p = "" if one.p is None else f", {probability(one.p)}"
    return f"{name} is {way} {baseline}{on}{spread}: {sure} ({found.test}{p}{corrected}).{assumed}"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def metrics(
    found: Sequence[Difference], runs: Sequence[Run], baseline: str, slots: Mapping[str, int], b: float, at: At
) -> html.Section:
    """The chart of accuracies, and every metric with its difference, interval and p."""
    names = {run.id: run for run in runs}
    rows = [
        drawn.Row(names[one.run].name, slots[one.run], one.comparison.difference, one.comparison.interval)
        for one in found
        if one.key == EVAL_ACCURACY and one.comparison is not None
    ]
    chart = []
    if rows:
        figure = drawn.accuracy_differences(rows)
        summary = "Differences in reward accuracy, with 95% intervals; the table below has the numbers."
        chart = [parts.chart("compare-differences", figure, drawn.height(len(rows)), summary)]
    chart += [html.P(words, className="chart-note") for words in _caveats(runs, at)]
    keys = list(dict.fromkeys(one.key for one in found))
    tables = [_metric(key, [one for one in found if one.key == key], names, baseline, slots, b) for key in keys]
    return parts.card("Metrics and their differences", [*chart, *tables], className="compare-metrics")


def _caveats(runs: Sequence[Run], at: At) -> list[str]:
    """What the numbers below do not take into account."""
    said = []
    if len(runs) > comparing.FEWEST:
        said.append("Intervals are of each run by itself; p is corrected for the runs, metric by metric (Holm).")
    if at == "best" and any(run.best for run in runs):
        said.append(
            "A best checkpoint was chosen on these same pairs, which flatters the run that had more evaluations to "
            "choose from; at the last evaluation it does not."
        )
    return said


def _metric(
    key: str, found: Sequence[Difference], names: Mapping[str, Run], baseline: str, slots: Mapping[str, int], b: float
) -> html.Div:
    shown = numbers.percent if key == EVAL_ACCURACY else numbers.metric
    label = f"{_NAMES[key]} (beta {b:g})" if key == EVAL_COMMON else _NAMES[key]
    why = _why_none(found)
    base = [parts.run_link(names[baseline], slots[baseline]), shown(found[0].baseline)]
    rows = [[parts.run_link(names[one.run], slots[one.run]), shown(one.value)] for one in found]
    head = ["Run", label, "Difference", "95% interval", "p"]
    if why:
        head = head[:2]
    else:
        base, rows = (
            [*base, "baseline", "", ""],
            [[*row, *_difference(one)] for row, one in zip(rows, found, strict=True)],
        )
    title = html.H3([label, parts.metric_help(key)], className="compare-metric-name")
    note = [html.P(f"No difference is shown: {why}.", className="chart-note")] if why else []
    numeric = range(1, len(head))
    return html.Div([title, *note, parts.table(head, [base, *rows], label, numeric, ["", "", *head[2:]])])


def _why_none(found: Sequence[Difference]) -> str:
    """Why no run can be compared with the baseline by this metric, if it is the same for all; else empty."""
    reasons = {one.why for one in found if one.comparison is None}
    return next(iter(reasons)) or "" if len(reasons) == 1 and all(one.comparison is None for one in found) else ""


def _difference(one: Difference) -> list[Any]:
    found = one.comparison
    if found is None:
        return [html.Span(one.why or numbers.MISSING, className="dim"), "", ""]
    share = one.key == EVAL_ACCURACY
    width = 3 if one.key == EVAL_MARGIN else 4

    def text(value: float) -> str:
        return _points(value) if share else f"{value:+.{width}f}".replace("-", "−")

    spread = f"{text(found.interval.low)} to {text(found.interval.high)}" if found.interval else "–"
    mark = parts.badge("differs", "info") if one.proven else parts.badge("not told apart", "plain")
    unit = " points" if share else ""
    p = "–" if one.p is None else probability(one.p).removeprefix("p ").removeprefix("= ")
    return [html.Span([f"{text(found.difference)}{unit} ", mark]), spread, p]


def configuration(
    rows: Sequence[Setting], same: int, runs: Sequence[Run], slots: Mapping[str, int], text: str
) -> html.Section:
    """Only what differs; as a table, and as YAML to copy."""
    if not rows:
        why = (
            "Their sources state the same value of every argument."
            if any(run.config for run in runs)
            else ("Their sources state no configuration.")
        )
        return parts.card("Configuration", [html.P(why)])
    head = ["Argument", *(parts.run_link(run, slots[run.id]) for run in runs)]
    body = [[html.Code(row.key), *map(numbers.setting, row.values)] for row in rows]
    equal = "1 more is equal, or a name or path." if same == 1 else f"{same:,} more are equal, or names and paths."
    more = html.P(equal, className="chart-note") if same > 0 else None
    yaml_text = parts.folded("As YAML", parts.copyable(text))
    named = ["", *(numbers.visible(run.name) for run in runs)]
    shown = [parts.table(head, body, "What differs", stacked=named), *([more] if more else []), yaml_text]
    title = f"Configuration: {len(rows)} {'argument differs' if len(rows) == 1 else 'arguments differ'}"
    return parts.card(title, shown)


def curves(runs: Sequence[Run], slots: Mapping[str, int]) -> html.Section:
    """Chosen and rejected rewards, accuracy and loss of these runs, one over the other."""
    found = [Curve(run, catalog().history(run.id), slots[run.id]) for run in runs]
    if not any(curve.history for curve in found):
        return parts.card("Curves", [html.P("Their sources have only the last value of each metric.")])
    path = "/curves?runs=" + ",".join(parts.run_path(run.id).removeprefix("/run/") for run in runs)
    shown = [panel for panel in PANELS if panel.id in ("rewards", "accuracy", "loss")]
    charts = [
        html.Div(
            [
                html.H3(panel.title),
                parts.chart(f"compare-{panel.id}", panel_figure(panel, found, View()), 260, f"{panel.title} by step."),
            ]
        )
        for panel in shown
    ]
    legend = html.Div([parts.run_link(run, slots[run.id]) for run in runs], className="legend")
    more = dcc.Link("All curves", href=path, className="btn btn-quiet btn-tall")
    return parts.card("Curves", [legend, html.Div(charts, className="charts compare-charts")], more)


def pairs(study: Study, runs: Sequence[Run], slots: Mapping[str, int], at: At) -> html.Section:
    """The evaluation pairs on which the runs disagree, the widest apart first."""
    known = [(run, scores) for run in runs if (scores := logged.scored(study[run.id], at)) is not None]
    title = "Pairs that they decide differently"
    if len(known) < 2:
        why = "Per-pair scores of at least two of these runs are needed; python -m training.run keeps them."
        return parts.card(title, [html.P(why)])
    found = comparing.contested([scores for _, scores in known])
    if found is None:
        return parts.card(title, [html.P("They were scored on different pairs.")])
    about = f"{len(found.pairs):,} of {found.of:,} pairs are right in some of these runs and wrong in others."
    if not found.pairs:
        return parts.card(title, [html.P(about)])
    path = "/pairs?filter=contested&runs=" + ",".join(parts.run_path(run.id).removeprefix("/run/") for run, _ in known)
    texts = pair_texts.texts(catalog().root, known[0][0])
    head = ["Pair", *(parts.run_link(run, slots[run.id]) for run, _ in known)]
    body = [
        [_pair(pair, texts, f"{path}&pair={quote(pair, safe='')}"), *map(_margin, found.h[row].tolist())]
        for row, pair in enumerate(found.pairs[:_PAIRS_SHOWN])
    ]
    note = html.P(f"{about} Margins in nats; the widest apart first.", className="chart-note")
    named = ["", *(numbers.visible(run.name) for run, _ in known)]
    rows = parts.table(head, body, title, tuple(range(1, len(head))), named)
    table = html.Div(rows, className="compare-pairs")
    return parts.card(
        title, [note, table], dcc.Link("All of them on Pairs", href=path, className="btn btn-quiet btn-tall")
    )


def _pair(pair_id: str, texts: PairTexts, path: str) -> dcc.Link:
    """The pair's prompt where its text is kept, and its id, leading to the pair."""
    found = texts.pair(pair_id)
    said = numbers.one_line(found.prompt[-1].text, _LETTERS) if found and found.prompt else ""
    return dcc.Link([said, html.Code(pair_id)], href=path, className="compare-pair")


def _margin(value: float) -> html.Span:
    kind = "good" if value > 0 else "bad" if value < 0 else "plain"
    return html.Span(
        [
            parts.badge("right" if value > 0 else "wrong" if value < 0 else "tied", kind),
            f" {value:+.2f}".replace("-", "−"),
        ]
    )
