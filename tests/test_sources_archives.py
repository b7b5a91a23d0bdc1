"""Archives as people have them, and as somebody who means harm would make them."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed import CSV, READ_ALL, deflated_zeros, limited, paths, raw_zip, refused, zipped

from dashboard.sources.files import of_bytes, walk
from dashboard.sources.imported import SourceError


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
