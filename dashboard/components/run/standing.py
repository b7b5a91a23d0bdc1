"""Where a run stands among those that it can be compared with, and the sentences on it."""

from dataclasses import dataclass
from typing import Any

from dash import dcc, html

from dashboard.analysis import comparability, improvement, logged, numbers, ranking, verdict
from dashboard.analysis.comparability import EvaluationSet
from dashboard.analysis.ranking import EVAL_ACCURACY, At
from dashboard.analysis.study import Evidence
from dashboard.analysis.verdict import Answer
from dashboard.components import context
from dashboard.components import layout as parts
from dashboard.components.run.view import View, lacking
from dashboard.sources.catalog import Snapshot
from training.record.metrics import describe, split_key
from training.record.schema import Run

AT: At = "best"


@dataclass(frozen=True)
class Group:
    """Runs that may be compared, ranked by `key`: `order` has those with a rank, best first."""

    runs: tuple[Run, ...]
    key: str
    ranks: dict[str, int]
    order: tuple[Run, ...]
    answer: Answer


def group_of(view: View) -> Group:
    """The runs that this one is compared with, as the Leaderboard groups them."""
    groups = context.cached(view.snapshot, lambda: _groups(view.snapshot), "run-groups")
    place = next(at for at, group in enumerate(groups) if any(run.id == view.run.id for run in group.runs))
    return context.cached(view.snapshot, lambda: _judged(view.snapshot, groups[place]), "run-group", place)


def _groups(snapshot: Snapshot) -> list[EvaluationSet]:
    found = context.accuracy_groups(snapshot)
    return [EvaluationSet(group.label, group.runs, group.proven) for group in found]


def _judged(snapshot: Snapshot, group: EvaluationSet) -> Group:
    key = comparability.natural_metric(group.runs)
    ranks = ranking.rank(group.runs, key, AT)
    order = sorted((run for run in group.runs if run.id in ranks), key=lambda run: ranks[run.id])
    answer = verdict.answer(group, key, AT, context.study(snapshot))
    return Group(group.runs, key, ranks, tuple(order), answer)


def neighbours(group: Group, run_id: str) -> tuple[Run | None, Run | None]:
    """The runs before and after this one in the ranking; none beside a run that has no rank."""
    at = next((place for place, run in enumerate(group.order) if run.id == run_id), None)
    if at is None:
        return None, None
    return (group.order[at - 1] if at else None), (group.order[at + 1] if at + 1 < len(group.order) else None)


def body(view: View, group: Group) -> list[Any]:
    """Rank, accuracy and loss as tiles, and what can be said: against the best run, against the base model."""
    evidence = context.study(view.snapshot).get(view.run.id) or Evidence(view.run, view.history)
    base = improvement.over_base(evidence, AT, len(group.ranks) if group.ranks.get(view.run.id) == 1 else 1)
    sentences = [_against_best(view, group), base.sentence if ranking.evaluation(view.run, AT) else ""]
    found = [html.P(text, className="answer-detail") for text in sentences if text]
    return [_tiles(view, group, evidence), *found, *_compare(view, group)]


def _tiles(view: View, group: Group, evidence: Evidence) -> html.Div:
    run, metrics = view.run, ranking.evaluation(view.run, AT)
    rank, interval = group.ranks.get(run.id), improvement.interval(evidence, AT)
    accuracy = metrics.get(EVAL_ACCURACY)
    none = "" if accuracy is None else "no interval: pairs not counted"
    share = f"95% interval {interval.low:.1%} to {interval.high:.1%}" if interval else none
    evaluated = any(split_key(key)[0] == "eval" for key in metrics)
    step = ranking.evaluation_step(run, AT) if evaluated else None
    word = "" if step is None else "best checkpoint" if run.best else "last evaluation"
    shown = [
        parts.tile(
            "Rank", f"{rank} of {len(group.ranks)}" if rank else numbers.MISSING, f"by {numbers.label(group.key)}"
        ),
        parts.tile("Reward accuracy", numbers.percent(accuracy), share, _meaning(EVAL_ACCURACY)),
        parts.tile(
            "Eval loss", numbers.metric(metrics.get(ranking.EVAL_LOSS)), _loss_hint(evidence), _meaning("eval/loss")
        ),
        parts.tile("Taken at", numbers.MISSING if step is None else f"step {step:,}", word),
        parts.tile("Evaluation pairs", numbers.count(run.n_eval), _of(run) if run.n_eval is not None else ""),
    ]
    return parts.tiles(*shown)


def _of(run: Run) -> str:
    dataset = run.data.get("dataset")
    return f"of {numbers.one_line(dataset if isinstance(dataset, str) and dataset else run.source)}"


def _meaning(key: str) -> str:
    return describe(split_key(key)[1]).meaning


def _loss_hint(evidence: Evidence) -> str:
    untrained = logged.untrained(evidence)
    return "" if untrained is None else f"untrained model: {untrained:.4f}"


def _against_best(view: View, group: Group) -> str:
    run, answer = view.run, group.answer
    if run.id not in group.ranks:
        return f"It is not ranked: {_why_unranked(run, group)}."
    best = next(other for other in group.runs if other.id == answer.best)
    if run.id == best.id:
        return answer.sentences[1] if len(answer.sentences) > 1 else ""
    name = numbers.visible(best.name)
    if run.id in answer.tied:
        return f"No test tells it apart from the best run, {name}: they are tied."
    if run.id in answer.compared:
        return f"A test tells it apart from the best run, {name}."
    return f"The best run is {name}; what is known of both is not enough for a test between them."


def _why_unranked(run: Run, group: Group) -> str:
    if run.status in ("running", "failed", "pruned"):
        return {"running": "it is still running", "failed": "it failed", "pruned": "its sweep ended it early"}[
            run.status
        ]
    if run.apart:
        return run.apart
    if ranking.untrained(run, AT):
        return "it was evaluated only at step 0, before training"
    return f"it has no finite {numbers.label(group.key)}"


def _compare(view: View, group: Group) -> list[html.P]:
    best = next((run for run in group.runs if run.id == group.answer.best), None)
    if best is None or best.id == view.run.id:
        return []
    slot = context.catalog().colours(view.snapshot.runs)[best.id]
    return [html.P(["Best run: ", parts.run_link(best, slot)], className="run-best")]


def findings(view: View) -> list[Any]:
    """What is to be known of this run, the gravest first: what is said of it alone, then of several."""
    known = context.findings(view.snapshot, AT)
    mine = [finding for finding in known.found if view.run.id in finding.runs]
    if not known.ready and not known.found:
        return [html.Span("Being worked out.", className="visually-hidden"), parts.skeleton(90)]
    if not mine:
        return [lacking("No check found anything to be said of this run.")]
    alone = [finding for finding in mine if len(finding.runs) == 1]
    shared = [finding for finding in mine if len(finding.runs) > 1]
    found: list[Any] = [parts.finding_list(alone)] if alone else []
    return [*found, *([html.H3("Of this and other runs"), parts.finding_list(shared)] if shared else [])]


def _beside(word: str, name: str, run_id: str) -> dcc.Link:
    said = [html.Span(word, className="dim"), name]
    return dcc.Link(said, href=parts.run_path(run_id), className="run-beside", title=name)


def steps_beside(view: View, group: Group) -> html.Nav | None:
    """Links to the runs of the next better and the next lower rank."""
    before, after = neighbours(group, view.run.id)
    links = [
        _beside(word, numbers.visible(run.name), run.id)
        for run, word in ((before, "Better: "), (after, "Next: "))
        if run
    ]
    return (
        html.Nav(links, className="run-neighbours", **{"aria-label": "Runs of neighbouring ranks"}) if links else None
    )
