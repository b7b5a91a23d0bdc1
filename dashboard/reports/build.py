"""From sources to a report: read, compared, judged, and written in the format asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dashboard.analysis import common_scale, comparability, effects, hyperparameters, importance, improvement, ranking
from dashboard.analysis import suggestions as trying
from dashboard.analysis.comparability import Group
from dashboard.analysis.findings import checks
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS, At
from dashboard.analysis.references import references
from dashboard.analysis.study import Study
from dashboard.reports import judging, moments
from dashboard.reports.content import Content, Line
from dashboard.reports.judging import Judged
from dashboard.reports.moments import Moment
from dashboard.sources import reading
from dashboard.sources.imported import Corrections, Imported
from dashboard.studies import study_of
from training.record.schema import Run

Format = Literal["text", "json", "md", "html"]

_RANKED = (EVAL_ACCURACY, EVAL_LOSS, common_scale.EVAL_COMMON, common_scale.EVAL_CALIBRATED)
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
    sources = tuple(dict.fromkeys(map(_source, paths)))
    return of(reading.read(paths, told), sources, sort, moment, b)


def of(
    found: Imported, sources: tuple[str, ...], sort: str | None = None, moment: Moment = "best", b: float | None = None
) -> Report:
    """The report on runs that were read; `sources` are the names of what they were read from.

    Raises SourceError, one sentence, if they cannot be ordered or compared as asked.
    """
    seen = moments.seen_at(found, moment)
    at, study = seen.at, study_of(seen.found)
    b = common_scale.recorded_beta(study) if b is None else b
    study = common_scale.with_common_scale(study, b)
    if sort is not None:
        judging.check_sort(sort, study)
    known = references(study)
    loss_groups = comparability.loss_groups(study, known)
    groups = comparability.accuracy_groups(study, known)
    judged = sorted(
        (judging.judged(group, sort, at, study, b) for group in groups),
        key=lambda one: one.answer.best is None,
    )
    first, key = judged[0], sort or judged[0].key
    lines = _lines(judged, loss_groups, key, at, study)
    content = Content(
        sources=sources,
        notes=(*seen.notes, *judging.unscored(study, b), *judging.told(judged, sort), *seen.found.notes),
        lines=lines,
        findings=tuple(checks.findings(study, at, known)),
        verdict=judging.scoped(first, len(judged)),
        suggestions=tuple(trying.suggestions(study, at, first.key, known)),
        importance=_importance(first.group.runs, at, first.key),
        parameters=_parameters(first.group.runs, [line.run for line in lines]),
        key=key,
        at=at,
        moment=seen.words,
        compared=frozenset(run.id for run in first.group.runs),
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


def _source(path: Path) -> str:
    """A source by its name: that of the folder where the path is "." or ends in ".."."""
    return path.name if path.name not in ("", "..") else path.absolute().resolve().name or str(path)


def _lines(judged: Sequence[Judged], loss_groups: Sequence[Group], key: str, at: At, study: Study) -> tuple[Line, ...]:
    """The runs of the verdict's group first, each group in the order of its ranks."""
    ranks: dict[str, dict[str, int]] = {run: {} for run in study}
    for metric in dict.fromkeys((*_RANKED, key)):
        for group in loss_groups if judging.scaled(metric) else [one.group for one in judged]:
            for run, place in ranking.rank(group.runs, metric, at).items():
                ranks[run][metric] = place
    scale = {run.id: losses for losses in loss_groups for run in losses.runs}
    found = []
    for one in judged:
        ordered = sorted(one.group.runs, key=lambda run: _order(run, ranks[run.id], key, scale))
        found += [_line(run, ranks[run.id], one, scale[run.id], at, study) for run in ordered]
    return tuple(found)


def _order(run: Run, ranks: Mapping[str, int], key: str, scale: Mapping[str, Group]) -> tuple[str, float, int]:
    group = scale[run.id].id if judging.scaled(key) else ""
    return group, ranks.get(key, float("inf")), ranks.get(EVAL_ACCURACY, 0)


def _line(run: Run, ranks: Mapping[str, int], among: Judged, losses: Group, at: At, study: Study) -> Line:
    return Line(
        run,
        ranking.evaluation_step(run, at),
        ranking.evaluation(run, at),
        ranks,
        improvement.interval(study[run.id], at),
        run.id == among.answer.best,
        run.id in among.answer.tied,
        losses.id,
        losses.label,
        among.group,
    )


def _importance(runs: Sequence[Run], at: At, key: str) -> tuple[str, ...]:
    effect = [found.sentence for found in effects.effects(runs, at, key)]
    return (*effect, *importance.importances(runs, at, key).sentences) if effect else ()


def _parameters(compared: Sequence[Run], runs: Sequence[Run]) -> tuple[str, ...]:
    """Beta and learning rate where they are known, and what else differs, first among the runs that are compared."""
    known = [key for key in ("beta", "learning_rate") if any(run.config.get(key) is not None for run in runs)]
    differing = dict.fromkeys((*hyperparameters.varying(compared), *hyperparameters.varying(runs)))
    others = [key for key in differing if key not in (*known, "max_steps")]
    return tuple([*known, *others][:_SHOWN_PARAMETERS])
