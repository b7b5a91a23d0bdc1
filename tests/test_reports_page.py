"""The report as one HTML file: nothing outside is asked for, nothing from a file becomes HTML."""

import html.parser
import os
import re

from reports import run, scored_run, table, write_export


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


def page(out):
    found = Tags()
    found.feed(re.sub(r"<script.*?</script>", "", out, flags=re.DOTALL))
    return found


def test_a_hostile_name_is_text_on_the_page_and_nothing_outside_is_asked_for(tmp_path, capsys):
    _, out, _ = run(capsys, write_export(tmp_path / "export.csv"), "--format", "html")
    found = page(out)
    assert "img" not in found.tags
    assert any("<img src=x onerror=alert(1)>" in text for text in found.text)
    addresses = [value for _, name, value in found.attributes if name in ("src", "href", "action", "data")]
    assert addresses == ["data:,"]
    assert "default-src 'none'" in out
    ours = "".join(re.findall(r"<script(?:>| type).*?</script>", out[out.rindex("Plotly.newPlot") - 5000 :], re.DOTALL))
    assert "<img" not in ours
    assert "\x1b" not in out[out.rindex("</script>") :] and "\u202e" not in "".join(found.text)


def test_the_plotting_library_is_there_once_and_only_where_something_is_drawn(tmp_path, capsys):
    _, drawn, _ = run(capsys, write_export(tmp_path / "export.csv"), "--format", "html")
    assert drawn.count("plotly.js (cartesian - minified) v") == 1
    scored_run(tmp_path / "runs", "never")
    _, empty, _ = run(capsys, tmp_path / "runs", "--format", "html")
    assert "plotly" not in empty.lower() and len(empty) < 20_000


def test_long_words_of_a_head_may_break_at_their_underscores(tmp_path, capsys):
    _, out, _ = run(capsys, write_export(tmp_path / "export.csv"), "--format", "html")
    assert "learning_<wbr>rate</th>" in out


def test_runs_are_named_beside_the_charts_with_colour_and_mark(tmp_path, capsys):
    path = tmp_path / "many.csv"
    path.write_text(table([[f"run {i}", "finished", 0.1, 1e-6, 0.4, 0.9 - i / 100, 50] for i in range(40)]))
    _, out, _ = run(capsys, path, "--format", "html")
    marks = re.findall(r'<li><i style="color: (#\w+)">(.)</i><bdi>(run \d+)</bdi></li>', out)
    assert [name for *_, name in marks] == [f"run {i}" for i in range(36)]
    assert len({(colour, mark) for colour, mark, _ in marks}) == 36
    assert "The first 36 of 40 runs." in out


def test_a_name_that_is_no_utf_8_can_be_drawn(tmp_path, capsys):
    scored_run(tmp_path, "b", 300, 320)
    scored_run(tmp_path, "a", 360, 380)
    (tmp_path / "a").rename(tmp_path / os.fsdecode(b"a\xffz"))
    code, out, _ = run(capsys, tmp_path, "--format", "html")
    assert code == 0
    assert "a\ufffdz" in out and "Plotly.newPlot" in out
