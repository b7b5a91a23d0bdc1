"""The state of a page in its address: a copied link shows the same thing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from dash import Input, Output, State, dcc

from dashboard.components.callbacks import clientside


class Parameter(NamedTuple):
    """One parameter of a link: the property of a component that it holds, and the value that the link leaves out."""

    name: str
    component: str
    property: str = "value"
    default: Any = None


def store(page: str, path: str, parameters: Sequence[Parameter]) -> dcc.Store:
    """What `linked` needs in the page's layout. `page` is a word of its own for the page, `path` where it is."""
    data = {"path": path, "names": [p.name for p in parameters], "defaults": [p.default for p in parameters]}
    return dcc.Store(id=f"{page}-link", data=data)


def linked(page: str, parameters: Sequence[Parameter]) -> None:
    """Keeps the address true in the browser, without a request: lists are written as ids, separated by commas.

    The layout reads the parameters back with `components.query`, and must hold `store`.
    """
    inputs = [Input(p.component, p.property, allow_optional=True) for p in parameters]
    link = f"{page}-link"
    clientside("link", Output(link, "modified_timestamp"), *inputs, State(link, "data"), prevent_initial_call=True)
