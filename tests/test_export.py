"""Tables to take elsewhere: no text of a run is more than text in them."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from dashboard.components.leaderboard import export


def test_csv_keeps_numbers_and_disarms_formulas():
    text = export.csv_text(["id", "loss"], [["=1+1", 0.1234567890123], ["-x", None], ['a "b", c', -0.5]])
    assert text.splitlines() == ["id,loss", "'=1+1,0.1234567890123", "'-x,", '"a ""b"", c",-0.5']


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_no_cell_of_a_csv_begins_a_formula(cells):
    rows = list(csv.reader(io.StringIO(export.csv_text(["h"] * len(cells), [cells]), newline="")))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in rows[1])


def test_markdown_shows_text_letter_for_letter():
    text = export.markdown_text(["Run", "State"], [["a|b`c", "<b>*x*"]], {0})
    assert text.splitlines()[2] == r"| ``a¦b`c`` | \<b\>\*x\* |"


def test_latex_escapes_what_latex_obeys():
    found = export.latex_text(["a_b", "n"], [[r"50% & \input{x} ~^", "1"]], [False, True])
    assert r"50\% \& \textbackslash{}input\{x\} \textasciitilde{}\textasciicircum{} & 1 \\" in found
    assert found.startswith("\\begin{tabular}{lr}\n\\toprule\na\\_b & n \\\\")


@given(st.text())
def test_no_text_opens_a_latex_command(text):
    found = export.latex(text)
    for made in set(export._LATEX.values()):
        found = found.replace(made, "")
    assert not set("\\&%$#_{}~^") & set(found)
