"""What a reader of a report is spared: charts that say nothing, names that look alike, claims that nothing backs."""

import re

import plotly.graph_objects as go
import pytest
from markdown_it import MarkdownIt
from reports import COLUMNS, run, scored_run, table

from dashboard.figures.intervals import Bar, accuracy_intervals, short
from training.record.intervals import Interval
from training.record.writer import RunWriter

UNSURE = [name for name in COLUMNS if name != "eval/runtime"]


def written(path, rows, columns=COLUMNS):
    path.write_text(table(rows, columns), encoding="utf-8")
    return path


def two_sets(tmp_path):
    """Two runs on 1,000 pairs, one on 500: these cannot be ranked with each other."""
    rows = [["a_1/x", "finished", 0.1, 1e-6, 0.4, 0.8, 50], ["b", "finished", 0.1, 2e-6, 0.5, 0.7, 50]]
    written(tmp_path / "logs" / "big.csv", rows)
    written(tmp_path / "logs" / "small.csv", [["c", "finished", 0.1, 1e-6, 0.3, 0.9, 25]])
    return tmp_path / "logs"


@pytest.fixture
def logs(tmp_path):
    (tmp_path / "logs").mkdir()
    return two_sets(tmp_path)


def headings(out):
    return re.findall(r"<h[23]>(.*?)</h[23]>", out)


def test_runs_on_other_pairs_stand_under_a_title_of_their_own(logs, capsys):
    _, page, _ = run(capsys, logs, "--format", "html")
    assert re.findall(r'scope="rowgroup"><bdi>(.*?)</bdi>', page) == [
        "1,000 pairs of big.csv",
        "500 pairs of small.csv",
    ]
    _, text, _ = run(capsys, logs)
    lines = [line.strip() for line in text.splitlines()]
    assert lines.index("1,000 pairs of big.csv") < lines.index("500 pairs of small.csv")
    _, markdown, _ = run(capsys, logs, "--format", "md")
    rows = MarkdownIt("gfm-like", {"linkify": False}).render(markdown)
    assert rows.count("<tr>") == 1 + 2 + 3
    assert "<td><em>500 pairs of small.csv</em></td>" in rows


def test_runs_on_the_same_pairs_need_no_title(tmp_path, capsys):
    path = written(tmp_path / "one.csv", [[f"r{n}", "finished", 0.1, 1e-6, 0.4, 0.8, 50] for n in range(3)])
    _, page, _ = run(capsys, path, "--format", "html")
    assert "rowgroup" not in page


def test_one_run_is_compared_with_nothing_and_so_not_drawn(tmp_path, capsys):
    path = written(tmp_path / "one.csv", [["alone", "finished", 0.1, 1e-6, 0.4, 0.8, 50]])
    _, page, _ = run(capsys, path, "--format", "html")
    assert "Plotly" not in page and "<h3>" not in page


def test_no_interval_is_announced_where_the_number_of_pairs_is_unknown(tmp_path, capsys):
    rows = [["a", "finished", 0.1, 1e-6, 0.4, 0.8], ["b", "finished", 0.1, 2e-6, 0.5, 0.6]]
    _, page, _ = run(capsys, written(tmp_path / "x.csv", rows, UNSURE), "--format", "html")
    assert "Reward accuracy; of how many pairs the source does not say" in headings(page)
    assert "not told apart from the best" not in " ".join(headings(page))


def test_nothing_is_drawn_as_tied_with_the_best_where_no_run_is_ranked(tmp_path, capsys):
    rows = [[f"r{n}", "finished", 0.1, 1e-6, "NaN", 0.8, 50] for n in range(3)]
    _, page, _ = run(capsys, written(tmp_path / "x.csv", rows), "--format", "html")
    assert "Reward accuracy with its 95% interval" in headings(page)


def test_runs_without_an_evaluation_are_drawn_on_their_training_pairs(tmp_path, capsys):
    writer = RunWriter(tmp_path, "training-only")
    writer.publish({"config": {"beta": 0.1}})
    for step in (10, 20, 30):
        writer.log(step, step / 10, {"train/loss": 0.7 - step / 100})
    writer.finish("finished")
    _, page, _ = run(capsys, tmp_path, "--format", "html")
    assert "Curves on the training pairs" in headings(page) and "Loss" in headings(page)
    assert "dashed the rejected one" not in page
    scored_run(tmp_path, "evaluated", 300, 320)
    _, page, _ = run(capsys, tmp_path, "--format", "html")
    assert "Curves on the evaluation pairs" in headings(page)


def test_the_columns_are_the_hyper_parameters_that_differ_among_the_runs_of_the_verdict(tmp_path, capsys):
    """The other file has many settings that vary; they say nothing of the two runs that are compared."""
    (tmp_path / "logs").mkdir()
    more = [*COLUMNS, "warmup_ratio"]
    rows = [[f"a{n}", "finished", 0.1, 1e-6, 0.4 + n / 10, 0.8 - n / 10, 50, n / 10] for n in range(3)]
    written(tmp_path / "logs" / "b.csv", rows, more)
    other = [*COLUMNS, *(f"adapters.{n}" for n in range(4))]
    rows = [[f"z{n}", "finished", 0.1, 1e-6, "", "", "", *[n] * 4] for n in range(9)]
    written(tmp_path / "logs" / "a.csv", rows, other)
    _, page, _ = run(capsys, tmp_path / "logs", "--format", "html")
    assert "warmup_<wbr>ratio</th>" in page


def test_a_name_keeps_its_direction_and_may_be_broken_where_its_parts_end(tmp_path, capsys):
    rows = [["تجربة", "finished", 0.1, 1e-6, 0.4, 0.8, 50], ["a_1/x<b>", "finished", 0.1, 2e-6, 0.5, 0.7, 50]]
    _, page, _ = run(capsys, written(tmp_path / "x.csv", rows), "--format", "html")
    assert "<p><bdi>تجربة</bdi> has the lowest eval loss: 0.4000.</p>" in page
    assert "<bdi>a_<wbr>1/<wbr>x&lt;b&gt;</bdi>" in page


def test_a_name_with_dollars_is_no_formula(tmp_path, capsys):
    rows = [[f"${n}$", "finished", 0.1, 1e-6, 0.4, 0.8, 50] for n in range(2)]
    _, page, _ = run(capsys, written(tmp_path / "x.csv", rows), "--format", "html")
    assert page.count('"typesetMath": false') == 2


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        (
            ["run-" + "x" * 40 + "-1", "run-" + "x" * 40 + "-2"],
            ["run-xxxxxxxxxxxxxx…xxxxxxx-1", "run-xxxxxxxxxxxxxx…xxxxxxx-2"],
        ),
        (
            [f"mistral-7b-instruct-seed{n}-{'x' * 20}-final" for n in (1, 2)],
            ["…seed1-xxxxxxxxxxx…xxx-final", "…seed2-xxxxxxxxxxx…xxx-final"],
        ),
        (["x" * 40, "x" * 40], ["xxxxxxxxxxxxxxxxxx…xxxxxxxxx"] * 2),
        ([], []),
    ],
)
def test_long_names_are_cut_where_they_are_alike(names, expected):
    assert short(names) == expected
    assert all(len(name) <= 28 for name in short(names))


def span(*bars):
    axis = accuracy_intervals(bars).layout.xaxis
    assert isinstance(axis, go.layout.XAxis)
    return axis.range


def test_the_axis_of_the_accuracies_stays_within_what_a_share_can_be():
    """One point at 68% would get an axis from below 0% to 150%; ten points are enough. 4% of 0.5 to 0.8 are 0.012."""
    assert span(Bar("a", 0.68, None, True)) == pytest.approx((0.63, 0.73))
    assert span(Bar("a", 1.0, Interval(0.5, 1.0), True)) == pytest.approx((0.48, 1.01))
    assert span(Bar("a", 0.7, Interval(0.6, 0.8), True), Bar("b", 0.5, None, True)) == pytest.approx((0.488, 0.812))
