"""The HTML that every page starts from: theme before styles, only the scripts that a page needs, ours as one file."""

import re
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from dash import Dash
from flask import Response, abort, request

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

_GRID = re.compile(r'<script src="([^"]*/dash_ag_grid/dash_ag_grid[^"]*)"></script>')
"""The table's library is the largest script; only one page begins with a table (assets/late-grid.js)."""

_TAGS = {"js": '<script src="{}"></script>', "css": '<link rel="stylesheet" href="{}">'}
_OWN = {
    kind: re.compile(re.escape(tag).replace(r"\{\}", rf'/assets/([^"?]+\.{kind})\?m=[^"]*') + r"\s*")
    for kind, tag in _TAGS.items()
}
"""Our own files among a page's tags, as Dash writes them."""
_KINDS = {"js": "text/javascript", "css": "text/css"}

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
        self._whole: dict[str, str] = {}
        self.server.add_url_rule("/assets/all-<digest>.<any(js, css):kind>", view_func=self._together)
        self.server.after_request(_kept)
        Thread(target=import_module, args=("scipy.special",), name="imports", daemon=True).start()

    def interpolate_index(self, **parts: Any) -> str:
        """The page's HTML, without the scripts that nothing here uses."""
        parts["scripts"] = self._as_one("js", _NEEDLESS.sub("", parts["scripts"]))
        parts["css"] = self._as_one("css", parts["css"])
        if request.path != "/":
            late = r'<link id="grid-script" rel="prefetch" as="script" href="\1">'
            parts["scripts"] = _GRID.sub(late, parts["scripts"])
        return str(super().interpolate_index(**parts)).replace("{%theme%}", self._theme() + _preloads(request.path))

    def _as_one(self, kind: str, tags: str) -> str:
        """The tags with those of our own files as one: forty requests of each start are ten."""
        folder = Path(self.config.assets_folder)
        whole = "\n".join((folder / name).read_text("utf-8") for name in _OWN[kind].findall(tags))
        digest = blake2b(whole.encode(), digest_size=8).hexdigest()
        self._whole[f"{digest}.{kind}"] = whole
        return _OWN[kind].sub("", tags) + _TAGS[kind].format(f"/assets/all-{digest}.{kind}")

    def _together(self, digest: str, kind: str) -> Response:
        """All our own scripts or styles."""
        whole = self._whole.get(f"{digest}.{kind}") or abort(404)
        return Response(whole, mimetype=_KINDS[kind])

    def _theme(self) -> str:
        """The script that sets the theme, and asks for the page's content before other scripts are there."""
        changed = (Path(self.config.assets_folder) / "theme.js").stat().st_mtime
        return f'<script src="/assets/theme.js?m={changed}" data-early></script>'


def _preloads(path: str) -> str:
    """Links to what is fetched late."""
    font = f'<link rel="preload" as="font" type="font/woff2" href="{_FONT}" crossorigin>'
    return font + "".join(f'<link rel="preload" as="script" href="{script}">' for script in _LATE.get(path, ()))


def _kept(response: Response) -> Response:
    """A browser need not ask again for a file of ours whose address changes with it; fonts never change."""
    path = request.path
    own = path.startswith(("/assets/fonts/", "/assets/all-")) or (path.startswith("/assets/") and "m" in request.args)
    if own and response.status_code in (200, 304):
        response.headers["Cache-Control"] = f"private, max-age={_YEAR}, immutable"
    return response
