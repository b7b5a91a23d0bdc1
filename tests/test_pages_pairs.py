"""The Pairs page as the server makes it."""

import json
import shutil

import numpy as np
import plotly
import pytest
from dash.exceptions import PreventUpdate
from hypothesis import given
from hypothesis import strategies as st
from make_runs import make_run
from pair_runs import DIGEST, HOSTILE, add_scores, scored_runs

from dashboard import generation
from dashboard.app import create_app
from dashboard.components.context import catalog
from dashboard.components.pairs import tokens as pairs_tokens
from dashboard.generation import GenerationError, TokenRewards
from dashboard.pages import pairs

WISHES = {
    "at": "best",
    "unit": "relative",
    "order": "suspicion",
    "columns": "rank",
    "only": "all",
    "search": "",
    "base": "sum",
    "cell": "",
}


def said(component) -> str:
    return json.dumps(json.loads(plotly.io.json.to_json_plotly(component)), ensure_ascii=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place") / "runs"
    scored_runs(folder, runs=3, pairs=200, share=0.15, seed=5)
    return folder


@pytest.fixture(scope="module")
def app(root):
    return create_app(root)


@pytest.fixture(autouse=True)
def in_app(app):
    with app.server.app_context():
        yield


def refreshed(stamps=None, runs=(), **wishes):
    return pairs.refresh(None, list(runs), {**WISHES, **wishes}, stamps)


def test_the_page_answers_in_words_and_has_all_its_parts():
    text = said(pairs.layout())
    assert "Of 200 pairs, all 3 runs get" in text and "may be mislabelled" in text
    assert all(
        part in text for part in ("pairs-map", "pairs-list", "Always knew", "640 rows were read", "Chosen reward")
    )


def test_texts_of_the_data_are_children_and_never_markup(root):
    """As a child a text is a text node: no component of the page takes HTML or Markdown."""
    text = said(pairs.layout(pair="eval-0000"))
    assert HOSTILE in json.loads(json.dumps(text)) or json.dumps(HOSTILE)[1:-1] in text
    assert "Markdown" not in text and "dangerously" not in text


def test_a_link_brings_back_what_it_names():
    shown = pairs.layout(runs="run-01,run-00", at="last", unit="nats", sort="data", filter="wrong", pair="eval-0007")
    text = said(shown)
    assert '"value": ["run-01", "run-00"]' in text
    assert all(f'"value": "{value}"' in text for value in ("last", "nats", "data", "wrong"))
    assert '"id": "pairs-pair", "data": "eval-0007"' in text or '"data": "eval-0007"' in text


def test_nothing_is_sent_when_nothing_changed():
    stamps = refreshed()["stamps"]
    with pytest.raises(PreventUpdate):
        refreshed(stamps)


def test_another_filter_leaves_the_answer_alone():
    found = refreshed(refreshed()["stamps"], only="wrong")
    assert type(found["answer"]).__name__ == type(found["audit"]).__name__ == "NoUpdate"
    assert 0 < len(found["rows"]["ids"]) < 200
    assert set(found["rows"]["right"]) == {0}


def test_a_cell_of_a_run_keeps_its_pairs_alone():
    board = pairs._board([])
    rows = board.found.cells["sum"]["learned"][:, board.found.matrix.runs.index("run-02")]
    found = refreshed(cell="learned~run-02")
    assert len(found["rows"]["ids"]) == rows.sum() > 0
    assert "Learned: run-02" in said(found["notes"])


def test_search_looks_into_the_texts():
    assert refreshed(search="tell you about 17.")["rows"]["ids"] == ["eval-0017"]
    empty = refreshed(search="nothing like this")
    assert empty["rows"]["ids"] == [] and "No pair is left" in said(empty["notes"])


def test_one_run_is_shown_as_bars():
    assert refreshed(runs=["run-00"])["figure"]["data"][0]["type"] == "bar"
    assert refreshed()["figure"]["data"][0]["type"] == "heatmap"


def test_another_pair_brings_its_texts_and_the_same_pair_nothing():
    head, texts, scores, stamp = pairs.show("eval-0003", None, [], "best", None)
    assert "eval-0003" in said(head) and "I will not tell you about 3." in said(texts)
    assert "run-02" in said(scores)
    with pytest.raises(PreventUpdate):
        pairs.show("eval-0003", None, [], "best", stamp)
    fewer = pairs.show("eval-0003", None, ["run-00", "run-01"], "best", stamp)
    assert type(fewer[1]).__name__ == "NoUpdate" and "run-02" not in said(fewer[2])


def test_rewards_are_beta_times_the_log_ratios():
    """The chosen log-ratio of made scores is 0.4 h, so the chosen reward is 0.4 beta h and the margin beta h."""
    board = pairs._board(["run-01"])
    h = board.found.matrix.h[7, 0]
    scores = said(pairs.show("eval-0007", None, ["run-01"], "best", None)[2])
    for value in (0.5 * h, 0.4 * 0.5 * h):
        assert f"{abs(value):.3f}" in scores


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(st.lists(JSON, min_size=12, max_size=12))
def test_whatever_a_browser_sends_the_page_stands(values):
    stamps, runs, *rest = values
    wishes = dict(zip(WISHES, rest, strict=False))
    try:
        pairs.refresh(None, runs, wishes, stamps)
        pairs.show(values[0], None, runs, values[1], values[2])
    except PreventUpdate:
        pass
    assert pairs.tokens(1, values[3], values[4], values[5])


@given(st.dictionaries(st.sampled_from(["runs", "at", "unit", "sort", "filter", "cell", "pair", "base", "zz"]), JSON))
def test_whatever_a_link_says_there_is_a_page(link):
    assert pairs.layout(**link)


class Fake:
    """Stands for the process with the models: says what it was asked, and answers or fails."""

    def __init__(self, totals=(0.0, 0.0), error=None):
        self.totals, self.error, self.asked = totals, error, None

    def token_rewards(self, run_directory, prompt, answers, checkpoint=None):
        self.asked = (run_directory, prompt, list(answers), checkpoint)
        if self.error:
            raise GenerationError(self.error)
        return [TokenRewards((" It", "<b>\n", " "), (total, 0.0, 0.0), total) for total in self.totals]


def asked(monkeypatch, app, fake, pair="eval-0005", run="run-00"):
    monkeypatch.setitem(app.server.config, generation.KEY, fake)
    return said(pairs.tokens(1, run, pair, "best"))


def test_tokens_add_up_to_the_kept_reward(monkeypatch, app, root):
    board = pairs._board(["run-00"])
    best = catalog().snapshot().runs["run-00"].best_step
    checkpoint = root / "run-00" / "checkpoints" / f"checkpoint-{best}"
    checkpoint.mkdir(parents=True)
    kept = (0.1 * board.found.matrix.chosen[5, 0], 0.1 * board.found.matrix.rejected[5, 0])
    fake = Fake(kept)
    text = asked(monkeypatch, app, fake)
    assert text.count("add up to the reward that was scored") == 2
    assert fake.asked[1:] == ("Question 5: what is 5 times two?", ["It is 10.", "I will not tell you about 5."], best)
    assert "The tokens add up to" in asked(monkeypatch, app, Fake((kept[0] + 0.01, kept[1])))
    assert "is not the one that was scored" in asked(monkeypatch, app, Fake((kept[0] + 0.01, kept[1])))
    shutil.rmtree(root / "run-00" / "checkpoints")


def test_a_checkpoint_that_was_not_kept_is_said(monkeypatch, app, root):
    assert "was not kept" in asked(monkeypatch, app, Fake())


def test_an_error_of_the_process_is_a_sentence_in_its_place(monkeypatch, app):
    assert "The model is too large." in asked(monkeypatch, app, Fake(error="The model is too large."))
    assert "is gone" in asked(monkeypatch, app, Fake(), run="../run-00")
    assert "not kept" in asked(monkeypatch, app, Fake(), pair="nobody")


def test_a_token_shows_what_cannot_be_seen():
    assert pairs_tokens._shown("  ") == "··"
    assert pairs_tokens._shown("a\n") == "a⏎\n"
    assert pairs_tokens._shown("") == "∅"


def test_the_strongest_token_has_the_full_colour():
    found = TokenRewards(("a", "b"), (0.5, -2.0), -1.5)
    text = said(pairs_tokens.heat_map([("Chosen", found, None)], []))
    assert '"--reward": "1.000"' in text and '"--reward": "0.250"' in text and "−2.0000" in text


def test_runs_without_scores_and_on_other_pairs_are_told(tmp_path):
    scored_runs(tmp_path, runs=2, pairs=120)
    make_run(tmp_path, "bare", n=120)
    odd = make_run(tmp_path, "odd", n=50)
    head = json.loads((odd / "config.json").read_text())
    head["data"]["eval"] = "f" * 16
    (odd / "config.json").write_text(json.dumps(head))
    add_scores(odd, np.random.default_rng(0).normal(1, 1, 50))
    with create_app(tmp_path).server.app_context():
        assert "1 run is evaluated on other pairs" in said(pairs.layout())
        assert "1 run is without scores of each pair" in said(pairs.layout(runs="run-00,bare"))
        assert "No scores of single pairs" in said(pairs.layout(runs="bare"))
        shutil.rmtree(tmp_path / ".shared" / DIGEST)
        assert "are not kept" in said(pairs.layout(runs="run-00"))


def test_no_runs_and_no_scores_say_what_to_do(tmp_path):
    with create_app(tmp_path / "runs").server.app_context():
        assert "make demo" in said(pairs.layout())
    make_run(tmp_path / "runs", "bare")
    with create_app(tmp_path / "runs").server.app_context():
        assert "python -m training.run" in said(pairs.layout())


def test_a_copy_of_a_run_and_one_that_guesses_have_no_say_in_what_is_suspected(tmp_path):
    scored_runs(tmp_path, runs=2, pairs=200, share=0.15, seed=5)
    shutil.copytree(tmp_path / "run-00", tmp_path / "copy")
    add_scores(make_run(tmp_path, "guesses", n=200), np.random.default_rng(1).normal(0, 1, 200))
    with create_app(tmp_path).server.app_context():
        assert "Judged without 2 runs" in said(pairs.layout())
        assert "Judged without" not in said(pairs.layout(runs="run-00,run-01"))


def test_of_many_pairs_the_map_draws_the_first_and_the_list_has_all(tmp_path):
    scored_runs(tmp_path, runs=2, pairs=1200)
    with create_app(tmp_path).server.app_context():
        found = refreshed()
        assert len(found["figure"]["data"][0]["y"]) == found["rows"]["drawn"] == 1000
        assert len(found["rows"]["ids"]) == 1200 and "first 1,000 of 1,200" in said(found["notes"])


def test_a_hundred_runs_send_less_than_a_megabyte(tmp_path):
    scored_runs(tmp_path, runs=100, pairs=500)
    with create_app(tmp_path).server.app_context():
        assert len(said(pairs.layout())) < 700_000
        assert sum(len(said(part)) for part in pairs.show("eval-0003", None, [], "best", None)) < 60_000
