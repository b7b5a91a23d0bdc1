"""The Leaderboard's content: rows, changes, groups, chart, export."""

import csv
import io
import json
import math
from dataclasses import replace

import flask
import pytest
from make_runs import make_run

from dashboard.analysis.findings.finding import Finding
from dashboard.components import context
from dashboard.components.evidence import Studies
from dashboard.components.judging import Findings
from dashboard.components.leaderboard import chart as board_chart
from dashboard.components.leaderboard import export_menu as board_export
from dashboard.components.leaderboard import words as board_words
from dashboard.components.leaderboard.board import View, board, change, known
from dashboard.components.memory import Memory
from dashboard.pages import leaderboard
from dashboard.sources.catalog import Catalog


@pytest.fixture
def root(tmp_path):
    """Two runs of beta 0.1 and one of 0.5, in the context of an app."""
    make_run(tmp_path, "good", beta=0.1, skill=0.9, seed=1)
    make_run(tmp_path, "middling", beta=0.1, skill=0.85, seed=2)
    make_run(tmp_path, "other", beta=0.5, skill=0.78, seed=3)
    app = flask.Flask("test")
    app.config |= {context.KEY: Catalog(tmp_path), context.STUDIES: Studies(), context.MEMORY: Memory()}
    with app.app_context():
        yield tmp_path


def snapshot():
    return context.catalog().snapshot()


def test_rows_are_in_the_order_of_their_rank_and_made_once(root):
    shown = board(snapshot(), View())
    assert [row[0] for row in shown.table.rows] == ["good", "middling", "other"]
    assert board(snapshot(), View()) is shown
    sent = json.loads(shown.content)
    assert sent["stamp"] == shown.stamp
    assert [row[0] for row in sent["rows"]] == ["good", "middling", "other"]


def test_a_name_that_writes_backwards_is_shown_letter_by_letter(root):
    make_run(root, "run-\u202eevil", beta=0.1, skill=0.99, seed=9)
    found = board(snapshot(), View())
    (name,) = (row["name"] for row in found.table.values().values() if "evil" in row["name"])
    assert name == "run-\ufffdevil"
    assert "\u202e" not in str(board_words.verdict(found.answers, []))


def test_only_rows_that_changed_are_sent(root):
    before = board(snapshot(), View())
    make_run(root, "late", beta=0.1, skill=0.5, seed=4)
    after = board(snapshot(), View())
    assert known(snapshot(), before.stamp, View()) is before
    sent = json.loads(change(before, after))
    assert (sent["base"], sent["stamp"], sent["gone"]) == (before.stamp, after.stamp, [])
    assert "late" in [row[0] for row in sent["rows"]]
    assert change(after, after) is None
    empty = json.loads(change(after, after, always=True))
    assert (empty["base"], empty["rows"], empty["order"]) == (after.stamp, [], None)


@pytest.mark.parametrize("stamp", [None, 7, "", "x" * 900, {"a": 1}, " auto best None None "])
def test_a_stamp_that_is_not_known_gets_the_whole_table(root, stamp):
    assert known(snapshot(), stamp, View()) is None


def test_groups_are_ranked_by_their_mean(root):
    shown = board(snapshot(), View(group="config.beta"))
    assert [(line.name, len(line.runs), line.rank) for line in shown.groups] == [("0.1", 2, 1), ("0.5", 1, 2)]
    mean = shown.groups[0].measured["accuracy"]
    values = shown.table.values()
    assert mean.mean == pytest.approx((values["good"]["accuracy"] + values["middling"]["accuracy"]) / 2)
    assert shown.groups[1].single["accuracy"] == values["other"]["accuracy"]


def test_at_a_step_runs_are_as_they_were_then(root):
    """Evaluations are each 20 steps; the last one common to all is the end, 200."""
    make_run(root, "short", beta=0.1, done=0.2, status="stopped", seed=5)
    early = board(snapshot(), View(at="step", step=60))
    assert early.notes == ("3 of 4 runs were evaluated within 5% of step 60; the other 1 is left out.",)
    assert {row["step"] for row in early.table.values().values()} == {60}
    assert board(snapshot(), View(at="step")).step == 40


def test_a_rank_that_needs_scores_says_who_has_none(root):
    shown = board(snapshot(), View(rank="common", beta=0.1))
    assert shown.notes[-1].startswith("No run has per-pair scores")
    assert not any("ranked by reward accuracy" in text for answer in shown.answers for text in answer.warnings)


def test_losses_on_several_scales_have_no_front(root):
    found = board_chart.chart(board(snapshot(), View()), "auto", {})
    assert "there is no Pareto front" in found.words
    assert all(trace["mode"] == "markers" for trace in found.figure["data"])


def test_losses_on_one_scale_have_a_front(tmp_path, root):
    found = board_chart.chart(board(snapshot(), View(rank="loss")), "loss", {})
    assert "no Pareto front" in found.words
    for name in ("other",):
        for path in sorted((root / name).iterdir()):
            path.unlink()
        (root / name).rmdir()
    shown = board(snapshot(), View())
    found = board_chart.chart(shown, "auto", {})
    assert found.words == "good has the lowest loss and the highest accuracy, as measured."
    assert all(trace["mode"] == "markers" for trace in found.figure["data"])
    second = shown.study["middling"]
    best = replace(second.run, best={**second.run.best, "eval/rewards/accuracies": 0.99})
    study = {**shown.study, "middling": replace(second, run=best)}
    found = board_chart.chart(replace(shown, study=study), "auto", {})
    assert "the Pareto front, as measured: of the runs on it, none has both" in found.words
    assert found.figure["data"][0]["mode"] == "lines"


def test_the_export_has_the_rows_and_columns_that_are_shown(root):
    shown = board(snapshot(), View())
    text = board_export.exported(shown, "csv", ["other", "nowhere", 7, "good"], ["name", "accuracy", "curve", {}])
    accuracy = shown.table.values()["good"]["accuracy"]
    assert text.splitlines()[0] == "id,name,accuracy"
    assert [line.split(",")[0] for line in text.splitlines()[1:]] == ["other", "good"]
    assert text.splitlines()[2].endswith(repr(accuracy))
    table = board_export.exported(shown, "markdown", ["good"], ["name", "loss"])
    assert "| `good` |" in table
    assert board_export.exported(shown, "latex", ["good"], ["name"]).startswith(r"\begin{tabular}{l}")


def test_an_exported_group_has_mean_and_spread(root):
    shown = board(snapshot(), View(group="config.beta"))
    first = shown.groups[0]
    head, row = board_export.exported(shown, "csv", [first.id], ["accuracy"]).splitlines()
    assert head == "group,runs,best run,accuracy_n,accuracy_mean,accuracy_sd,accuracy_low,accuracy_high"
    assert row.startswith("0.1,2,good,2,")
    assert " ± " in board_export.exported(shown, "markdown", [first.id], ["accuracy"])


def test_runs_of_an_opened_group_are_exported_below_it_in_columns_of_their_own(root):
    shown = board(snapshot(), View(group="config.beta"))
    first, second = shown.groups
    ids = [first.id, "middling", "good", second.id, "nowhere"]
    text = board_export.exported(shown, "csv", ids, ["name", "accuracy", "curve"])
    head, *rows = csv.reader(io.StringIO(text))
    assert head[-3:] == ["id", "name", "accuracy"]
    assert [(row[0], row[1], row[-3]) for row in rows] == [
        ("0.1", "2", ""), ("0.1", "", "middling"), ("0.1", "", "good"), ("0.5", "1", "")
    ]  # fmt: skip
    found = dict(zip(head, rows[2], strict=True))
    assert float(found["accuracy"]) == shown.table.values()["good"]["accuracy"]
    assert found["accuracy_mean"] == "" == rows[0][-1]


def test_runs_of_an_opened_group_are_read_below_it(root):
    """Columns are those that are shown; of a group the ones that are of single runs are empty."""
    shown = board(snapshot(), View(group="config.beta"))
    first, second = shown.groups
    fields = ["rank", "name", "accuracy", "state"]
    text = board_export.exported(shown, "markdown", [first.id, "good", second.id], fields)
    head, _, group, run, other = text.splitlines()
    assert head == "| group | runs | best run | \\# | Run | Reward accuracy | State |"
    assert group.startswith("| `0.1` | 2 | good | 1 |  | ")
    assert " ± " in group
    assert run.startswith("|  |  |  | 1 | `good` | ")
    assert run.endswith(" | finished |")
    assert other.startswith("| `0.5` | 1 | other | 2 |  | ")
    closed = board_export.exported(shown, "markdown", [first.id], fields)
    assert closed.splitlines()[0] == "| group | runs | best run | Reward accuracy |"
    table = board_export.exported(shown, "latex", [first.id, "good"], ["name", "accuracy"])
    assert table.startswith(r"\begin{tabular}{lrllr}")


def test_an_exported_run_of_several_sets_names_its_set_once(root):
    """Other pairs have another hash; where the column of the set is shown, the groups' sets stand in it too."""
    path = make_run(root, "elsewhere", beta=0.1, skill=0.8, seed=9, n=300) / "config.json"
    path.write_text(path.read_text().replace("e" * 16, "f" * 16))
    shown = board(snapshot(), View(group="config.beta"))
    assert len({line.set for line in shown.groups}) == 2
    line = next(line for line in shown.groups if "elsewhere" in line.runs)
    head, _, *rows = board_export.exported(shown, "markdown", [line.id, "elsewhere"], ["name", "set"]).splitlines()
    assert head == "| group | runs | best run | Run | Evaluated on |"
    assert all(row.endswith(f" | {line.set} |") for row in rows)
    head = board_export.exported(shown, "csv", [line.id, "elsewhere"], ["name"]).splitlines()[0]
    assert head == "group,evaluated on,runs,best run,id,name"


@pytest.mark.parametrize("value", [None, 7, [], {}, [[1], None], "x" * 9_000, True, -1e308, math.nan])
def test_whatever_arrives_is_some_view(value):
    found = leaderboard.view(value, value, value, value, value)
    assert found.rank in ("auto", "loss", "accuracy", "common", "calibrated")
    assert found.step is None or found.step >= 1


def test_a_finding_of_all_runs_names_none_of_them():
    every = Finding("a", "bad", ("x", "y"), "Both.", "source")
    one = Finding("b", "info", ("y",), "One.", "source")
    sent = json.loads(board_words.badges([every, one], ["x", "y"]))
    assert [found["runs"] for found in sent["findings"]] == [None, ["y"]]


def test_findings_beyond_the_gravest_are_folded():
    several = tuple(Finding(str(i), "info", ("x",), f"Sentence {i}.", "source") for i in range(5))
    shown = board_words.findings(Findings(several, True))
    assert "All 5 findings" in str(shown)
    assert "All" not in str(board_words.findings(Findings(several[:3], True)))
    assert "being worked out" in str(board_words.findings(Findings((), False)))
