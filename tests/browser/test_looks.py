"""What is seen of a long report, of its charts, and while a page is on its way."""

import pytest
from reports import run, table


@pytest.fixture
def opened(browser, tmp_path, capsys):
    """opened(names): the report on runs of these names; anything that the browser says of it fails the test."""
    contexts, said = [], []

    def open_(names):
        rows = [[name, "finished", 0.1, 1e-6, 0.4 + n / 300, 0.9 - n / 1000, 50] for n, name in enumerate(names)]
        (tmp_path / "runs.csv").write_text(table(rows), encoding="utf-8")
        code, _, problem = run(capsys, tmp_path / "runs.csv", "--format", "html", "--out", tmp_path / "report.html")
        assert code == 0, problem
        contexts.append(browser.new_context(viewport={"width": 1440, "height": 900}, offline=True))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_function(
            "[...document.querySelectorAll('.js-plotly-plot')].every(p => p.querySelector('.main-svg'))"
        )
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []


def test_what_follows_a_long_table_is_not_far_and_its_head_stays(opened):
    page = opened([f"run {n}" for n in range(300)])
    assert page.locator(".wide").bounding_box()["height"] <= 720
    page.locator(".wide").evaluate("table => { table.scrollTop = 5000; }")
    top, head = page.locator(".wide").bounding_box()["y"], page.locator("thead th").first.bounding_box()["y"]
    assert head == pytest.approx(top, abs=1)


def test_the_numbers_at_a_chart_are_as_dark_as_the_fine_print(opened):
    page = opened(["a", "b"])
    fill = "text => getComputedStyle(text).fill"
    assert page.locator(".xtick text").first.evaluate(fill) == "rgb(92, 101, 112)"
    assert page.locator(".ytick text").first.evaluate(fill) == "rgb(92, 101, 112)"


def test_a_name_with_dollars_asks_for_no_typesetting(opened):
    page = opened(["$x$", "b"])
    assert "$x$" in page.locator(".js-plotly-plot").first.inner_text()


def test_a_page_on_its_way_is_no_blank_one(empty_url, open_page):
    page = open_page(empty_url)
    page.locator(".empty").wait_for()
    height = "() => parseFloat(getComputedStyle(document.getElementById('_pages_content'), '::after').height)"
    assert not page.evaluate(height) > 0
    page.evaluate("() => { document.getElementById('_pages_content').innerHTML = ''; }")
    assert page.evaluate(height) > 500
