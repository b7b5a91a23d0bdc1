"""Dropping files."""

from conftest import serving
from make_runs import make_run
from playwright.sync_api import expect

EXPORT = (
    '﻿"Name","State","beta","learning_rate","eval/loss","eval/rewards/accuracies","eval/runtime","eval/samples_per_second"\n'
    '"wise-sweep-1","finished","0.1","0.00001","0.45","0.84","50.0000","10.000"\n'
    '"warm-sweep-2","finished","0.5","0.00002","0.95","0.70","50.0000","10.000"\n'
    '"cold-sweep-3","crashed","0.1","0.00003","NaN","","50.0000","oops"\n'
)


def drop(page, name: str, content: bytes) -> None:
    page.locator("#upload input[type=file]").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})


def cell(page, run: str, column: str):
    row = page.locator("#run-table .ag-row", has_text=run)
    return page.locator(f'#run-table [row-id="{row.first.get_attribute("row-id")}"] [col-id="{column}"]')


def test_an_export_turns_the_empty_page_into_a_leaderboard_and_can_be_removed(empty_url, open_page):
    """n = 50 s x 10 per second = 500; the Wilson interval of 420 of 500 is 80.5% to 87.0%."""
    page = open_page(empty_url)
    drop(page, "our export.csv", EXPORT.encode())
    expect(page.locator("#upload-message")).to_contain_text("our export.csv: 3 runs added.")
    expect(page.locator("#leaderboard-answer")).to_contain_text("wise-sweep-1 has the highest reward accuracy: 84.0%")
    expect(cell(page, "wise-sweep-1", "accuracy")).to_contain_text("80.5% – 87.0%")
    expect(cell(page, "wise-sweep-1", "n")).to_have_text("500")
    expect(cell(page, "cold-sweep-3", "state")).to_contain_text("failed")
    expect(cell(page, "cold-sweep-3", "loss")).to_have_text("NaN")
    page.locator("#upload-files summary").click()
    expect(page.locator("#upload-files")).to_contain_text(
        'Row 3, column "eval/samples_per_second": "oops" is no number'
    )
    page.reload()
    expect(page.locator("#upload-files")).to_contain_text("our export.csv")
    page.get_by_role("button", name="Remove our export.csv").click()
    expect(page.locator(".empty")).to_contain_text("No runs yet")


def test_a_file_that_is_no_export_is_refused_with_the_reason(url, open_page):
    page = open_page(url)
    drop(page, "<b>poem</b>.csv", b"text,score\n<img src=x onerror=alert(1)>,1\n")
    message = page.locator("#upload-message")
    expect(message).to_contain_text("is no table of runs: it seems to be a list of texts and scores")
    drop(page, "binary.csv", b"\x00\x01\x02")
    expect(message).to_contain_text("is a binary file, but no log of runs")


def test_a_file_that_is_too_large_is_not_dropped_silently(url, open_page, tmp_path):
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(24 * 2**20 + 1)
    page = open_page(url)
    page.locator("#upload input[type=file]").set_input_files(tmp_path / "huge.csv")
    expect(page.locator("#upload-message")).to_contain_text("huge.csv has 24 MB, the limit is 24 MB")


def test_a_hostile_run_name_is_shown_as_text(empty_url, open_page):
    page = open_page(empty_url)
    hostile = EXPORT.replace("wise-sweep-1", "<img src=x onerror=document.title='broken'>")
    drop(page, "hostile.csv", hostile.encode())
    expect(page.locator("#leaderboard-answer")).to_contain_text("<img src=x onerror=document.title='broken'>")
    expect(page.locator("#run-table")).to_contain_text("<img src=x")
    assert page.title() != "broken"


def test_the_orca_export_is_read_as_its_authors_should_have(url, shared_data, open_page):
    """Section 4 of the reference: n = 1,286; best by accuracy ruby-sweep-8, by loss daily-sweep-5; nine of 14 tied."""
    page = open_page(url)
    drop(page, "orca.csv", (shared_data / "wandb_runs" / "orca_sweep_export.csv").read_bytes())
    answer = page.locator("#leaderboard-answer")
    expect(answer).to_contain_text("ruby-sweep-8 has the highest reward accuracy: 83.7%")
    expect(answer).to_contain_text("8 of the other 13 runs cannot be told apart from it")
    expect(answer).to_contain_text("Beta differs (0.01–0.5): eval loss is not comparable")
    expect(answer).to_contain_text("4 runs have a higher eval loss than the untrained model (above ln 2")
    expect(answer).to_contain_text("1,286 pairs of orca.csv")
    expect(page.locator("#run-table [col-id=versus].ag-cell", has_text="tied")).to_have_count(8)
    page.get_by_text("Eval loss", exact=True).first.click()
    expect(answer).to_contain_text("daily-sweep-5 has the lowest eval loss: 0.4276")
    page.get_by_role("button", name="Remove orca.csv").click()
    expect(answer).not_to_contain_text("daily-sweep-5")


def test_uploaded_runs_stand_beside_local_ones(tmp_path, open_page):
    make_run(tmp_path / "runs", "mine", skill=0.8)
    with serving(tmp_path / "runs") as url:
        page = open_page(url)
        drop(page, "theirs.csv", EXPORT.encode())
        expect(page.locator("#leaderboard-answer")).to_contain_text("500 pairs of theirs.csv")
        expect(page.locator("#leaderboard-answer")).to_contain_text("600 pairs of built-in")
        expect(page.locator("#run-table .ag-center-cols-container .ag-row")).to_have_count(4)
        page.close()
