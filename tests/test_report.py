"""python -m dashboard.report: every format, on our own runs and on a foreign table, with hostile names."""

import csv
import html.parser
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from markdown_it import MarkdownIt

from dashboard import report
from dashboard.reports import document
from training.record.writer import SCORE_COLUMNS, RunWriter

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = "<img src=x onerror=alert(1)> **bold** [link](https://evil.example) `code` | \x1b[31mred \u202e"
COLUMNS = ["Name", "State", "beta", "learning_rate", "eval/loss", "eval/rewards/accuracies", "eval/runtime"]


def table(rows, columns=COLUMNS):
    """A W&B runs table: n = 50 s x 20 pairs a second = 1,000 in every row."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*columns, "eval/samples_per_second"])
    writer.writerows([[*row, "20.0"] for row in rows])
    return out.getvalue()


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "export.csv"
    rows = [
        ["top", "finished", 0.1, 1e-6, 0.45, 0.84, 50],
        ["near", "finished", 0.2, 2e-6, 0.50, 0.83, 50],
        ["far", "finished", 0.1, 3e-5, 0.75, 0.60, 50],
        [HOSTILE, "crashed", 0.1, 4e-5, "NaN", 0.5, 50],
    ]
    path.write_text(table(rows), encoding="utf-8")
    return path


def scored_run(runs, name, right, n=400, beta=0.1, seed=0):
    """A finished run of which `right` of `n` pairs have a positive margin; the first pairs are the right ones."""
    noise = np.random.default_rng(seed)
    h = np.where(np.arange(n) < right, 1.0, -1.0) * (5 + noise.random(n))
    columns = {
        "pair_id": [f"pair {number}" for number in range(n)],
        "chosen_logp": h - 50,
        "rejected_logp": np.full(n, -60.0),
        "ref_chosen_logp": np.full(n, -50.0),
        "ref_rejected_logp": np.full(n, -60.0),
        "chosen_tokens": np.full(n, 9),
        "rejected_tokens": np.full(n, 9),
        "chosen_truncated": np.full(n, False),
        "rejected_truncated": np.full(n, False),
    }
    loss = float(np.logaddexp(0, -beta * h).mean())
    metrics = {"eval/loss": loss, "eval/rewards/accuracies": right / n}
    writer = RunWriter(runs, name)
    writer.publish(
        {"config": {"beta": beta, "loss_type": ["sigmoid"]}, "data": {"eval": "e" * 64, "n_eval": n, "dataset": "ours"}}
    )
    writer.log(10, 1.0, metrics)
    writer.scores(10, pa.table(columns, schema=SCORE_COLUMNS))
    writer.best(10, "eval/rewards/accuracies", metrics)
    writer.finish("finished")


def run(capsys, *arguments):
    code = report.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def as_json(capsys, *arguments):
    code, out, _ = run(capsys, *arguments, "--format", "json")
    assert code == 0
    return json.loads(out)


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
    noise = np.random.default_rng(0).random(400)
    h = np.where(np.arange(400) < 360, 1.0, -1.0) * (5 + noise)
    assert losses[0] == pytest.approx(np.log1p(np.exp(-0.2 * h)).mean(), rel=1e-9)
    assert found["runs"][0]["metrics"]["eval/loss"] != pytest.approx(found["runs"][1]["metrics"]["eval/loss"], rel=0.1)


def test_the_document_has_exactly_the_keys_that_it_documents(export, capsys):
    found = as_json(capsys, export)
    assert found.keys() == document.Document.__annotations__.keys()
    for row in found["runs"]:
        assert row.keys() == document.RunDocument.__annotations__.keys()
    for finding in found["findings"]:
        assert finding.keys() == document.FindingDocument.__annotations__.keys()
        assert finding["severity"] in ("bad", "warning", "info")
    assert found["verdict"].keys() == document.VerdictDocument.__annotations__.keys()


@pytest.mark.parametrize("form", ["text", "md", "json", "html"])
def test_no_control_character_of_a_name_reaches_the_output(export, capsys, form):
    _, out, _ = run(capsys, export, "--format", form)
    page = out if form != "html" else re.sub(r"<script>.*?</script>", "", out, flags=re.DOTALL)
    assert "\x1b" not in page
    if form != "json":
        assert "\u202e" not in page


class Tags(html.parser.HTMLParser):
    """Collects tags and attributes, and the text of the page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_data(self, data):
        self.text.append(data)


def test_a_hostile_name_is_text_on_the_page_and_nothing_outside_is_asked_for(export, capsys):
    _, out, _ = run(capsys, export, "--format", "html")
    found = Tags()
    found.feed(re.sub(r"<script.*?</script>", "", out, flags=re.DOTALL))
    assert "img" not in found.tags
    assert any("<img src=x onerror=alert(1)>" in text for text in found.text)
    addresses = [value for _, name, value in found.attributes if name in ("src", "href", "action", "data")]
    assert addresses == ["data:,"]
    assert "default-src 'none'" in out
    scripts = "".join(
        re.findall(r"<script(?:>| type).*?</script>", out[out.rindex("Plotly.newPlot") - 5000 :], re.DOTALL)
    )
    assert "<img" not in scripts


def test_a_hostile_name_is_text_in_markdown(export, capsys):
    _, out, _ = run(capsys, export, "--format", "md")
    page = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(out)
    assert "<img" not in page and "<a " not in page and "<strong>bold" not in page
    assert page.count("<table>") == 1
    assert "<td><code>top</code></td>" in page


def test_a_terminal_gets_a_table_that_fits(export, capsys):
    _, out, _ = run(capsys, export)
    assert max(map(len, out.splitlines())) <= 120
    assert re.search(r"^ 1 +top +84\.0%", out, re.MULTILINE)
    assert re.search(r"^=2 +near +83\.0%", out, re.MULTILINE)


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
    "wrong", [["--beta", "0"], ["--beta", "x"], ["--at", "first"], ["--map", "A"], ["--map", "=b"]]
)
def test_a_wrong_argument_is_said_by_name(export, capsys, wrong):
    with pytest.raises(SystemExit) as stopped:
        report.main([str(export), *wrong])
    assert stopped.value.code == 2
    assert wrong[0] in capsys.readouterr().err


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
