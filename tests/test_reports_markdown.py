"""The report as Markdown: what comes from files is shown letter for letter."""

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from reports import run, scored_run, table, write_export

from dashboard.analysis.numbers import visible
from dashboard.reports import markdown

READER = MarkdownIt("gfm-like", {"html": True, "linkify": False})


def test_a_hostile_name_is_text(tmp_path, capsys):
    _, out, _ = run(capsys, write_export(tmp_path / "export.csv"), "--format", "md")
    page = READER.render(out)
    assert "<img" not in page and "<a " not in page and "<strong>bold" not in page
    assert page.count("<table>") == 1
    assert "<td><code>top</code></td>" in page


def test_names_in_sentences_are_code_with_a_space_on_both_sides(tmp_path, capsys):
    _, out, _ = run(capsys, write_export(tmp_path / "export.csv"), "--format", "md")
    assert "1. `top` has the highest reward accuracy: 84.0%" in out
    assert "warning**: Beta differs" in out
    scored_run(tmp_path / "runs", "good run", 300)
    scored_run(tmp_path / "runs", "near run", 300)
    _, out, _ = run(capsys, tmp_path / "runs", "--format", "md")
    assert "on these pairs `near run` is exactly as good." in out


def test_each_row_of_the_table_has_as_many_cells_as_its_head(tmp_path, capsys):
    rows = [["a | b", "finished", 0.1, 1e-6, 0.4, 0.8, 50], ["`|`\n|", "finished", 0.2, 1e-6, 0.4, 0.8, 50]]
    path = tmp_path / "export.csv"
    path.write_text(table(rows), encoding="utf-8")
    _, out, _ = run(capsys, path, "--format", "md")
    lines = [line for line in out.splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1


pieces = st.sampled_from([*"ab `*_|<>[]()!#~$&\\\"'.:/@+-\n\t1", "https://x.y", "www.x.y", "\u202e", "\udcff"])
texts = st.lists(pieces, max_size=20).map("".join)


@settings(max_examples=300, deadline=None)
@given(texts, st.lists(texts, max_size=3))
def test_any_sentence_becomes_nothing_but_text_and_code(sentence, names):
    line = markdown._plain(f"Said: {sentence} and {' '.join(names)} is all.", names)
    tokens = READER.parseInline(line)[0].children
    assert {token.type for token in tokens} <= {"text", "code_inline"}
    shown = "".join(token.content for token in tokens)
    words = visible(f"Said: {sentence} and {' '.join(names)} is all.").replace("|", "¦")
    assert shown.replace("|", "¦").split() == words.split()


def test_the_sections_are_there(tmp_path, capsys):
    _, out, _ = run(capsys, write_export(tmp_path / "export.csv"), "--format", "md")
    assert (
        out.startswith("# Comparison of 4 runs from export.csv\n") and out.endswith("\n") and not out.endswith("\n\n")
    )
    assert "\n## Findings\n" in out and "\n## Notes\n" in out
