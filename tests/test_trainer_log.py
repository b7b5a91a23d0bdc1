"""Trainer states told by their content, and what is none: refused in one sentence, whatever its bytes."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainer_states import evaluation, file, one, read, state, train

from dashboard.sources import trainer_log, trainer_state
from dashboard.sources.imported import SourceError


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        (json.dumps(state(train(1))).encode(), True),
        (b"\xef\xbb\xbf \n" + json.dumps(state(train(1))).encode(), True),
        (json.dumps([train(1)]).encode(), True),
        (json.dumps([evaluation(1)], indent=2).encode(), True),
        (b'[{"prompt": "a", "chosen": "b", "rejected": "c"}]', False),
        (b'[{"step": 1, "text": "loss"}]', False),
        (b'{"a": 1}', False),
        (b"Name,eval/loss\n", False),
        (b"", False),
    ],
)
def test_a_state_is_told_by_its_content(content, is_one):
    assert trainer_state.is_trainer_state(content) is is_one


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"log_history":' + b"[" * 100_000 + b"NaN",
        b'{"log_history":' + b'{"a":' * 100_000 + b"NaN" + b"}" * 100_001,
        b'{"log_history": "' + b"x" * (45 * 2**20) + b'"}',
        b'{"log_history": "' + b"x" * (50 * 2**20) + b'"}',
        b'{"log_history": [' + b"{}," * 600_000 + b"{}]}",
        b'{"log_history": [' + b"1," * 5_000_000 + b"1]}",
        bytes(range(256)) * 1000,
        b'{"log_history": []}',
        b'{"log_history": [{"step": 1}]}',
        b'{"log_history": 3}',
        b'{"log_history": [{"step": NaN, "loss": 1}]}',
        b'{"max_steps": 3}',
        b'{"log_history": [{"step": 1, ' + b",".join(b'"m%d": 1' % n for n in range(300_000)) + b"}]}",
        b"3",
        b"null",
        b"",
    ],
    ids=range(17),
)
def test_what_is_no_state_is_refused_in_one_sentence(content):
    with pytest.raises(SourceError, match=r"^dpo/s\.json"):
        read(file("dpo/s.json", content))


def test_a_state_that_cannot_be_read_does_not_take_the_others_down():
    found = read(file("a/s.json", state(train(1))), file("b/s.json", b"{"))
    assert [run.name for run in found.runs] == ["a"]
    assert "b/s.json cannot be read: it is no whole JSON file." in found.notes


def test_entries_that_are_no_rows_are_counted():
    run = one(state(train(10), 3, {"loss": 1.0}, {"step": 5}, {"step": "x", "loss": 1.0}))
    assert "what has no step or no number in its log is left out (4 of its entries)." in run.notes


def test_endless_names_of_metrics_are_refused():
    with pytest.raises(SourceError, match="names more than 2,000 metrics"):
        read(file("a/s.json", [{"step": 1, **{f"m{n}": 1.0 for n in range(3000)}}]))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(["step", "epoch", "loss", "eval_loss", "eval_", "rewards/chosen", "train_runtime", "x\ud800"]),
        _JSON,
    )
    | _JSON,
    max_size=6,
)
_STATED = st.dictionaries(
    st.sampled_from(["global_step", "max_steps", "epoch", "best_metric", "best_global_step", "best_model_checkpoint"]),
    _JSON,
)


@given(_ROWS, _STATED, _JSON, st.booleans())
def test_no_json_raises_anything_but_source_error(rows, stated, other, bare):
    content = rows if bare else {**stated, "log_history": rows}
    around = tuple(
        file(f"a/{name}", other) for name in ("adapter_config.json", "all_results.json", "args.json", "config.json")
    )
    with contextlib.suppress(SourceError):
        found = read(file("a/s.json", content), file("a/t.json", other), beside=around)
        for run in found.runs:
            assert run.step is not None
            for key, series in found.histories[run.id].items():
                assert key.encode()
                assert all(after > before for before, after in zip(series.steps, series.steps[1:], strict=False))


@given(st.binary(), st.binary())
def test_no_bytes_raise_anything_but_source_error(content, other):
    trainer_state.is_trainer_state(content)
    with contextlib.suppress(SourceError):
        read(file("a/s.json", content))
    read(file("a/s.json", state(train(1))), beside=(file("a/README.md", other), file("a/args.json", other)))


def test_a_single_large_state_is_refused_by_its_own_limit(monkeypatch):
    monkeypatch.setattr(trainer_log, "LARGEST", 100)
    monkeypatch.setattr(trainer_state, "MOST_BYTES", 200)
    big = file("a/trainer_state.json", state(*(train(step) for step in range(1, 50))))
    with pytest.raises(SourceError, match="the limit is"):
        read(big)
