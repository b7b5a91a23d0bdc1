"""Which names a run may have: those that every file system, JSON and terminal can write."""

import os

import pytest

from training.record.schema import RecordError
from training.record.writer import check_name


@pytest.mark.parametrize(
    "name", [os.fsdecode(b"caf\xe9"), "\ud800", "a\nb", "a\x1b[31mb", "a\u202eb", "", ".a", "a/b", "a\\b", "a\0b"]
)
def test_a_name_that_is_no_plain_text_is_refused_in_one_printable_line(tmp_path, name):
    with pytest.raises(RecordError, match="cannot be a folder's name") as refused:
        check_name(tmp_path, name)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(("name", "fits"), [("é" * 100, True), ("é" * 100 + "x", False)])
def test_a_name_has_at_most_200_bytes(tmp_path, name, fits):
    """é has two bytes: 100 of them have 200."""
    if fits:
        check_name(tmp_path, name)
    else:
        with pytest.raises(RecordError, match="cannot be a folder's name"):
            check_name(tmp_path, name)


def test_a_name_with_spaces_and_letters_of_other_scripts_is_one(tmp_path):
    check_name(tmp_path, "実験 その一 β=0.1")
