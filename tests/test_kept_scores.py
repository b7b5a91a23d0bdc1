"""Per-pair scores from the cache are those from the Parquet file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import kept_scores
from dashboard.analysis.study import Scores

COLUMNS = ("chosen", "rejected", "chosen_logp", "rejected_logp", "chosen_tokens", "rejected_tokens", "truncated")


def made(pairs, seed=0) -> Scores:
    rng, n = np.random.default_rng(seed), len(pairs)
    floats = rng.normal(size=(4, n))
    floats[0, :1] = np.nan
    return Scores(7, tuple(pairs), np.arange(n), *floats, *rng.integers(1, 99, (2, n)), rng.random(n) < 0.5)


@given(pairs=st.lists(st.text(), max_size=20, unique=True), seed=st.integers(0, 99))
def test_scores_come_back_bit_for_bit(pairs, seed):
    scores = made(pairs, seed)
    back = kept_scores.decode(kept_scores.encode(scores))
    assert (back.step, back.pairs, back.prompts.tolist()) == (7, scores.pairs, list(range(len(pairs))))
    for name in COLUMNS:
        own, other = getattr(scores, name), getattr(back, name)
        assert (own.tobytes(), own.dtype) == (other.tobytes(), other.dtype)


def test_runs_on_the_same_pairs_share_their_names_and_token_counts():
    one, other = (kept_scores.decode(kept_scores.encode(made("abc"))) for _ in range(2))
    assert one.pairs is other.pairs and one.chosen_tokens is other.chosen_tokens


@given(st.binary(max_size=200))
def test_bytes_that_are_no_kept_scores_are_refused(content):
    with pytest.raises(ValueError):
        kept_scores.decode(content)


@pytest.mark.parametrize(("old", "new"), [(b'"step":7', b'"step":"'), (b'"chosen"', b'"chasen"'), (b'"a"', b"  1")])
def test_what_is_not_as_it_was_kept_is_refused(old, new):
    content = kept_scores.encode(made("abc"))
    assert old in content
    with pytest.raises(ValueError):
        kept_scores.decode(content.replace(old, new, 1))
