"""The table of runs that every format shows: which columns, and what is in their cells."""

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.analysis import numbers
from dashboard.analysis.common_scale import EVAL_CALIBRATED, EVAL_COMMON
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.reports.content import Content, Line
from training.record.metrics import MARGIN, describe

FEWEST = 4
_TIED = "="
_NAMED = 10


@dataclass(frozen=True)
class Column:
    """One column; `order` says how dispensable it is where there is little room: the highest goes first."""

    id: str
    title: str
    order: int
    number: bool = True


def columns(content: Content) -> list[Column]:
    """Rank, name, accuracy with its interval, the metrics, the hyper-parameters that differ, steps, state."""
    metrics = [key for key in (EVAL_LOSS, EVAL_COMMON, EVAL_CALIBRATED, f"eval/{MARGIN}") if _known(content, key)]
    if content.key not in (*metrics, EVAL_ACCURACY):
        metrics.insert(0, content.key)
    found = [Column("rank", "#", 0), Column("name", "run", 1, number=False)]
    if _known(content, EVAL_ACCURACY):
        found += [Column(EVAL_ACCURACY, "accuracy", 2), Column("interval", "95% interval", 3)]
    found += [
        Column(key, _title(key), 4 if key in (content.key, EVAL_LOSS) else 8 + n) for n, key in enumerate(metrics)
    ]
    found += [Column(f"config.{key}", key, 5 if n < 2 else 14 + n) for n, key in enumerate(content.parameters)]
    found.append(Column("steps", "step", 13))
    if any(line.run.status != "finished" for line in content.lines):
        found.append(Column("state", "state", 7, number=False))
    if len({line.group for line in content.lines}) > 1:
        found.append(Column("group", "group", 6, number=False))
    return found


def cells(line: Line, shown: Sequence[Column], content: Content) -> list[str]:
    """One text per column."""
    return [_cell(line, column, content) for column in shown]


def heading(content: Content) -> str:
    """What was looked at, in a line."""
    count = len(content.lines)
    return f"{count:,} {'run' if count == 1 else 'runs'} from {', '.join(content.sources)}"


def legend(content: Content) -> str:
    """What the marks of the table mean."""
    at = {"best": "at each run's best evaluation", "last": "at each run's last evaluation"}.get(
        content.moment, f"at {content.moment}"
    )
    tied = f" {_TIED}: cannot be told apart from the best (95%)." if any(line.tied for line in content.lines) else ""
    missing = "–: the source does not say, or not ranked."
    return f"Ordered by {describe(content.key).label}, {at}.{tied} {missing}{_groups(content)}"


def _groups(content: Content) -> str:
    letters = _letters(content)
    if len(letters) == 1:
        return ""
    labels = {line.group: line.label for line in content.lines}
    named = "; ".join(f"{letter}: {labels[group]}" for group, letter in [*letters.items()][:_NAMED])
    more = f"; and {len(letters) - _NAMED} more" if len(letters) > _NAMED else ""
    return f" Losses can be compared within one group only. {named}{more}."


def _letters(content: Content) -> dict[str, str]:
    """A short name for every group: A, B, ..., Z, A2, ..."""
    groups = dict.fromkeys(line.group for line in content.lines)
    return {
        group: f"{chr(65 + place % 26)}{place // 26 + 1 if place >= 26 else ''}" for place, group in enumerate(groups)
    }


def _title(key: str) -> str:
    label = describe(key).label
    return label if key.startswith("eval/") else key


def _known(content: Content, key: str) -> bool:
    return any(key in line.metrics for line in content.lines)


def _cell(line: Line, column: Column, content: Content) -> str:
    run = line.run
    if column.id == "rank":
        rank = line.ranks.get(content.key)
        tied = _TIED if line.tied and run.id != content.verdict.best else ""
        return f"{tied}{rank}" if rank else tied or numbers.MISSING
    if column.id == "name":
        return numbers.one_line(run.name)
    if column.id == "interval":
        return f"{line.interval.low:.1%} – {line.interval.high:.1%}" if line.interval else numbers.MISSING
    if column.id == "steps":
        return _steps(line)
    if column.id == "state":
        return run.status
    if column.id == "group":
        return _letters(content)[line.group]
    if column.id.startswith("config."):
        return numbers.one_line(numbers.setting(run.config.get(column.id.removeprefix("config."))))
    value = line.metrics.get(column.id)
    return numbers.percent(value) if column.id == EVAL_ACCURACY else numbers.metric(value)


def _steps(line: Line) -> str:
    if line.step is None:
        return numbers.MISSING
    return f"{line.step:,}/{line.run.max_steps:,}" if line.run.max_steps else f"{line.step:,}"
