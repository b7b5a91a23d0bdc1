"""Which pairs are held out for evaluation, and which of many are used."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

LEAST, WHERE = 500, 5000  # so many pairs are held out, where there are so many

T = TypeVar("T")


def held_out(prompts: Sequence[str], share: float, seed: int) -> set[str]:
    """The prompts to evaluate on, `prompts` having one entry for each pair: about `share` of the pairs.

    All pairs of a prompt are on the same side; one prompt at least is left to train on.
    """
    sizes = Counter(prompts)
    shuffled = sorted(sizes)
    random.Random(seed).shuffle(shuffled)
    wanted = max(round(share * len(prompts)), LEAST if len(prompts) >= WHERE else 1)
    taken, count = set[str](), 0
    for prompt in shuffled[:-1]:
        if count >= wanted:
            break
        taken.add(prompt)
        count += sizes[prompt]
    return taken


def drawn(items: Sequence[T], most: int | None, seed: int) -> tuple[list[T], list[T]]:
    """`items` as (`most` of them drawn by `seed`, the rest), both in their order; all of them if `most` is None."""
    if most is None or most >= len(items):
        return list(items), []
    numbers = set(random.Random(seed).sample(range(len(items)), most))
    sides: tuple[list[T], list[T]] = ([], [])
    for number, item in enumerate(items):
        sides[number not in numbers].append(item)
    return sides
