"""The Compare page as a user sees it."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import serving
from make_runs import make_run
from playwright.sync_api import expect

from training.record.writer import SCORE_COLUMNS


def write_scores(run: Path, step: int, right: int, n: int) -> None:
    """Scores of n pairs, the first `right` of them with a margin of 5 nats, the others of -5."""
    zeros, ones = [0.0] * n, [1] * n
    columns = {name: zeros for name in SCORE_COLUMNS.names if name.endswith("logp")}
    columns |= {name: ones for name in SCORE_COLUMNS.names if name.endswith("tokens")}
    columns |= {name: [False] * n for name in SCORE_COLUMNS.names if name.endswith("truncated")}
    columns["chosen_logp"] = [5.0 if place < right else -5.0 for place in range(n)]
    table = pa.table({"pair_id": [f"pair-{place}" for place in range(n)], **columns}, schema=SCORE_COLUMNS)
    (run / "scores").mkdir()
    pq.write_table(table, run / "scores" / f"step-{step}.parquet")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    root = tmp_path_factory.mktemp("place") / "runs"
    for name, right in (("strong", 540), ("weak", 480), ("nearly", 536)):
        run = make_run(root, name, skill=right / 600, learning_rate=right / 1e7)
        write_scores(run, 200, right, 600)
    make_run(root, "unscored", skill=0.8, seed=9)
    with serving(root) as address:
        yield address


def test_two_runs_are_compared_in_words_metrics_configuration_curves_and_pairs(url, open_page):
    """weak is right on 480, strong on 540 of the same 600: 60 pairs decided by strong alone."""
    page = open_page(f"{url}/compare?runs=strong,weak&at=last")
    content = page.locator("#compare-content")
    expect(content).to_contain_text("The other run is shown to differ in reward accuracy from strong.")
    expect(content).to_contain_text("weak is 10.0 points less accurate than strong on the same 600 pairs")
    expect(content).to_contain_text("learning_rate")
    expect(content).to_contain_text("60 of 600 pairs are right in some of these runs and wrong in others")
    expect(page.locator("#compare-rewards .scatterlayer .trace").first).to_be_visible()
    page.get_by_text("As YAML").click()
    expect(page.locator(".copy-text")).to_contain_text("strong:\n  learning_rate: 5.4e-05")


def test_another_baseline_turns_the_difference_around_and_the_link_keeps_it(url, open_page):
    page = open_page(f"{url}/compare?runs=strong,weak,nearly&at=last")
    expect(page.locator("#compare-content")).to_contain_text("nearly is 0.7 points less accurate than strong")
    page.locator("#compare-base").click()
    page.get_by_role("option", name="weak").click()
    expect(page.locator("#compare-content")).to_contain_text("strong is 10.0 points more accurate than weak")
    page.wait_for_function("() => location.search.includes('base=weak')")
    again = open_page(page.url)
    expect(again.locator("#compare-content")).to_contain_text("strong is 10.0 points more accurate than weak")


def test_runs_without_scores_say_what_is_missing(url, open_page):
    page = open_page(f"{url}/compare?runs=strong,unscored&at=last")
    expect(page.locator("#compare-content")).to_contain_text("Per-pair scores of at least two of these runs are needed")
    expect(page.locator("#compare-content")).to_contain_text("z test on means")


def test_one_run_is_asked_for_another(url, open_page):
    page = open_page(f"{url}/compare?runs=strong")
    expect(page.locator(".empty")).to_contain_text("Choose runs to compare")


def test_a_chosen_run_stays_selected_on_the_curves(url, open_page):
    page = open_page(f"{url}/compare?runs=strong,weak")
    expect(page.locator("#compare-content")).to_contain_text("strong")
    page.get_by_role("link", name="All curves").click()
    page.wait_for_url(re.compile(r"/curves\?runs=strong(,|%2C)weak"))  # the page writes its own address as a form does
    page.go_back()
    expect(page.locator("#compare-content")).to_contain_text("reward accuracy from strong")
