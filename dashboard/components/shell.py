"""The frame around every page: navigation, theme, the poll for news, what pages share."""

from collections.abc import Sequence
from typing import Any

import dash
import dash_bootstrap_components as dbc
from dash import Input, Output, dcc, html

from dashboard.components import errors, report_route
from dashboard.components.callbacks import clientside
from dashboard.components.imports import drawer as import_drawer
from dashboard.components.stores import LIVE, SELECTION


def layout(pages: Sequence[Any]) -> html.Div:
    """`pages` are modules with PATH and NAME, in the order of the navigation."""
    links = [dbc.NavLink(page.NAME, href=page.PATH, active="exact") for page in pages]
    return html.Div(
        [
            html.A("Skip to the content", href="#content", className="skip-link"),
            html.Header(
                [
                    dcc.Link([html.Span(className="brand-mark"), "Prefscope"], href="/", className="brand"),
                    dbc.Nav(links, pills=True, class_name="main-nav"),
                    html.Span("offline, retrying", id="offline", className="offline", role="status"),
                    report_route.button(),
                    import_drawer.button(),
                    html.Button(
                        id="theme-toggle",
                        className="icon-button",
                        title="Light or dark",
                        **{"aria-label": "Switch between light and dark"},
                    ),
                ],
                className="top-bar",
            ),
            html.Main(dash.page_container, id="content"),
            import_drawer.drawer(),
            errors.toast(),
            dcc.Store(id=LIVE),
            dcc.Store(id=SELECTION, storage_type="session"),
            html.Div(id="theme-state", hidden=True),
        ],
        className="shell",
    )


clientside("toggleTheme", Output("theme-state", "title"), Input("theme-toggle", "n_clicks"), prevent_initial_call=True)
