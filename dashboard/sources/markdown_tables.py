"""Tables between the text of a Markdown file, such as a model card."""

import re
from itertools import groupby, islice

from dashboard.sources.table import LONGEST_CELL, Table, decode, from_rows

LARGEST = 4 * 2**20
"""Bytes of a file in which tables are looked for."""

MOST = 20
"""Tables of one text that are looked at."""


def find(content: bytes) -> list[Table]:
    """The tables of a text; none in a file that is no Markdown. Raises SourceError if one is larger than any table."""
    if b"|" not in content or len(content) > LARGEST:
        return []
    lines = decode(content).splitlines()
    blocks = (list(block) for pipes, block in groupby(lines, lambda line: "|" in line) if pipes)
    tables = (
        from_rows(_cells(block[0]), map(_cells, block[2:]))
        for block in blocks
        if len(block) > 1 and "-" in block[1] and set(block[1]) <= set("|:- \t")
    )
    return list(islice(tables, MOST))


def _cells(line: str) -> list[str]:
    inside = line[:LONGEST_CELL].strip().removeprefix("|").removesuffix("|")
    return [cell.strip().strip("*`").replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inside)]
