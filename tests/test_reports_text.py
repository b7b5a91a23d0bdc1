"""The report in a terminal: it fits, whatever the names are."""

import re

import pytest
from reports import HOSTILE, NAMES, run, scored_run, table, write_export
from rich.cells import cell_len

from dashboard.reports import build, text
from dashboard.sources.imported import NO_CORRECTIONS


@pytest.fixture
def odd(tmp_path):
    rows = [[name, "finished", 0.1 * (1 + i % 2), 1e-6, 0.4, 0.8 - i / 50, 50] for i, name in enumerate(NAMES)]
    path = tmp_path / "odd.csv"
    path.write_text(table(rows), encoding="utf-8")
    return build.build([path], NO_CORRECTIONS).content


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(odd, width):
    lines = text.render(odd, width).splitlines()
    assert max(map(cell_len, lines)) <= width
    rule = next(place for place, line in enumerate(lines) if line.startswith("───"))
    rows = lines[rule + 1 : rule + 1 + len(NAMES)]
    assert [row.split()[0].lstrip("=") for row in rows] == ["1", "2", "3", "4", "5"]
    if width > 40:
        assert all("%" in row for row in rows)


def test_the_least_telling_columns_go_first(odd):
    def header(width):
        return next(line for line in text.render(odd, width).splitlines() if line.strip().startswith("#")).split()

    assert header(60)[:3] == ["#", "run", "accuracy"]
    assert "beta" not in header(60)
    assert "beta" in header(90) and "group" not in header(90)
    assert {"loss", "beta", "group"} <= set(header(200)) and "step" not in header(200)


def test_letters_of_groups_are_explained_only_where_they_are_shown(odd):
    assert "Losses can be compared within one group only: A: beta" in " ".join(text.render(odd, 200).split())
    narrow = " ".join(text.render(odd, 60).split())
    assert "Not all losses are on one scale" in narrow and "A: beta" not in narrow


def test_a_terminal_shows_so_many_runs_and_names_the_formats_that_show_all(odd, monkeypatch):
    monkeypatch.setattr(text, "MOST_ROWS", 2)
    lines = text.render(odd, 120).splitlines()
    rule = next(place for place, line in enumerate(lines) if line.startswith("───"))
    assert [line.split()[0].lstrip("=") for line in lines[rule + 1 : rule + 3]] == ["1", "2"]
    assert lines[rule + 3] == "… and 3 more runs: --format json, md or html has them all"


def test_texts_stand_on_the_left_and_numbers_on_the_right(tmp_path):
    rows = [[name, "finished", beta, 1e-6, 0.4, 0.8, 50] for name, beta in [("a", "high"), ("b", "none at all")]]
    path = tmp_path / "words.csv"
    path.write_text(table(rows), encoding="utf-8")
    lines = text.render(build.build([path], NO_CORRECTIONS).content, 200).splitlines()
    head = next(line for line in lines if line.strip().startswith("#"))
    row = next(line for line in lines if " a " in line and "high" in line)
    assert row.index("high") == head.index("beta")


@pytest.mark.parametrize(
    ("name", "most", "shown"),
    [
        ("short", 9, "short"),
        ("run-2026-11-21-seed-1", 12, "run-202…ed-1"),
        ("実験その一二三四五", 10, "実験そ…五"),
        ("", 5, ""),
    ],
)
def test_a_name_is_cut_in_the_middle_by_what_it_takes_of_the_screen(name, most, shown):
    assert text.shortened(name, most) == shown
    assert cell_len(shown) <= most


def test_wide_terminals_show_long_names_whole(odd):
    assert NAMES[3] in text.render(odd, 200)


def test_no_control_character_reaches_the_terminal(tmp_path, capsys):
    _, out, _ = run(capsys, write_export(tmp_path / "export.csv"))
    assert "\x1b" in HOSTILE and "\x1b" not in out and "\u202e" not in out


def test_a_run_tied_with_the_best_is_marked_and_the_mark_is_explained(tmp_path, capsys):
    _, out, _ = run(capsys, write_export(tmp_path / "export.csv"))
    assert re.search(r"^ 1 +top +84\.0%", out, re.MULTILINE)
    assert re.search(r"^=2 +near +83\.0%", out, re.MULTILINE)
    assert "=: not told apart from the best (95%)." in out


def test_one_run_alone_has_no_mark_to_explain(tmp_path, capsys):
    scored_run(tmp_path / "runs", "only", 360)
    _, out, _ = run(capsys, tmp_path / "runs")
    assert out.startswith("1 run from runs\n")
    assert "=:" not in out


def test_runs_without_any_evaluation_are_ordered_by_nothing(tmp_path, capsys):
    scored_run(tmp_path / "runs", "never")
    _, out, _ = run(capsys, tmp_path / "runs")
    assert "Nothing to order by: no run is ranked by reward accuracy." in out


def test_many_sources_are_not_all_named_in_the_title(tmp_path, capsys):
    for place in range(14):
        scored_run(tmp_path / f"folder {place:02}", f"run {place}", 300 + place)
    _, out, _ = run(capsys, *sorted(tmp_path.iterdir()))
    assert out.splitlines()[0].startswith("14 runs from folder 00, folder 01, ")
    assert "folder 09 and 4 more" in " ".join(out.split())


def test_colours_are_for_a_terminal_only(odd):
    assert "\x1b[" in text.render(odd, 120, colour=True)
    assert "\x1b[" not in text.render(odd, 120)
