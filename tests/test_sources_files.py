"""Files, folders and archives as people have them, and as somebody who means harm would make them."""

import gzip
import io
import os
import resource
import socket
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources import files
from dashboard.sources.files import of_bytes, walk
from dashboard.sources.imported import SourceError

ROOT = Path(__file__).resolve().parent.parent
CSV = b"Name,eval/loss\na,0.5\n"


def zipped(members, compression=zipfile.ZIP_DEFLATED) -> bytes:
    """A .zip archive of (name, content) pairs, names as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def paths(found) -> list[str]:
    return [str(file.path) for file in found]


def refused(name, content) -> str:
    with pytest.raises(SourceError) as error:
        of_bytes(name, content)
    return str(error.value)


HEAD = """
import sys
from pathlib import Path
from dashboard.sources import files
from dashboard.sources.imported import SourceError
"""


def limited(code: str, path: Path) -> str:
    """What Python prints that may have 700 MB of addresses and 20 s: far from both unless something explodes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (700 * 2**20, 700 * 2**20))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))

    command = [sys.executable, "-c", HEAD + code, str(path)]
    done = subprocess.run(command, cwd=ROOT, preexec_fn=limit, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


READ_ALL = """
try:
    found, notes = files.walk(Path(sys.argv[1]))
except SourceError as problem:
    print("refused", problem)
else:
    print(len(found), "files", *notes)
    for file in found[:20]:
        file.head()
        try:
            print(len(file.content()))
        except SourceError as problem:
            print("refused", problem)
"""


def deflated_zeros(size: int) -> bytes:
    """Zeros as raw deflate: one megabyte of them, which leaves no trace in the packer, over and over."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    megabyte = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return megabyte * (size // 2**20) + packer.flush()


def raw_zip(packed: bytes, stated: int, names: list[str]) -> bytes:
    """An archive in which every name is the same bytes (overlapping entries), with any size stated."""
    first = names[0].encode()
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, 0, len(packed), stated, len(first), 0) + first
    listed = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, 0, len(packed), stated, len(name), 0, 0, 0, 0, 0, 0)
        + name.encode()
        for name in names
    )
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, len(names) & 65535, len(names) & 65535, len(listed), len(local + packed), 0
    )
    return local + packed + listed + end


def test_one_file_is_itself(tmp_path):
    (tmp_path / "runs.csv").write_bytes(CSV)
    ((file,), notes) = walk(tmp_path / "runs.csv")
    assert (str(file.path), file.size, file.origin, notes) == ("runs.csv", len(CSV), tmp_path / "runs.csv", [])
    assert (file.head(4), file.content()) == (b"Name", CSV)


def test_a_folder_is_walked_in_order_its_files_before_its_folders(tmp_path):
    for name in ("b/2.csv", "b/1.csv", "a/x/3.csv", "z.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CSV)
    found, notes = walk(tmp_path)
    assert (paths(found), notes) == (["z.csv", "a/x/3.csv", "b/1.csv", "b/2.csv"], [])


def test_hidden_files_and_model_weights_are_passed_over_and_never_opened(tmp_path):
    kept = ["checkpoint-7/trainer_state.json", "run-1.wandb", "scores/step-1.parquet"]
    for name in [*kept, ".git/config", ".shared/a.csv", ".DS_Store", "checkpoint-7/model.safetensors", "optimizer.PT"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(CSV)
    (tmp_path / "optimizer.PT").chmod(0)
    found, notes = walk(tmp_path)
    assert (sorted(paths(found)), notes) == (kept, [])


def test_twenty_gigabytes_of_weights_cost_nothing(tmp_path):
    """Sparse files: 20 GB to whoever reads them. The one without a weights' name may be looked into, not read."""
    for name in ("model-1.safetensors", "model-2"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(10 * 2**30)
    (tmp_path / "trainer_state.json").write_text("{}")
    said = limited(READ_ALL, tmp_path)
    assert said.splitlines() == ["2 files", "refused model-2 has 10,240 MB, the limit is 256 MB.", "2"]


def test_links_are_not_followed_and_those_that_lead_out_are_named(tmp_path):
    (tmp_path / "secret.csv").write_bytes(CSV)
    inside = tmp_path / "source"
    (inside / "run").mkdir(parents=True)
    (inside / "run" / "a.csv").write_bytes(CSV)
    (inside / "latest-run").symlink_to("run")
    (inside / "loop").symlink_to(inside)
    (inside / "out.csv").symlink_to(tmp_path / "secret.csv")
    found, notes = walk(inside)
    assert paths(found) == ["run/a.csv"]
    assert notes == ["out.csv: a link that leads out of the folder, which is not followed."]


def test_pipes_and_sockets_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "a.csv").write_bytes(CSV)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s")[:100])
    assert paths(walk(tmp_path)[0]) == ["a.csv"]
    with pytest.raises(SourceError, match="is a pipe, a socket or a device"):
        walk(tmp_path / "pipe.csv")
    with pytest.raises(SourceError, match="is a pipe, a socket or a device"):
        walk(Path("/dev/zero"))


@pytest.mark.parametrize("name", ["missing", "a\0b", "x" * 300])
def test_a_path_that_is_not_there_is_said_in_one_sentence(tmp_path, name):
    with pytest.raises(SourceError, match="cannot be read") as error:
        walk(tmp_path / name)
    assert "\n" not in str(error.value) and "\0" not in str(error.value)


def test_what_cannot_be_read_in_a_folder_is_noted(tmp_path, monkeypatch):
    """A user who may read everything (root) sees no such file, so the refusal is the test's own."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.csv").write_bytes(CSV)
    (tmp_path / "b.csv").write_bytes(CSV)
    scan, start = os.scandir, Path.open

    def no(path, *rest, **more):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", lambda path: (no if Path(path).name == "closed" else scan)(path))
    monkeypatch.setattr(
        Path, "open", lambda path, *rest, **more: (no if path.name == "b.csv" else start)(path, *rest, **more)
    )
    found, notes = walk(tmp_path)
    assert paths(found) == ["a.csv"]
    assert notes == ["b.csv, closed: cannot be read (not permitted, nested too deep, or gone)."]
    with pytest.raises(SourceError, match=r"b\.csv cannot be read: Permission denied\."):
        walk(tmp_path / "b.csv")
    with pytest.raises(SourceError, match=r"closed cannot be read: Permission denied\."):
        walk(tmp_path / "closed")


def test_a_very_deep_tree_is_survived(tmp_path):
    """900 folders in each other, each name 8 long: beyond the 4,096 bytes that a path may have."""
    (tmp_path / "a.csv").write_bytes(CSV)
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(900):
        os.mkdir("deep-dir", dir_fd=here)
        inner = os.open("deep-dir", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    found, notes = walk(tmp_path)
    assert paths(found) == ["a.csv"]
    assert len(notes) == 1 and "nested too deep" in notes[0] and len(notes[0]) < 200
    subprocess.run(["rm", "-rf", str(tmp_path / "deep-dir")], check=True)


def test_a_folder_of_too_many_files_is_cut_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_FILES", 5)
    for number in range(7):
        (tmp_path / f"{number}.csv").write_bytes(CSV)
    found, notes = walk(tmp_path)
    assert len(found) == 5
    assert notes == [f"{tmp_path} has more than 5 entries: the rest was not looked at."]


def test_a_name_that_is_no_text_can_be_printed(tmp_path):
    (tmp_path / os.fsdecode(b"\xff\n.csv")).write_bytes(CSV)
    ((file,), _) = walk(tmp_path)
    assert (str(file.path), file.content()) == ("\ufffd\ufffd.csv", CSV)


def test_a_zip_is_told_by_its_content_and_its_members_are_files(tmp_path):
    content = zipped(
        [("logs/a.csv", CSV), ("logs/", b""), ("b.csv", CSV * 9), (".hidden", b"x"), ("m.safetensors", b"x")]
    )
    (tmp_path / "export").write_bytes(content)
    for found, notes in (walk(tmp_path / "export"), of_bytes("export", content)):
        assert (paths(found), notes) == (["logs/a.csv", "b.csv"], [])
        assert [file.content() for file in found] == [CSV, CSV * 9]
        assert (found[0].head(4), found[0].size, found[0].origin) == (b"Name", len(CSV), None)


def test_an_archive_in_a_folder_is_a_folder_in_it(tmp_path):
    (tmp_path / "runs.zip").write_bytes(zipped([("x/a.csv", CSV)]))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(CSV))
    (tmp_path / "c.xlsx").write_bytes(zipped([("[Content_Types].xml", b""), ("xl/workbook.xml", b"")]))
    found, notes = walk(tmp_path)
    assert paths(found) == ["b.csv", "runs.zip/x/a.csv"]
    assert [file.content() for file in found] == [CSV, CSV]
    assert notes == ["c.xlsx is an Excel workbook: save the sheet as CSV."]


@pytest.mark.parametrize("name", ["../../etc/a.csv", "/etc/a.csv", "C:\\etc\\a.csv", "..\\..\\etc//./a.csv"])
def test_a_members_name_leads_nowhere(name):
    ((file,), _) = of_bytes("x.zip", zipped([(name, CSV)]))
    assert (str(file.path), file.content()) == ("etc/a.csv", CSV)


def test_a_link_in_an_archive_is_no_file():
    link = zipfile.ZipInfo("passwd.csv")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert of_bytes("x.zip", buffer.getvalue()) == ([], [])


def test_an_archive_in_an_archive_is_passed_over_with_a_note():
    inner = zipped([("a.csv", CSV)])
    found, notes = of_bytes("x.zip", zipped([("inner.dat", inner), ("b.csv", CSV), ("c.gz", gzip.compress(CSV))]))
    assert paths(found) == ["b.csv"]
    assert notes == ["inner.dat, c.gz: an archive in an archive: unpack it first."]


def test_an_encrypted_member_is_passed_over_with_a_note():
    content = bytearray(zipped([("a.csv", CSV), ("b.csv", CSV)]))
    for mark, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        content[content.index(mark) + flags] |= 1
    found, notes = of_bytes("x.zip", bytes(content))
    assert paths(found) == ["b.csv"]
    assert notes == ["a.csv: encrypted: pack it without a password."]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_of_packing_whose_cost_cannot_be_bounded_is_refused(method):
    found, notes = of_bytes("x.zip", zipped([("a.csv", CSV)], method))
    assert found == []
    assert notes == ["a.csv: packed by an unusual method: pack it by deflate, the usual one."]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (["[Content_Types].xml", "xl/workbook.xml"], "an Excel workbook: save the sheet as CSV"),
        (["[Content_Types].xml", "word/document.xml"], "a Word document"),
        (["mimetype", "content.xml"], "an OpenDocument file"),
        (["archive/data.pkl", "archive/version", "archive/data/0"], "a PyTorch checkpoint, which is never loaded"),
        (["a.npy", "b.npy"], "a NumPy archive"),
    ],
)
def test_a_zip_that_is_something_else_is_called_by_its_name(members, words):
    assert f"x is {words}" in refused("x", zipped([(name, b"x") for name in members]))


def test_other_archives_are_called_by_their_names():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"))
    tar = buffer.getvalue()
    for content, words in (
        (tar, "a tar archive"),
        (gzip.compress(tar), "a tar archive"),
        (gzip.compress(gzip.compress(CSV)), "an archive in an archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "a 7z archive"),
        (b"\x28\xb5\x2f\xfd" + bytes(99), "a zstd archive"),
    ):
        assert f"logs.x is {words}: unpack it" in refused("logs.x", content)


def test_an_empty_archive_has_no_files():
    assert of_bytes("x.zip", zipped([])) == ([], [])


def test_a_gzip_file_is_the_file_in_it():
    ((file,), _) = of_bytes("runs.csv.gz", gzip.compress(CSV))
    assert (str(file.path), file.head(4), file.content()) == ("runs.csv", b"Name", CSV)


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-9], lambda data: data + data, lambda data: data[:12] + b"\xff" * 30]
)
def test_a_damaged_gzip_file_is_said_to_be(spoil):
    with pytest.raises(SourceError, match=r"runs\.csv is damaged \("):
        of_bytes("runs.csv.gz", spoil(gzip.compress(CSV * 100)))[0][0].content()


@pytest.mark.parametrize("size", [10, 60, 90])
def test_a_cut_zip_is_said_to_be_damaged(size):
    assert "x.zip is a damaged .zip archive" in refused("x.zip", zipped([("a.csv", CSV)])[:size])


def test_a_spoiled_member_is_named_and_the_others_are_read():
    """A byte within the first 512 is seen at once, a later one when all is read and its CRC does not fit."""
    content = bytearray(zipped([("a.csv", CSV), ("b.csv", CSV * 99), ("c.csv", CSV)], zipfile.ZIP_STORED))
    content[content.index(b"0.5")] = ord("9")
    content[content.index(b"c.csv") - 40] = ord("9")
    (spoiled, whole), notes = of_bytes("x.zip", bytes(content))
    assert (str(whole.path), whole.content(), notes) == ("c.csv", CSV, ["a.csv: damaged in the archive."])
    with pytest.raises(SourceError, match=r"b\.csv is damaged \(it is not what the archive's list says\)"):
        spoiled.content()


def test_a_bomb_of_two_gigabytes_is_refused(tmp_path):
    packed = deflated_zeros(2**31)
    (tmp_path / "bomb.zip").write_bytes(raw_zip(packed, 2**31, ["a.csv"]))
    (tmp_path / "bomb.csv.gz").write_bytes(b"\x1f\x8b\x08" + bytes(7) + packed + struct.pack("<LL", 0, 2**31))
    assert limited(READ_ALL, tmp_path / "bomb.zip").splitlines() == [
        "1 files",
        "refused a.csv has 2,048 MB, the limit is 256 MB.",
    ]
    said = limited(READ_ALL, tmp_path / "bomb.csv.gz")
    assert "refused bomb.csv is damaged (it grows more than 200 times as it is unpacked, which no log does)" in said


def test_a_bomb_whose_list_lies_is_unpacked_no_further_than_it_says(tmp_path):
    packed = deflated_zeros(2**30)
    (tmp_path / "x.zip").write_bytes(raw_zip(packed, 10_000, ["a.csv"]))
    said = limited(READ_ALL, tmp_path / "x.zip")
    assert said.splitlines()[1].startswith("refused a.csv is damaged (it is not what the archive's list says)")


def test_a_bomb_just_below_the_limit_is_refused_by_its_growth(tmp_path):
    packed = deflated_zeros(250 * 2**20)
    (tmp_path / "x.zip").write_bytes(raw_zip(packed, 250 * 2**20, ["a.csv"]))
    assert "it grows more than 200 times" in limited(READ_ALL, tmp_path / "x.zip")


def test_entries_that_overlap_are_refused_by_their_sum(tmp_path):
    """10,000 names of the same megabyte of zeros: 10 GB together, from half a megabyte."""
    packed = deflated_zeros(2**20)
    names = [f"{number:05}.csv" for number in range(10_000)]
    (tmp_path / "x.zip").write_bytes(raw_zip(packed, 2**20, names))
    said = limited(READ_ALL, tmp_path / "x.zip")
    assert said == "refused x.zip unpacks to 10,000 MB, the limit is 512 MB: pack only the logs.\n"


def test_a_million_members_are_refused_before_they_are_listed(tmp_path):
    packed = deflated_zeros(2**20)
    (tmp_path / "x.zip").write_bytes(raw_zip(packed, 2**20, ["a.csv"] * 1_000_000))
    said = limited(READ_ALL, tmp_path / "x.zip")
    assert said == "refused x.zip: its list of files has 49 MB, the limit is 2.0 MB: pack only the logs.\n"


def test_a_real_log_that_packs_well_is_read():
    """36 MB of a table with mostly empty cells: it grows 80 to 150 times."""
    line = b"".join(b'"%d","","","0.%d","",""\n' % (n, n * 7919 % 9973) for n in range(1000))
    text = line * (36 * 2**20 // len(line))
    ((file,), _) = of_bytes("x.zip", zipped([("a.csv", text)]))
    assert file.content() == text


def test_a_file_larger_than_the_limit_is_refused_also_when_it_grew_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 100)
    (tmp_path / "a.csv").write_bytes(b"x" * 99)
    ((file,), _) = walk(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(b"x" * 101)
    with pytest.raises(SourceError, match=r"a\.csv has more than 0\.0 MB, the limit"):
        file.content()


def test_a_file_that_vanished_is_said(tmp_path):
    (tmp_path / "a.csv").write_bytes(CSV)
    ((file,), _) = walk(tmp_path)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(SourceError, match=r"a\.csv cannot be read: No such file or directory\."):
        file.content()


def survives(name: str, content: bytes) -> None:
    """Files and notes, or one sentence: nothing else comes out, and every path stays inside."""
    try:
        found, notes = of_bytes(name, content)
    except SourceError as problem:
        assert str(problem) and "\n" not in str(problem)
        return
    assert all(note and "\n" not in note for note in notes)
    for file in found:
        assert isinstance(file.path, PurePosixPath) and not file.path.is_absolute() and ".." not in file.path.parts
        try:
            assert file.content().startswith(file.head(16))
        except SourceError as problem:
            assert "\n" not in str(problem)


@given(st.text(), st.binary(), st.sampled_from([b"", b"PK\3\4", b"PK\5\6", b"\x1f\x8b\x08", b"BZh"]))
def test_any_bytes_under_any_name_are_survived(name, content, start):
    survives(name, start + content)


@given(st.data())
def test_any_change_of_an_archive_is_survived(data):
    archive = data.draw(st.sampled_from([zipped([("a/b.csv", CSV * 50), ("c.csv", CSV)]), gzip.compress(CSV * 50)]))
    changed = bytearray(archive)
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    survives("x", bytes(changed[: data.draw(st.integers(len(archive) // 2, len(archive)))]))


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30), max_size=5, unique=True))
def test_any_names_in_an_archive_are_survived(names):
    content = zipped([(name, CSV) for name in dict.fromkeys(name.split("\0")[0] for name in names)])
    survives("x.zip", content)
