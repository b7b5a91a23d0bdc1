"""Pairs that come twice or nearly twice, pairs that contradict each other, and evaluation pairs that training has."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.pairs import Pair, said, same

WORDS, SIMILAR = 5, 0.8  # near duplicates share this much of their runs of so many words
EXAMPLES, SHOWN = 3, 200  # pairs, characters of each text
_SIDES = ("prompt", "chosen", "rejected")
_BANDS, _ROWS = 20, 5  # of min-hashes: texts as similar as SIMILAR meet with probability 1 - (1 - 0.8^5)^20 = 0.9996
_CHUNK = 2048  # documents hashed at a time
_PAD = -1  # fills texts of fewer than WORDS words
# In scripts without spaces a character counts as a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")

Document = tuple[str, ...]  # texts that are compared one by one
Match = tuple[int, int]  # positions of an earlier and of a later one
Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Found:
    """How many there are; of up to three of them, both pairs: pair_id and the beginnings of their texts."""

    count: int
    examples: list[list[dict[str, str]]]


def find(train: Sequence[Pair], evaluation: Sequence[Pair]) -> dict[str, Found]:
    """What is double in the pairs of both sides. Texts that differ only in case or white space are the same.

    exact: pairs that equal an earlier one. near: different pairs of which prompt, chosen and rejected are each nearly
    those of an earlier one. contradictions: comparisons that are made both ways (A > B and B > A for one prompt).
    eval_pairs_in_train, eval_prompts_in_train: evaluation pairs that training has, or whose prompt it has, or nearly.
    """
    pairs = [*train, *evaluation]
    documents: list[Document] = [tuple(same(pair[side]).casefold() for side in _SIDES) for pair in pairs]
    first = _first(documents)
    alike = _named(near_duplicates(list(first)), first)
    prompts: list[Document] = [document[:1] for document in documents]
    first_asked = _first(prompts)
    alike_asked = _named(near_duplicates(list(first_asked)), first_asked)
    found = {
        "exact": [(first[document], at) for at, document in enumerate(documents) if first[document] < at],
        "near": list({later: (earlier, later) for earlier, later in alike}.values()),
        "contradictions": _contradictions(first),
        "eval_pairs_in_train": _in_train(documents, first, alike, len(train)),
        "eval_prompts_in_train": _in_train(prompts, first_asked, alike_asked, len(train)),
    }
    return {name: Found(len(matches), _examples(matches, pairs)) for name, matches in found.items()}


def near_duplicates(documents: Sequence[Document]) -> list[Match]:
    """Documents all of whose texts have a Jaccard similarity of at least SIMILAR with those of an earlier document.

    Of the sets of their WORDS-word shingles (Broder 1997, "On the resemblance and containment of documents"). Found by
    banded min-hashes (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4), each document against the
    earliest in each of its buckets, and confirmed by the exact similarity: a lower bound, without false finds.
    """
    if not documents:
        return []
    return [(a, b) for a, b in _candidates(_band_keys(documents)) if _alike(documents[a], documents[b])]


def jaccard(a: str, b: str) -> float:
    """The share of two texts' shingles that both have."""
    ours, theirs = _shingles(a), _shingles(b)
    return len(ours & theirs) / len(ours | theirs)


def _alike(a: Document, b: Document) -> bool:
    return all(x == y or jaccard(x, y) >= SIMILAR for x, y in zip(a, b, strict=True))


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[at : at + WORDS]) for at in range(max(1, len(words) - WORDS + 1))}


def _words(text: str) -> list[str]:
    """The words, in lower case; a text without any, such as "?!", is one."""
    return _WORD.findall(text.casefold()) or [text]


def _candidates(keys: Hashes) -> Iterator[Match]:
    """Each document, and the earliest that shares the key of one of its bands. Keys have shape (documents, bands)."""
    matches = set[Match]()
    for band in keys.T:
        _, earliest, bucket = np.unique(band, return_index=True, return_inverse=True)
        later = np.flatnonzero(earliest[bucket] < np.arange(len(band)))
        matches.update(zip(earliest[bucket[later]].tolist(), later.tolist(), strict=True))
    yield from sorted(matches)


def _band_keys(documents: Sequence[Document]) -> Hashes:
    """Hashes of groups of _ROWS min-hashes, shape (documents, _BANDS)."""
    factors = _mixed(np.arange(_BANDS * _ROWS, dtype=np.uint64)) | np.uint64(1)
    vocabulary: dict[str, int] = {}
    keys = np.zeros((len(documents), _BANDS), np.uint64)
    for start in range(0, len(documents), _CHUNK):
        shingles, starts = _shingle_hashes(documents[start : start + _CHUNK], vocabulary)
        for number, factor in enumerate(factors):
            smallest = np.minimum.reduceat(shingles * factor, starts)
            keys[start : start + _CHUNK, number // _ROWS] += _mixed(smallest + factor)
    return keys


def _shingle_hashes(documents: Sequence[Document], vocabulary: dict[str, int]) -> tuple[Hashes, NDArray[np.int64]]:
    """The shingles of all documents as 64-bit numbers, those of each text its own, and where each document starts."""
    texts = [
        [vocabulary.setdefault(word, len(vocabulary)) for word in _words(text)]
        for document in documents
        for text in document
    ]
    texts = [numbers + [_PAD] * (WORDS - len(numbers)) for numbers in texts]
    lengths = np.array([len(numbers) for numbers in texts])
    words = _mixed(np.fromiter((n for numbers in texts for n in numbers), np.int64, lengths.sum()).astype(np.uint64))
    whole = np.arange(len(words)) + WORDS <= np.repeat(lengths.cumsum(), lengths)  # shingles that end in their text
    sides = len(documents[0])
    hashes = np.repeat(np.tile(np.arange(sides, dtype=np.uint64), len(documents)), lengths)
    for offset in range(WORDS):
        hashes = _mixed(hashes + np.roll(words, -offset))
    counts = (lengths - WORDS + 1).reshape(-1, sides).sum(axis=1)
    return hashes[whole], counts.cumsum() - counts


def _mixed(numbers: Hashes) -> Hashes:
    """SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit of the number."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _first(documents: Iterable[Document]) -> dict[Document, int]:
    """Where each different document comes first, in that order."""
    first: dict[Document, int] = {}
    for at, document in enumerate(documents):
        first.setdefault(document, at)
    return first


def _named(matches: Iterable[Match], first: dict[Document, int]) -> list[Match]:
    """Matches among the different documents as positions among all."""
    positions = list(first.values())
    return [(positions[a], positions[b]) for a, b in matches]


def _contradictions(first: dict[Document, int]) -> list[Match]:
    opposites = ((first.get((prompt, rejected, chosen)), at) for (prompt, chosen, rejected), at in first.items())
    return [(earlier, later) for earlier, later in opposites if earlier is not None and earlier < later]


def _in_train(
    documents: Sequence[Document], first: dict[Document, int], alike: Iterable[Match], n_train: int
) -> list[Match]:
    """The documents from `n_train` on that equal, or are near, one before."""
    known = {later: earlier for earlier, later in alike if earlier < n_train}
    known |= {at: at for at in first.values() if at < n_train}
    origins = ((known.get(first[documents[at]]), at) for at in range(n_train, len(documents)))
    return [(origin, at) for origin, at in origins if origin is not None]


def _examples(matches: Sequence[Match], pairs: Sequence[Pair]) -> list[list[dict[str, str]]]:
    """Prompts are shown by their last characters, answers by their first."""
    cuts = {"prompt": slice(-SHOWN, None), "chosen": slice(SHOWN), "rejected": slice(SHOWN)}
    return [
        [
            {"pair_id": pairs[at]["pair_id"], **{side: said(pairs[at][side])[cut] for side, cut in cuts.items()}}
            for at in match
        ]
        for match in matches[:EXAMPLES]
    ]
