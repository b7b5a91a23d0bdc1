"""The Leaderboard as a user sees it."""

import csv
import json
import re
import time
from pathlib import Path

import pytest
from conftest import serving
from make_runs import START, make_run, write_json
from playwright.sync_api import expect


def names(page) -> list[str]:
    """The run names from top to bottom."""
    cells = page.locator("#run-table [col-id=name].ag-cell")
    expect(cells.first).to_be_visible()
    return [text for _, text in sorted((cell.bounding_box()["y"], cell.inner_text().strip()) for cell in cells.all())]


def cell(page, run: str, column: str):
    return page.locator(f'#run-table [row-id="{run}"] [col-id="{column}"]')


def log_evaluation(run: Path, step: int, accuracy: float) -> None:
    """What a training run does at an evaluation: a line, then the small file by rename."""
    line = {"step": step, "epoch": 1.0, "time": START + step, "eval/loss": 0.4, "eval/rewards/accuracies": accuracy}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    latest = json.loads((run / "latest.json").read_text())
    values = {"eval/loss": 0.4, "eval/rewards/accuracies": accuracy}
    for kind in ("best", "metrics"):
        latest[kind] |= values
    write_json(run / "latest.json", {**latest, "best_step": step, "step": step})


def test_the_answer_and_the_ranking_are_on_the_first_page(url, open_page):
    page = open_page(url)
    expect(page.locator("#leaderboard-answer")).to_contain_text("good has the highest reward accuracy")
    expect(page.locator("#leaderboard-answer")).to_contain_text("Beta differs (0.1–0.5): eval loss is not comparable")
    expect(page.locator("#leaderboard-answer")).to_contain_text("Not ranked: 1 running")
    assert names(page) == ["good", "middling", "other-beta", "live"]
    expect(cell(page, "good", "versus")).to_have_text("best")


def test_a_running_run_updates_within_three_seconds_and_keeps_selection_and_sort(url, runs, open_page):
    """In the best of three attempts: a machine that is busy with something else may take longer."""
    page = open_page(url)
    page.locator('#run-table [row-id="middling"] input[type=checkbox]').check()
    page.locator("#run-table .ag-header-cell[col-id=margin] .ag-header-cell-text").click()
    sorted_by_margin = names(page)
    took = []
    for step, right in ((120, 426), (130, 432), (140, 438)):
        share = f"{right / 600:.1%}"
        expect(cell(page, "live", "accuracy")).not_to_contain_text(share)
        page.wait_for_timeout(500)
        log_evaluation(runs / "live", step, right / 600)
        start = time.monotonic()
        expect(cell(page, "live", "accuracy")).to_contain_text(share)
        took.append(time.monotonic() - start)
        if took[-1] < 3:
            break
    assert min(took) < 3
    assert names(page) == sorted_by_margin
    expect(page.locator('#run-table [row-id="middling"] input[type=checkbox]')).to_be_checked()
    expect(page.locator("#leaderboard-selected")).to_have_text("1 run selected")


def test_nothing_is_sent_while_nothing_changes(url, open_page):
    """On a busy machine the page itself may take some of these seconds to be there whole: five spans are looked at."""
    page = open_page(url)
    names(page)
    sent = []
    page.on("request", lambda request: sent.append(request.url.removeprefix(url)))
    for _ in range(5):
        page.wait_for_timeout(2_200)
        asked = set(sent)
        sent.clear()
        if asked == {"/api/version"}:
            break
    assert asked == {"/api/version"}


def test_ranking_by_loss_reorders_the_table_and_the_link_keeps_the_choice(url, open_page):
    page = open_page(url)
    names(page)
    page.get_by_text("Eval loss", exact=True).first.click()
    expect(page.locator("#leaderboard-answer")).to_contain_text("has the lowest eval loss")
    page.wait_for_function("() => location.search.includes('rank=loss')")
    again = open_page(page.url)
    expect(again.locator("#leaderboard-answer")).to_contain_text("has the lowest eval loss")


def test_selected_runs_are_drawn_on_curves(url, open_page):
    page = open_page(url)
    names(page)
    for run in ("good", "other-beta"):
        page.locator(f'#run-table [row-id="{run}"] input[type=checkbox]').check()
    page.get_by_role("link", name="Show curves").click()
    expect(page.locator("#curves-legend")).to_contain_text("good")
    expect(page.locator("#curves-legend")).to_contain_text("other-beta")
    expect(page.locator("#curves-legend")).not_to_contain_text("middling")
    page.get_by_role("link", name="Leaderboard").click()
    expect(page.locator('#run-table [row-id="good"] input[type=checkbox]')).to_be_checked()


def test_clicking_a_point_selects_its_run(url, open_page):
    page = open_page(url)
    names(page)
    page.locator("#leaderboard-chart").scroll_into_view_if_needed()
    point = page.locator("#leaderboard-scatter .scatterlayer .trace .point").first
    point.click(force=True)
    expect(page.locator("#leaderboard-selected")).to_have_text("1 run selected")


def test_the_first_run_turns_the_empty_page_into_the_table(tmp_path, open_page):
    with serving(tmp_path / "runs") as url:
        page = open_page(url)
        expect(page.locator(".empty")).to_contain_text("No runs yet")
        expect(page.locator(".empty")).to_contain_text("make demo")
        report = page.get_by_role("button", name="Download report")
        expect(report).to_be_disabled()
        expect(report).to_have_attribute("title", "There are no runs to report on.")
        make_run(tmp_path / "runs", "first", skill=0.8)
        assert names(page) == ["first"]
        expect(report).to_be_enabled()
        page.close()


def test_the_theme_follows_the_system_and_the_button_without_a_request(url, open_page):
    page = open_page(url, theme="dark")
    names(page)
    root = page.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "dark")
    expect(page.locator("#leaderboard-findings")).to_contain_text("beta", ignore_case=True)
    page.wait_for_timeout(2_500)  # what comes after the table has come
    posts = []
    page.on("request", lambda request: posts.append(request) if request.method == "POST" else None)
    page.locator("#theme-toggle").click()
    expect(root).to_have_attribute("data-bs-theme", "light")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(246, 247, 249)"
    assert posts == []
    page.reload()
    expect(root).to_have_attribute("data-bs-theme", "light")


@pytest.mark.parametrize("path", ["/", "/curves"])
@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_scrolls_sideways(url, open_page, path, width):
    page = open_page(url + path, width=width, height=844)
    page.locator("#leaderboard-chart, .js-plotly-plot").first.scroll_into_view_if_needed()
    expect(page.locator(".js-plotly-plot .scatterlayer").first).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("query", ["?rank=%3Cscript%3E&at=7", "?runs=a&runs=b%25zz", "?nonsense=1&rank=loss&rank=x"])
def test_hostile_links_show_the_page(url, open_page, query):
    page = open_page(f"{url}/{query}")
    assert "good" in names(page)


def test_an_unknown_page_says_so(url, open_page):
    page = open_page(f"{url}/nowhere")
    expect(page.locator("#content")).to_contain_text("There is no such page")


def test_groups_have_mean_and_spread_and_open_to_their_runs(url, open_page):
    """Of beta 0.1 good and middling are finished, which gives a mean with a spread; `live` does not count."""
    page = open_page(url)
    names(page)
    page.locator("#leaderboard-group").select_option("config.beta")
    groups = page.locator(".group-toggle")
    expect(groups).to_have_count(2)
    expect(page.locator("#run-table [col-id=accuracy] .accuracy-interval", has_text="±")).to_have_count(1)
    page.get_by_role("button", name="0.1 3").click()
    expect(page.locator('#run-table [row-id="middling"]').first).to_be_visible()
    expect(page.locator('#run-table [row-id="other-beta"]')).to_have_count(0)
    page.wait_for_function("() => location.search.includes('group=config.beta')")


def test_a_groups_checkbox_stands_for_its_runs(url, open_page):
    """Of beta 0.1 are good, middling and live; a search leaves out what it does not find."""
    page = open_page(f"{url}/?group=config.beta")
    box = page.get_by_label("Select the runs of 0.1")
    every = page.locator("#run-table .ag-header-select-all input")
    said = page.locator("#leaderboard-selected")

    def some(found):
        return page.wait_for_function("box => box.indeterminate", arg=found.element_handle())

    box.click()
    expect(said).to_have_text("3 runs selected")
    expect(box).to_be_checked()
    some(every)
    page.get_by_role("button", name="0.1 3").click()
    page.locator('#run-table [row-id="good"] input[type=checkbox]').uncheck()
    expect(said).to_have_text("2 runs selected")
    some(box)
    every.click()
    expect(said).to_have_text("4 runs selected")
    expect(box).to_be_checked()
    expect(page.get_by_label("Select the runs of 0.5")).to_be_checked()
    every.click()
    expect(said).to_have_text("Select runs to see their curves.")
    expect(box).not_to_be_checked()
    page.locator("#leaderboard-search").fill("middling")
    expect(page.locator(".group-toggle")).to_have_count(1)
    box.click()
    expect(said).to_have_text("1 run selected")
    page.locator("#leaderboard-search").fill("")
    expect(page.locator(".group-toggle")).to_have_count(2)
    some(box)


def test_groups_are_opened_and_selected_by_the_keyboard(url, open_page):
    page = open_page(f"{url}/?group=config.beta")
    expect(page.get_by_label("Select the runs of 0.1")).to_be_visible()
    page.locator("#run-table .ag-row .ag-cell[col-id=name]", has_text="0.1").focus()
    page.keyboard.press("Space")
    expect(page.locator("#leaderboard-selected")).to_have_text("3 runs selected")
    page.keyboard.press("Enter")
    expect(page.locator('#run-table [row-id="middling"]').first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/run/good")


def test_a_grouped_table_is_exported_with_the_runs_of_open_groups(url, open_page):
    page = open_page(f"{url}/?group=config.beta&columns=name,accuracy")
    page.get_by_role("button", name="0.1 3").click()
    expect(page.locator('#run-table [row-id="middling"]').first).to_be_visible()
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    head, *rows = csv.reader(Path(download.value.path()).read_text().splitlines())
    place = head.index("id")
    assert [(row[0], row[place]) for row in rows] == [
        ("0.1", ""), ("0.1", "good"), ("0.1", "middling"), ("0.1", "live"), ("0.5", "")
    ]  # fmt: skip


def test_the_link_restores_search_sort_and_selection(url, open_page):
    page = open_page(url)
    names(page)
    page.locator("#leaderboard-search").fill("beta=0.1")
    page.locator("#run-table .ag-header-cell[col-id=loss] .ag-header-cell-text").click()
    page.locator('#run-table [row-id="middling"] input[type=checkbox]').check()
    page.wait_for_function(
        "() => ['search=', 'sort=loss', 'runs=middling'].every((part) => location.search.includes(part))"
    )
    shown = names(page)
    assert "other-beta" not in shown
    again = open_page(page.url)
    assert names(again) == shown
    expect(again.locator("#leaderboard-selected")).to_have_text("1 run selected")


def test_columns_are_chosen_and_remembered(url, open_page):
    page = open_page(url)
    names(page)
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Margin", exact=True).uncheck()
    expect(page.locator("#run-table .ag-header-cell[col-id=margin]")).to_have_count(0)
    page.goto(url)
    names(page)
    expect(page.locator("#run-table .ag-header-cell[col-id=margin]")).to_have_count(0)
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("button", name="Reset columns").click()
    expect(page.locator("#run-table .ag-header-cell[col-id=margin]")).to_have_count(1)


def test_what_is_shown_is_exported(url, open_page):
    page = open_page(f"{url}/?search=good&columns=name,accuracy")
    names(page)
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0] == "id,name,accuracy"
    assert len(lines) == 2
    assert lines[1].startswith("good,good,0.8")


def test_a_name_leads_to_the_page_of_its_run(url, open_page):
    page = open_page(url)
    names(page)
    page.locator('#run-table [row-id="good"] .run-link').click()
    page.wait_for_url("**/run/good")
    expect(page.get_by_role("heading", name="good")).to_be_visible()
    page.go_back()
    expect(cell(page, "good", "versus")).to_have_text("best")


def test_small_curves_and_findings_come_after_the_table(url, open_page):
    page = open_page(url)
    names(page)
    expect(cell(page, "good", "curve").locator("svg path")).to_have_attribute("d", re.compile("^M.*L"))
    expect(page.locator("#leaderboard-findings")).to_contain_text("beta", ignore_case=True)
    expect(page.locator("#run-table [col-id=findings] .badge-pill").first).to_be_visible()


def test_runs_are_seen_at_a_step_that_all_have_reached(url, open_page):
    """`live` has logged 60 of 200 steps, and is evaluated each 20: at step 60 all four are there."""
    page = open_page(f"{url}/?at=step&step=60")
    expect(page.locator("#leaderboard-answer")).to_contain_text("4 of 4 runs were evaluated within 5% of step 60")
    expect(cell(page, "good", "step")).to_contain_text("60 / 200")


def test_on_a_phone_the_accuracy_is_beside_the_name(url, open_page):
    page = open_page(url, width=390, height=844)
    names(page)
    box = cell(page, "good", "accuracy").bounding_box()
    assert box["x"] + box["width"] <= 390
