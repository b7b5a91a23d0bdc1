"""What the Import drawer says of files, and what the mapping editor makes of what a browser sends."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from dash import html
from dash.exceptions import PreventUpdate
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.components import context
from dashboard.components.imports import drawer as import_drawer
from dashboard.components.imports import effect as mapping_effect
from dashboard.components.imports import form as mapping_form
from dashboard.components.imports import mapping, upload
from dashboard.sources.catalog import Catalog
from dashboard.sources.imported import Corrections
from dashboard.sources.taken import taken
from dashboard.sources.uploads import LARGEST, Upload
from tests.logs import STATE, TABLE
from tests.test_components import ANYTHING

HOSTILE = TABLE.replace(b"swift-1", b"<img src=x>").replace(b"eval/runtime", b"<script>x</script>")


@pytest.fixture
def catalog(tmp_path):
    return Catalog(tmp_path)


@pytest.fixture
def server(catalog):
    server = Flask("test")
    server.config[context.KEY] = catalog
    with server.app_context():
        yield server


def text(component) -> str:
    """All words of a component, as a reader sees them."""
    if isinstance(component, list | tuple):
        return " ".join(map(text, component))
    if hasattr(component, "to_plotly_json"):
        return text(getattr(component, "children", None))
    return "" if component is None else str(component)


def form(found: Upload, **roles_keys) -> dict:
    """What the browser sends: `role_NAME` and `key_NAME`, the rest as found."""
    names = [one.name for one in taken(found.imported, found.corrections)]
    roles = [roles_keys.get(f"role_{name}", "found") for name in names]
    return {"names": names, "roles": roles, "keys": [roles_keys.get(f"key_{name}", "") for name in names]}


def test_a_file_is_told_by_its_format_its_runs_and_its_notes(catalog):
    catalog.uploads.add("one.csv", TABLE)
    catalog.uploads.add("trainer_state.json", STATE)
    said = text(upload.files(catalog.uploads.all(60)))
    assert "W&B runs table  ·  2 runs  ·  no curves" in said
    assert "Trainer log  ·  1 run  ·" in said
    assert "corrected by you" not in said


def test_a_note_on_a_joined_run_stands_at_the_files_concerned(catalog):
    found = {name: Upload(name * 64, f"{name}.csv") for name in "abc"}
    rows = upload.files(found, ("x is in both a.csv and b.csv: shown once.", "elsewhere"))
    lines = rows[1].children
    assert ["shown once" in text(line) for line in lines] == [True, True, False]
    assert text(rows[2]) == "elsewhere"


def test_a_problem_and_a_file_that_is_being_read_are_said():
    said = text(
        upload.files({"a": Upload("a", "a.csv", problem="It is odd."), "b": Upload("b", "b.csv", reading=True)})
    )
    assert "It is odd." in said
    assert "reading" in said
    assert "Nothing is imported yet." in text(upload.files({}))


def test_a_hostile_name_is_text_everywhere(catalog, server):
    found = catalog.uploads.add("x.csv", HOSTILE)
    shown = [*mapping.editor(found), *mapping_effect.effect(found, replace(found, runs=()))]
    assert "<script>x</script>" in text(shown)
    assert all(isinstance(part, html.Code | str) or "script" not in str(type(part)) for part in shown)
    assert "dangerously" not in json.dumps(html.Div(shown).to_plotly_json(), default=lambda one: one.to_plotly_json())


def test_the_editor_gives_names_in_the_order_in_which_its_controls_stand(catalog, server):
    """Dash sends the values of many controls in the order of the page."""

    def walk(component):
        yield component
        inner = getattr(component, "children", None)
        for child in inner if isinstance(inner, list | tuple) else [inner]:
            if hasattr(child, "to_plotly_json"):
                yield from walk(child)

    parts = list(walk(html.Div(mapping.editor(catalog.uploads.add("x.csv", TABLE)))))
    controls = [part.id["index"] for part in parts if getattr(part, "id", None) and isinstance(part.id, dict)
                and part.id["type"] == "import-role"]  # fmt: skip
    rows = [part for part in parts if getattr(part, "className", "") == "import-row"]
    (store,) = [part for part in parts if getattr(part, "id", None) == "import-editing"]
    assert controls == list(range(len(store.data["names"])))
    assert [text(row.children[0].children[0]) for row in rows] == store.data["names"]


def test_what_is_left_as_found_is_no_correction(catalog):
    found = catalog.uploads.add("x.csv", TABLE)
    assert mapping_form.told(found, form(found)) == Corrections()


def test_roles_and_keys_become_corrections(catalog):
    found = catalog.uploads.add("x.csv", TABLE)
    sent = form(found, **{"role_eval/runtime": "ignored", "role_beta": "metric", "key_eval/loss": " eval/other "})
    told = mapping_form.told(found, sent)
    assert told == Corrections(
        metrics=frozenset({"beta"}), ignored=frozenset({"eval/runtime"}), renamed={"eval/loss": "eval/other"}
    )
    corrected = catalog.uploads.correct(found.id, told)
    assert mapping_form.told(corrected, form(corrected, role_beta="metric")).metrics == {"beta"}
    assert mapping_form.told(corrected, form(corrected)) == Corrections()


def test_a_setting_that_gets_another_key_stays_a_setting(catalog):
    found = catalog.uploads.add("x.csv", TABLE)
    told = mapping_form.told(found, form(found, key_beta="dpo_beta"))
    assert catalog.uploads.preview(found.id, told).runs[0].config == {"dpo_beta": 0.1}


def test_what_is_not_shown_keeps_its_correction(catalog):
    found = catalog.uploads.add("x.csv", TABLE)
    found = catalog.uploads.correct(found.id, Corrections(ignored=frozenset({"eval/runtime"})))
    assert mapping_form.told(found, {"names": ["beta"], "roles": ["metric"], "keys": [""]}) == Corrections(
        metrics=frozenset({"beta"}), ignored=frozenset({"eval/runtime"})
    )


def test_the_effect_says_what_changes_and_what_does_not(catalog):
    found = catalog.uploads.add("x.csv", TABLE)
    told = Corrections(ignored=frozenset({"beta"}), renamed={"eval/loss": "eval/other"}, beta={"": 0.3})
    said = text(mapping_effect.effect(found, catalog.uploads.preview(found.id, told)))
    assert "beta was setting, becomes ignored." in said
    assert "eval/loss was metric, becomes metric eval/other: 0.5123, 0.6123." in said
    assert "beta of swift-1 was 0.1, becomes 0.3." in said
    assert text(mapping_effect.effect(found, found)) == " This changes nothing."


def test_the_browser_knows_the_servers_limit():
    script = (Path(__file__).resolve().parent.parent / "assets" / "page-import.js").read_text()
    assert f"const LARGEST = {LARGEST // 2**20} * MEGABYTE;" in script


def test_the_known_keys_are_those_of_the_record():
    keys = dict(mapping.known_keys())
    assert keys["eval/rewards/accuracies"] == "reward accuracy"
    assert keys["train/loss"] == "train loss"
    assert "system/cpu" in keys
    assert "eval/system/cpu" not in keys


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_json_in_a_callback_is_an_answer_and_never_an_error(catalog, server, data):
    found = catalog.uploads.add("x.csv", TABLE)
    names = sorted(found.named)
    some = ANYTHING | st.lists(st.sampled_from([*names, "metric", "ignored", "config", "found", "eval/loss", ""]))
    editing = data.draw(ANYTHING | st.fixed_dictionaries({"id": st.just(found.id), "names": some | st.just(names)}))
    sent = [editing, *(data.draw(some) for _ in range(4))]
    assert mapping.previewed(1, *sent) is not None
    assert len(mapping.applied(1, *sent)) == 5
    assert catalog.uploads.all(60)[found.id].runs


def test_the_list_is_sent_only_when_something_changed(catalog, server):
    with pytest.raises(PreventUpdate):
        import_drawer.listed(False, "v", None)
    files, undo, toast, problem, shown = import_drawer.listed(True, "v", None)
    assert "Nothing is imported yet." in text(files)
    with pytest.raises(PreventUpdate):
        import_drawer.listed(True, "v", shown)
    catalog.uploads.add("one.csv", TABLE)
    files, undo, toast, problem, shown = import_drawer.listed(True, "v", shown)
    assert text(undo).startswith("one.csv added.")
    assert (toast, problem) == ([], [])
    assert "one.csv" in text(import_drawer.listed(False, "v", shown)[2])


def test_a_damaged_database_is_said_with_its_way_out(catalog, server, tmp_path):
    catalog.uploads.add("one.csv", TABLE)
    (tmp_path / ".shared" / "uploads" / "cache.db").write_bytes(b"x" * 9_000)
    problem = import_drawer.listed(True, "v", None)[3]
    assert "is damaged" in text(problem)
    assert "Start anew" in text(problem)
    said = import_drawer._done(catalog.uploads, "import-anew", "anew")
    assert said.startswith("Files recovered, without their names: 1. The damaged database is now uploads.damaged-")
    assert import_drawer.listed(True, "v", None)[3] == []
