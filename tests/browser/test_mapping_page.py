"""The mapping editor of the Import drawer: what a column is, its key, a beta; shown before it is kept."""

from importing import EXPORT, STATE, button, choose, opened
from playwright.sync_api import expect


def test_what_a_column_is_can_be_said_previewed_and_undone(empty_url, open_page):
    page = open_page(f"{empty_url}/nowhere")
    opened(page)
    choose(page, ("our export.csv", EXPORT))
    button(page, "Columns: our export.csv").click()
    expect(page.locator("#import-of")).to_be_focused()
    page.get_by_label("What learning_rate is").select_option("ignored")
    page.get_by_label("Key of eval/loss").fill("eval/other")
    button(page, "Preview").click()
    effect = page.locator("#import-effect")
    expect(effect).to_contain_text("learning_rate was setting, becomes ignored.")
    expect(effect).to_contain_text("eval/loss was metric, becomes metric eval/other: 0.4500, 0.9500, NaN.")
    page.get_by_label("Key of eval/loss").fill("")
    button(page, "Apply").click()
    expect(page.locator("#import-files")).to_contain_text("corrected by you")
    expect(page.locator("#import-undo")).to_contain_text("Columns of our export.csv changed.")
    button(page, "Columns: our export.csv").click()
    expect(page.get_by_label("What learning_rate is")).to_have_value("ignored")
    expect(page.get_by_label("Key of eval/loss")).to_have_value("")
    button(page, "Back to the files").click()
    button(page, "Undo: Columns of our export.csv changed.").click()
    expect(page.locator("#import-files")).not_to_contain_text("corrected by you")
    button(page, "Remove: our export.csv").click()
    expect(page.locator("#import-files")).to_contain_text("Nothing is imported yet.")


def test_a_lone_state_is_given_its_beta(empty_url, open_page):
    page = open_page(f"{empty_url}/nowhere")
    opened(page)
    choose(page, ("trainer_state.json", STATE))
    button(page, "Columns: trainer_state.json").click()
    page.locator(".import-beta input").fill("0.25")
    button(page, "Preview").click()
    expect(page.locator("#import-effect")).to_contain_text("was –, becomes 0.25.")
    button(page, "Apply").click()
    expect(page.locator("#import-files")).to_contain_text("corrected by you")
    button(page, "Remove: trainer_state.json").click()
    expect(page.locator("#import-files")).to_contain_text("Nothing is imported yet.")


def test_a_hostile_run_name_is_shown_as_text(empty_url, open_page):
    page = open_page(empty_url)
    opened(page)
    name = "<img src=x onerror=document.title='broken'>"
    choose(page, ("hostile.csv", EXPORT.replace("wise-sweep-1", name)))
    button(page, "Columns: hostile.csv").click()
    page.get_by_label("What learning_rate is").select_option("metric")
    button(page, "Preview").click()
    expect(page.locator("#import-effect")).to_contain_text(name)
    button(page, "Back to the files").click()
    page.keyboard.press("Escape")
    expect(page.locator("#content")).to_contain_text("<img src=x")
    assert page.title() != "broken"
    opened(page)
    button(page, "Remove: hostile.csv").click()
    expect(page.locator("#import-files")).to_contain_text("Nothing is imported yet.")
