"""What comes twice, nearly twice or both ways round is found, and nothing else."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import duplicates
from training.data.duplicates import find, jaccard, near_duplicates

ALPHABET = [f"word{n}" for n in range(500)]


def text(seed: int, words: int = 60) -> str:
    return " ".join(random.Random(seed).choices(ALPHABET, k=words))


def pair(prompt, chosen, rejected, name="1"):
    return {"pair_id": name, "prompt": prompt, "chosen": chosen, "rejected": rejected}


def different(n: int) -> list[dict[str, str]]:
    return [pair(text(3 * at), text(3 * at + 1), text(3 * at + 2), str(at)) for at in range(n)]


def counts(train, evaluation=()) -> dict[str, int]:
    """The counts that are not zero."""
    return {name: found.count for name, found in find(train, evaluation).items() if found.count}


def edited(words: str, at: int) -> str:
    """One word of the text exchanged."""
    changed = words.split()
    changed[at] = "other"
    return " ".join(changed)


def test_jaccard_is_the_share_of_common_runs_of_five_words():
    """'a b c d e f' has abcde, bcdef; with g for f: abcde, bcdeg. 1 common of 3."""
    assert jaccard("a b c d e f", "A, b c d e: g!") == pytest.approx(1 / 3)


def test_short_texts_are_alike_only_when_equal():
    assert jaccard("Yes, sure.", "yes sure") == 1
    assert jaccard("yes", "no") == 0
    assert jaccard("?!", "...") == 0


def test_scripts_without_spaces_are_read_by_character():
    """Six characters are two runs of five, of which one is common: 1 of 3."""
    assert jaccard("今日は天気は", "今日は天気が") == pytest.approx(1 / 3)


def test_different_pairs_are_no_duplicates():
    assert counts(different(200)) == {}


def test_pairs_that_differ_in_case_and_white_space_are_the_same():
    """Of three equal pairs two are duplicates of an earlier one."""
    twice = [pair("A b", "c", "d"), pair(" a  B\n", "C", "d "), pair("a b", "c", "d"), *different(5)]
    assert counts(twice) == {"exact": 2}


def test_turns_are_compared_by_what_they_say():
    turns = [pair([{"role": "user", "content": word}], [{"role": "assistant", "content": "y"}], "n") for word in "Aa"]
    assert counts(turns) == {"exact": 1}


def test_one_word_of_sixty_makes_a_near_duplicate():
    """60 words are 56 runs; a word in the middle is in 5 of them: 51 of 61 = 0.836."""
    first = different(1)[0]
    assert jaccard(first["chosen"], edited(first["chosen"], 30)) == pytest.approx(51 / 61)
    assert counts([first, {**first, "chosen": edited(first["chosen"], 30)}, *different(20)[1:]]) == {"near": 1}


def test_two_words_of_sixty_are_too_many():
    """46 of 66 = 0.697."""
    first = different(1)[0]
    changed = edited(edited(first["chosen"], 20), 40)
    assert jaccard(first["chosen"], changed) == pytest.approx(46 / 66)
    assert counts([first, {**first, "chosen": changed}]) == {}


def test_other_answers_to_the_same_long_prompt_are_no_duplicate():
    prompt = text(0, 2000)
    assert counts([pair(prompt, "yes", "no"), pair(prompt, "sure", "never")]) == {}


def test_a_comparison_made_both_ways_contradicts_itself():
    pairs = [pair("p", "a", "b"), pair("p", "B", "A"), pair("q", "b", "a"), pair("p", "c", "b")]
    assert counts(pairs) == {"contradictions": 1}


def test_answers_that_differ_in_case_only_contradict_nothing():
    assert counts([pair("p", "Yes", "yes")]) == {}


def test_evaluation_pairs_and_prompts_that_training_has_are_counted():
    """Of four evaluation pairs one is in training, one nearly, one has its prompt there, one is new."""
    one, two, three, new = different(4)
    evaluation = [
        one,
        {**two, "rejected": edited(two["rejected"], 30)},
        {**new, "prompt": edited(three["prompt"], 30)},
        new,
    ]
    assert counts([one, two, three], evaluation) == {
        "exact": 1,
        "near": 1,
        "eval_pairs_in_train": 2,
        "eval_prompts_in_train": 3,
    }


def test_doubles_within_the_evaluation_pairs_are_no_leak():
    one, two = different(2)
    assert counts([one], [two, two, {**two, "chosen": edited(two["chosen"], 30)}]) == {"exact": 1, "near": 1}


def test_examples_show_both_pairs_and_are_three_at_most():
    doubled = [pair(f"{text(n)} end", "c" * 500, "d", f"{side}{n}") for side in "ab" for n in range(5)]
    found = find(doubled, [])["exact"]
    assert found.count == 5
    assert [[shown["pair_id"] for shown in example] for example in found.examples] == [
        ["a0", "b0"],
        ["a1", "b1"],
        ["a2", "b2"],
    ]
    assert found.examples[0][0]["prompt"].endswith(" end")
    assert found.examples[0][0]["chosen"] == "c" * 200


def test_nearly_all_near_duplicates_are_found():
    """1,000 texts and an edited copy of each with 1,000 others between them, in two chunks: 0.9996 are expected."""
    originals = [(text(n),) for n in range(1000)]
    others = [(text(n),) for n in range(5000, 6000)]
    copies = [(edited(words, 25),) for (words,) in originals]
    found = near_duplicates([*originals, *others, *copies])
    assert all(later - earlier == 2000 for earlier, later in found)
    assert len(found) >= 995


def test_shingle_hashes_are_equal_exactly_where_shingles_are(monkeypatch):
    """Each text's share of common hashes is its Jaccard similarity; other texts of the document do not mix in."""
    monkeypatch.setattr(duplicates, "_CHUNK", 2)
    first, second = text(1), edited(text(1), 30)
    hashes, starts = duplicates._shingle_hashes([(first, "x"), (second, first)], {})
    ours, theirs = set(hashes[: starts[1]].tolist()), set(hashes[starts[1] :].tolist())
    assert (starts.tolist(), len(ours), len(theirs)) == ([0, 57], 57, 112)
    assert len(ours & theirs) == 51  # the first texts'; the second texts have no hash in common with them


def test_min_hashes_agree_as_often_as_texts_are_similar(monkeypatch):
    """With one row per band a band agrees with probability J (Broder 1997): 51/61, over 2,000 bands +- 4 errors."""
    monkeypatch.setattr(duplicates, "_BANDS", 2000)
    monkeypatch.setattr(duplicates, "_ROWS", 1)
    keys = duplicates._band_keys([(text(1),), (edited(text(1), 30),)])
    similarity = 51 / 61
    error = 4 * (similarity * (1 - similarity) / 2000) ** 0.5
    assert np.mean(keys[0] == keys[1]) == pytest.approx(similarity, abs=error)


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=12))
def test_any_text_can_be_compared(documents):
    found = near_duplicates(documents)
    assert all(earlier < later for earlier, later in found)
    for earlier, later in found:
        assert all(jaccard(x, y) >= 0.8 for x, y in zip(documents[earlier], documents[later], strict=True))


def test_no_pairs_have_no_duplicates():
    assert counts([], []) == {}
