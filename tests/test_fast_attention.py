"""Attention over packed pairs is attention over each [prompt | answer] alone."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.fast.attention import PackedPairs, packed_pairs_attention

LENGTHS = [[3, 2, 4], [0, 1, 1], [20, 5, 30], [2, 0, 3]]


def layer(key_heads: int = 4) -> nn.Module:
    module = nn.Module()
    module.num_key_value_groups = 4 // key_heads
    module.config = SimpleNamespace(sliding_window=None)
    return module


def states(key_heads: int = 4, packed: int = 71) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(1, heads, packed, 8, requires_grad=True) for heads in (4, key_heads, key_heads)]


def alone(query: Tensor, key: Tensor, value: Tensor, window: int = 1000) -> Tensor:
    """Each sequence cut out of the packed row, with its own causal mask; a prompt's output is that of chosen."""
    found, start = torch.zeros(1, query.shape[2], 4, 8), 0
    for prompt, *answers in LENGTHS:
        ends = [start + prompt, start + prompt + answers[0], start + prompt + sum(answers)]
        for begin, end in zip(ends[1::-1], ends[:0:-1], strict=True):
            at = torch.cat((torch.arange(start, start + prompt), torch.arange(begin, end)))
            q, k, v = (x[:, :, at].repeat_interleave(4 // x.shape[1], dim=1) for x in (query, key, value))
            distance = torch.arange(len(at))[:, None] - torch.arange(len(at))
            output = F.scaled_dot_product_attention(q, k, v, attn_mask=(distance >= 0) & (distance < window))
            found = found.index_copy(1, at, output.transpose(1, 2))
        start = ends[2]
    return found


@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("window", [None, 1, 4, 1000])
def test_each_answer_sees_its_prompt_and_itself(key_heads, window):
    q, k, v = states(key_heads)
    pairs = PackedPairs(torch.tensor(LENGTHS))
    found, _ = packed_pairs_attention(layer(key_heads), q, k, v, None, packed_pairs=pairs, sliding_window=window)
    expected = alone(q, k, v, **({} if window is None else {"window": window}))
    assert torch.allclose(found, expected, atol=1e-5)
    factors = torch.randn_like(expected)
    for x, y in zip(*(torch.autograd.grad((o * factors).sum(), (q, k, v)) for o in (found, expected)), strict=True):
        assert torch.allclose(x, y, atol=1e-5)


def test_sequences_of_unlike_length_are_not_padded_to_one_another():
    """Sequences have 5 and 7, 1 and 1, 25 and 50, 2 and 5 positions: groups 50 | 25 | 7 | 5 5 | 2 | 1 1."""
    groups = PackedPairs(torch.tensor(LENGTHS)).groups
    assert [tuple(index.shape) for index in groups] == [(1, 50), (1, 25), (1, 7), (2, 5), (1, 2), (2, 1)]


def test_without_packed_pairs_it_is_sdpa():
    q, k, v = states()
    found, _ = packed_pairs_attention(layer(), q, k, v, None)
    assert torch.equal(found, F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2))


@pytest.mark.parametrize(
    ("options", "config"),
    [({"softcap": 50.0}, None), ({"position_bias": torch.zeros(1)}, None), ({}, SimpleNamespace(sliding_window=8))],
    ids=["softcap", "position bias", "a window it is not told of"],
)
def test_attention_that_it_does_not_compute_is_refused(options: dict[str, Any], config: Any):
    module = layer()
    module.config = config or module.config
    with pytest.raises(ValueError, match="attention"):
        packed_pairs_attention(module, *states(), None, packed_pairs=PackedPairs(torch.tensor(LENGTHS)), **options)
