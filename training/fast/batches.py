"""Pairs in batches of like lengths, as many in each as a budget of tokens allows."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

ANSWERS = ("chosen", "rejected")
BUDGET = {"cpu": 4096}  # positions: beyond it a processor's caches overflow and nothing is gained
MOST_PAIRS = 256  # in a batch


def positions(dataset: Dataset, max_length: int | None) -> npt.NDArray[np.int64]:
    """How many positions each pair takes in padded rows: twice those of its longer row, as far as it is kept."""
    table: pa.Table = dataset.data.table
    lengths = {side: pc.list_value_length(table[f"{side}_ids"]) for side in ("prompt", *ANSWERS)}
    longer = pc.add(lengths["prompt"], pc.max_element_wise(*(lengths[side] for side in ANSWERS)))
    found: npt.NDArray[np.int64] = longer.to_numpy().astype(np.int64)
    if dataset._indices is not None:
        found = found[dataset._indices.column(0).to_numpy()]
    return 2 * (found if max_length is None else np.minimum(found, max_length))


def token_batches(sizes: Sequence[int] | npt.NDArray[np.int64], budget: int) -> list[list[int]]:
    """Places in batches, longest first; a batch padded to its longest pair stays below `budget`, or holds one pair."""
    batches: list[list[int]] = []
    room = 0
    for place in np.argsort(-np.asarray(sizes), kind="stable").tolist():
        if room == 0:
            batches.append([])
            room = min(MOST_PAIRS, max(1, budget // max(1, int(sizes[place]))))
        batches[-1].append(place)
        room -= 1
    return batches


def budget(sizes: npt.NDArray[np.int64], batch_size: int, device: str) -> int:
    """Positions in a batch: what `batch_size` of the longest pairs take, and no more than pays off on this device."""
    longest = batch_size * int(sizes.max(initial=1))
    return min(longest, BUDGET.get(device, longest))
