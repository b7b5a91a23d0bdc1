"""Uploaded files: kept by content, safe in name, gone when removed."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_runs import make_run

from dashboard.sources import reading
from dashboard.sources.catalog import Catalog
from dashboard.sources.imported import SourceError
from dashboard.sources.uploads import LARGEST, Uploads, content_id, safe_name

EXPORT = b"Name,State,beta,eval/loss\na,finished,0.1,0.5\nb,finished,0.2,0.6\n"


def test_an_upload_survives_a_restart_byte_for_byte(tmp_path):
    upload = Uploads(tmp_path).add("my export.csv", EXPORT)
    stored = tmp_path / ".shared" / "uploads" / content_id(EXPORT) / "my export.csv"
    assert stored.read_bytes() == EXPORT
    again = Uploads(tmp_path).all()
    assert again == {upload.id: upload}
    assert [run.name for run in again[upload.id].runs] == ["a", "b"]


def test_the_same_content_is_one_upload(tmp_path):
    uploads = Uploads(tmp_path)
    assert uploads.add("one.csv", EXPORT).id == uploads.add("two.csv", EXPORT).id
    assert [upload.name for upload in uploads.all().values()] == ["one.csv"]


def test_a_removed_upload_is_gone_from_disk(tmp_path):
    uploads = Uploads(tmp_path)
    upload = uploads.add("one.csv", EXPORT)
    uploads.remove(upload.id)
    assert uploads.all() == {}
    assert list((tmp_path / ".shared" / "uploads").iterdir()) == []


@pytest.mark.parametrize("name", ["..", "../..", "/etc", "", "0" * 16, "0" * 15 + "/"])
def test_no_path_is_removed(tmp_path, name):
    keep = make_run(tmp_path, "keep")
    uploads = Uploads(tmp_path)
    uploads.add("one.csv", EXPORT)
    uploads.remove(name)
    assert keep.is_dir()
    assert len(uploads.all()) == 1


def test_what_is_refused_is_not_kept(tmp_path):
    with pytest.raises(SourceError):
        Uploads(tmp_path).add("poem.csv", b"text,score\n")
    assert not (tmp_path / ".shared").exists()


def test_a_file_over_the_limit_is_refused(tmp_path):
    with pytest.raises(SourceError, match="the limit is 24 MB"):
        Uploads(tmp_path).add("huge.csv", b"x" * (LARGEST + 1))


def test_a_file_that_went_bad_on_disk_is_listed_with_its_problem(tmp_path):
    upload = Uploads(tmp_path).add("one.csv", EXPORT)
    (tmp_path / ".shared" / "uploads" / upload.id / "one.csv").write_bytes(b"\x00")
    (found,) = Uploads(tmp_path).all().values()
    assert found.runs == ()
    assert "one.csv is a binary file, but no log of runs" in str(found.problem)


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / ".shared").write_text("in the way")
    with pytest.raises(SourceError, match="could not be kept"):
        Uploads(tmp_path).add("one.csv", EXPORT)


@given(st.text(max_size=300))
def test_a_safe_name_stays_in_its_folder(name):
    safe = safe_name(name)
    assert 0 < len(safe) <= 100
    assert not set(safe) & set("/\\\0\n<>\"'`$;|&*?")
    assert not safe.startswith(".")


def test_local_and_uploaded_runs_are_one_catalogue(tmp_path):
    make_run(tmp_path, "mine")
    catalog = Catalog(tmp_path)
    upload = catalog.uploads.add("theirs.csv", EXPORT)
    assert list(catalog.snapshot().runs) == ["mine", *(run.id for run in upload.runs)]
    assert catalog.history(upload.runs[0].id) == {}
    assert catalog.history("../mine") == {}


@pytest.mark.parametrize("content", [b",,\n", b'""\n', b";;\n;;\n"])
def test_a_file_of_only_separators_is_refused_as_empty(tmp_path, content):
    with pytest.raises(SourceError, match="The file is empty"):
        Uploads(tmp_path).add("one.csv", content)


def test_a_file_at_which_a_reader_fails_is_listed_with_its_problem(tmp_path, monkeypatch, caplog):
    def broken(*_):
        raise IndexError("list index out of range")

    Uploads(tmp_path).add("one.csv", EXPORT)
    monkeypatch.setitem(reading._ONE_BY_ONE, "runs table", broken)
    with caplog.at_level("DEBUG"):
        (found,) = Uploads(tmp_path).all().values()
    assert found.runs == ()
    assert found.problem == "one.csv cannot be read (IndexError)."
    assert "list index out of range" in caplog.text
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


def test_a_fault_outside_the_readers_is_a_sentence_that_names_the_file(tmp_path, monkeypatch):
    def broken(*_):
        raise IndexError

    monkeypatch.setattr(reading, "read_bytes", broken)
    with pytest.raises(SourceError, match=r"^one\.csv cannot be read \(IndexError\)\.$"):
        Uploads(tmp_path).add("one.csv", EXPORT)


def test_an_upload_folder_with_an_odd_name_or_a_dead_link_breaks_no_page(tmp_path):
    uploads = tmp_path / ".shared" / "uploads"
    (uploads / ("0" * 16)).mkdir(parents=True)
    (uploads / ("0" * 16) / os.fsdecode(b"caf\xe9.csv")).write_bytes(EXPORT)
    (uploads / ("1" * 16)).mkdir()
    (uploads / ("1" * 16) / "dead.csv").symlink_to(tmp_path / "nowhere")
    (uploads / ("2" * 16)).mkdir()
    (uploads / ("2" * 16) / "folder.csv").mkdir()
    (uploads / ("3" * 16)).write_text("no folder")
    found = Uploads(tmp_path).all()
    assert {key[0]: (upload.name, bool(upload.problem)) for key, upload in found.items()} == {
        "0": ("caf?.csv", False),
        "2": ("folder.csv", True),
    }


TABLE = b"Name,State,beta,eval/loss,eval/rewards/accuracies\na,finished,0.1,0.5,0.8\nb,finished,0.2,0.6,0.7\n"
CHART = b""""Step","a - eval/loss","a - eval/loss__MIN","a - eval/loss__MAX"
"10","0.6","0.6","0.6"
"20","0.5","0.5","0.5"
"""


def test_a_runs_table_gets_the_curves_of_a_chart_that_is_uploaded_beside_it(tmp_path):
    catalog = Catalog(tmp_path)
    table = catalog.uploads.add("table.csv", TABLE)
    catalog.uploads.add("chart.csv", CHART)
    snapshot = catalog.snapshot()
    assert [run.name for run in snapshot.runs.values()] == ["a", "b"]
    assert list(catalog.history(table.runs[0].id)["eval/loss"].values) == [0.6, 0.5]
    assert any("table.csv" in note and "chart.csv" in note for note in snapshot.notes)


def test_the_curves_of_an_upload_can_be_read(tmp_path):
    catalog = Catalog(tmp_path)
    (run,) = catalog.uploads.add("chart.csv", CHART).runs
    assert list(catalog.history(run.id)["eval/loss"].steps) == [10, 20]
    assert catalog.snapshot().notes == ()
