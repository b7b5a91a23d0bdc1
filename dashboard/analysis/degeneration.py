"""How degenerate texts are: repeated n-grams inside one, few different ones over all, answers that say nothing new."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

_UNIT = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+|[^\w\s]")


def units(text: str) -> list[str]:
    """Words in lower case and punctuation marks; of scripts without spaces (Chinese, Japanese) single characters."""
    return _UNIT.findall(text.lower())


def repetition(words: Sequence[str], n: int = 3) -> float:
    """rep-n: 1 - distinct n-grams / all n-grams; 0 for a text shorter than n (Welleck et al., arXiv:1908.04319)."""
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct(texts: Sequence[Sequence[str]]) -> float:
    """distinct-2: different pairs of neighbouring words / all, over all texts; 1 of none (Li et al. 2016, N16-1014)."""
    grams = [gram for words in texts for gram in pairwise(words)]
    return len(set(grams)) / len(grams) if grams else 1.0


def alike(texts: Sequence[str]) -> int:
    """How many texts equal another one, apart from case and white space; empty ones are not counted."""
    counts = Counter(" ".join(text.lower().split()) for text in texts)
    return sum(count for text, count in counts.items() if count > 1 and text)


def echoes(prompt: Sequence[str], answer: Sequence[str], least: int = 5) -> bool:
    """Whether the answer begins with the whole prompt, which has at least `least` words."""
    return len(prompt) >= least and list(answer[: len(prompt)]) == list(prompt)
