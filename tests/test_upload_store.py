"""The database of uploads: readable after anything, never believed, with a way out where it is damaged."""

import io
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import diskcache
import pytest

from dashboard.sources import upload_store
from dashboard.sources.imported import SourceError
from dashboard.sources.plain import Plain
from dashboard.sources.upload_store import Damaged, Store
from dashboard.sources.uploads import Uploads, content_id

ROOT = Path(__file__).resolve().parent.parent
TABLE = b"Name,State,beta,eval/loss\na,finished,0.1,0.5\n"
KEY = content_id(TABLE)
ABOUT = {"name": "one.csv", "added": 1.0, "size": len(TABLE)}


def filled(folder: Path) -> Store:
    store = Store(folder)
    store.add(KEY, io.BytesIO(TABLE), ABOUT)
    return store


class Harm:
    """Pickled, it makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_what_is_kept_is_what_was_given(tmp_path):
    filled(tmp_path / "uploads")
    again = Store(tmp_path / "uploads")
    assert again.entries() == {KEY: ABOUT}
    assert again.content(KEY) == TABLE


def test_nothing_there_is_nothing_kept(tmp_path):
    store = Store(tmp_path / "uploads")
    assert (store.entries(), store.last(), store.undo(), store.stamp()) == ({}, None, "", None)
    store.clean()
    assert not store.folder.exists()


def test_every_change_has_a_stamp_of_its_own_and_a_look_none(tmp_path):
    store = filled(tmp_path / "uploads")
    seen = {store.stamp()}
    for name in ("two", "three", "four"):
        store.change(KEY, {**ABOUT, "name": name}, "renamed")
        seen.add(store.stamp())
    assert len(seen) == 4
    store.entries(), store.content(KEY), store.last()
    assert store.stamp() in seen


def test_bytes_that_are_not_what_they_were_are_refused(tmp_path):
    store = filled(tmp_path / "uploads")
    (path,) = store.folder.rglob("*.val")
    path.write_bytes(TABLE.replace(b"0.5", b"0.4"))
    with pytest.raises(SourceError, match="damaged: remove it and import it again"):
        store.content(KEY)
    path.unlink()
    with pytest.raises(SourceError):
        store.content(KEY)
    assert store.entries() == {KEY: ABOUT}


@pytest.mark.parametrize("damage", ["text", "cut", "zeros", "middle"])
def test_a_damaged_database_is_a_sentence_with_a_way_out_that_loses_no_file(tmp_path, damage):
    filled(tmp_path / ".shared" / "uploads")
    path = tmp_path / ".shared" / "uploads" / "cache.db"
    content = path.read_bytes()
    zeros = content[:4096] + bytes(len(content) - 4096)
    cases = {"text": b"no database " * 99, "cut": content[:5000], "zeros": bytes(8192), "middle": zeros}
    path.write_bytes(cases[damage])
    uploads = Uploads(tmp_path)
    assert uploads.all() == {}
    assert uploads.damaged
    assert f"The database of uploads in {path.parent} is damaged" in str(uploads.problem)
    with pytest.raises(Damaged):
        uploads.add("two.csv", TABLE)
    aside, count = uploads.start_anew()
    assert (aside / "cache.db").read_bytes() == cases[damage]
    assert count == 1
    assert [[run.name for run in upload.runs] for upload in uploads.all(60).values()] == [["a"]]
    assert (uploads.problem, uploads.damaged) == (None, False)


def test_a_database_that_goes_bad_while_it_is_open_is_said_too(tmp_path):
    uploads = Uploads(tmp_path)
    uploads.add("one.csv", TABLE)
    (tmp_path / ".shared" / "uploads" / "cache.db").write_bytes(b"x" * 10_000)
    uploads.all()
    assert uploads.problem is not None
    uploads.start_anew()
    assert uploads.problem is None or uploads.all() is not None
    assert len(uploads.all(60)) == 1


def test_nothing_in_it_is_unpickled(tmp_path):
    """Neither a value nor a key, as a diskcache of the usual kind would."""
    store, harm = filled(tmp_path / "uploads"), tmp_path / "harm"
    usual = diskcache.Cache(str(store.folder), disk_min_file_size=2**15)
    usual["about " + "0" * 64] = Harm(harm)
    usual[("a", "tuple")] = "x"
    usual.close()
    with sqlite3.connect(store.folder / "cache.db") as connection:
        connection.execute("UPDATE Cache SET key = ? WHERE raw = 0", (pickle.dumps(Harm(harm)),))
    connection.close()
    assert Store(store.folder).entries() == {KEY: ABOUT}
    assert not harm.exists()
    diskcache.Cache(str(store.folder)).get("about " + "0" * 64)
    assert harm.exists(), "the trap works"


def test_a_path_in_it_that_leads_elsewhere_is_neither_read_nor_removed(tmp_path):
    store, other = filled(tmp_path / "uploads"), tmp_path / "other.txt"
    other.write_bytes(TABLE)
    with sqlite3.connect(store.folder / "cache.db") as connection:
        connection.execute("UPDATE Cache SET filename = '../other.txt' WHERE key LIKE 'content %'")
    connection.close()
    again = Store(store.folder)
    with pytest.raises(SourceError, match="damaged"):
        again.content(KEY)
    again.drop(KEY)
    assert again.entries() == {}
    assert other.read_bytes() == TABLE


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "aa/bb/../../x.val", None, 7, "aa/bb/" + "0" * 27 + ".val"])
def test_only_files_of_the_cache_itself_are_touched(tmp_path, path):
    disk = Plain(str(tmp_path))
    assert disk.fetch(diskcache.core.MODE_BINARY, path, None, False) is None
    disk.remove(path)


def test_settings_of_a_stranger_are_refused(tmp_path):
    """diskcache takes every setting as an attribute of itself: `_directory` would lead elsewhere."""
    store = filled(tmp_path / "uploads")
    with sqlite3.connect(store.folder / "cache.db") as connection:
        connection.execute("INSERT INTO Settings VALUES ('_directory', ?)", (str(tmp_path / "elsewhere"),))
    connection.close()
    with pytest.raises(Damaged, match="settings are unknown"):
        Store(store.folder).entries()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("said", ["[]", "7", "{", '{"name": 3, "added": [], "size": "x", "corrections": 9}', b"\xff"])
def test_odd_words_about_an_upload_break_nothing(tmp_path, said):
    store = filled(tmp_path / ".shared" / "uploads")
    with store._database() as database:
        database["about " + KEY] = said
        database["undo"] = said
    found = Uploads(tmp_path).all(60)
    assert all(upload.runs and upload.name for upload in found.values())
    assert Uploads(tmp_path).last() is None


_WRITER = """
import io, sys, os
from pathlib import Path
from dashboard.sources.uploads import Uploads
uploads = Uploads(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(10_000):
    upload = uploads.add(f"{number}.csv", b"Name,State,eval/loss\\n" + b"run-%d,finished,0.5\\n" % number * 3_000)
    print(number, flush=True)
    if number % 3 == 2:
        uploads.remove(upload.id)
"""


@pytest.mark.parametrize("after", [0.0, 0.07])
def test_a_program_that_is_killed_while_it_writes_leaves_a_database_that_can_be_read(tmp_path, after):
    """What it said it had added is there, but what it went on to remove; nothing is damaged."""
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline().strip() for _ in range(5)]
        time.sleep(after)
        os.kill(writer.pid, signal.SIGKILL)
        said += writer.stdout.read().split()
    found = Uploads(tmp_path)
    names = {upload.name for upload in found.all(60).values()}
    assert found.problem is None
    assert all(upload.problem is None for upload in found.all().values())
    sure = [f"{number}.csv" for number in said[1:-1] if int(number) % 3 != 2]
    assert set(sure) <= names
    found.add("after.csv", TABLE)
    assert "after.csv" in {upload.name for upload in Uploads(tmp_path).all(60).values()}


def test_two_programs_that_write_at_once_lose_nothing(tmp_path):
    code = (
        "import sys; from pathlib import Path; from dashboard.sources.uploads import Uploads\n"
        "u = Uploads(Path(sys.argv[1]))\n"
        "for n in range(10):\n"
        "    u.add('x.csv', f'Name,State,beta,eval/loss\\n{sys.argv[2]}-{n},finished,1,2\\n'.encode())\n"
        "u.all(float('inf'))"
    )
    commands = [[sys.executable, "-c", code, str(tmp_path), word] for word in ("a", "b")]
    writers = [subprocess.Popen(command, cwd=ROOT) for command in commands]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    assert len(Uploads(tmp_path).all(60)) == 20


def test_to_ask_for_the_stamp_gives_no_lock_away(tmp_path):
    """POSIX takes a file's locks from the whole process when any descriptor of it is closed."""
    store = Store(tmp_path / "uploads")
    store.add(KEY, io.BytesIO(TABLE), ABOUT)
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    other = [sys.executable, "-c", code, str(store.folder / "cache.db")]
    with store._changing():
        assert store.stamp() is not None
        assert b"database is locked" in subprocess.run(other, capture_output=True, timeout=60).stderr
    assert subprocess.run(other, capture_output=True, timeout=60).returncode == 0


def test_a_full_disk_is_a_sentence(tmp_path, monkeypatch):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(upload_store.diskcache.Disk, "store", full)
    with pytest.raises(SourceError, match=r"Uploads cannot be kept in .*: No space left on device\."):
        Store(tmp_path / "uploads").add(KEY, io.BytesIO(TABLE), ABOUT)
