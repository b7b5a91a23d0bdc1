"""The data audit of the runs in view: what was read, what was left out and why, doubles, lengths, truncation."""

from collections.abc import Iterator, Mapping
from typing import Any

from dash import html

from dashboard.analysis import numbers
from dashboard.components import layout as parts
from dashboard.sources.pair_texts import Audit
from training.record.history import number

_SIDES = {"train": "Training", "eval": "Evaluation"}
_LENGTHS = ("p5", "p50", "p95", "max")
_DOUBLES = {
    "exact": "Pairs that equal an earlier one",
    "near": "Pairs nearly equal to an earlier one",
    "contradictions": "Comparisons made both ways (A > B and B > A)",
    "eval_pairs_in_train": "Evaluation pairs that training has, or nearly",
    "eval_prompts_in_train": "Evaluation pairs whose prompt training has, or nearly",
}
_SHARES = {
    "truncated_prompt": "Prompt cut",
    "truncated_answer": "Answer cut",
    "truncated_difference": "All that differs cut",
    "equal_tokens": "Answers equal in tokens",
}
MOST, LONGEST = 12, 400
"""Examples of one kind, and characters of each text, that are shown."""


def section(audit: Audit) -> list[Any]:
    """The figures in words and tables; whatever has an unexpected shape is passed over."""
    content = audit.content
    problem = [parts.notice(audit.problem)] if audit.problem else []
    if not content:
        return problem or [parts.notice("The audit of this data is empty.")]
    return [*problem, *_rows(content), *_sides(content), *_doubles(content), *_examples(content)]


def _map(value: Any, key: str) -> Mapping[str, Any]:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _count(value: Any) -> str:
    found = number(value)
    return numbers.MISSING if found is None or not abs(found) < 1e15 else f"{int(found):,}"


def _rows(content: Mapping[str, Any]) -> Iterator[Any]:
    rows = _map(content, "rows")
    read, kept = _count(rows.get("read")), _count(rows.get("kept"))
    dropped = [
        f"{_count(count)} {numbers.one_line(str(why))}" for why, count in list(_map(rows, "dropped").items())[:MOST]
    ]
    reasons = f" Left out: {', '.join(dropped)}." if dropped else " Nothing was left out."
    yield html.P(f"{read} rows were read and {kept} are used.{reasons}")


def _sides(content: Mapping[str, Any]) -> Iterator[Any]:
    sides = {name: side for name in _SIDES if (side := _map(content, name))}
    if not sides:
        return
    head = ["Figure", *(_SIDES[name] for name in sides)]
    rows: list[list[Any]] = [
        ["Pairs", *(_count(side.get("pairs")) for side in sides.values())],
        ["Different prompts", *(_count(side.get("prompts")) for side in sides.values())],
    ]
    for text in ("prompt", "chosen", "rejected"):
        found = [_map(_map(side, "tokens"), text) for side in sides.values()]
        rows.append([f"Tokens, {text}: 5%, median, 95%, most", *(_quantiles(one) for one in found)])
    for key, words in _SHARES.items():
        rows.append([words, *(_share(side.get(key)) for side in sides.values())])
    rows.append(
        ["The longer answer is the chosen one", *(_share(_map(s, "length").get("longer_wins")) for s in sides.values())]
    )
    yield parts.table(head, rows, "What the data is like", numeric=range(1, len(head)))
    yield html.P(
        "The last line is the accuracy of always taking the longer answer, ties counting half: a run must beat it "
        "(arXiv:2403.19159).",
        className="chart-note",
    )


def _quantiles(found: Mapping[str, Any]) -> str:
    return " · ".join(_count(found.get(name)) for name in _LENGTHS)


def _share(value: Any) -> str:
    return numbers.percent(number(value))


def _doubles(content: Mapping[str, Any]) -> Iterator[Any]:
    found = _map(content, "duplicates")
    rows = [[words, _count(found.get(key))] for key, words in _DOUBLES.items() if key in found]
    if rows:
        yield parts.table(["Doubles and overlap", "Pairs"], rows, "Doubles and overlap", numeric=(1,))


def _examples(content: Mapping[str, Any]) -> Iterator[Any]:
    examples = _map(content, "examples")
    for reason, rows in list(_map(examples, "dropped").items())[:MOST]:
        if isinstance(rows, list) and rows:
            items = [html.Li(_text(row.get("text") if isinstance(row, Mapping) else row)) for row in rows[:MOST]]
            yield _details(f"Left out: {numbers.one_line(str(reason))}", html.Ul(items))
    for key, matches in list(_map(examples, "duplicates").items())[:MOST]:
        if isinstance(matches, list) and matches:
            yield _details(f"Examples: {_DOUBLES.get(key, numbers.one_line(str(key)))}", html.Div(_matches(matches)))


def _details(title: str, body: Any) -> html.Details:
    return parts.folded(title, body, className="pairs-examples")


def _matches(matches: list[Any]) -> list[html.Div]:
    """Each match is two pairs that are alike, side by side."""
    return [
        html.Div([_pair(pair) for pair in match[:2]], className="pairs-answers")
        for match in matches[:MOST]
        if isinstance(match, list)
    ]


def _pair(pair: Any) -> html.Div:
    about = pair if isinstance(pair, Mapping) else {}
    title = html.Div(numbers.one_line(str(about.get("pair_id", ""))), className="control-label")
    lines = [
        html.Div([html.Span(f"{side}: ", className="dim"), _text(about[side])], className="pairs-text")
        for side in ("prompt", "chosen", "rejected")
        if side in about
    ]
    return html.Div([title, *lines], className="pairs-answer")


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
