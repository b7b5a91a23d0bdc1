"""The Pairs page in a real browser."""

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import serving
from make_runs import make_run
from pair_runs import HOSTILE, add_scores, margins, scored_runs
from playwright.sync_api import expect

HEAD, ROWS = "#pairs-head", ".pairs-row"
MAP = "#pairs-map .heatmaplayer image"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs with scores on 200 pairs, of which 15% have a flipped label."""
    root = tmp_path_factory.mktemp("place") / "runs"
    scored_runs(root, runs=3, pairs=200, share=0.15, seed=5)
    return root


@pytest.fixture(scope="module")
def url(runs):
    with serving(runs) as url:
        yield url


def open_pairs(open_page, url, query="", **how):
    page = open_page(f"{url}/pairs{query}", **how)
    expect(page.locator(ROWS).first).to_be_visible()
    return page


def test_the_page_answers_and_a_key_a_click_and_the_map_choose_a_pair(open_page, url):
    page = open_pairs(open_page, url)
    expect(page.locator("#pairs-answer .headline")).to_contain_text("Of 200 pairs, all 3 runs get")
    expect(page.locator(MAP)).to_be_visible()
    first = page.locator(".pairs-row[aria-selected=true] .pairs-about").inner_text().split(" · ")[0]
    expect(page.locator(HEAD)).to_contain_text(first)
    page.focus("#pairs-list")
    page.keyboard.press("ArrowDown")
    second = page.locator(".pairs-row[aria-selected=true] .pairs-about").inner_text().split(" · ")[0]
    assert second != first
    expect(page.locator(HEAD)).to_contain_text(second)
    expect(page).to_have_url(re.compile(f"pair={second}"))
    page.keyboard.press("End")
    last = page.locator(".pairs-row[aria-selected=true]")
    expect(last).to_be_in_viewport()
    assert last.get_attribute("aria-posinset") == "200"
    page.locator("#pairs-map").scroll_into_view_if_needed()
    box = page.locator("#pairs-map .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#pairs-map .hoverlayer")).to_contain_text("run-0")
    row = page.locator(".pairs-row[aria-selected=true]")
    for _ in range(10):  # plotly takes no click while it draws the mark of the pair before
        page.mouse.down()
        page.mouse.up()
        page.wait_for_timeout(500)
        if row.get_attribute("aria-posinset") != "200":
            break
    assert 95 <= int(row.get_attribute("aria-posinset")) <= 106


def test_a_link_restores_filter_order_cell_and_pair(open_page, url):
    page = open_pairs(open_page, url)
    page.locator("#pairs-only label", has_text="Always wrong").click()
    page.locator("#pairs-unit label", has_text="Nats").click()
    page.locator(".pairs-cell").last.click()
    expect(page.locator(".pairs-chip")).to_contain_text("Only: Never got")
    expect(page).to_have_url(re.compile("filter=wrong.*cell=never"))
    page.locator(ROWS).nth(1).click()
    expect(page).to_have_url(re.compile("pair=eval-"))
    shown, address = page.locator(".pairs-track").inner_text(), page.url
    again = open_pairs(open_page, url, address.removeprefix(f"{url}/pairs"))
    assert again.locator(".pairs-track").inner_text() == shown
    expect(again.locator(".pairs-cell[aria-pressed=true]")).to_have_count(1)
    assert again.url == address


def test_the_suspected_labels_are_one_click_away_and_texts_are_text(open_page, url):
    page = open_pairs(open_page, url, "?pair=eval-0000")
    expect(page.locator(".pairs-prompt .pairs-text")).to_have_text(HOSTILE)
    page.locator("[data-pairs-only=suspects]").click()
    expect(page.locator(ROWS).first.locator(".badge-warning")).to_have_text("label?")
    named = int(page.locator("#pairs-only label", has_text="Suspected").inner_text().split()[-1])
    expect(page.locator(ROWS).first).to_have_attribute("aria-setsize", str(named))
    page.fill("#pairs-search", "question 1")
    expect(page).to_have_url(re.compile("search=question"))


def test_a_new_run_appears_and_the_pair_and_its_zoom_stay(open_page, tmp_path):
    root = tmp_path / "runs"
    scored_runs(root, runs=2, pairs=120, share=0.15, seed=5)
    with serving(root) as url:
        page = open_pairs(open_page, url, "?pair=eval-0007&sort=data")
        expect(page.locator("#pairs-answer .headline")).to_contain_text("all 2 runs")
        page.locator("#pairs-texts").evaluate(
            "node => { node.dataset.kept = 'yes'; node.firstElementChild.dataset.kept = 'yes'; }"
        )
        fresh = make_run(tmp_path / "elsewhere", "newcomer", n=120, seed=9)
        add_scores(fresh, margins(np.random.default_rng(5), 120, 3, 0.15)[0][:, 2])
        fresh.rename(root / "newcomer")
        expect(page.locator("#pairs-answer .headline")).to_contain_text("all 3 runs")
        expect(page.locator("#pairs-scores tbody tr")).to_have_count(3)
        assert page.locator("#pairs-texts > [data-kept=yes]").count() == 1
        expect(page.locator(HEAD)).to_contain_text("eval-0007")


def test_a_narrow_window_does_not_scroll_sideways(open_page, url):
    page = open_pairs(open_page, url, width=390, height=844, theme="dark")
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390


def test_without_runs_the_page_says_what_to_do(open_page, empty_url):
    page = open_page(f"{empty_url}/pairs")
    expect(page.locator("#pairs-answer")).to_contain_text("make demo")
    expect(page.locator("#pairs-cards")).to_be_hidden()


def test_what_each_token_needs_is_said_where_no_checkpoint_was_kept(open_page, url):
    page = open_pairs(open_page, url, "?runs=run-00")
    expect(page.locator(".pairs-tokens")).to_contain_text("none of these runs has kept")
    expect(page.locator("#pairs-map .barlayer")).to_be_visible()
