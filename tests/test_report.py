"""python -m dashboard.report: what it is asked, what it answers, and what it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from reports import COLUMNS, as_json, margins, run, scored_run, table, write_export

from dashboard import report

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def export(tmp_path):
    return write_export(tmp_path / "export.csv")


def test_a_runs_table_is_ranked_with_intervals_ties_and_a_verdict(export, capsys):
    """840 and 830 of 1,000: z = 0.01 / sqrt(0.84 * 0.16 / 1000 + 0.83 * 0.17 / 1000) = 0.60, below 1.96: tied."""
    found = as_json(capsys, export)
    assert found["format"] == 1
    assert found["sources"] == ["export.csv"]
    by_name = {row["name"]: row for row in found["runs"]}
    assert [by_name[name]["rank"].get("eval/rewards/accuracies") for name in ("top", "near", "far")] == [1, 2, 3]
    assert [by_name[name]["tied_with_best"] for name in ("top", "near", "far")] == [True, True, False]
    assert by_name["top"]["n_eval"] == 1000
    assert by_name["top"]["accuracy_interval"] == pytest.approx([0.8160, 0.8614], abs=1e-4)
    assert by_name["top"]["config"]["beta"] == 0.1
    assert found["verdict"]["best"] == by_name["top"]["id"]
    assert found["verdict"]["proven"] is False
    assert len(found["verdict"]["sentences"]) == 3


def test_losses_are_ranked_only_where_they_may_be_compared(export, capsys):
    """top and far have beta 0.1, near has 0.2: by loss near is first of one, not second of three."""
    found = as_json(capsys, export)
    by_name = {row["name"]: row for row in found["runs"]}
    assert [by_name[name]["rank"]["eval/loss"] for name in ("top", "far", "near")] == [1, 2, 1]
    assert by_name["top"]["comparability_group"] == by_name["far"]["comparability_group"]
    assert by_name["top"]["comparability_group"] != by_name["near"]["comparability_group"]
    assert "loss-not-comparable" in [finding["id"] for finding in found["findings"]]
    asked = as_json(capsys, export, "--sort", "eval/loss")
    assert asked["verdict"]["best"] == found["verdict"]["best"]
    assert "eval/loss is on another scale for each" in asked["notes"][0]


def test_a_crashed_run_is_listed_without_a_rank_and_its_nan_is_a_text(export, capsys):
    last = as_json(capsys, export)["runs"][-1]
    assert (last["state"], last["rank"], last["metrics"]["eval/loss"]) == ("failed", {}, "nan")


def test_per_pair_scores_make_the_comparison_paired(tmp_path, capsys):
    """best is right on 360 pairs, among them the 300 of worse: 60 discordant, p = 2 / 2^60; both in one group."""
    scored_run(tmp_path, "best", 360)
    scored_run(tmp_path, "worse", 300)
    found = as_json(capsys, tmp_path, "--sort", "eval/rewards/accuracies")
    assert found["verdict"]["best"] == "best"
    assert found["verdict"]["proven"] is True
    assert "exact McNemar test on the same 400 pairs" in found["verdict"]["sentences"][1]
    assert [row["tied_with_best"] for row in found["runs"]] == [True, False]


def test_the_common_beta_loss_is_computed_from_scores_and_ranks_across_beta(tmp_path, capsys):
    """The same margins at beta 0.1 and 0.5: other losses, one common-beta loss, softplus(-0.2 h) on average."""
    scored_run(tmp_path, "small", 360, beta=0.1)
    scored_run(tmp_path, "large", 360, beta=0.5)
    found = as_json(capsys, tmp_path, "--beta", "0.2", "--sort", "eval/common_beta_loss")
    losses = [row["metrics"]["eval/common_beta_loss"] for row in found["runs"]]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert [row["rank"]["eval/common_beta_loss"] for row in found["runs"]] == [1, 1]
    assert losses[0] == pytest.approx(np.log1p(np.exp(-0.2 * margins(360))).mean(), rel=1e-9)
    assert found["runs"][0]["metrics"]["eval/loss"] != pytest.approx(found["runs"][1]["metrics"]["eval/loss"], rel=0.1)


def test_the_report_can_be_written_to_a_file(export, tmp_path, capsys):
    code, out, err = run(capsys, export, "--format", "md", "--out", tmp_path / "a report.md")
    assert (code, out) == (0, "")
    assert "written to" in err
    assert (tmp_path / "a report.md").read_text().startswith("# Comparison of 4 runs from export.csv")
    code, _, err = run(capsys, export, "--out", tmp_path / "absent" / "x.md")
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be written: No such file or directory" in err


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x00\x01\x02 noise", "is a binary file, but no log of runs"),
        (b"text,score\nhello,1\n", "export.csv"),
        (b"[" * 200_000, "export.csv"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_exit_code_2(tmp_path, capsys, content, reason):
    path = tmp_path / "export.csv"
    path.write_bytes(content)
    code, out, err = run(capsys, path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert reason in err and "Traceback" not in err


def test_a_missing_path_a_folder_without_runs_and_a_wrong_metric_are_one_line(export, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for arguments, reason in [
        ([tmp_path / "absent"], "absent"),
        ([tmp_path / "empty"], "empty"),
        ([export, "--sort", "eval/accuracy"], "No run has a metric 'eval/accuracy'; there are"),
        ([export, "--at", "common"], "There is no step near which every run was evaluated"),
    ]:
        code, _, err = run(capsys, *arguments)
        assert (code, err.count("\n")) == (2, 1), err
        assert reason in err


@pytest.mark.parametrize(
    "wrong",
    [
        ["--beta", "0"],
        ["--beta", "x"],
        ["--beta", "1e300"],
        ["--beta", "nan"],
        ["--at", "first"],
        ["--map", "A"],
        ["--map", "=b"],
    ],
)
def test_a_wrong_argument_is_said_by_name(export, capsys, wrong):
    with pytest.raises(SystemExit) as stopped:
        report.main([str(export), *wrong])
    assert stopped.value.code == 2
    assert wrong[0] in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[""], ["a.csv", ""], ["a.csv", "--out", ""]])
def test_an_empty_name_is_not_the_current_folder(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        report.main(arguments)
    assert ended.value.code == 2
    assert "a file's or folder's name is empty" in capsys.readouterr().err.splitlines()[-1]


def test_one_bad_source_does_not_hide_a_good_one(export, tmp_path, capsys):
    found = as_json(capsys, export, tmp_path / "absent.csv")
    assert len(found["runs"]) == 4
    assert any("absent.csv" in note for note in found["notes"])


def test_a_users_correction_of_a_column_is_followed(tmp_path, capsys):
    path = tmp_path / "export.csv"
    path.write_text(table([["a", "finished", 0.1, 1e-6, 0.4, 0.8, 50, 3]], [*COLUMNS, "warmup_loss"]), encoding="utf-8")
    assert as_json(capsys, path)["runs"][0]["metrics"]["warmup_loss"] == 3
    told = as_json(capsys, path, "--config-column", "warmup_loss")["runs"][0]
    assert told["config"]["warmup_loss"] == 3
    renamed = as_json(capsys, path, "--map", "warmup_loss=eval/extra")["runs"][0]
    assert renamed["metrics"]["eval/extra"] == 3


@pytest.fixture
def steps(tmp_path):
    """early is better at step 10, late at step 20 and 30; short has only steps 10 and 20."""
    scored_run(tmp_path, "early", 360, 300, 240)
    scored_run(tmp_path, "late", 280, 340, 380, beta=0.2)
    scored_run(tmp_path, "short", 250, 260)
    return tmp_path


def test_at_a_step_metrics_ranks_and_paired_tests_are_those_of_that_step(steps, capsys):
    """At step 10 early has 360 of 400, late 280: 80 discordant pairs, all on one side."""
    found = as_json(capsys, steps, "--at", "10", "--sort", "eval/rewards/accuracies")
    assert [(row["id"], row["step"], row["metrics"]["eval/rewards/accuracies"]) for row in found["runs"]] == [
        ("early", 10, 0.9),
        ("late", 10, 0.7),
        ("short", 10, 0.625),
    ]
    assert found["verdict"]["proven"] is True
    assert "exact McNemar test on the same 400 pairs" in found["verdict"]["sentences"][1]
    later = as_json(capsys, steps, "--at", "30", "--sort", "eval/rewards/accuracies")
    assert [row["id"] for row in later["runs"]] == ["late", "early"]
    assert later["notes"][0] == "short was not evaluated near step 30 and was left out."


def test_at_the_last_common_step_all_are_compared_there(steps, capsys):
    found = as_json(capsys, steps, "--at", "common", "--beta", "0.2", "--sort", "eval/common_beta_loss")
    assert [(row["id"], row["step"]) for row in found["runs"]] == [("late", 20), ("early", 20), ("short", 20)]
    expected = np.logaddexp(0, -0.2 * margins(340)).mean()
    assert found["runs"][0]["metrics"]["eval/common_beta_loss"] == pytest.approx(expected)
    assert "paired t test" in found["verdict"]["sentences"][1]
    _, out, _ = run(capsys, steps, "--at", "common")
    assert "at the evaluation nearest to step 20." in out


def test_a_crashed_run_and_one_never_evaluated_do_not_decide_the_common_step(steps, capsys):
    scored_run(steps, "crashed", 200, status="failed")
    scored_run(steps, "never")
    found = as_json(capsys, steps, "--at", "common")
    assert {row["step"] for row in found["runs"]} == {20}
    assert found["notes"][0] == "crashed and never were not evaluated near step 20 and were left out."


def test_scores_of_the_step_asked_for_count_and_no_others(steps, capsys):
    """Step 20 of late is kept, but only scores at step 0, the best, the last and the step asked for are read."""
    (steps / "late" / "scores" / "step-20.parquet").unlink()
    found = as_json(capsys, steps, "--at", "20", "--beta", "0.2")
    assert [row["id"] for row in found["runs"] if "eval/common_beta_loss" not in row["metrics"]] == ["late"]
    assert "late has no per-pair scores at that evaluation: no loss at the common beta 0.2." in found["notes"]
    assert "unpaired z test on the means" in found["verdict"]["sentences"][1]


@pytest.mark.parametrize(
    ("key", "order", "words"),
    [
        ("eval/rewards/accuracies", ["late", "early", "short"], "late has the highest reward accuracy: 95.0%"),
        ("eval/calibrated_loss", ["late", "early", "short"], "late has the lowest calibrated loss: "),
        ("eval/common_beta_loss", ["late", "early", "short"], "late has the lowest loss at a common beta: "),
        ("eval/loss", ["late", "early", "short"], "late has the highest reward accuracy: "),
    ],
)
def test_runs_are_ordered_by_what_is_asked_for_and_judged_by_it_where_it_may_be(steps, capsys, key, order, words):
    found = as_json(capsys, steps, "--beta", "0.1", "--sort", key)
    assert found["verdict"]["sentences"][0].startswith(words)
    if key == "eval/loss":
        assert found["notes"][0].startswith("Beta differs (0.1–0.2): eval/loss is on another scale for each")
        assert found["notes"][0].endswith("inside each group only; the verdict is by reward accuracy.")
    else:
        assert [row["id"] for row in found["runs"]] == order
        assert [row["rank"][key] for row in found["runs"]] == [1, 2, 3]


def test_a_beta_without_scores_is_said_to_have_no_effect(export, capsys):
    found = as_json(capsys, export, "--beta", "0.3")
    assert "No run has per-pair scores: there is no loss at the common beta 0.3." in found["notes"]


def test_a_common_beta_loss_that_runs_have_recorded_is_tested_at_their_beta(tmp_path, capsys):
    for name, right in (("good", 360), ("bad", 280)):
        scored_run(tmp_path, name, right, common_beta=0.3)
    found = as_json(capsys, tmp_path, "--sort", "eval/common_beta_loss")
    expected = np.logaddexp(0, -0.3 * margins(360)).mean()
    assert found["runs"][0]["metrics"]["eval/common_beta_loss"] == pytest.approx(expected)
    assert found["verdict"]["proven"] is True


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("eval/rewards/margins", "cannot be ordered by eval/rewards/margins: neither more nor less of it is better"),
        ("eval/bleu", "cannot be ordered by eval/bleu: whether more or less of it is better is not known here"),
        ("eval/common_beta_loss", "needs per-pair scores and --beta, the beta that it is computed at, such as 0.1."),
        ("beta", "No run has a metric 'beta'; there are "),
    ],
)
def test_a_metric_that_cannot_order_the_runs_is_one_line(tmp_path, capsys, key, reason):
    path = tmp_path / "export.csv"
    columns = [*COLUMNS, "eval/rewards/margins", "eval/bleu"]
    path.write_text(table([["a", "finished", 0.1, 1e-6, 0.4, 0.8, 50, 1.5, 0.3]], columns), encoding="utf-8")
    code, out, err = run(capsys, path, "--sort", key)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert reason in err


def test_groups_that_cannot_be_compared_have_a_verdict_each_and_the_first_says_on_what(tmp_path, capsys):
    for name, right in (("good", 360), ("bad", 280), ("middling", 300)):
        scored_run(tmp_path / "ours", name, right)
    other = tmp_path / "export.csv"
    other.write_text(table([["alone", "finished", 0.1, 1e-6, 0.4, 0.99, 50]]), encoding="utf-8")
    found = as_json(capsys, other, tmp_path / "ours")
    assert found["verdict"]["best"] == "good"
    assert found["verdict"]["sentences"][0].startswith("Of the 3 runs on 400 pairs of ours, good has the lowest")
    assert any(note.startswith("Runs are in 2 groups that cannot be compared") for note in found["notes"])
    assert any("alone has the lowest eval loss" in note for note in found["notes"])
    assert [row["tied_with_best"] for row in found["runs"]] == [True, False, False, True]


def test_the_verdict_is_on_a_group_that_can_be_ranked(tmp_path, capsys):
    """Three runs that never were evaluated are the larger group."""
    for name in "abc":
        scored_run(tmp_path / "ours", name)
    other = tmp_path / "export.csv"
    other.write_text(table([["alone", "finished", 0.1, 1e-6, 0.4, 0.99, 50]]), encoding="utf-8")
    found = as_json(capsys, tmp_path / "ours", other)
    assert found["runs"][0]["name"] == "alone"
    assert found["verdict"]["best"] == found["runs"][0]["id"]


def test_the_same_sources_give_the_same_report_every_time(steps, export):
    command = [sys.executable, "-m", "dashboard.report", str(steps), str(export), "--format", "json"]
    found = {
        subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": str(seed)}, capture_output=True, check=True
        ).stdout
        for seed in range(3)
    }
    assert len(found) == 1


@pytest.mark.parametrize("form", ["text", "json", "md", "html"])
def test_a_name_that_is_no_utf_8_is_shown_in_every_format(tmp_path, capsys, form):
    folder = tmp_path / os.fsdecode(b"r\xff")
    scored_run(folder, "b", 300)
    scored_run(folder, "a", 360)
    (folder / "a").rename(folder / os.fsdecode(b"a\xffz"))
    out = tmp_path / "report"
    code, _, err = run(capsys, folder, "--format", form, "--out", out)
    assert code == 0, err
    assert "a\ufffdz" in out.read_text(encoding="utf-8")
    assert run(capsys, folder, "--format", form)[0] == 0


@pytest.mark.parametrize("command", [["-m", "dashboard.report"], [str(ROOT / "dashboard" / "report.py")]])
def test_it_runs_from_any_folder(export, tmp_path, command):
    found = subprocess.run(
        [sys.executable, *command, export.name, "--format", "html", "--out", "report.html"],
        cwd=export.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "report: written to report.html\n")
    assert "<table>" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_folder_named_by_dots_has_its_own_name_in_the_report(steps, capsys, monkeypatch):
    monkeypatch.chdir(steps / "early")
    assert as_json(capsys, "..")["sources"] == [steps.name]


def test_the_report_loads_neither_torch_nor_dash_nor_scipy_stats(export):
    code = (
        "import sys; from dashboard import report; report.main(sys.argv[1:]); "
        "print({'torch', 'dash', 'transformers', 'wandb', 'scipy.stats', 'pandas', 'plotly'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(export)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines()[-1] == "set()"


def test_a_pipe_that_is_closed_early_is_no_fault(export):
    command = f"{sys.executable} -m dashboard.report '{export}' | head -1"
    found = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout == "4 runs from export.csv\n"
    assert "Traceback" not in found.stderr and "BrokenPipe" not in found.stderr
