"""Pages start sooner: what is asked for early, what is kept by the browser, what is worked out once for all pages."""

import re
from pathlib import Path

from dash import Dash
from flask.testing import FlaskClient

from dashboard.analysis import comparability
from dashboard.analysis.references import references
from dashboard.components import context, warming
from dashboard.components.leaderboard import board as boards
from dashboard.components.leaderboard.board import View

ASSETS = Path(__file__).resolve().parent.parent / "assets"
_MIME = {"js": "javascript", "css": "css"}


def test_a_file_of_ours_is_kept_where_its_address_tells_its_change(client: FlaskClient) -> None:
    def kept(path: str) -> bool:
        with client.get(path) as answer:
            return "immutable" in answer.headers.get("Cache-Control", "")

    assert kept("/assets/theme.js?m=1") and kept("/assets/fonts/inter-latin-wght-normal.woff2")
    assert not kept("/assets/theme.js") and not kept("/assets/none.js?m=1")


def test_our_own_scripts_and_styles_are_one_file_each(client: FlaskClient) -> None:
    """In the order of their names, without the theme, which is first and alone; kept by what they hold."""
    page = client.get("/").get_data(as_text=True)
    for kind, first, last in (("js", "clientside.js", "page-run.js"), ("css", "bootstrap.min.css", "prefscope.css")):
        (whole,) = re.findall(rf'"(/assets/[^"?]+[.]{kind})"', page)
        with client.get(whole) as answer:
            text = answer.get_data(as_text=True)
            assert "immutable" in answer.headers["Cache-Control"] and answer.mimetype == f"text/{_MIME[kind]}"
        assert text.startswith((ASSETS / first).read_text()) and text.endswith((ASSETS / last).read_text())
    assert client.get("/assets/all-0123456789abcdef.js").status_code == 404
    assert client.get("/assets/all-/../../pyproject.toml.js").status_code == 404


def test_the_library_of_the_table_is_a_script_of_the_leaderboard_only(client: FlaskClient) -> None:
    board, curves = (client.get(path).get_data(as_text=True) for path in ("/", "/curves"))
    library = r"/_dash-component-suites/dash_ag_grid/dash_ag_grid[^\"]*"
    assert re.search(rf'<script src="{library}"', board) and "grid-script" not in board
    assert re.search(rf'<link id="grid-script" rel="prefetch" as="script" href="{library}"', curves)
    assert not re.search(rf'<script src="{library}"', curves)


def test_a_page_names_what_it_will_need_before_its_scripts(client: FlaskClient) -> None:
    board, curves, run = (client.get(path).get_data(as_text=True) for path in ("/", "/curves", "/run/none"))
    for page in (board, curves, run):
        assert page.index("theme.js?m=") < page.index('rel="stylesheet"')
        assert " data-early></script>" in page and "{%" not in page
    assert 'rel="preload" as="script" href="/_dash-component-suites/dash_ag_grid/async-community.js"' in board
    assert "plotly.min.js" in curves and "async-community" not in curves
    assert 'rel="preload" as="script"' not in run


def test_all_pages_share_one_grouping_of_the_runs(app: Dash) -> None:
    with app.server.app_context():
        snapshot = context.catalog().snapshot()
        study = context.study(snapshot)
        assert context.accuracy_groups(snapshot) == comparability.accuracy_groups(study, references(study))
        assert context.loss_groups(snapshot) == comparability.loss_groups(study)
        for shared in (context.references, context.accuracy_groups, context.loss_groups):
            assert shared(snapshot) is shared(snapshot)


def test_the_first_board_is_there_before_it_is_asked_for(app: Dash, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    warming.begin(app).join(30)
    with app.server.app_context():
        snapshot = context.catalog().snapshot()
        monkeypatch.setattr(boards, "_board", None)
        assert boards.board(snapshot, View()).at == "best"
