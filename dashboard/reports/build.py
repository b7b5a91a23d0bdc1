"""From sources to a report: read, compared, judged, and written in the format asked for."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dashboard.analysis import (
    comparability,
    effects,
    hyperparameters,
    importance,
    improvement,
    ranking,
    suggestions,
    verdict,
)
from dashboard.analysis.budgets import at_step, common_step
from dashboard.analysis.common_scale import EVAL_CALIBRATED, EVAL_COMMON, with_common_scale
from dashboard.analysis.comparability import EvaluationSet, Group
from dashboard.analysis.findings import checks
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.study import Study
from dashboard.analysis.verdict import Answer
from dashboard.reports.content import Content, Line
from dashboard.sources import reading
from dashboard.sources.imported import Corrections, Imported, SourceError
from dashboard.studies import study_of
from training.record.schema import Run

Format = Literal["text", "json", "md", "html"]
Moment = Literal["best", "last", "common"] | int

_RANKED = (EVAL_ACCURACY, EVAL_LOSS, EVAL_COMMON, EVAL_CALIBRATED)
_SHOWN_PARAMETERS = 4


@dataclass(frozen=True)
class Report:
    """A report's content, and what its charts are drawn from."""

    content: Content
    study: Study


def build(
    paths: Sequence[Path], told: Corrections, sort: str | None = None, moment: Moment = "best", b: float | None = None
) -> Report:
    """The report on the runs in `paths`. `b` is the beta of the common-beta loss.

    Raises SourceError, one sentence, if nothing can be read, or cannot be ordered or compared as asked.
    """
    found = reading.read(paths, told)
    found, at = _at(found, moment)
    study = with_common_scale(study_of(found), b)
    groups = comparability.accuracy_groups(study)
    loss_groups = comparability.loss_groups(study)
    key, notes = _key(groups[0], loss_groups, sort, study)
    answers = [verdict.answer(EvaluationSet(g.label, g.runs, g.proven), key, at, study, b) for g in groups]
    lines = _lines(groups, loss_groups, answers, sort or key, at, study)
    runs = groups[0].runs
    content = Content(
        sources=tuple(path.name or str(path) for path in paths),
        notes=(*notes, *_other_groups(groups, answers), *_about(answers[0]), *found.notes),
        lines=lines,
        findings=tuple(checks.findings(study, at)),
        verdict=answers[0],
        suggestions=tuple(suggestions.suggestions(study, at)),
        importance=_importance(runs, at, key),
        parameters=_parameters([line.run for line in lines]),
        key=sort or key,
        at=at,
        moment="best" if moment == "best" else "last" if moment == "last" else f"step {lines[0].step}",
        names={run: evidence.run.name for run, evidence in study.items()},
    )
    return Report(content, study)


def render(made: Report, form: Format, terminal: bool = False) -> str:
    """The report as one text. `terminal`: it goes to a terminal, which has a width and colours."""
    if form == "json":
        from dashboard.reports import document

        return document.render(made.content)
    if form == "md":
        from dashboard.reports import markdown

        return markdown.render(made.content)
    if form == "html":
        from dashboard.reports import page

        return page.render(made.content, made.study)
    from dashboard.reports import text

    return text.render(made.content, width=None if terminal else text.WIDTH, colour=terminal)


def _at(found: Imported, moment: Moment) -> tuple[Imported, At]:
    """The runs as they were at the moment asked for."""
    if moment == "best" or moment == "last":
        return found, moment
    from dashboard.analysis.study import Evidence

    evidence = [Evidence(run, found.histories.get(run.id, {})) for run in found.runs]
    step = common_step(evidence) if moment == "common" else moment
    if step is None:
        raise SourceError("There is no step near which every run was evaluated: ask for --at best or --at last.")
    runs = tuple(run for one in evidence if (run := at_step(one, step)) is not None)
    if not runs:
        raise SourceError(f"No run was evaluated near step {step:,}: ask for --at best, --at last or --at common.")
    left = len(found.runs) - len(runs)
    notes = (f"{left} runs were not evaluated near step {step:,} and are left out.",) if left else ()
    return replace(found, runs=runs, notes=(*notes, *found.notes)), "last"


def _key(group: Group, loss_groups: Sequence[Group], sort: str | None, study: Study) -> tuple[str, list[str]]:
    """The metric that ranks the runs, and why it is not the one asked for."""
    inside = {run.id for run in group.runs}
    own = sum(losses.runs[0].id in inside for losses in loss_groups)
    natural = comparability.natural_metric(group.runs)
    if natural == EVAL_LOSS and own > 1 and any(EVAL_ACCURACY in run.metrics for run in group.runs):
        natural = EVAL_ACCURACY
    if sort is None:
        return natural, []
    known = {key for evidence in study.values() for key in (*evidence.run.metrics, *evidence.run.best)}
    if sort not in known:
        near = difflib.get_close_matches(sort, known, n=3, cutoff=0.4) or sorted(known)[:5]
        raise SourceError(f"No run has a metric {sort!r}; there are {', '.join(near) or 'none'}.")
    try:
        ranking.direction(sort)
    except ValueError as problem:
        raise SourceError(f"The runs cannot be ordered by {sort}: {problem}.") from problem
    refused = comparability.refusal(group.runs, sort)
    if refused is None:
        return sort, []
    return natural, [f"{refused} The runs are ordered by {sort} inside each group only, and judged by {natural}."]


def _lines(
    groups: Sequence[Group],
    loss_groups: Sequence[Group],
    answers: Sequence[Answer],
    key: str,
    at: At,
    study: Study,
) -> tuple[Line, ...]:
    """The runs of the largest group first, each group in the order of its ranks."""
    ranks: dict[str, dict[str, int]] = {run: {} for run in study}
    for metric in dict.fromkeys((*_RANKED, key)):
        for group in loss_groups if _scaled(metric) else groups:
            for run, place in ranking.rank(group.runs, metric, at).items():
                ranks[run][metric] = place
    found = []
    for group, answer in zip(groups, answers, strict=True):
        scale = {run.id: losses for losses in loss_groups for run in losses.runs}
        ordered = sorted(group.runs, key=lambda run: _order(run, ranks[run.id], key, scale))
        found += [_line(run, ranks[run.id], answer, scale[run.id], at, study) for run in ordered]
    return tuple(found)


def _scaled(metric: str) -> bool:
    """Whether the metric has the scale of its run's beta: it ranks within groups of one loss only."""
    return metric not in (EVAL_ACCURACY, EVAL_COMMON, EVAL_CALIBRATED)


def _order(run: Run, ranks: Mapping[str, int], key: str, scale: Mapping[str, Group]) -> tuple[str, float, int]:
    group = scale[run.id].id if _scaled(key) else ""
    return group, ranks.get(key, float("inf")), ranks.get(EVAL_ACCURACY, 0)


def _line(run: Run, ranks: Mapping[str, int], answer: Answer, losses: Group, at: At, study: Study) -> Line:
    return Line(
        run,
        ranking.evaluation_step(run, at),
        ranking.evaluation(run, at),
        ranks,
        improvement.interval(study[run.id], at),
        run.id in answer.tied,
        losses.id,
        losses.label,
    )


def _other_groups(groups: Sequence[Group], answers: Sequence[Answer]) -> list[str]:
    """What is said of the runs that the verdict does not speak of."""
    if len(groups) == 1:
        return []
    return [
        f"Runs are in {len(groups)} groups that cannot be compared with each other (other evaluation pairs, reference "
        f"or max_length); the verdict is on the largest, {groups[0].label}.",
        *(f"{group.label}: {answer.headline}" for group, answer in zip(groups[1:11], answers[1:11], strict=True)),
    ]


def _about(answer: Answer) -> Iterable[str]:
    """What the verdict assumes."""
    return answer.details[1:]


def _importance(runs: Sequence[Run], at: At, key: str) -> tuple[str, ...]:
    effect = [found.sentence for found in effects.effects(runs, at, key)]
    return (*effect, *importance.importances(runs, at, key).sentences) if effect else ()


def _parameters(runs: Sequence[Run]) -> tuple[str, ...]:
    """Beta and learning rate where they are known, and what else differs."""
    known = [key for key in ("beta", "learning_rate") if any(run.config.get(key) is not None for run in runs)]
    others = [key for key in hyperparameters.varying(runs) if key not in (*known, "max_steps")]
    return tuple([*known, *others][:_SHOWN_PARAMETERS])
