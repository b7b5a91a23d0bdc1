"""Pieces of every page: cards, segmented controls, tiles, badges, empty states, notices."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import dash_bootstrap_components as dbc
from dash import dcc, html

from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.numbers import visible
from dashboard.figures import theme
from training.record.metrics import describe
from training.record.schema import Run


def card(title: str, body: list[Any], aside: Any = None, **attributes: Any) -> html.Section:
    """A titled box; `aside` sits to the right of the title."""
    head = html.Div([html.H2(title), html.Div(aside, className="aside")], className="card-head")
    class_name = f"panel {attributes.pop('className', '')}".strip()
    return html.Section([head, *body], className=class_name, **attributes)


def segmented(control_id: str, label: str, options: Mapping[Any, str], value: str) -> html.Div:
    """A choice between few options as buttons in a row: option value -> its words."""
    buttons = dbc.RadioItems(
        id=control_id,
        options=[{"value": key, "label": words} for key, words in options.items()],
        value=value,
        class_name="segmented",
        input_class_name="btn-check",
        label_class_name="btn btn-segment",
        label_checked_class_name="active",
    )
    return labelled(label, buttons, role="radiogroup")


def labelled(label: str, control: Any, role: str = "group") -> html.Div:
    """A control under its name."""
    name = html.Span(label, className="control-label")
    return html.Div([name, control], className="control", role=role, **{"aria-label": label})


def notice(text: str, kind: str = "info") -> html.Div:
    """One sentence with a mark in front: kind is info, good, warning or bad."""
    return html.Div([html.Span(className=f"mark mark-{kind}"), html.Span(text)], className=f"notice notice-{kind}")


def command(text: str) -> html.Code:
    """A command for the terminal."""
    return html.Code(text, className="command")


def copyable(text: str, label: str = "Copy") -> html.Div:
    """Text to be taken elsewhere, with a button that copies it (assets/clientside.js)."""
    button = html.Button(label, className="btn btn-quiet copy-button", type="button")
    return html.Div([html.Pre(text, className="copy-text", tabIndex=0), button], className="copyable")


def empty(title: str, lines: list[Any], **attributes: Any) -> html.Div:
    """What a page shows when there is nothing to show: why, and what to do next."""
    class_name = attributes.pop("className", "empty")
    return html.Div([html.H2(title), *[html.P(line) for line in lines]], className=class_name, **attributes)


def folded(summary: str, *body: Any, **attributes: Any) -> html.Details:
    """What only some want to read, behind one line."""
    class_name = f"more {attributes.pop('className', '')}".strip()
    return html.Details([html.Summary(summary), *body], className=class_name, **attributes)


def help_mark(text: str) -> html.Span:
    """A question mark that explains itself under the pointer, on focus, and to a screen reader."""
    return html.Span("?", className="help", tabIndex=0, role="note", **{"aria-label": text, "data-tip": text})


def metric_help(*names: str) -> html.Span:
    """The explanation of metrics (keys with or without their split), from the record's own words."""
    return help_mark(" ".join(describe(name).meaning for name in names))


def swatch(slot: int) -> html.Span:
    """The colour and marker of the run at this position of the palette."""
    style = {"background": theme.colour(slot)}
    return html.Span(className=f"swatch swatch-{theme.symbol(slot)}", style=style, **{"aria-hidden": "true"})


def run_path(run_id: str) -> str:
    """Where the page of a run is."""
    return f"/run/{quote(run_id, safe='')}"


def run_link(run: Run, slot: int) -> dcc.Link:
    """A run by colour and name, leading to its page."""
    words = visible(run.name)
    name = html.Span(words, className="run-label")
    return dcc.Link([swatch(slot), name], href=run_path(run.id), className="run-name run-link", title=words)


def badge(text: str, kind: str = "info", tip: str = "") -> html.Span:
    """A short word in a coloured pill: kind is info, good, warning, bad or plain."""
    return html.Span(text, className=f"badge-pill badge-{kind}", **({"title": tip} if tip else {}))


def finding_list(findings: Sequence[Finding]) -> html.Ul:
    """Findings as sentences, the gravest first, each with the source of its rule under the pointer."""
    rows = [
        html.Li([html.Span(className=f"mark mark-{f.severity}"), html.Span(visible(f.sentence), title=f.source)])
        for f in findings
    ]
    return html.Ul(rows, className="finding-list")


def tile(label: str, value: str, hint: str = "", tip: str = "") -> html.Div:
    """One figure under its name, with a word on it."""
    head = html.Div([label, *([help_mark(tip)] if tip else [])], className="tile-label")
    rest = [html.Div(hint, className="tile-hint")] if hint else []
    return html.Div([head, html.Div(value, className="tile-value"), *rest], className="tile")


def tiles(*found: html.Div) -> html.Div:
    """Tiles in a row."""
    return html.Div(list(found), className="tiles")


def table(
    head: Sequence[Any],
    rows: Sequence[Sequence[Any]],
    label: str,
    numeric: Sequence[int] = (),
    stacked: Sequence[str] = (),
) -> html.Div:
    """A plain table that scrolls sideways by itself where it is too wide; `numeric` columns stand on the right.

    With `stacked`, the columns' names as text, the cells of a row stand below each other on a phone, named; what each
    part is stays said, for a browser takes that from tables that are shown as blocks.
    """

    def cells(tag: Any, row: Sequence[Any], names: Sequence[str] = ()) -> list[Any]:
        right = [{"className": "number"} if place in numeric else {} for place in range(len(row))]
        named = [{"data-label": name} if name else {} for name in names] or [{}] * len(row)
        kind = role("columnheader" if tag is html.Th else "cell")
        return [tag(cell, **one, **two, **kind) for cell, one, two in zip(row, right, named, strict=True)]

    def role(name: str) -> dict[str, str]:
        return {"role": name} if stacked else {}

    lines = [html.Tr(cells(html.Td, row, stacked), **role("row")) for row in rows]
    top = html.Thead(html.Tr(cells(html.Th, head), **role("row")), **role("rowgroup"))
    body = html.Table([top, html.Tbody(lines, **role("rowgroup"))], **role("table"))
    class_name = "plain-table stacked" if stacked else "plain-table"
    return html.Div(body, className=class_name, tabIndex=0, role="region", **{"aria-label": label})


def chart(graph_id: str, figure: Any, height: int, summary: str, **options: Any) -> html.Figure:
    """A chart of fixed height in pixels; `summary` says in words what it shows, for those who cannot see it."""
    config = {**theme.CONFIG, **options.pop("config", {})}
    graph = dcc.Graph(id=graph_id, figure=figure, config=config, style={"height": f"{height}px"}, **options)
    caption = html.Figcaption(summary, id=f"{graph_id}-summary", className="visually-hidden")
    return html.Figure([graph, caption], className="chart", style=reserved(height))


def reserved(height: int) -> dict[str, str]:
    """The style that keeps the place of what the browser loads late, as tall as it will be, in pixels."""
    return {"minHeight": f"{height}px"}


def skeleton(height: int) -> html.Div:
    """The place of something that is on its way, as tall as it will be, in pixels."""
    return html.Div(className="skeleton", style={"height": f"{height}px"}, **{"aria-hidden": "true"})
