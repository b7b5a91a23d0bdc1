"""The Curves page as a user sees it."""

import json

from conftest import serving
from make_runs import START, make_run
from playwright.sync_api import expect

CHART = ".curves-panel[data-panel='{}'] .js-plotly-plot"


def chart(page, panel: str):
    return page.locator(CHART.format(panel))


def lines(page, panel: str):
    return chart(page, panel).locator(".scatterlayer .trace")


def points(page, panel: str) -> list[int]:
    """How many points each line of the panel has."""
    return chart(page, panel).evaluate("(chart) => chart._fullData.map((trace) => trace.x.length)")


def shown_range(page, panel: str) -> list[float]:
    """The ends of the x axis as they are drawn."""
    return chart(page, panel).evaluate("(chart) => [...chart._fullLayout.xaxis.range]")


def pixel(page, panel: str, x: float, y: float) -> tuple[float, float]:
    """Where a share of the plot's width and height is on the screen."""
    plot = chart(page, panel).locator(".nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def zoom_in(page, panel: str) -> list[float]:
    """Drags across the middle of a chart, as a user does; the range that is shown then."""
    before = shown_range(page, panel)
    page.mouse.move(*pixel(page, panel, 0.2, 0.5))
    page.mouse.down()
    page.mouse.move(*pixel(page, panel, 0.6, 0.5), steps=5)
    page.mouse.up()
    page.wait_for_function(
        "([at, end]) => document.querySelector(at)._fullLayout.xaxis.range[1] < end",
        arg=[CHART.format(panel), before[1]],
    )
    return shown_range(page, panel)


def test_every_panel_draws_the_chosen_runs_and_says_what_not_to_compare(url, open_page):
    """Two runs: two lines per metric, and two metrics (chosen, rejected) for rewards and log-probabilities."""
    page = open_page(f"{url}/curves?runs=good,other-beta")
    expect(lines(page, "rewards")).to_have_count(4)
    for panel, count in (("margin", 2), ("accuracy", 2), ("loss", 2), ("logps", 4)):
        chart(page, panel).scroll_into_view_if_needed()
        expect(lines(page, panel)).to_have_count(count)
    expect(page.locator("#curves-notes")).to_contain_text("Beta differs (0.1–0.5)")
    expect(chart(page, "loss")).to_contain_text("untrained: ln 2")


def test_a_panel_below_the_fold_is_fetched_when_it_comes_into_view(url, open_page):
    page = open_page(f"{url}/curves?runs=good", width=390, height=600)
    expect(lines(page, "rewards")).to_have_count(2)
    expect(lines(page, "logps")).to_have_count(0)
    chart(page, "logps").scroll_into_view_if_needed()
    expect(lines(page, "logps")).to_have_count(2)


def test_a_link_restores_all_that_is_chosen(url, open_page):
    page = open_page(f"{url}/curves?runs=good,middling&smooth=0.5")
    expect(lines(page, "rewards")).to_have_count(8)
    page.get_by_text("Training", exact=True).click()
    page.get_by_text("Nats (reward / beta)", exact=True).click()
    page.get_by_text("Epoch", exact=True).click()
    page.get_by_text("Log x", exact=True).click()
    page.get_by_role("button", name="Hide middling").click()
    expect(lines(page, "rewards")).to_have_count(4)
    page.wait_for_function("() => location.search.includes('hidden=middling') && location.search.includes('x=epoch')")
    again = open_page(page.url)
    expect(again.locator(CHART.format("rewards"))).to_contain_text("reward / beta (nats)")
    expect(again.locator(CHART.format("rewards"))).to_contain_text("epoch")
    expect(lines(again, "rewards")).to_have_count(4)
    assert max(points(again, "rewards")) == 40
    expect(again.get_by_role("button", name="Show middling")).to_be_visible()


def test_any_metric_becomes_a_panel_that_can_be_taken_away(url, open_page):
    page = open_page(f"{url}/curves?runs=good&panels=loss")
    expect(lines(page, "loss")).to_have_count(1)
    page.locator("#curves-add").click()
    page.get_by_text("gradient norm (grad_norm)").click()
    expect(lines(page, "grad_norm")).to_have_count(1)
    expect(page.locator(".curves-panel[data-panel=grad_norm]")).to_contain_text("Logged in training only.")
    page.get_by_role("button", name="Remove Loss").click()
    expect(page.locator(".curves-panel")).to_have_count(1)
    page.wait_for_function("() => location.search.includes('panels=grad_norm')")


def test_a_zoom_is_one_for_all_charts_is_in_the_link_and_ends_by_a_double_click(url, open_page):
    page = open_page(f"{url}/curves?runs=good,middling&split=train&panels=loss,margin")
    for panel in ("loss", "margin"):
        expect(lines(page, panel)).to_have_count(2)
    whole = points(page, "loss")
    zoomed = zoom_in(page, "loss")
    page.wait_for_function(
        "([at, count]) => document.querySelector(at)._fullData[0].x.length < count",
        arg=[CHART.format("margin"), whole[0]],
    )
    assert shown_range(page, "margin") == zoomed
    page.wait_for_function("() => location.search.includes('zoom=')")
    again = open_page(page.url)
    expect(lines(again, "margin")).to_have_count(2)
    assert shown_range(again, "margin") == zoomed
    page.mouse.dblclick(*pixel(page, "loss", 0.5, 0.5))
    page.wait_for_function(
        "([at, count]) => document.querySelector(at)._fullData[0].x.length === count",
        arg=[CHART.format("margin"), whole[0]],
    )


def test_the_pointer_names_the_run_and_the_legend_lists_the_values(url, open_page):
    page = open_page(f"{url}/curves?runs=good,other-beta&panels=accuracy")
    expect(lines(page, "accuracy")).to_have_count(2)
    place = """([at, trace, i]) => { const chart = document.querySelector(at), box = chart.getBoundingClientRect();
        const {xaxis: x, yaxis: y} = chart._fullLayout, {x: xs, y: ys} = chart._fullData[trace];
        return [box.left + x._offset + x.d2p(xs[i]), box.top + y._offset + y.d2p(ys[i])]; }"""
    page.mouse.move(*page.evaluate(place, [CHART.format("accuracy"), 0, 6]))
    expect(page.locator("#curves-tip")).to_contain_text("good")
    expect(page.locator("#curves-tip")).to_contain_text("% at step 120")
    values = page.locator("#curves-legend .curves-value")
    expect(values.nth(0)).to_contain_text("%")
    expect(values.nth(1)).to_contain_text("%")
    page.mouse.click(*page.evaluate(place, [CHART.format("accuracy"), 1, 9]))
    expect(page.locator(".curves-pin[aria-pressed=true]")).to_contain_text("other-beta")
    page.wait_for_function("() => location.search.includes('pins=other-beta')")


def test_the_legend_is_usable_by_keyboard(url, open_page):
    page = open_page(f"{url}/curves?runs=good,middling,other-beta&panels=loss")
    expect(lines(page, "loss")).to_have_count(3)
    page.locator(".curves-pin").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".curves-pin[aria-pressed=true]")).to_contain_text("middling")
    expect(page.locator("#curves-legend [tabindex='0']")).to_have_count(2)


def test_seeds_become_a_mean_and_a_band(tmp_path, open_page):
    for seed in (1, 2):
        make_run(tmp_path / "runs", f"dpo-seed{seed}", seed=seed)
        config = tmp_path / "runs" / f"dpo-seed{seed}" / "config.json"
        head = json.loads(config.read_text())
        config.write_text(json.dumps({**head, "config": {**head["config"], "seed": seed}}))
    with serving(tmp_path / "runs") as url:
        page = open_page(f"{url}/curves?panels=loss")
        expect(lines(page, "loss")).to_have_count(2)
        page.get_by_text("Seeds as band").click()
        expect(lines(page, "loss")).to_have_count(3)
        expect(page.locator("#curves-legend")).to_contain_text("dpo (2 seeds)")
        page.mouse.move(*pixel(page, "loss", 0.5, 0.5))
        page.mouse.move(*pixel(page, "loss", 0.2, 0.5))
        expect(page.locator("#curves-tip")).to_contain_text("mean of 2 seeds")
        page.close()


def test_a_running_run_grows_by_its_new_points_alone_and_the_zoom_stays(url, runs, open_page):
    page = open_page(f"{url}/curves?runs=live&panels=loss&zoom=20,190")
    expect(lines(page, "loss")).to_have_count(1)
    before, zoomed = points(page, "loss")[0], shown_range(page, "loss")
    sent: list[str] = []
    page.on("response", lambda answer: sent.append(answer.text()) if answer.status == 200 else None)
    line = {"step": 180, "epoch": 1.8, "time": START + 180, "eval/loss": 0.41}
    with (runs / "live" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    page.wait_for_function(
        "([at, count]) => document.querySelector(at)._fullData[0].x.length === count",
        arg=[CHART.format("loss"), before + 1],
    )
    assert shown_range(page, "loss") == zoomed
    charts = [text for text in sent if "curves-graph" in text]
    assert len(charts) == 1
    assert '"extendData":[{"x":[[180.0]],"y":[[0.41]]},[0]]' in charts[0]
    assert "figure" not in charts[0]


def test_runs_without_curves_say_why_and_what_to_import(tmp_path, open_page):
    (tmp_path / "runs" / "lonely").mkdir(parents=True)
    with serving(tmp_path / "runs") as url:
        page = open_page(f"{url}/curves")
        expect(page.locator("#curves-empty")).to_contain_text("No runs yet")
        make_run(tmp_path / "runs", "fresh", done=-1.0, status="running")
        page.goto(f"{url}/curves?runs=fresh")
        expect(page.locator("#curves-empty")).to_contain_text("fresh: no curves")
        expect(page.locator("#curves-empty")).to_contain_text("Nothing has been logged yet")
        page.close()


def test_a_hostile_run_name_is_shown_letter_by_letter(tmp_path, open_page):
    name = "<b>x<a href='https:'>link<b>"
    make_run(tmp_path / "runs", name)
    with serving(tmp_path / "runs") as url:
        page = open_page(f"{url}/curves?panels=loss")
        expect(lines(page, "loss")).to_have_count(1)
        expect(page.locator("#curves-legend")).to_contain_text(name)
        page.mouse.move(*pixel(page, "loss", 0.1, 0.1))
        page.mouse.move(*pixel(page, "loss", 0.12, 0.2))
        expect(page.locator("#curves-tip")).to_contain_text(name)
        expect(page.locator("#curves-tip a, #curves-legend a")).to_have_count(0)
        page.close()
