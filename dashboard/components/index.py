"""The HTML that every page starts from: theme before styles, and only the scripts that a page needs."""

import re
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from dash import Dash
from flask import Response, request

_PAGE = """<!DOCTYPE html>
<html lang="en">
    <head>
        {%theme%}
        {%metas%}
        <title>{%title%}</title>
        {%favicon%}
        {%css%}
    </head>
    <body>
        {%app_entry%}
        <footer>{%config%}{%scripts%}{%renderer%}</footer>
    </body>
</html>"""

_NEEDLESS = re.compile(r'<script src="[^"]*/(?:deps/polyfill@|dash_table/bundle)[^"]*"></script>\s*')
"""Dash sends both with every page: polyfills for browsers of before 2020 (90 ms of each start), and a table unused."""

_SUITES = "/_dash-component-suites/"
_CHART = (f"{_SUITES}dash/dcc/async-graph.js", f"{_SUITES}plotly/package_data/plotly.min.js")
_LATE = {"/": (f"{_SUITES}dash_ag_grid/async-community.js",), "/curves": _CHART}
"""Page -> scripts that its components ask for once they are drawn: they are fetched while the others are read."""

_FONT = "/assets/fonts/inter-latin-wght-normal.woff2"
_YEAR = 365 * 24 * 3600


class App(Dash):  # type: ignore[misc]
    """A Dash app whose pages start sooner."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, index_string=_PAGE, **options)
        self.server.after_request(_kept)
        Thread(target=import_module, args=("scipy.special",), name="imports", daemon=True).start()

    def interpolate_index(self, **parts: Any) -> str:
        """The page's HTML, without the scripts that nothing here uses."""
        parts["scripts"] = _NEEDLESS.sub("", parts["scripts"])
        return str(super().interpolate_index(**parts)).replace("{%theme%}", self._theme() + _preloads(request.path))

    def _theme(self) -> str:
        """The script that sets the theme, and asks for the page's content before other scripts are there."""
        changed = (Path(self.config.assets_folder) / "theme.js").stat().st_mtime
        return f'<script src="/assets/theme.js?m={changed}" data-early></script>'


def _preloads(path: str) -> str:
    """Links to what is fetched late."""
    font = f'<link rel="preload" as="font" type="font/woff2" href="{_FONT}" crossorigin>'
    return font + "".join(f'<link rel="preload" as="script" href="{script}">' for script in _LATE.get(path, ()))


def _kept(response: Response) -> Response:
    """A browser need not ask again for a file of ours: its address has the time of its change, fonts never change."""
    own = request.path.startswith("/assets/") and ("m" in request.args or request.path.startswith("/assets/fonts/"))
    if own and response.status_code in (200, 304):
        response.headers["Cache-Control"] = f"private, max-age={_YEAR}, immutable"
    return response
