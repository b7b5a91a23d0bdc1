"""The Hyper-parameters page in a browser: brushes choose runs, the link holds them, new runs disturb nothing."""

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import serving
from make_runs import make_run
from playwright.sync_api import expect

from training.sweeps import file as files


def sweep(root: Path) -> Path:
    """Twelve runs, three learning rates by four betas, whose accuracy rises with the learning rate."""
    rates = (1e-5, 1e-4, 1e-3)
    for n, (beta, rate) in enumerate(itertools.product((0.05, 0.1, 0.3, 0.5), rates)):
        skill = 0.7 + 0.04 * rates.index(rate)
        make_run(root, f"run-{n}", beta=beta, learning_rate=rate, skill=skill, seed=n, steps=100)
    return root


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sweep(tmp_path_factory.mktemp("place") / "runs")


@pytest.fixture(scope="module")
def search_url(searched: Path) -> Iterator[str]:
    with serving(searched) as url:
        yield url


def count(page):
    return page.locator(".hyper-count")


def axis_names(page) -> list[str]:
    return page.locator(".hyper-name").all_inner_texts()


def brush(page, axis: str, low: str, high: str) -> None:
    """By keyboard alone: Enter on the axis, two numbers, Escape."""
    page.get_by_role("button", name=f"{axis}: choose values").focus()
    page.keyboard.press("Enter")
    page.keyboard.type(low)
    page.keyboard.press("Tab")
    page.keyboard.type(high)
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")


def test_brushes_choose_runs_and_a_link_shows_the_same(search_url, open_page):
    """Of 12 runs 8 have a learning rate of 1e-4 or more, and 4 of these a beta of 0.05 to 0.1."""
    page = open_page(f"{search_url}/hyperparameters")
    expect(page.locator("#hyper-answer")).to_contain_text("Learning rate matters")
    expect(count(page)).to_have_text("12 runs")
    track = page.locator(".hyper-track").nth(1)
    track.scroll_into_view_if_needed()
    box = track.bounding_box()
    x, top = box["x"] + box["width"] / 2, box["y"]
    page.mouse.move(x, top + 2)
    page.mouse.down()
    page.mouse.move(x, top + 0.6 * box["height"], steps=4)
    page.mouse.up()
    expect(count(page)).to_have_text("8 of 12 runs")
    brush(page, "beta", "0.05", "0.1")
    expect(count(page)).to_have_text("4 of 12 runs")
    expect(page.locator("#hyper-chips .hyper-chip")).to_have_count(4)
    expect(page.locator("#hyper-to-compare")).to_have_attribute("href", "/compare?runs=run-1,run-2,run-4,run-5")
    page.get_by_role("button", name="learning rate: choose values").press("Enter")
    page.get_by_role("button", name="Move learning rate to the left").click()
    page.wait_for_function("() => location.search.includes('order=') && location.search.includes('brush=')")
    again = open_page(page.url)
    expect(count(again)).to_have_text("4 of 12 runs")
    assert axis_names(again)[:2] == ["learning rate", "beta"]


def test_an_axis_can_be_hidden_and_shown_again(search_url, open_page):
    page = open_page(f"{search_url}/hyperparameters?hide=beta")
    expect(page.get_by_role("button", name="Show beta")).to_be_visible()
    assert "beta" not in axis_names(page)
    page.get_by_role("button", name="Show beta").click()
    expect(page.get_by_role("button", name="beta: choose values")).to_be_visible()


def test_a_click_on_a_point_selects_its_run(search_url, open_page):
    page = open_page(f"{search_url}/hyperparameters")
    point = page.locator(".hyper-slices .points path").first
    point.scroll_into_view_if_needed()
    point.click(force=True)
    expect(page.locator("#hyper-chips .hyper-chip")).to_have_count(1)
    page.get_by_role("button", name="All; only the 1 selected").click()
    expect(page.locator("#hyper-answer")).to_contain_text("One configuration was run")


def test_the_sweep_file_that_is_written_is_one_that_training_sweep_reads(search_url, open_page, tmp_path):
    page = open_page(f"{search_url}/hyperparameters")
    with page.expect_download() as caught:
        page.locator("#hyper-write").click()
    name = caught.value.suggested_filename
    assert name in ("next-runs.yaml", "next-runs.zip")
    caught.value.save_as(tmp_path / name)
    if name.endswith(".zip"):
        shutil.unpack_archive(tmp_path / name, tmp_path)
    read = [files.read(path) for path in sorted(tmp_path.glob("*.yaml"))]
    assert read
    assert all(file.method == "grid" for file in read)


def test_a_new_run_appears_and_a_brush_being_typed_stays(search_url, searched, open_page):
    page = open_page(f"{search_url}/hyperparameters?brush=" + json.dumps({"beta": [0.05, 0.1]}))
    expect(count(page)).to_have_text("6 of 12 runs")
    page.get_by_role("button", name="learning rate: choose values").press("Enter")
    page.keyboard.type("0.00")
    new = make_run(searched, "late", beta=0.1, learning_rate=1e-4, skill=0.75, seed=50, steps=100)
    expect(count(page)).to_have_text("7 of 13 runs")
    expect(page.get_by_role("spinbutton", name="From")).to_have_value("0.00")
    expect(page.get_by_role("spinbutton", name="From")).to_be_focused()
    shutil.rmtree(new)


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1440, "light")])
def test_no_width_scrolls_the_page_sideways(search_url, open_page, width, theme):
    page = open_page(f"{search_url}/hyperparameters", width=width, theme=theme)
    expect(page.locator("#hyper-next .hyper-suggestion").first).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_without_runs_it_says_what_to_do(empty_url, open_page):
    page = open_page(f"{empty_url}/hyperparameters")
    expect(page.get_by_text("No runs yet")).to_be_visible()
