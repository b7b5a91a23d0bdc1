"""Attention over packed preference pairs: each answer sees its prompt and itself."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

IMPLEMENTATION = "packed_pairs"
ALIKE = 0.9  # a sequence shorter than this share of a group's longest one begins another group


class PackedPairs:
    """Where the sequences [prompt | answer] of a batch lie in its packed row: made once, used by every layer.

    `lengths` has shape (pairs, 3): how many packed positions are a pair's prompt, chosen and rejected, in this order.
    Sequences of like length are a group, padded at the end to its longest: `groups` has a tensor of packed positions,
    shape (sequences, longest), for each; `back` (packed,) is where in the groups, one after the other, a packed
    position is. A prompt is in two sequences.
    """

    def __init__(self, lengths: Tensor) -> None:
        device, lengths = lengths.device, lengths.cpu()
        prompt, answers = lengths[:, :1].expand(-1, 2).flatten(), lengths[:, 1:].flatten()
        ends = lengths.flatten().cumsum(0).view(-1, 3)
        begins = (ends - lengths)[:, :1].expand(-1, 2).flatten()
        answer_begins = ends[:, :2].flatten()
        total = prompt + answers
        order = total.argsort(descending=True)[: int((total > 0).sum())]
        back, taken, groups = torch.empty(int(lengths.sum()), dtype=torch.long), 0, []
        for group in torch.split(order, _group_sizes(total[order].tolist())):
            columns = torch.arange(int(total[group[0]]))
            p, begin, answer_begin = (x[group][:, None] for x in (prompt, begins, answer_begins))
            index = torch.where(columns < p, begin + columns, answer_begin + columns - p)
            real = columns < total[group][:, None]
            back[index[real]] = real.flatten().nonzero()[:, 0] + taken
            groups.append(index.where(real, begin).to(device))
            taken += index.numel()
        self.groups = groups
        self.back = back.to(device)
        self._bands: dict[tuple[int, int], Tensor] = {}

    def band(self, length: int, window: int) -> Tensor:
        """The mask of a sliding window, shape (1, 1, length, length): each position sees itself and what is before."""
        if (length, window) not in self._bands:
            seen = torch.ones(length, length, dtype=torch.bool, device=self.back.device).tril()
            self._bands[length, window] = seen.triu(1 - window)[None, None]
        return self._bands[length, window]


def _group_sizes(lengths: list[int]) -> list[int]:
    """How many of these lengths, in descending order, are alike, and how many of the rest, and so on."""
    sizes: list[int] = []
    longest = 0
    for length in lengths:
        if length < ALIKE * longest or not sizes:
            longest = length
            sizes.append(0)
        sizes[-1] += 1
    return sizes


def packed_pairs_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    packed_pairs: PackedPairs | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """SDPA over each sequence of a packed row, or plain SDPA where no row is packed (generation, TRL's forward).

    `query`, `key` and `value` have shape (1, heads, packed, dimensions), the output (1, packed, heads, dimensions).
    Raises ValueError for what it does not compute: softcapping, position biases, a window that it is not told of.
    """
    if packed_pairs is None:
        found: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return found
    if options.get("softcap") is not None or options.get("position_bias") is not None:
        raise ValueError("its attention is softcapped or biased by position")
    if "sliding_window" not in options and getattr(module.config, "sliding_window", None) is not None:
        raise ValueError("its attention does not say whether it has a sliding window")
    window = options.get("sliding_window")
    outputs = []
    for index in packed_pairs.groups:
        q, k, v = (_gather(x, index) for x in (query, key, value))
        length = index.shape[1]
        mask = packed_pairs.band(length, window) if window is not None and window < length else None
        output, _ = sdpa_attention_forward(module, q, k, v, mask, **options | {"is_causal": True})
        outputs.append(output.flatten(0, 1).flatten(1))
    heads, dimensions = query.shape[1], value.shape[3]
    rows = F.embedding(packed_pairs.back, torch.cat(outputs))
    return rows.view(1, -1, heads, dimensions), None


def _gather(states: Tensor, index: Tensor) -> Tensor:
    """The states of these packed positions, shape (sequences, heads, longest, dimensions).

    The lookup is an embedding's: of all lookups its backward pass is the fastest by far.
    """
    _, heads, _, dimensions = states.shape
    rows = F.embedding(index, states[0].transpose(0, 1).flatten(1))
    return rows.view(*index.shape, heads, dimensions).transpose(1, 2)


ALL_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, packed_pairs_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, sdpa_mask)
