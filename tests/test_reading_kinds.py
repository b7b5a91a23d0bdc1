"""Every file is told by its content, in any company and under any name."""

from collections.abc import Callable

import pytest

from dashboard.sources import reading
from tests.logs import BARE, BY_HAND, LINES, LOGS, PANEL, SCALARS, STATE, TABLE, one_file


@pytest.mark.parametrize("name", ["data.bin.csv", "trainer_state.json", "events.out.tfevents.1", "README.md", "x"])
@pytest.mark.parametrize("kind", LOGS)
def test_the_content_tells_what_a_file_is_and_its_name_does_not(kind, name):
    assert reading.kind(one_file(name, LOGS[kind])) == kind
    assert reading.kind(one_file(name, LOGS[kind]), alone=True) == kind


@pytest.mark.parametrize("content", [BARE, LINES, b"\xef\xbb\xbf" + STATE, b"\n " + LINES])
def test_a_trainers_log_is_known_in_every_form(content):
    assert reading.kind(one_file("x.txt", content)) == "trainer state"


@pytest.mark.parametrize("content", [TABLE, PANEL, SCALARS])
@pytest.mark.parametrize("change", [
    lambda text: text.replace(",", ";").replace("0.", "0,"), lambda text: text.replace(",", "\t"),
    lambda text: "\n\n" + text.replace("\n", "\r\n"),
    lambda text: "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines()),
])  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_exports_dress_does_not_matter(content: bytes, change: Callable[[str], str], encoding: str):
    changed = change(content.decode()).encode(encoding)
    assert reading.kind(one_file("x.json", changed)) == reading.kind(one_file("x.csv", content))


@pytest.mark.parametrize(
    ("name", "alone", "kind"),
    [
        ("results.csv", False, "table"), ("results.TSV", False, "table"),
        ("results", False, "other"), ("train.py", False, "other"), ("results.md", False, "prose"),
        ("results", True, "table"), ("results.dat", True, "table"), ("results.md", True, "table"),
    ],
)  # fmt: skip
def test_a_table_kept_by_hand_is_told_by_its_name_too_in_company_and_by_its_columns_alone(name, alone, kind):
    assert reading.kind(one_file(name, BY_HAND), alone) == kind


@pytest.mark.parametrize(
    "content", [b'{"a": 1}', b'{"prompt": "x", "chosen": "y"}\n' * 2, b"import torch\n", b"%PDF-1.7\n"]
)
@pytest.mark.parametrize("alone", [True, False])
def test_what_is_no_log_is_none(content, alone):
    assert reading.kind(one_file("x.json", content), alone) == "other"
