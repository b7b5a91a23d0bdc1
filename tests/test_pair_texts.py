"""Texts and audit that runs share: read where they are whole, a sentence where they are not."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pair_runs import AUDIT, DIGEST, HOSTILE, audit, share_texts

from dashboard.sources import pair_texts
from dashboard.sources.pair_texts import Turn, texts
from training.record.schema import Run
from training.record.writer import share_audit, share_pairs


def run(digest=DIGEST, **data):
    return Run("r", "r", "runs", "finished", data={"eval": digest, **data})


def test_a_pair_has_its_texts_letter_for_letter(tmp_path):
    share_texts(tmp_path, 5)
    pair = texts(tmp_path, run()).pair("eval-0000")
    assert pair.prompt == (Turn("", HOSTILE),)
    assert pair.chosen == (Turn("", "It is 0."),)
    assert pair.given == {"prompt": HOSTILE, "chosen": "It is 0.", "rejected": "I will not tell you about 0."}
    assert texts(tmp_path, run()).pair("gone") is None


def test_a_transcript_is_shown_in_its_turns(tmp_path):
    share_texts(tmp_path, 2)
    assert texts(tmp_path, run()).pair("eval-0001").prompt == (
        Turn("user", "One?"),
        Turn("assistant", "Yes."),
        Turn("user", "Two?"),
    )


def test_turns_of_any_spelling_are_turns(tmp_path):
    rows = [{"pair_id": "a", "prompt": [{"role": "user", "content": "Hi"}], "chosen": "x", "rejected": "y"}]
    share_pairs(tmp_path, "b" * 16, pa.Table.from_pylist(rows))
    assert texts(tmp_path, run("b" * 16)).pair("a").prompt == (Turn("user", "Hi"),)
    rows[0]["prompt"] = [{"from": "human", "value": "Hi"}]
    share_pairs(tmp_path, "c" * 16, pa.Table.from_pylist(rows))
    assert texts(tmp_path, run("c" * 16)).pair("a").prompt == (Turn("human", "Hi"),)


def test_search_finds_any_side_and_the_id_in_any_case(tmp_path):
    share_texts(tmp_path, 30)
    found = texts(tmp_path, run())
    assert found.containing("NOT TELL you about 7.") == {"eval-0007"}
    assert found.containing("EVAL-0029") == {"eval-0029"}
    assert found.containing("nowhere") == frozenset()


def test_missing_texts_are_told_by_their_place(tmp_path):
    found = texts(tmp_path, run())
    assert found.pair("eval-0000") is None
    assert f"{DIGEST}/pairs.parquet" in found.problem and str(tmp_path) not in found.problem


@pytest.mark.parametrize("digest", ["../../etc", "a/b", "", "x" * 200, None, 7, ["aaaa"], "é" * 8, "aaaa\n"])
def test_what_is_no_hash_never_becomes_a_path(tmp_path, digest):
    found = texts(tmp_path, run(digest))
    assert found.table is None and "does not say" in found.problem


def test_a_damaged_file_is_told_and_one_written_again_is_read(tmp_path):
    share_texts(tmp_path, 3)
    path = tmp_path / ".shared" / DIGEST / "pairs.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    assert "cannot be read" in texts(tmp_path, run()).problem
    path.write_bytes(whole)
    assert texts(tmp_path, run()).problem is None


def test_a_missing_column_is_told(tmp_path):
    path = tmp_path / ".shared" / DIGEST
    path.mkdir(parents=True)
    pq.write_table(pa.table({"pair_id": ["a"], "prompt": ["x"], "chosen": ["y"]}), path / "pairs.parquet")
    assert "rejected" in texts(tmp_path, run()).problem


def test_too_large_a_file_is_not_read(tmp_path, monkeypatch):
    share_texts(tmp_path, 300)
    monkeypatch.setattr(pair_texts, "LARGEST", 1000)
    assert "is larger than" in texts(tmp_path, run()).problem


@given(content=st.binary(max_size=300))
def test_any_bytes_are_a_sentence(tmp_path_factory, content):
    root = tmp_path_factory.mktemp("runs")
    folder = root / ".shared" / DIGEST
    folder.mkdir(parents=True)
    (folder / "pairs.parquet").write_bytes(content)
    assert texts(root, run()).problem


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "from", "x"]), inner)
    ),
    max_leaves=6,
)


@given(_VALUES)
def test_any_side_has_turns_of_text(side):
    assert all(isinstance(part, str) for turn in pair_texts._turns(side) for part in turn)


def test_the_audit_has_its_examples(tmp_path):
    share_audit(tmp_path, AUDIT, audit())
    found = pair_texts.audit(tmp_path, run(audit={"hash": AUDIT, "rows": {"read": 1}}))
    assert found.problem is None
    assert found.content["examples"]["dropped"]["equal answers"][0]["text"] == HOSTILE


def test_without_the_file_the_figures_of_the_run_are_shown(tmp_path):
    found = pair_texts.audit(tmp_path, run(audit={"hash": AUDIT, "rows": {"read": 9}}))
    assert found.content["rows"] == {"read": 9} and found.problem is None


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff", b"null"])
def test_a_damaged_audit_is_told(tmp_path, content):
    folder = tmp_path / ".shared" / AUDIT
    folder.mkdir(parents=True)
    (folder / "audit.json").write_bytes(content)
    assert pair_texts.audit(tmp_path, run(audit={"hash": AUDIT})).problem


@pytest.mark.parametrize("figures", [None, 3, "x", {"hash": "../x"}, {"hash": ["a"]}])
def test_a_run_without_an_audit_says_so(tmp_path, figures):
    found = pair_texts.audit(tmp_path, run(audit=figures))
    assert found.problem or json.dumps(dict(found.content))
