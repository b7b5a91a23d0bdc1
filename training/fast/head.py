"""Log-probabilities and statistics of tokens from hidden states: no product with the vocabulary is computed twice."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from trl.kernels import ChunkedLogProbFunction

TILE_LOGITS = 2**24  # logits in a tile: enough rows for the matrix products, few enough to stay near the cache
FOLDED_ROWS, FOLDED_COLUMNS = 2048, 512  # of a tile where no gradient is wanted
KEPT_BYTES = 2**29  # of probabilities kept for the backward pass, less than what TRL's tiles take on a CPU
TRL_CHUNK_SIZE = 32768  # vocabulary width of a tile of TRL's kernel, as in trl.trainer.utils

Outputs = tuple[str, ...]


class TokenStatistics(NamedTuple):
    """Per-token fields of trl's FusedCausalLMOutput, each of shape (tokens,); None where it was not asked for."""

    log_probs: Tensor
    entropy: Tensor | None
    log_sum_sq_probs: Tensor | None
    mean_logits: Tensor | None
    is_top1: Tensor | None


def score_tokens(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, tokens: Tensor, outputs: Outputs
) -> TokenStatistics:
    """Statistics of `tokens` under softmax(hidden @ weight.T + bias); the log-probabilities carry a gradient.

    `hidden` has shape (tokens, dimensions), `weight` (vocabulary, dimensions), `bias` (vocabulary,) and `tokens`
    (tokens,). Logits have the dtype of autocast or of `hidden`, statistics are float32. Elsewhere than on a CPU this
    is TRL's kernel, where the entropy carries a gradient too.
    """
    if hidden.device.type != "cpu":
        arguments = (hidden, weight, bias, tokens, 1.0, TRL_CHUNK_SIZE, None, 1.0, outputs)
        return TokenStatistics(*ChunkedLogProbFunction.apply(*arguments))
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else hidden.dtype
    with torch.autocast("cpu", enabled=False):
        if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (hidden, weight, bias)):
            apply: Callable[..., tuple[Any, ...]] = _ScoreTokens.apply
            return TokenStatistics(*apply(hidden, weight, bias, tokens, dtype, outputs))
        return _without_gradient(hidden, weight, bias, tokens, dtype, outputs)


def _without_gradient(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, tokens: Tensor, dtype: torch.dtype, outputs: Outputs
) -> TokenStatistics:
    """The statistics alone, folded in tile by tile of the vocabulary: a tile's logits are used while in the cache."""
    hidden, weight = hidden.to(dtype), weight.to(dtype)
    parts = [
        _fold(hidden[at : at + FOLDED_ROWS], weight, bias, tokens[at : at + FOLDED_ROWS], outputs)
        for at in range(0, max(1, len(hidden)), FOLDED_ROWS)
    ]
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return TokenStatistics(found.pop("log_probs"), *(found.get(name) for name in TokenStatistics._fields[1:]))


def _fold(hidden: Tensor, weight: Tensor, bias: Tensor | None, tokens: Tensor, outputs: Outputs) -> dict[str, Tensor]:
    """Of every tile its softmax, one pass in the cache, which is 1 / (sum of exponentials) where a row is highest."""
    rows, size = len(hidden), len(weight)
    top = hidden.new_full((rows,), -torch.inf, dtype=torch.float32)
    logit, total, weighted, squares = torch.zeros(4, rows)
    own, best, leads = tokens // FOLDED_COLUMNS, torch.zeros_like(tokens), torch.zeros_like(tokens, dtype=torch.bool)
    for number, start in enumerate(range(0, size, FOLDED_COLUMNS)):
        tile = slice(start, min(start + FOLDED_COLUMNS, size))
        z = hidden @ weight[tile].t() if bias is None else F.linear(hidden, weight[tile], bias[tile].to(weight.dtype))
        z = z.float()
        here = (own == number).nonzero()[:, 0]
        place = tokens[here] - start
        logit[here] = z[here, place]
        leads[here] = z[here].argmax(dim=-1) == place
        highest, p = z.amax(dim=-1), z.softmax(dim=-1)
        best = torch.where(highest > top, number, best)  # the first of equal ones, as argmax has it
        new_top = torch.maximum(top, highest)
        scale, part = (top - new_top).exp_(), (highest - new_top).exp_() / p.amax(dim=-1)
        top, total = new_top, total * scale + part
        if "entropy" in outputs:
            weighted = weighted * scale + part * _dot(p, z)
        if "log_sum_sq_probs" in outputs:
            squares = squares * scale * scale + part * part * _dot(p, p)
    normalizer = top + total.log()
    found = {"log_probs": logit - normalizer}
    found |= {"entropy": normalizer - weighted / total} if "entropy" in outputs else {}
    found |= {"log_sum_sq_probs": squares.log() - 2 * total.log()} if "log_sum_sq_probs" in outputs else {}
    found |= {"mean_logits": _mean_logits(hidden, weight, bias)} if "mean_logits" in outputs else {}
    return found | ({"is_top1": leads & (best == own)} if "is_top1" in outputs else {})


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Row by row, without a matrix of products."""
    return torch.bmm(left[:, None], right[:, :, None])[:, 0, 0]


def _mean_logits(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A mean logit is linear in the hidden state: no pass over the logits is needed."""
    mean = hidden.float() @ weight.mean(dim=0, dtype=torch.float32)
    return mean if bias is None else mean + bias.mean(dtype=torch.float32)


class _Head:
    """The product of hidden states and head, some rows at a time, in buffers that the next tile overwrites."""

    def __init__(self, hidden: Tensor, weight: Tensor, bias: Tensor | None, tokens: Tensor, dtype: torch.dtype) -> None:
        self.hidden = hidden.detach().to(dtype)
        self.weight = weight.detach().to(dtype)
        self.bias = None if bias is None else bias.detach().to(dtype)
        self._tokens = tokens
        self._rows = max(64, TILE_LOGITS // len(weight))
        shape = (min(self._rows, len(hidden)), len(weight))
        self._product = self.weight.new_empty(shape)
        self._scratch = torch.empty(shape)
        self._found: dict[str, list[Tensor]] = {}

    def tiles(self, start: int = 0) -> list[slice]:
        return [slice(at, min(at + self._rows, len(self.hidden))) for at in range(start, len(self.hidden), self._rows)]

    def keepable(self) -> int:
        """How many of the rows, in whole tiles, have probabilities that fit into KEPT_BYTES."""
        fitting = KEPT_BYTES // (self.weight.dtype.itemsize * len(self.weight))
        return len(self.hidden) if fitting >= len(self.hidden) else fitting // self._rows * self._rows

    def scratch(self, rows: slice) -> Tensor:
        return self._scratch[: rows.stop - rows.start]

    def logits(self, rows: slice) -> Tensor:
        """Float32 logits, shape (rows, vocabulary), rounded to the dtype of the product."""
        product = torch.mm(self.hidden[rows], self.weight.t(), out=self._product[: rows.stop - rows.start])
        return (product if self.bias is None else product.add_(self.bias)).float()

    def probabilities(self, rows: slice) -> Tensor:
        return torch.softmax(self.logits(rows), dim=-1, out=self.scratch(rows))

    def score(self, rows: slice, outputs: Outputs, probabilities: Tensor) -> None:
        """Takes the statistics of these rows; writes their probabilities, float32, shape (rows, vocabulary)."""
        logits, tokens = self.logits(rows), self._tokens[rows]
        top, index = logits.max(dim=-1)
        p = torch.softmax(logits, dim=-1, out=probabilities)
        normalizer = top - p.gather(1, index[:, None])[:, 0].log()
        found = {"log_probs": logits.gather(1, tokens[:, None])[:, 0] - normalizer}
        if "entropy" in outputs:
            found["entropy"] = normalizer - torch.linalg.vecdot(p, logits)
        if "log_sum_sq_probs" in outputs:
            found["log_sum_sq_probs"] = torch.linalg.vecdot(p, p).log()
        if "is_top1" in outputs:
            found["is_top1"] = index == tokens
        for name, values in found.items():
            self._found.setdefault(name, []).append(values)

    def statistics(self, outputs: Outputs) -> TokenStatistics:
        """The statistics of all rows, after `score` has seen them in order."""
        empty = self.hidden.new_empty(0, dtype=torch.float32)  # of no rows at all
        found = {name: torch.cat([empty, *self._found.get(name, [])]) for name in ("log_probs", *outputs)}
        return TokenStatistics(
            log_probs=found["log_probs"],
            entropy=found.get("entropy"),
            log_sum_sq_probs=found.get("log_sum_sq_probs"),
            mean_logits=_mean_logits(self.hidden, self.weight, self.bias) if "mean_logits" in outputs else None,
            is_top1=found["is_top1"].bool() if "is_top1" in outputs else None,
        )


class _ScoreTokens(torch.autograd.Function):
    """`score_tokens` with a gradient for the log-probabilities: d log p[y] / d logits = one-hot(y) - p.

    With P the probabilities and g the incoming gradient, the hidden states' gradient is g * (W[y] - P W), whose product
    the forward pass takes while a tile is at hand; the head's is that of the one-hot rows minus P^T (g * hidden). P is
    kept up to KEPT_BYTES and computed again beyond.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        tokens: Tensor,
        dtype: torch.dtype,
        outputs: Outputs,
    ) -> tuple[Tensor | None, ...]:
        head = _Head(hidden, weight, bias, tokens, dtype)
        kept = head.weight.new_empty(head.keepable() if any(ctx.needs_input_grad[1:3]) else 0, len(weight))
        expected = torch.empty_like(head.hidden)
        for rows in head.tiles():
            is_kept = rows.stop <= len(kept)
            p = kept[rows] if is_kept and dtype == torch.float32 else head.scratch(rows)
            head.score(rows, outputs, p)
            if dtype != torch.float32:
                p = kept[rows].copy_(p) if is_kept else p.to(dtype)
            torch.mm(p, head.weight, out=expected[rows])
        ctx.save_for_backward(hidden, weight, bias, tokens, expected, kept)
        ctx.dtype = dtype
        statistics = head.statistics(outputs)
        ctx.mark_non_differentiable(*(x for x in statistics[1:] if x is not None))
        return tuple(statistics)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, tokens, expected, kept = ctx.saved_tensors
        head = _Head(hidden, weight, bias, tokens, ctx.dtype)
        grad_hidden = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_hidden = ((head.weight[tokens].float() - expected) * grad[:, None]).to(hidden.dtype)
        if any(ctx.needs_input_grad[1:3]):
            grad_weight, grad_bias = _grad_head(head, tokens, grad, kept)
            grad_weight, grad_bias = grad_weight.to(weight.dtype), None if bias is None else grad_bias.to(bias.dtype)
        return grad_hidden, grad_weight, grad_bias, None, None, None


def _grad_head(head: _Head, tokens: Tensor, grad: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Float32 gradients of weight and bias, which is the weight of one more hidden dimension that is always 1."""
    factors = head.hidden if head.bias is None else F.pad(head.hidden, (0, 1), value=1.0)
    factors = factors * grad[:, None].to(factors.dtype)
    found = torch.mm(kept.t(), factors[: len(kept)].neg()).float()
    for rows in head.tiles(start=len(kept)):
        found.addmm_(head.probabilities(rows).t(), factors[rows].float(), alpha=-1)
    found.index_add_(0, tokens, factors.float())
    dimensions = head.hidden.shape[1]
    return found[:, :dimensions], found[:, -1]
