"""Every page by axe-core: no serious violation, in light and in dark, wide and narrow."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import serving
from pair_runs import scored_runs
from playwright.sync_api import Page

PATHS = ("/", "/curves", "/hyperparameters", "/compare?runs=good,middling", "/pairs", "/run/good", "/nowhere")


UNNAMED = ".control .dash-dropdown-focus-target[aria-hidden], .control [role=slider]:not([aria-label])"
"""What Dash's components leave without a name until the page's own script has given them one."""


def settled(page: Page) -> None:
    """Until the page has a heading and nothing is on its way any more."""
    page.locator("#content h1, #content h2").first.wait_for(state="attached")
    page.wait_for_load_state("networkidle")
    page.wait_for_function(f"() => !document.querySelector('{UNNAMED}')")


def serious(page: Page) -> list[str]:
    """What axe-core finds that keeps somebody from using the page, each with its first place."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])} places)"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_no_page_has_a_serious_violation(url, open_page, path, width, theme, request):
    if path == "/nowhere" and width == 390:
        pytest.skip("once is enough")
    page = open_page(url + path, width=width, height=844, theme=theme)
    settled(page)
    assert serious(page) == []


@pytest.fixture(scope="module")
def scored_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard over runs with a score for each pair, texts and an audit."""
    root = tmp_path_factory.mktemp("place") / "runs"
    scored_runs(root)
    with serving(root) as url:
        yield url


@pytest.mark.parametrize("path", ["/", "/compare?runs=run-00,run-01", "/pairs", "/run/run-00"])
@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_no_page_of_scored_runs_has_one(scored_url, open_page, path, width, theme):
    page = open_page(scored_url + path, width=width, height=844, theme=theme)
    settled(page)
    page.evaluate("document.querySelectorAll('#content details:not(.menu)').forEach((one) => { one.open = true; })")
    assert serious(page) == []


def test_empty_pages_have_none(empty_url, open_page):
    page = open_page(empty_url)
    for path in ("/", "/curves", "/hyperparameters", "/compare", "/pairs"):
        page.goto(empty_url + path)
        settled(page)
        assert serious(page) == [], path


def test_the_import_drawer_has_none(url, open_page):
    page = open_page(url)
    settled(page)
    page.get_by_role("button", name="Import").click()
    page.locator("#import-drawer.show").wait_for()
    page.wait_for_timeout(600)
    assert serious(page) == []


def test_every_control_is_reached_by_the_keyboard_and_shows_it(url, open_page):
    """From the top of the page, 12 times Tab: focus moves each time, and what has it has an outline or a ring."""
    page = open_page(url)
    settled(page)
    seen = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        where, ring = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " const next = e.nextElementSibling ? getComputedStyle(e.nextElementSibling) : s;"
            " return [e.outerHTML.slice(0, 120), [s.outlineStyle, s.boxShadow, next.outlineStyle].join(' ')]; }"
        )
        seen.add(where)
        assert ring != "none none none", where
    assert len(seen) >= 10
