"""The report as Markdown, ready to be pasted into a README or a model card."""

import re
from collections.abc import Collection, Sequence

from dashboard.analysis.numbers import visible
from dashboard.reports import columns
from dashboard.reports.columns import Column
from dashboard.reports.content import Content, Line, parts
from training.record.markdown import code, table


def render(content: Content) -> str:
    """The report; what comes from files is shown letter for letter, as code spans."""
    names = content.spoken
    shown = columns.columns(content)
    rows = [row for title, lines in content.blocks for row in (*_titled(title, shown), *_rows(lines, shown, content))]
    sections = [
        f"# {_plain('Comparison of ' + columns.heading(content), names)}",
        "\n".join(f"{number}. {_plain(text, names)}" for number, text in enumerate(content.verdict.sentences, 1)),
        table([_cell(column.title) for column in shown], rows),
        _plain(columns.legend(content, shown), names),
        *_section("Findings", [f"**{f.severity}**: {_plain(f.sentence, names)}" for f in content.findings]),
        *_section("Worth trying next", [_plain(item.reason, names) for item in content.suggestions]),
        *_section("Hyper-parameters", [_plain(text, names) for text in content.importance]),
        *_section("Notes", [_plain(text, names) for text in content.notes]),
    ]
    return "\n\n".join(part for part in sections if part) + "\n"


def _titled(title: str, shown: Sequence[Column]) -> list[list[str]]:
    """A row that says on what the runs below it were evaluated."""
    return [[f"*{_cell(title)}*" if column.id == "name" else "" for column in shown]] if title else []


def _rows(lines: Sequence[Line], shown: Sequence[Column], content: Content) -> list[list[str]]:
    return [
        [code(cell) if column.id == "name" else _cell(cell) for cell, column in zip(row, shown, strict=True)]
        for row in (columns.cells(line, shown, content) for line in lines)
    ]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(f"- {line}" for line in lines)] if lines else []


def _cell(text: str) -> str:
    return _escaped(visible(text)).replace("|", "¦")


def _plain(text: str, names: Collection[str]) -> str:
    """Our own sentence; others' words in it become code spans."""
    return "".join(code(part) if theirs else _escaped(part) for part, theirs in parts(text, names))


def _escaped(text: str) -> str:
    """Every character that Markdown or HTML would read is escaped, and an address is no link."""
    return _LINK.sub(r"\\\g<0>", _SPECIAL.sub(r"\\\g<0>", text))


_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|!~$&]|^[-+](?=\s)")
_LINK = re.compile(r"(?i)(?<=www)\.|(?<=\w):(?=//)")
