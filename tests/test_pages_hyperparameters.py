"""The Hyper-parameters page: its answer, what it offers, and what it makes of what a browser sends."""

import base64
import io
import itertools
import json
import zipfile
from pathlib import Path

import pytest
from dash.exceptions import PreventUpdate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from make_runs import make_run
from plotly.utils import PlotlyJSONEncoder

from dashboard import app as entry
from dashboard.analysis.proposals import SweepFile
from dashboard.components import context
from dashboard.components.hyperparameters import lines as hyper_lines
from dashboard.pages import hyperparameters as page
from dashboard.sources.catalog import Catalog


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return entry.create_app(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def shows(app):
    """shows(folder): the app is about the runs in this folder."""
    with app.server.app_context():

        def show(folder: Path) -> None:
            app.server.config[context.KEY] = Catalog(folder)

        yield show


def text(part: object) -> str:
    """Everything that is to be read in a part of a page."""
    return json.dumps(part, cls=PlotlyJSONEncoder, ensure_ascii=False)


def by_id(part: object, wanted: str) -> dict:
    """The props of the component with this id."""
    found: list[dict] = []

    def look(node: object) -> None:
        if isinstance(node, dict):
            if node.get("id") == wanted:
                found.append(node)
            for value in node.values():
                look(value)
        elif isinstance(node, list):
            for value in node:
                look(value)

    look(json.loads(text(part)))
    (only,) = found
    return only


def sweep(folder: Path, betas=(0.05, 0.1, 0.3, 0.5), rates=(1e-5, 1e-4, 1e-3)) -> Path:
    """A grid whose accuracy rises with the learning rate by 4 points a decade."""
    for n, (beta, rate) in enumerate(itertools.product(betas, rates)):
        skill = 0.7 + 0.04 * rates.index(rate)
        make_run(folder, f"run-{n}", beta=beta, learning_rate=rate, skill=skill, seed=n, steps=100)
    return folder


def test_the_answer_names_what_matters_and_offers_the_rest(shows, tmp_path):
    shows(sweep(tmp_path))
    shown = page.layout()
    answer = text(by_id(shown, "hyper-answer"))
    assert "Learning rate matters for reward accuracy." in answer
    assert "95% interval" in answer
    assert by_id(shown, "hyper-metric")["value"] == "accuracy"
    assert by_id(shown, "hyper-x")["value"] == "learning_rate"
    assert [axis["key"] for axis in by_id(shown, "hyper-lines-data")["data"]["axes"]][:2] == ["beta", "learning_rate"]


def test_loss_is_judged_only_among_runs_of_one_beta(shows, tmp_path):
    shows(sweep(tmp_path))
    shown = page.layout(metric="loss")
    assert len(by_id(shown, "hyper-group")["options"]) == 4
    axes = by_id(shown, "hyper-lines-data")["data"]["axes"]
    assert [axis["key"] for axis in axes] == ["learning_rate", "eval/loss"]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "No runs yet"),
        (1, "One configuration was run"),
        (2, "2 configurations cannot tell what matters"),
        (3, "3 configurations cannot tell what matters"),
    ],
)
def test_too_few_runs_are_said_to_be_too_few(shows, tmp_path, count, words):
    for n in range(count):
        make_run(tmp_path, f"run-{n}", beta=0.1 * (n + 1), seed=n, steps=100)
    shows(tmp_path)
    assert words in text(page.layout())


def test_runs_that_do_not_differ_and_runs_of_no_configuration_say_so(shows, tmp_path):
    for n in range(3):
        make_run(tmp_path / "same", f"run-{n}", seed=n, steps=100)
    shows(tmp_path / "same")
    assert "No hyper-parameter varies among 3 runs." in text(page.layout())
    shows(tmp_path / "bare")
    log = b"Name,State,eval/loss,eval/rewards/accuracies\na,finished,0.5,0.8\nb,finished,0.6,0.7\n"
    context.catalog().uploads.add("bare.csv", log)
    assert "No configuration is known of these runs." in text(page.layout())


def test_an_export_of_others_is_judged_too(shows, tmp_path, shared_data):
    """Fourteen runs of a random search in which beta and learning rate moved together."""
    shows(tmp_path)
    export = shared_data / "wandb_runs" / "orca_sweep_export.csv"
    context.catalog().uploads.add(export.name, export.read_bytes())
    shown = page.layout()
    assert "cannot be told" in text(by_id(shown, "hyper-answer"))
    assert "Beta and learning rate move together here" in text(by_id(shown, "hyper-mixed"))
    importance, advice = page.advise(None, "accuracy", "best", None, [])
    assert "4 hyper-parameters need 40 configurations, and there are 14" in text(importance)
    assert "--model_name_or_path MODEL --dataset_name DATASET" in text(advice)


def test_nothing_is_sent_where_nothing_changed_and_a_new_run_is(shows, tmp_path):
    shows(sweep(tmp_path))
    stamp = by_id(page.layout(), "hyper-stamp")["data"]
    with pytest.raises(PreventUpdate):
        page.draw(None, "accuracy", "best", None, [], "learning_rate", "beta", stamp)
    make_run(tmp_path, "new", beta=0.2, learning_rate=1e-4, seed=99, steps=100)
    drawn = page.draw(None, "accuracy", "best", None, [], "beta", "learning_rate", stamp)
    assert "new" in drawn[1]["ids"]
    assert (drawn[8], drawn[10]) == ("beta", "learning_rate")


def test_a_training_run_that_logs_does_not_make_all_be_worked_out_again(shows, tmp_path):
    sweep(tmp_path)
    live = make_run(tmp_path, "live", done=0.3, status="running", steps=100)
    shows(tmp_path)
    before = by_id(page.layout(), "hyper-stamp")["data"]
    with (live / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 35, "epoch": 0.7, "time": 1_790_000_007.0, "train/loss": 0.5}) + "\n")
    assert by_id(page.layout(), "hyper-stamp")["data"] == before


def test_chosen_runs_alone_are_judged_and_what_the_others_tried_is_not_proposed(shows, tmp_path):
    """The best of the three chosen is at the end of its range; what lies beyond was tried by the others."""
    shows(sweep(tmp_path))
    shown = page.layout(runs="run-0,run-1,run-2,gone")
    assert by_id(shown, "hyper-scope")["data"] == ["run-0", "run-1", "run-2"]
    assert by_id(shown, "hyper-lines-data")["data"]["ids"] == ["run-0", "run-1", "run-2"]


def test_the_metrics_of_scores_are_offered_only_with_scores(shows, tmp_path):
    shows(sweep(tmp_path))
    assert [option["value"] for option in by_id(page.layout(), "hyper-metric")["options"]] == ["accuracy", "loss"]


def test_two_axes_that_are_one_or_no_numbers_are_refused_in_words(shows, tmp_path):
    shows(sweep(tmp_path))
    assert "two different" in text(page.draw_surface("beta", "beta", None, "accuracy", "best", None, []))
    assert "interpolated between runs" in text(
        page.draw_surface("beta", "learning_rate", None, "accuracy", "best", None, [])
    )


def test_the_files_are_downloaded_under_our_own_names():
    one, two = SweepFile("next-runs.yaml", "a: 1\n", 1), SweepFile("next-runs-2.yaml", "b: 2\n", 1)
    assert page.download([one]) == {"content": "a: 1\n", "filename": "next-runs.yaml", "type": "application/yaml"}
    sent = page.download([one, two])
    assert sent["filename"] == "next-runs.zip"
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(sent["content"]))) as archive:
        assert archive.read("next-runs-2.yaml") == b"b: 2\n"


def test_write_sends_what_is_proposed_and_nothing_without_a_press(shows, tmp_path):
    shows(sweep(tmp_path))
    with pytest.raises(PreventUpdate):
        page.write(None, "accuracy", "best", None, [])
    sent = page.write(1, "accuracy", "best", None, [])
    assert sent["filename"] in ("next-runs.yaml", "next-runs.zip")


def test_brushes_of_a_link_are_ranges_categories_and_missing_values():
    link = json.dumps({"beta": [0.3, 0.1], "scheduler": ["cosine", None], "bad": [1], "worse": "x", "none": [None]})
    assert hyper_lines.brushes(link) == {"beta": [0.1, 0.3], "scheduler": ["cosine", None], "none": [None]}


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(anything, min_size=10, max_size=10))
def test_whatever_a_browser_sends_the_page_answers(shows, tmp_path_factory, values):
    folder = tmp_path_factory.getbasetemp() / "hostile"
    if not folder.exists():
        sweep(folder, betas=(0.1, 0.3), rates=(1e-5, 1e-4))
    shows(folder)
    names = ("group", "metric", "at", "x", "y", "colour", "brush", "hide", "order", "runs")
    assert text(page.layout(**dict(zip(names, values, strict=True)), unknown=values[0]))
    page.draw(None, *values[:7])
    page.draw_surface(*values[:7])


@given(anything | st.text(max_size=60) | anything.map(lambda value: json.dumps(value, default=str)))
def test_a_brush_of_any_text_is_read_as_brushes_or_left_out(value):
    for key, kept in hyper_lines.brushes(value).items():
        assert isinstance(key, str)
        assert kept
