"""The HTML report as a reader sees it: opened from a file, without a network."""

from pathlib import Path

import pytest
from reports import NAMES, scored_run, table

from dashboard import report

WIDTHS, THEMES = (390, 1440), ("light", "dark")
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """Reports on three runs of our own with curves and scores, on 300 foreign ones with odd names, on one, on none."""
    place = tmp_path_factory.mktemp("reports")
    for name, right in (("good run", 360), ("near", 352), ("far", 280)):
        scored_run(place / "own", name, 240, right, beta=0.1 if name == "far" else 0.2)
    scored_run(place / "none", "never")
    rows = [
        [name, "finished", 0.1 * (1 + n % 4), 1e-6 * (n + 1), 0.4 + n / 300, 0.9 - n / 1000, 50]
        for n, name in enumerate([*NAMES, *(f"sweep-{n}" for n in range(300 - len(NAMES)))])
    ]
    for name, count in (("many", 300), ("one", 1)):
        (place / f"{name}.csv").write_text(table(rows[:count]), encoding="utf-8")
    sources = {"own": "own", "many": "many.csv", "one": "one.csv", "none": "none"}
    for name, source in sources.items():
        assert report.main([str(place / source), "--format", "html", "--out", str(place / f"{name}.html")]) == 0
    return {name: place / f"{name}.html" for name in sources}


@pytest.fixture
def open_file(browser):
    """open_file(path, width, theme): a page without a network; anything it asks for or complains of fails the test."""
    contexts, problems = [], []

    def open_(path: Path, width: int = 1440, theme: str = "light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"page error: {error}"))
        page.on("console", lambda said: problems.append(f"console {said.type}: {said.text}"))
        own = path.as_uri()
        page.on("request", lambda asked: asked.url.startswith(("data:", "blob:", own)) or problems.append(asked.url))
        page.goto(own)
        page.wait_for_function(
            "[...document.querySelectorAll('.js-plotly-plot')].every(plot => plot.querySelector('.main-svg'))"
        )
        return page

    yield open_
    for context in contexts:
        context.close()
    assert problems == []


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["own", "many", "one", "none"])
def test_a_report_opens_without_a_network_and_fits_the_screen(pages, open_file, name, width, theme):
    page = open_file(pages[name], width, theme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = """() => [...document.querySelectorAll('h1, h2, h3, p, li, .finding, .js-plotly-plot, .main-svg')]
        .filter(found => found.getBoundingClientRect().right > innerWidth + 1).map(found => found.textContent)"""
    assert page.evaluate(outside) == []
    assert page.locator("section.verdict p").count() == (1 if name == "none" else 3)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_chart_is_drawn_with_its_lines(pages, open_file, width):
    page = open_file(pages["own"], width)
    titles = page.locator("h3").all_inner_texts()
    assert titles[:2] == [
        "Reward accuracy with its 95% interval; in blue, what is not told apart from the best, in grey the others",
        "Eval loss against reward accuracy",
    ]
    assert titles[2:] == ["Reward accuracy", "Loss"]
    points = "plots => plots.map(plot => plot.querySelectorAll('.scatterlayer .point').length)"
    assert page.locator(".js-plotly-plot").evaluate_all(points) == [3, 3, 6, 6]
    heights = "plots => plots.map(plot => plot.querySelector('.main-svg').getBoundingClientRect().height)"
    assert min(page.locator(".js-plotly-plot").evaluate_all(heights)) > 100


def test_light_and_dark_follow_the_reader(pages, open_file):
    light, dark = (open_file(pages["own"], 1440, theme).evaluate(BACKGROUND) for theme in THEMES)
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(20, 24, 29)")


@pytest.mark.parametrize("width", WIDTHS)
def test_no_word_of_the_tables_head_is_broken_but_at_an_underscore(pages, open_file, width):
    """A word is on one line if it is no taller than a line."""
    page = open_file(pages["many"], width)
    tall = """() => [...document.querySelectorAll('th')].filter(head => {
        const range = document.createRange();
        return [...head.childNodes].filter(node => node.nodeType === 3).some(node =>
            [...node.data.matchAll(/[^ ]+/g)].some(word => {
                range.setStart(node, word.index);
                range.setEnd(node, word.index + word[0].length);
                return range.getClientRects().length > 1;
            }));
    }).map(head => head.textContent)"""
    assert page.evaluate(tall) == []


def test_the_best_run_stands_out_and_the_table_can_be_scrolled_by_keyboard(pages, open_file):
    page = open_file(pages["own"], 390)
    assert page.locator("tr.best td").nth(1).inner_text() == "good run"
    assert page.locator(".wide").get_attribute("tabindex") == "0"
    wide = "table => table.scrollWidth > table.clientWidth && document.documentElement.scrollWidth <= innerWidth"
    assert page.locator(".wide").evaluate(wide)


def test_three_hundred_runs_are_all_in_the_table_and_the_charts_say_what_they_leave_out(pages, open_file):
    page = open_file(pages["many"], 1440)
    assert page.locator("tbody tr").count() == 300
    assert "260 more not drawn" in page.locator(".js-plotly-plot").first.inner_text()
    assert page.get_by_text("The first 36 of 300 runs.").count() >= 1
    assert page.locator("tbody tr td").nth(1).bounding_box()["width"] < 500
