"""The Import drawer: several files at once, dropped or chosen, what each was taken for, undo, the keyboard."""

from conftest import serving
from importing import EXPORT, STATE, button, choose, opened
from make_runs import make_run
from playwright.sync_api import expect


def test_several_files_each_have_a_line_and_are_undone_together(empty_url, open_page):
    page = open_page(empty_url)
    opened(page)
    expect(page.locator("#import-files")).to_contain_text("Nothing is imported yet.")
    choose(
        page,
        ("our export.csv", EXPORT),
        ("trainer_state.json", STATE),
        ("<b>poem</b>.csv", "text,score\n<img src=x>,1\n"),
    )
    files = page.locator("#import-files")
    expect(files).to_contain_text("W&B runs table · 3 runs · no curves")
    expect(files).to_contain_text("Trainer log · 1 run · 3 curves")
    problem = page.locator(".import-problem")
    expect(problem).to_contain_text("<b>poem</b>.csv")
    expect(problem).to_contain_text("Not added: ")
    expect(problem).to_contain_text("it seems to be a list of texts and scores")
    notes = files.locator(".import-file", has_text="our export.csv").locator("details")
    expect(notes.locator("summary")).to_have_text("1 note")
    notes.locator("summary").click()
    expect(notes).to_contain_text('Row 3, column "eval/samples_per_second": "oops" is no number')
    button(page, "Dismiss <b>poem</b>.csv").click()
    expect(problem).to_have_count(0)
    expect(page.locator("#import-undo")).to_contain_text("2 files added.")
    button(page, "Undo: 2 files added.").click()
    expect(files).to_contain_text("Nothing is imported yet.")


def test_an_export_is_shown_on_the_pages_and_its_removal_can_be_undone_after_closing(empty_url, open_page):
    page = open_page(empty_url)
    opened(page)
    choose(page, ("our export.csv", EXPORT))
    expect(page.locator("#import-files")).to_contain_text("3 runs")
    page.keyboard.press("Escape")
    expect(page.locator("#content")).to_contain_text("wise-sweep-1")
    opened(page)
    button(page, "Remove: our export.csv").click()
    expect(page.locator("#import-files")).to_contain_text("Nothing is imported yet.")
    expect(page.locator("#import-undo button")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#content")).not_to_contain_text("wise-sweep-1")
    page.locator("#import-toast").get_by_role("button", name="Undo: our export.csv removed.").click()
    expect(page.locator("#content")).to_contain_text("wise-sweep-1")
    expect(page.locator("#import-toast")).to_be_empty()
    page.reload()
    opened(page)
    button(page, "Remove: our export.csv").click()


def test_files_and_folders_are_dropped_anywhere(empty_url, open_page):
    """A folder comes as one archive, so that its name and what lies beside its log are read: beta 0.3."""
    page = open_page(f"{empty_url}/compare")
    page.wait_for_selector("#import-open")
    page.evaluate(
        """content => {
            const carried = new DataTransfer();
            carried.items.add(new File([content], 'dropped.csv'));
            const fire = (kind) => window.dispatchEvent(new DragEvent(kind, {cancelable: true, dataTransfer: carried}));
            fire('dragenter');
            window.fire = fire;
        }""",
        EXPORT,
    )
    expect(page.locator("#import-hint")).to_be_visible()
    expect(page.locator("#import-choose")).to_be_visible()
    page.evaluate("window.fire('drop')")
    expect(page.locator("#import-hint")).to_be_hidden()
    expect(page.locator("#import-files")).to_contain_text("dropped.csv")
    page.evaluate(
        """async (state) => {
            const file = (name, text) => ({isDirectory: false, name, file: (give) => give(new File([text], name))});
            const folder = (name, inside) => ({isDirectory: true, name, createReader: () => {
                const parts = [inside, []];
                return {readEntries: (give) => give(parts.shift())};
            }});
            const run = folder('dpo-beta0.3', [folder('checkpoint-10', [
                file('trainer_state.json', state), file('model.safetensors', 'weights'), file('.hidden', 'x'),
            ]), file('größe.txt', 'ü')]);
            const packed = await window.dash_clientside.prefscope.importFolder(run);
            const carried = new DataTransfer();
            carried.items.add(new File([packed.blob], packed.name));
            window.dispatchEvent(new DragEvent('drop', {cancelable: true, dataTransfer: carried}));
        }""",
        STATE,
    )
    line = page.locator(".import-file", has_text="dpo-beta0.3.zip")
    expect(line).to_contain_text("Trainer log · 1 run")
    line.locator("summary").click()
    expect(line).to_contain_text("beta = 0.3 is only the name of its folder")
    for name in ("dropped.csv", "dpo-beta0.3.zip"):
        button(page, f"Remove: {name}").click()
        expect(page.locator(".import-file", has_text=name)).to_have_count(0)


def test_a_file_that_is_too_large_is_not_sent(url, open_page, tmp_path):
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(256 * 2**20 + 2**20)
    page = open_page(url)
    opened(page)
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    choose(page, tmp_path / "huge.csv")
    expect(page.locator(".import-problem")).to_contain_text("Not added: it has 257 MB, the limit is 256 MB.")
    assert not [one for one in sent if "/api/uploads" in one]


def test_a_file_on_its_way_can_be_cancelled(empty_url, open_page):
    page = open_page(empty_url)
    opened(page)
    held = []
    page.route("**/api/uploads?*", lambda route: held.append(route))
    choose(page, ("first.csv", EXPORT), ("second.csv", STATE))
    expect(page.locator("#import-sending")).to_contain_text("waiting")
    button(page, "Cancel second.csv").click()
    button(page, "Cancel first.csv").click()
    expect(page.locator("#import-sending")).to_be_empty()
    page.unroute("**/api/uploads?*")
    expect(page.locator("#import-files")).to_contain_text("Nothing is imported yet.")


def test_the_drawer_is_used_by_keyboard_and_gives_the_focus_back(empty_url, open_page):
    page = open_page(empty_url)
    page.locator("#import-open").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Import")).to_be_visible()
    assert page.evaluate("document.activeElement.closest('[role=dialog]') !== null")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Import")).to_have_count(0)
    expect(page.locator("#import-open")).to_be_focused()


def test_the_orca_export_is_read_as_its_authors_should_have(url, shared_data, open_page):
    """Section 4 of the reference: n = 1,286; best by accuracy ruby-sweep-8; nine of 14 tied."""
    page = open_page(url)
    opened(page)
    choose(page, ("orca.csv", (shared_data / "wandb_runs" / "orca_sweep_export.csv").read_bytes()))
    page.keyboard.press("Escape")
    answer = page.locator("#content")
    expect(answer).to_contain_text("ruby-sweep-8 has the highest reward accuracy: 83.7%")
    expect(answer).to_contain_text("8 of the other 13 runs cannot be told apart from it")
    expect(answer).to_contain_text("1,286 pairs of orca.csv")
    opened(page)
    button(page, "Remove: orca.csv").click()
    expect(page.locator("#import-files")).to_contain_text("Nothing is imported yet.")


def test_imported_runs_stand_beside_local_ones_in_every_browser(tmp_path, open_page):
    make_run(tmp_path / "runs", "mine", skill=0.8)
    with serving(tmp_path / "runs") as url:
        page, other = open_page(url), open_page(url, width=390, theme="dark")
        opened(page)
        choose(page, ("theirs.csv", EXPORT))
        page.keyboard.press("Escape")
        for seen in (page, other):
            expect(seen.locator("#content")).to_contain_text("500 pairs of theirs.csv")
            expect(seen.locator("#content")).to_contain_text("600 pairs of built-in")
        page.close()
        other.close()
