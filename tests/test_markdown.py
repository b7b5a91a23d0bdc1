"""Hostile text stays text, as a CommonMark parser sees it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from training.record.markdown import LONGEST_TEXT, code, excerpt, fenced, table

PARSER = MarkdownIt("commonmark").enable("table")
TEXTS = st.text(st.sampled_from("`~|\\<>&*_[]()!#-+.:/ \n\r\tab\x00\u202e")) | st.text()

HOSTILE = (
    "<script>alert(1)</script>",
    "```\n# heading\n<img src=x onerror=alert(1)>\n```",
    "````\n~~~\n[link](https://example.org)",
    "| a | b |\n|---|---|\n\\| <b>bold</b>",
    "`` ` `` ![picture](https://example.org/x.png)",
    "\n\n---\nbase_model: other\n---\n",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_fenced_text_is_one_code_block_letter_for_letter(text):
    (block,) = PARSER.parse(fenced(text))
    assert (block.type, block.content) == ("fence", f"{text}\n")


@given(TEXTS)
def test_no_text_leaves_its_fence(text):
    (block,) = PARSER.parse(f"{fenced(text)}\n")
    assert block.type == "fence"
    assert block.info == "text"


@given(TEXTS)
def test_no_text_leaves_its_code_span(text):
    blocks = PARSER.parse(f"said {code(text)} here")
    assert [block.type for block in blocks] == ["paragraph_open", "inline", "paragraph_close"]
    kinds = [child.type for child in blocks[1].children]
    assert kinds == ["text", "code_inline", "text"] if code(text) != "(empty)" else ["text"]


@given(TEXTS, TEXTS)
def test_no_text_leaves_its_cell(left, right):
    blocks = PARSER.parse(table(("a", "b"), [(code(left), code(right))]))
    cells = [blocks[at + 1] for at, block in enumerate(blocks) if block.type == "td_open"]
    assert len(cells) == 2
    assert {child.type for cell in cells for child in cell.children} <= {"code_inline", "text"}
    assert blocks[-1].type == "table_close"


def test_a_long_text_is_cut_and_says_so():
    shown = excerpt("Prompt", "x" * (LONGEST_TEXT + 1))
    assert shown.startswith("Prompt (the first 1,000 of 1,001 characters):\n\n```text\nxxx")
    assert "x" * (LONGEST_TEXT + 1) not in shown
    assert excerpt("Prompt", "short").startswith("Prompt:\n\n```text\nshort\n```")


def test_what_would_turn_the_direction_of_the_text_is_made_visible():
    assert code("abc\u202edcb\x1b[31m") == "`abc\ufffddcb\ufffd[31m`"
