"""The report as Markdown, ready to be pasted into a README or a model card."""

import re
from collections.abc import Collection, Sequence

from dashboard.analysis.numbers import visible
from dashboard.reports import columns
from dashboard.reports.content import Content
from training.record.markdown import code, table


def render(content: Content) -> str:
    """The report; what comes from files is shown letter for letter, as code spans."""
    names = {line.run.name for line in content.lines}
    shown = columns.columns(content)
    rows = [
        [code(cell) if column.id == "name" else _cell(cell) for cell, column in zip(row, shown, strict=True)]
        for row in (columns.cells(line, shown, content) for line in content.lines)
    ]
    parts = [
        f"# {_plain('Comparison of ' + columns.heading(content), names)}",
        "\n".join(f"{number}. {_plain(text, names)}" for number, text in enumerate(content.verdict.sentences, 1)),
        table([_cell(column.title) for column in shown], rows),
        _plain(columns.legend(content, shown), names),
        *_section("Findings", [f"**{f.severity}**: {_plain(f.sentence, names)}" for f in content.findings]),
        *_section("Worth trying next", [_plain(item.reason, names) for item in content.suggestions]),
        *_section("Hyper-parameters", [_plain(text, names) for text in content.importance]),
        *_section("Notes on what was read", [_plain(text, names) for text in content.notes]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(f"- {line}" for line in lines)] if lines else []


def _cell(text: str) -> str:
    return _escaped(visible(text)).replace("|", "¦")


def _plain(text: str, names: Collection[str]) -> str:
    """Our own sentence; others' words in it (names of runs, quoted cells) become code spans."""
    known = "|".join(map(re.escape, sorted(filter(None, map(visible, names)), key=len, reverse=True)))
    pattern = re.compile(rf'((?:"[^"]*"|(?<!\w)(?:{known})(?!\w))+)' if known else '((?:"[^"]*")+)')
    parts = pattern.split(visible(text))
    return "".join(code(part) if place % 2 else _escaped(part) for place, part in enumerate(parts))


def _escaped(text: str) -> str:
    """Every character that Markdown or HTML would read is escaped, and an address is no link."""
    return _LINK.sub(r"\\\g<0>", _SPECIAL.sub(r"\\\g<0>", text))


_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|!~$&]|^[-+](?=\s)")
_LINK = re.compile(r"(?i)(?<=www)\.|(?<=\w):(?=//)")
