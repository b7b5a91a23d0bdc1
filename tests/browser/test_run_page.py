"""The Run page as a user sees it."""

import json
import shutil
from urllib.parse import quote

import pytest
from conftest import serving
from make_runs import START, make_run
from playwright.sync_api import expect

NAMES = ("100% sure? yes & no", '50%25 #1 ünï 漢字 🙂 + "q"')

POINTS = "(id) => document.querySelector(`#${id} .js-plotly-plot`).data.map(({y}) => (y._inputArray || y).length)"
RANGE = "(id) => [...document.querySelector(`#${id} .js-plotly-plot`)._fullLayout.xaxis.range]"


def answers(directory, steps=(0, 50, 100)) -> None:
    """Two prompts, each answered at each step."""
    rows = [
        {"step": step, "prompt": prompt, "base": f"<b>Base</b> to {prompt}", "dpo": f"Policy {step} to {prompt}"}
        for step in steps
        for prompt in ("Why is **it** so?", "What else?")
    ]
    with (directory / "samples.jsonl").open("a") as file:
        file.writelines(json.dumps({**row, "ended": True, "tokens": 5}) + "\n" for row in rows)


@pytest.fixture(scope="module", autouse=True)
def sampled(runs):
    answers(runs / "good")
    answers(runs / "live", (0,))


def log(directory, step: int, **metrics: float) -> None:
    line = {"step": step, "epoch": step / 100, "time": START + 0.2 * step, **metrics}
    with (directory / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def test_the_page_says_what_came_of_the_run(url, open_page):
    page = open_page(f"{url}/run/good")
    expect(page.get_by_role("heading", level=1)).to_have_text("good")
    expect(page.locator("#run-head")).to_contain_text("finished")
    expect(page.locator("#run-verdict")).to_contain_text("1 of ")
    expect(page.locator("#run-verdict")).to_contain_text("It is better than the base model")
    expect(page.locator("#run-chart-rewards .scatterlayer .trace")).to_have_count(4)
    expect(page.locator("#run-system")).to_contain_text("Nothing of the machine was logged")
    page.get_by_role("button", name="Configuration").click()
    expect(page.locator("#run-setup")).to_be_in_viewport()
    rows = page.locator("#run-arguments tbody tr:visible")
    before = rows.count()
    page.get_by_label("Search the arguments").fill("learn rate")
    expect(rows).to_have_count(1)
    page.get_by_label("Search the arguments").fill("nothing like it")
    expect(page.locator("#run-no-match")).to_be_visible()
    page.get_by_label("Search the arguments").fill("")
    expect(rows).to_have_count(before)
    expect(page.locator("#run-setup")).to_contain_text("python -m training.run --beta 0.1")


def test_answers_are_shown_as_text_and_the_link_restores_them(url, open_page):
    page = open_page(f"{url}/run/good")
    expect(page.locator("#run-answers")).to_contain_text("<b>Base</b> to Why is **it** so?")
    assert page.locator("#run-answers b, #run-answers strong").count() == 0
    page.locator("#run-step").get_by_text("50", exact=True).click()
    expect(page.locator(".run-pane").nth(1)).to_contain_text("Policy 50 to Why")
    page.locator("#run-prompt").click()
    page.get_by_text("What else?").last.click()
    expect(page.locator(".run-pane").nth(1)).to_contain_text("Policy 50 to What else?")
    page.wait_for_function("() => location.search === '?prompt=1&step=50'")
    again = open_page(page.url)
    expect(again.locator(".run-pane").nth(1)).to_contain_text("Policy 50 to What else?")


def test_a_running_run_grows_and_disturbs_nothing(url, runs, open_page):
    page = open_page(f"{url}/run/live")
    expect(page.locator("#run-head")).to_contain_text("step 60 of 200 (30%)")
    plot = page.locator("#run-chart-loss .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_function(f"() => ({RANGE})('run-chart-loss')[1] < 50")
    zoomed, before = page.evaluate(RANGE, "run-chart-loss"), page.evaluate(POINTS, "run-chart-loss")
    page.locator("#run-samples summary").click()
    page.get_by_label("Search the arguments").fill("beta")
    page.evaluate("() => { document.querySelector('#run-chart-loss .js-plotly-plot').mine = true; }")
    log(runs / "live", 180, **{"eval/loss": 0.41, "train/loss": 0.4})
    answers(runs / "live", (180,))
    page.wait_for_function(f"(n) => ({POINTS})('run-chart-loss')[1] === n", arg=before[1] + 1)
    expect(page.locator("#run-samples")).to_contain_text("180")
    assert page.evaluate(RANGE, "run-chart-loss") == zoomed
    assert page.evaluate("() => document.querySelector('#run-chart-loss .js-plotly-plot').mine")
    assert page.evaluate("() => document.querySelector('#run-samples details').open") is False
    assert page.get_by_label("Search the arguments").input_value() == "beta"


def test_a_run_that_vanishes_is_said_to_be_gone(tmp_path, open_page):
    directory = make_run(tmp_path / "runs", "short-lived")
    with serving(tmp_path / "runs") as url:
        page = open_page(f"{url}/run/short-lived")
        expect(page.locator("#run-head")).to_contain_text("finished")
        shutil.rmtree(directory)
        expect(page.locator("#run-gone")).to_contain_text("no longer there")
        expect(page.locator("#run-verdict")).to_be_visible()
        page.close()


def test_names_of_any_letters_lead_to_their_pages_and_back(tmp_path, open_page):
    for place, name in enumerate(NAMES):
        answers(make_run(tmp_path / "runs", name, seed=place))
    with serving(tmp_path / "runs") as url:
        page = open_page(f"{url}/run/there-is-no-such-run")
        expect(page.get_by_role("heading", level=1)).to_contain_text("There is no run “there-is-no-such-run”")
        for name in NAMES:
            page.locator(".run-near").get_by_text(name, exact=True).click()
            expect(page.locator(".run-title")).to_have_text(name)
            page.locator("#run-step").get_by_text("50", exact=True).click()
            page.wait_for_function("() => location.search === '?step=50'")
            again = open_page(page.url)
            expect(again.locator(".run-title")).to_have_text(name)
            expect(again.locator(".run-pane").nth(1)).to_contain_text("Policy 50")
            again.close()
            page.go_back()
            expect(page.locator(".run-unknown")).to_be_visible()
        page.goto(f"{url}/run/{quote(NAMES[1])}")
        expect(page.locator(".run-title")).to_have_text(NAMES[1])
        page.close()


def test_there_are_no_runs_yet(empty_url, open_page):
    page = open_page(f"{empty_url}/run/any")
    expect(page.locator(".run-unknown")).to_contain_text("python -m training.run")


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (2560, "light")])
def test_nothing_sticks_out(url, open_page, width, theme):
    page = open_page(f"{url}/run/good", width=width, theme=theme)
    expect(page.locator("#run-files")).to_contain_text("metrics.jsonl")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
