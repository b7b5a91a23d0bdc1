"""A batch of preference pairs in one row without padding, each prompt once, and the way back to TRL's rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.fast.attention import PackedPairs


@dataclass(frozen=True)
class Layout:
    """Pairs packed as [prompt[:-1] | last prompt token, chosen[:-1] | last prompt token, rejected[:-1]].

    Every position of an answer predicts the token that TRL's row has next; no position of the shared prompt does.
    `input_ids` and `position_ids` have shape (1, packed); `scored` (tokens,) are the packed positions that predict the
    answers' `tokens`, and `places` (tokens,) where these are in `shape`, TRL's (2 * pairs, length - 1), flattened.
    """

    input_ids: Tensor
    position_ids: Tensor
    scored: Tensor
    tokens: Tensor
    places: Tensor
    shape: tuple[int, int]
    pairs: PackedPairs

    def unpack(self, values: Tensor) -> Tensor:
        """Values of the scored tokens in TRL's rows, zero elsewhere."""
        return values.new_zeros(self.shape[0] * self.shape[1]).index_put((self.places,), values).view(self.shape)


def pack(input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Layout | None:
    """The layout of TRL's batch, whose arguments have shape (2 * pairs, length), chosen rows first.

    None where the two rows of a pair do not begin with the same prompt of at least one token, or where labels other
    than -100 are not exactly the rest of the row.
    """
    answers = (labels != -100).sum(dim=1)
    prompts = attention_mask.sum(dim=1) - answers
    first, second = prompts.chunk(2)
    if not bool(_is_prompt_then_answer(attention_mask, labels, prompts) & _share(input_ids, first, second)):
        return None
    shared = first - 1
    lengths = torch.stack((shared, *answers.chunk(2)), dim=1)
    kind, pair, offset = _ragged(lengths)
    columns = torch.where(kind == 0, offset, offset + shared[pair])
    rows = torch.where(kind == 2, pair + len(first), pair)
    scored = kind.nonzero()[:, 0]
    row, column = rows[scored], columns[scored]
    width = input_ids.shape[1] - 1
    return Layout(
        input_ids=input_ids[rows, columns][None],
        position_ids=columns[None],
        scored=scored,
        tokens=input_ids[row, column + 1],
        places=row * width + column,
        shape=(len(input_ids), width),
        pairs=PackedPairs(lengths),
    )


def _is_prompt_then_answer(attention_mask: Tensor, labels: Tensor, prompts: Tensor) -> Tensor:
    """Whether each row is a prompt, an answer and padding, in this order."""
    columns = torch.arange(labels.shape[1], device=labels.device)
    is_answer = (columns >= prompts[:, None]) & (columns < attention_mask.sum(dim=1)[:, None])
    return ((labels != -100) == is_answer).all() & (attention_mask[:, 1:] <= attention_mask[:, :-1]).all()


def _share(input_ids: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Whether the prompts, of these lengths, are the same in both rows of each pair."""
    chosen, rejected = input_ids.chunk(2)
    outside = torch.arange(input_ids.shape[1], device=input_ids.device) >= first[:, None]
    return (first == second).all() & (first > 0).all() & ((chosen == rejected) | outside).all()


def _ragged(lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of every packed position its segment's column and row in `lengths`, and its offset in the segment."""
    flat = lengths.flatten()
    segment = torch.arange(len(flat), device=flat.device).repeat_interleave(flat)
    offset = torch.arange(len(segment), device=flat.device) - (flat.cumsum(0) - flat)[segment]
    return segment % lengths.shape[1], segment // lengths.shape[1], offset
