"""Uploaded files: kept by content, safe in name, corrected, gone when removed, back when that is undone."""

import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_runs import make_run

from dashboard.sources import reading, uploads
from dashboard.sources.catalog import Catalog
from dashboard.sources.imported import Corrections, SourceError
from dashboard.sources.uploads import Uploads, content_id, safe_name

EXPORT = b"Name,State,beta,eval/loss\na,finished,0.1,0.5\nb,finished,0.2,0.6\n"
OTHER = b"Name,State,beta,eval/loss\nc,finished,0.3,0.7\n"
TABLE = b"Name,State,beta,eval/loss,eval/rewards/accuracies\na,finished,0.1,0.5,0.8\nb,finished,0.2,0.6,0.7\n"
CHART = b""""Step","a - eval/loss","a - eval/loss__MIN","a - eval/loss__MAX"
"10","0.6","0.6","0.6"
"20","0.5","0.5","0.5"
"""
LONG = 60.0
"""Seconds that a test waits for a busy machine."""


def names(found: Uploads) -> list[str]:
    return [upload.name for upload in found.all(LONG).values()]


def kept_bytes(folder) -> list[bytes]:
    """The files that the database keeps."""
    return [path.read_bytes() for path in folder.rglob("*.val")]


def test_an_upload_survives_a_restart(tmp_path):
    upload = Uploads(tmp_path).add("my export.csv", EXPORT)
    again = Uploads(tmp_path)
    assert again.all(LONG) == {upload.id: upload}
    assert upload.id == content_id(EXPORT)
    assert [run.name for run in upload.runs] == ["a", "b"]
    assert again._store.content(upload.id) == EXPORT
    assert (upload.formats, upload.size, upload.reading) == (("W&B runs table",), len(EXPORT), False)


def test_the_same_content_is_one_upload(tmp_path):
    found = Uploads(tmp_path)
    assert found.add("one.csv", EXPORT).id == found.add("two.csv", EXPORT).id
    assert names(found) == ["one.csv"]


def test_the_ids_of_runs_are_those_of_earlier_versions(tmp_path):
    """They are made of the first 16 digits of the hash: links to uploaded runs stay good."""
    (run, _) = Uploads(tmp_path).add("one.csv", EXPORT).runs
    assert run.id == reading.read_bytes("one.csv", EXPORT, content_id(EXPORT)[:16]).runs[0].id


def test_a_removed_upload_is_kept_until_its_removal_can_no_longer_be_undone(tmp_path):
    found = Uploads(tmp_path)
    upload = found.add("one.csv", EXPORT)
    found.remove(upload.id)
    assert found.all() == {}
    assert kept_bytes(tmp_path) == [EXPORT]
    assert found.undo() == "one.csv removed."
    assert found.all(LONG) == {upload.id: upload}
    found.remove(upload.id)
    found.add("two.csv", OTHER)
    assert kept_bytes(tmp_path) == [OTHER]
    assert names(Uploads(tmp_path)) == ["two.csv"]


def test_only_the_last_change_is_undone_and_only_once(tmp_path):
    found = Uploads(tmp_path)
    first, second = found.add("one.csv", EXPORT), found.add("two.csv", OTHER)
    found.remove(first.id)
    found.remove(second.id)
    assert found.undo() == "two.csv removed."
    assert names(found) == ["two.csv"]
    assert found.undo() == ""
    assert names(found) == ["two.csv"]


def test_files_of_one_drop_are_undone_together(tmp_path):
    found = Uploads(tmp_path)
    found.add("before.csv", CHART)
    for name, content in (("one.csv", EXPORT), ("two.csv", OTHER)):
        found.receive(name, io.BytesIO(content), drop="d1")
    last = found.last()
    assert last is not None
    assert last.words == "2 files added."
    assert Uploads(tmp_path).undo() == "2 files added."
    assert names(found) == ["before.csv"]


def test_an_undo_is_offered_for_a_while(tmp_path, monkeypatch):
    found = Uploads(tmp_path)
    found.remove(found.add("one.csv", EXPORT).id)
    assert found.last() is not None
    monkeypatch.setattr("dashboard.sources.upload_store.OFFERED", 0.0)
    assert found.last() is None
    assert found.undo() == ""
    Uploads(tmp_path).all()
    assert kept_bytes(tmp_path) == []


def test_corrections_survive_a_restart_and_can_be_undone(tmp_path):
    found = Uploads(tmp_path)
    upload = found.add("one.csv", EXPORT)
    told = Corrections(ignored=frozenset({"beta"}), renamed={"eval/loss": "eval/other"})
    assert found.correct(upload.id, told).runs[0].config == {}
    (again,) = Uploads(tmp_path).all(LONG).values()
    assert (again.corrections, dict(again.runs[0].metrics), again.id) == (told, {"eval/other": 0.5}, upload.id)
    assert found.undo() == "Columns of one.csv changed."
    (back,) = found.all(LONG).values()
    assert back == upload


def test_a_preview_changes_nothing(tmp_path):
    found = Uploads(tmp_path)
    upload = found.add("one.csv", EXPORT)
    before = found.version
    assert found.preview(upload.id, Corrections(ignored=frozenset({"beta"}))).runs[0].config == {}
    assert found.all() == {upload.id: upload}
    assert found.version == before


def test_corrections_that_leave_no_run_are_refused_and_nothing_is_lost(tmp_path):
    found = Uploads(tmp_path)
    upload = found.add("chart.csv", CHART)
    with pytest.raises(SourceError, match="without a single point"):
        found.correct(upload.id, Corrections(ignored=frozenset({"eval/loss"})))
    assert found.all() == {upload.id: upload}
    with pytest.raises(SourceError, match="has been removed"):
        found.correct("0" * 64, Corrections())


@pytest.mark.parametrize("name", ["..", "../..", "/etc", "", "0" * 64, "0" * 15 + "/", "about x", "undo"])
def test_no_path_is_removed(tmp_path, name):
    keep = make_run(tmp_path, "keep")
    found = Uploads(tmp_path)
    found.add("one.csv", EXPORT)
    found.remove(name)
    assert keep.is_dir()
    assert len(found.all()) == 1


def test_what_is_refused_is_not_kept(tmp_path):
    found = Uploads(tmp_path)
    with pytest.raises(SourceError, match="a list of texts and scores"):
        found.add("poem.csv", b"text,score\n" + b"x" * 40_000)
    assert found.all() == {}
    assert found.last() is None
    assert kept_bytes(tmp_path) == []


def test_a_refused_file_does_not_end_the_undo_of_another(tmp_path):
    found = Uploads(tmp_path)
    found.remove(found.add("one.csv", EXPORT).id)
    with pytest.raises(SourceError):
        found.add("poem.csv", b"text,score\n")
    assert found.undo() == "one.csv removed."
    assert names(found) == ["one.csv"]


def test_nothing_is_written_before_the_first_file(tmp_path):
    assert Uploads(tmp_path / "runs").all() == {}
    assert list(tmp_path.iterdir()) == []


def test_a_file_over_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "LARGEST", 2**20)
    with pytest.raises(SourceError, match="more than 1 MB, the limit"):
        Uploads(tmp_path).add("huge.csv", b"x" * (2**20 + 1))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / ".shared").write_text("in the way")
    with pytest.raises(SourceError, match=r"Uploads cannot be kept in .*uploads"):
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
    with caplog.at_level("DEBUG", logger="dashboard"):
        (found,) = Uploads(tmp_path).all(LONG).values()
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


def test_files_of_an_earlier_version_are_taken_over_once(tmp_path):
    """A folder with another name than the hash, a name that is no text, a dead link, a folder, a file in the way."""
    earlier = tmp_path / ".shared" / "uploads"
    for digit, name, content in (("0", os.fsdecode(b"caf\xe9.csv"), EXPORT), ("4", "chart.csv", CHART)):
        (earlier / (digit * 16)).mkdir(parents=True)
        (earlier / (digit * 16) / name).write_bytes(content)
    (earlier / ("1" * 16)).mkdir()
    (earlier / ("1" * 16) / "dead.csv").symlink_to(tmp_path / "nowhere")
    (earlier / ("2" * 16) / "folder.csv").mkdir(parents=True)
    (earlier / ("3" * 16)).write_text("no folder")
    assert sorted(names(Uploads(tmp_path))) == ["caf_.csv", "chart.csv"]
    assert sorted(path.name[0] for path in earlier.iterdir() if len(path.name) == 16) == ["1", "2", "3"]
    assert sorted(names(Uploads(tmp_path))) == ["caf_.csv", "chart.csv"]


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


def test_a_file_that_takes_long_blocks_nobody_and_is_there_when_it_is_read(tmp_path, monkeypatch):
    """While it is read the others are shown without it, and the version grows when it is there."""
    Uploads(tmp_path).add("slow.csv", EXPORT)
    Uploads(tmp_path).add("quick.csv", OTHER)
    gate, read = threading.Event(), reading.read_bytes

    def slow(name, *rest):
        assert name != "slow.csv" or gate.wait(LONG)
        return read(name, *rest)

    monkeypatch.setattr(reading, "read_bytes", slow)
    found = Uploads(tmp_path)
    shown = found.all(0.0)
    assert next((upload.name, upload.reading, upload.runs) for upload in shown.values()) == ("slow.csv", True, ())
    before = found.version
    gate.set()
    assert [len(upload.runs) for upload in found.all(LONG).values()] == [2, 1]
    assert found.version > before


def test_the_same_file_from_two_browsers_at_once_is_one_upload(tmp_path):
    found, results = Uploads(tmp_path), []
    threads = [threading.Thread(target=lambda: results.append(found.add("one.csv", EXPORT))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {upload.id for upload in results} == {content_id(EXPORT)}
    assert [len(upload.runs) for upload in results] == [2] * 8
    assert names(found) == ["one.csv"]


def test_a_change_by_another_program_is_noticed(tmp_path):
    mine, theirs = Uploads(tmp_path), Uploads(tmp_path)
    assert mine.all() == {}
    upload = theirs.add("one.csv", EXPORT)
    assert mine.all(LONG) == {upload.id: upload}
    before = mine.version
    assert mine.all() == {upload.id: upload}
    assert mine.version == before
    theirs.correct(upload.id, Corrections(ignored=frozenset({"beta"})))
    assert mine.all(LONG)[upload.id].runs[0].config == {}
    theirs.remove(upload.id)
    assert mine.all() == {}
