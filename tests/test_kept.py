"""A warm process keeps what the next run needs, and no more."""

from training.kept import Kept


def test_without_a_next_run_nothing_is_kept():
    made: list[int] = []
    kept = Kept()
    for _ in range(2):
        kept.get("data", 1, lambda: made.append(1) or "data")
    assert len(made) == 2
    assert kept.find("data", 1) is None


def test_a_value_is_made_once_for_its_key():
    made: list[str] = []
    kept = Kept(lasting=True)
    for key in ("a", "b", "a"):
        assert kept.get("data", key, lambda key=key: made.append(key) or key.upper()) == key.upper()
    assert made == ["a", "b"]


def test_kinds_do_not_mix():
    kept = Kept(lasting=True)
    kept.keep("model", 1, "model")
    assert kept.find("data", 1) is None


def test_what_was_used_longest_ago_goes_first():
    """Room for two: a, b, then a again, then c: b goes."""
    kept = Kept(lasting=True)
    for key in ("a", "b", "a", "c"):
        kept.get("data", key, lambda key=key: key, most=2)
    assert [kept.find("data", key) for key in ("a", "b", "c")] == ["a", None, "c"]
