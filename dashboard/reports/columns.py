"""The table of runs that every format shows: which columns, and what is in their cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from dashboard.analysis import numbers
from dashboard.analysis.common_scale import EVAL_CALIBRATED, EVAL_COMMON
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.reports.content import Content, Line
from training.record.metrics import MARGIN, describe

FEWEST = 4
_TIED = "="
_NAMED = 10
_FOUND = "found"
_PROOF = "stated nowhere, but proven by log-probabilities and rewards"
_UNLETTERED = " Not all losses are on one scale: beta, loss type or evaluation pairs differ."


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
        Column(key, _title(key), 4 if key in (content.key, EVAL_LOSS) else 9 + n) for n, key in enumerate(metrics)
    ]
    found += [
        Column(f"config.{key}", key, 5 + n if n < 2 else 15 + n, number=not _texts(content, key))
        for n, key in enumerate(_parameters(content))
    ]
    if any(line.step is not None for line in content.lines):
        found.append(Column("steps", "step", 14))
    if any(line.run.status != "finished" for line in content.lines):
        found.append(Column("state", "state", 8, number=False))
    if len({line.group for line in content.lines}) > 1:
        found.append(Column("group", "group", 7, number=False))
    return found


def cells(line: Line, shown: Sequence[Column], content: Content) -> list[str]:
    """One text per column."""
    return [_cell(line, column, content) for column in shown]


def heading(content: Content) -> str:
    """What was looked at, in a line."""
    count, sources = len(content.lines), content.sources
    more = f" and {len(sources) - _NAMED} more" if len(sources) > _NAMED else ""
    return f"{count:,} {'run' if count == 1 else 'runs'} from {', '.join(sources[:_NAMED])}{more}"


def legend(content: Content, shown: Sequence[Column]) -> str:
    """What the order, the marks and the letters of the table mean, of which `shown` are its columns."""
    order = f"Ordered by {numbers.label(content.key)}, {content.moment}."
    if not any(content.key in line.ranks for line in content.lines):
        order = f"Nothing to order by: no run is ranked by {numbers.label(content.key)}."
    tied = f" {_TIED}: not told apart from the best (95%)." if any(map(_marked, content.lines)) else ""
    found = f" ({_FOUND}): {_PROOF}." if any(map(_recovered, content.lines)) else ""
    lettered = any(column.id == "group" for column in shown)
    groups = _groups(content) if lettered else _UNLETTERED if len(content.letters) > 1 else ""
    return f"{order}{tied} {numbers.MISSING}: the source does not say, or not ranked.{found}{groups}"


def _recovered(line: Line) -> float | None:
    return line.among.recovered.get(line.run.id)


def _marked(line: Line) -> bool:
    return line.tied and not line.best


def _groups(content: Content) -> str:
    """What the letters mean: what all groups have in common is said once."""
    letters = content.letters
    parts = {line.group: line.label.split(", ") for line in content.lines}
    alike = takewhile(lambda words: len(set(words)) == 1, zip(*parts.values(), strict=False))
    shared = min(len(list(alike)), min(map(len, parts.values())) - 1)
    common = f" All: {', '.join(next(iter(parts.values()))[:shared])}." if shared else ""
    named = "; ".join(f"{letters[group]}: {', '.join(parts[group][shared:])}" for group in [*letters][:_NAMED])
    more = f"; and {len(letters) - _NAMED} more" if len(letters) > _NAMED else ""
    return f" Losses can be compared within one group only: {named}{more}.{common}"


def _title(key: str) -> str:
    return describe(key).label if key.startswith("eval/") else key


def _parameters(content: Content) -> Sequence[str]:
    """The hyper-parameters, with beta where no source states it but the log-probabilities prove it."""
    proven = any(map(_recovered, content.lines))
    return tuple(dict.fromkeys(("beta", *content.parameters))) if proven else content.parameters


def _texts(content: Content, key: str) -> bool:
    return any(isinstance(line.run.config.get(key), str) for line in content.lines)


def _known(content: Content, key: str) -> bool:
    return any(key in line.metrics for line in content.lines)


def _cell(line: Line, column: Column, content: Content) -> str:
    run = line.run
    if column.id == "rank":
        rank = line.ranks.get(content.key)
        tied = _TIED if _marked(line) else ""
        return f"{tied}{rank}" if rank else tied or numbers.MISSING
    if column.id == "name":
        return numbers.visible(run.name)
    if column.id == "interval":
        return f"{line.interval.low:.1%} – {line.interval.high:.1%}" if line.interval else numbers.MISSING
    if column.id == "steps":
        return _steps(line)
    if column.id == "state":
        return run.status
    if column.id == "group":
        return content.letters[line.group]
    if column.id == "config.beta" and (beta := _recovered(line)):
        return f"{numbers.setting(beta)} ({_FOUND})"
    if column.id.startswith("config."):
        return numbers.one_line(numbers.setting(run.config.get(column.id.removeprefix("config."))))
    value = line.metrics.get(column.id)
    return numbers.percent(value) if column.id == EVAL_ACCURACY else numbers.metric(value)


def _steps(line: Line) -> str:
    if line.step is None:
        return numbers.MISSING
    return f"{line.step:,}/{line.run.max_steps:,}" if line.run.max_steps else f"{line.step:,}"
