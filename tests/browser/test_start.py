"""How a page starts in a browser: what is asked for early is not asked for again."""

from collections import Counter

import pytest


@pytest.mark.parametrize("path", ["/", "/curves", "/?rank=accuracy"])
def test_content_is_asked_for_once_and_early(open_page, url, path):
    page = open_page(url)
    asked: Counter[str] = Counter()

    def count(request) -> None:
        name = request.url.split("?")[0].rpartition("/")[2]
        if name in ("_dash-layout", "_dash-dependencies"):
            asked[name] += 1
        if '"_pages_content"' in (request.post_data or ""):
            asked["content"] += 1

    page.on("request", count)
    page.goto(url + path)
    page.locator("#_pages_content .page").wait_for()
    page.wait_for_timeout(1_000)
    assert asked == {"_dash-layout": 1, "_dash-dependencies": 1, "content": 1}


def test_a_second_page_is_asked_for_anew(open_page, url):
    page = open_page(url)
    page.locator("#_pages_content .page").wait_for()
    page.locator(".main-nav a", has_text="Curves").click()
    page.locator("#curves-body").wait_for()
    with page.expect_request(lambda request: '"_pages_content"' in (request.post_data or "")):
        page.locator(".main-nav a", has_text="Leaderboard").click()
    page.locator("#run-table .ag-row").first.wait_for()


def test_the_table_works_where_its_library_comes_late(open_page, url):
    """Asked for before it is there, then from a page that has had it for long."""
    page = open_page(url + "/curves")
    page.locator("#curves-body").wait_for()
    assert page.evaluate("() => window.dash_ag_grid.getApi === undefined")
    page.locator(".main-nav a", has_text="Leaderboard").click()
    page.locator("#run-table .ag-row").first.wait_for()
    page.locator(".main-nav a", has_text="Curves").click()
    page.locator("#curves-body").wait_for()
    page.go_back()
    page.locator("#run-table .ag-row input[type=checkbox]").first.click()
    page.get_by_text("selected").first.wait_for()
    page.goto(url + "/curves")
    page.wait_for_function("() => window.dash_ag_grid.getApi !== undefined")
    page.locator(".main-nav a", has_text="Leaderboard").click()
    page.locator("#run-table .ag-row").first.wait_for()
