"""Dash's callback decorators with types: what they decorate stays a plain function that a test can call."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import dash
import plotly.graph_objects as go
from dash import ClientsideFunction

Function = TypeVar("Function", bound=Callable[..., Any])


def callback(*dependencies: Any, **options: Any) -> Callable[[Function], Function]:
    """`dash.callback`: dependencies are Output, Input and State; the function is returned as it is."""
    register = dash.callback(*dependencies, **options)

    def decorate(function: Function) -> Function:
        register(function)
        return function

    return decorate


def new_data(figure: go.Figure | Mapping[str, Any]) -> dash.Patch:
    """The figure's data and lines, for a graph that keeps its axes: a user's zoom survives.

    `uirevision` cannot do it: dcc.Graph of Dash 4.4 writes the zoom into its own figure, so plotly.js takes it for
    the app's wish and lets the next whole figure overwrite it.
    """
    patch, content = dash.Patch(), figure.to_dict() if isinstance(figure, go.Figure) else figure
    patch["data"] = content["data"]
    for part in ("shapes", "annotations"):
        patch["layout"][part] = content["layout"].get(part, [])
    return patch


def clientside(name: str, *dependencies: Any, **options: Any) -> None:
    """Registers `window.dash_clientside.prefscope.<name>` (assets/clientside.js) as a callback in the browser."""
    dash.clientside_callback(ClientsideFunction("prefscope", name), *dependencies, **options)
