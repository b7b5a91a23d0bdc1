"""Evaluation pairs are held out by prompt, samples drawn by seed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import splits


@settings(deadline=None)
@given(
    prompts=st.lists(st.sampled_from("abcdefghijkl"), max_size=60), seed=st.integers(0, 5), share=st.floats(0.01, 0.9)
)
def test_some_prompts_are_held_out_and_some_are_left(prompts, seed, share):
    found = splits.held_out(prompts, share, seed)
    assert bool(found) == (len(set(prompts)) > 1)
    assert found < set(prompts) or not prompts
    assert found == splits.held_out(list(reversed(prompts)), share, seed)


def test_500_are_held_out_where_there_are_5000():
    """2% of 5,000 are 100, of 4,999 too; 10% of 6,000 are 600."""
    sizes = [(5000, 0.02), (4999, 0.02), (6000, 0.1)]
    assert [len(splits.held_out([str(n) for n in range(n)], share, 0)) for n, share in sizes] == [500, 100, 600]


@given(items=st.lists(st.integers(), max_size=30, unique=True), most=st.one_of(st.none(), st.integers(1, 40)))
def test_as_many_as_asked_are_drawn_in_their_order_and_none_is_lost(items, most):
    kept, left = splits.drawn(items, most, seed=3)
    assert len(kept) == (len(items) if most is None else min(most, len(items)))
    assert sorted(kept + left) == sorted(items)
    assert [item for item in items if item in kept] == kept
