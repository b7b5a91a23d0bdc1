"""The Curves page as a user sees it."""

import json

from conftest import serving
from make_runs import START, make_run
from playwright.sync_api import expect


def lines(page, panel: str):
    return page.locator(f"#curves-{panel} .scatterlayer .trace")


LENGTHS = "(id) => document.querySelector(`#${id} .js-plotly-plot`).data.map(({y}) => (y._inputArray || y).length)"


def points(page, panel: str) -> list[int]:
    """How many points each line of the panel has."""
    return page.evaluate(LENGTHS, f"curves-{panel}")


def shown_range(page, panel: str) -> list[float]:
    """The ends of the x axis as they are drawn."""
    return page.evaluate(
        "(id) => [...document.querySelector(`#${id} .js-plotly-plot`)._fullLayout.xaxis.range]", f"curves-{panel}"
    )


def zoom_in(page, panel: str) -> None:
    """Drags across the middle of a chart, as a user does."""
    before = shown_range(page, panel)
    plot = page.locator(f"#curves-{panel} .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_function(
        "([id, end]) => document.querySelector(`#${id} .js-plotly-plot`)._fullLayout.xaxis.range[1] < end",
        arg=[f"curves-{panel}", before[1]],
    )


def test_every_panel_draws_the_chosen_runs(url, open_page):
    """Two runs: two lines per metric, and two metrics (chosen, rejected) for rewards and log-probabilities."""
    page = open_page(f"{url}/curves?runs=good,other-beta")
    expect(lines(page, "rewards")).to_have_count(4)
    expect(lines(page, "logps")).to_have_count(4)
    for panel in ("margin", "accuracy", "loss"):
        expect(lines(page, panel)).to_have_count(2)
    expect(page.locator("#curves-notes")).to_contain_text("Beta differs (0.1–0.5)")
    expect(page.locator("#curves-loss")).to_contain_text("untrained: ln 2")


def test_train_smoothing_and_nats_change_the_charts_and_the_link(url, open_page):
    page = open_page(f"{url}/curves?runs=good&smooth=0.5")
    expect(lines(page, "rewards")).to_have_count(4)
    page.get_by_text("Training", exact=True).click()
    page.get_by_text("Nats (reward / beta)", exact=True).click()
    expect(page.locator("#curves-margin")).to_contain_text("reward / beta (nats)")
    page.get_by_text("Epoch", exact=True).click()
    expect(page.locator("#curves-margin")).to_contain_text("epoch")
    page.wait_for_function("() => location.search.includes('unit=nats') && location.search.includes('x=epoch')")
    again = open_page(page.url)
    expect(again.locator("#curves-margin")).to_contain_text("reward / beta (nats)")
    assert max(points(again, "loss")) == 40


def test_a_running_run_grows_and_the_zoom_stays(url, runs, open_page):
    page = open_page(f"{url}/curves?runs=live")
    expect(lines(page, "loss")).to_have_count(1)
    before = points(page, "loss")[0]
    zoom_in(page, "loss")
    zoomed = shown_range(page, "loss")
    line = {"step": 180, "epoch": 1.8, "time": START + 180, "eval/loss": 0.41}
    with (runs / "live" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    page.wait_for_function(f"(n) => ({LENGTHS})('curves-loss')[0] === n", arg=before + 1)
    assert shown_range(page, "loss") == zoomed


def test_a_run_without_curves_says_so(empty_url, open_page):
    page = open_page(empty_url)
    content = b"Name,beta,eval/loss\nlonely,0.1,0.5\n"
    page.locator("#upload input[type=file]").set_input_files(
        {"name": "one.csv", "mimeType": "text/csv", "buffer": content}
    )
    page.locator("#run-table .ag-row input[type=checkbox]").first.check()
    page.get_by_role("link", name="Show curves").click()
    expect(page.locator("#curves-notes")).to_contain_text("lonely: no curves. Their source has only the last")


def test_no_run_chosen_says_what_to_do(empty_url, open_page):
    page = open_page(f"{empty_url}/curves?runs=unknown")
    expect(page.locator("#curves-notes")).to_contain_text("No run chosen")


def test_a_hostile_run_name_is_shown_letter_by_letter_when_a_point_is_hovered(tmp_path, open_page):
    name = "<b>x<a href='https:'>link<b>"
    make_run(tmp_path / "runs", name)
    with serving(tmp_path / "runs") as url:
        page = open_page(f"{url}/curves")
        marker = page.locator("#curves-loss .scatterlayer .point").nth(5)
        marker.scroll_into_view_if_needed()
        box = marker.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=5)
        label = page.locator("#curves-loss .hoverlayer .hovertext")
        expect(label).to_contain_text(name)
        expect(label.locator("a, [style*='bold']")).to_have_count(0)
