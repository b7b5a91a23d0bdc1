"""Pieces of every page: cards, segmented controls, empty states, notices."""

from collections.abc import Mapping
from typing import Any

import dash_bootstrap_components as dbc
from dash import html


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
    """One sentence with a mark in front: kind is info, warning or bad."""
    return html.Div([html.Span(className=f"mark mark-{kind}"), html.Span(text)], className=f"notice notice-{kind}")


def command(text: str) -> html.Code:
    """A command for the terminal."""
    return html.Code(text, className="command")


def empty(title: str, lines: list[Any], **attributes: Any) -> html.Div:
    """What a page shows when there is nothing to show: why, and what to do next."""
    return html.Div([html.H2(title), *[html.P(line) for line in lines]], className="empty", **attributes)
