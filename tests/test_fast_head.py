"""The head's numbers are those of TRL's kernel and of autograd through a plain log-softmax."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from trl.kernels import ChunkedLogProbFunction

from training.fast import head
from training.fast.head import TokenStatistics, score_tokens

OUTPUTS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")


def example(tokens: int = 37, vocabulary: int = 101, dimensions: int = 16, bias: bool = False) -> dict[str, Any]:
    torch.manual_seed(0)
    return {
        "hidden": torch.randn(tokens, dimensions, requires_grad=True),
        "weight": torch.randn(vocabulary, dimensions, requires_grad=True),
        "bias": torch.randn(vocabulary, requires_grad=True) if bias else None,
        "tokens": torch.randint(vocabulary, (tokens,)),
    }


def trl(inputs: dict[str, Any]) -> TokenStatistics:
    return TokenStatistics(*ChunkedLogProbFunction.apply(*inputs.values(), 1.0, 32, None, 1.0, OUTPUTS))


def gradients(found: TokenStatistics, inputs: dict[str, Any]) -> list[Tensor]:
    """Of a sum of the log-probabilities with weights that differ by token."""
    wanted = [x for x in inputs.values() if x is not None and x.requires_grad]
    factors = torch.linspace(-1, 2, len(found.log_probs))
    return list(torch.autograd.grad((found.log_probs * factors).sum(), wanted))


@pytest.fixture(params=["kept", "half kept", "computed again"])
def small_tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 64 rows; the probabilities of all rows are kept, or of one tile, or of none."""
    monkeypatch.setattr(head, "TILE_LOGITS", 64 * 101)
    monkeypatch.setattr(
        head, "KEPT_BYTES", {"kept": 2**29, "half kept": 100 * 101 * 4, "computed again": 0}[request.param]
    )


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("bias", [False, True])
def test_statistics_and_gradients_are_those_of_trl(bias):
    inputs = example(tokens=150, bias=bias)
    ours, theirs = score_tokens(**inputs, outputs=OUTPUTS), trl(inputs)
    for name, x, y in zip(TokenStatistics._fields, ours, theirs, strict=True):
        assert torch.allclose(x.float(), y.float(), atol=1e-5), name
    for x, y in zip(gradients(ours, inputs), gradients(theirs, inputs), strict=True):
        assert (x - y).norm() <= 1e-5 * y.norm()


def test_without_gradient_the_same_statistics():
    inputs = example()
    with torch.no_grad():
        quick = score_tokens(**inputs, outputs=OUTPUTS)
    for x, y in zip(quick, score_tokens(**inputs, outputs=OUTPUTS), strict=True):
        assert torch.allclose(x.float(), y.float(), rtol=1e-5, atol=1e-5)
        assert not x.requires_grad


def test_only_what_is_asked_for_is_computed():
    found = score_tokens(**example(), outputs=("log_probs", "is_top1"))
    assert [name for name, x in found._asdict().items() if x is not None] == ["log_probs", "is_top1"]


def test_only_log_probs_carry_a_gradient():
    found = score_tokens(**example(), outputs=OUTPUTS)
    assert [name for name, x in found._asdict().items() if x.requires_grad] == ["log_probs"]


def test_a_frozen_head_keeps_no_probabilities_and_passes_the_gradient_on():
    inputs = example()
    inputs["weight"].requires_grad_(False)
    found = score_tokens(**inputs, outputs=OUTPUTS)
    assert found.log_probs.grad_fn.saved_tensors[-1].numel() == 0
    assert torch.allclose(gradients(found, inputs)[0], gradients(trl(inputs), inputs)[0], atol=1e-5)


def test_of_equal_logits_the_first_is_the_top():
    """Three equal logits: TRL and argmax call token 0 the most likely, and only that."""
    inputs = {"hidden": torch.ones(3, 1), "weight": torch.ones(3, 1), "bias": None, "tokens": torch.arange(3)}
    found = score_tokens(**inputs, outputs=OUTPUTS)
    assert found.is_top1.tolist() == [True, False, False] == trl(inputs).is_top1.tolist()


def test_a_token_of_no_probability_has_a_finite_log_probability():
    """Logits 0 and -200: exp(-200) is 0 in float32, its logarithm is -200 all the same."""
    inputs = {"hidden": torch.ones(1, 1), "weight": torch.tensor([[0.0], [-200.0]]), "bias": None}
    assert score_tokens(**inputs, tokens=torch.tensor([1]), outputs=OUTPUTS).log_probs.item() == -200.0


@pytest.mark.parametrize("grad", [True, False])
def test_no_tokens_have_no_statistics_and_a_zero_gradient(grad):
    inputs = example(tokens=0)
    with torch.set_grad_enabled(grad):
        found = score_tokens(**inputs, outputs=OUTPUTS)
    assert [x.shape for x in found] == [(0,)] * 5
    assert found.is_top1.dtype == torch.bool
    if grad:
        assert [x.abs().sum().item() for x in gradients(found, inputs)] == [0.0, 0.0]


@pytest.mark.parametrize("autocast", [True, False])
def test_in_bf16_the_logits_are_rounded_and_the_statistics_are_not(autocast):
    """bf16 has 8 bits: logits of size 4 differ by 2^-7 at most from kernel to kernel."""
    inputs = example(dimensions=8)
    if not autocast:
        inputs |= {name: inputs[name].detach().bfloat16().requires_grad_() for name in ("hidden", "weight")}
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        ours, theirs = score_tokens(**inputs, outputs=OUTPUTS), trl(inputs)
    for name, x, y in zip(TokenStatistics._fields[:4], ours[:4], theirs[:4], strict=True):
        assert x.dtype == torch.float32
        assert torch.allclose(x, y, atol=0.05), name
    for x, y in zip(gradients(ours, inputs), gradients(theirs, inputs), strict=True):
        assert x.dtype == y.dtype
        assert (x - y).float().norm() <= 0.01 * y.float().norm()


def test_folding_tiles_of_the_vocabulary_gives_the_statistics_of_the_whole_row(monkeypatch):
    """Tiles of 7 columns and 5 rows, so that the best token, the target and the end of the vocabulary fall anywhere."""
    from training.fast import head

    inputs = example()
    with torch.no_grad():
        whole = score_tokens(**inputs, outputs=OUTPUTS)
        monkeypatch.setattr(head, "FOLDED_COLUMNS", 7)
        monkeypatch.setattr(head, "FOLDED_ROWS", 5)
        for x, y in zip(score_tokens(**inputs, outputs=OUTPUTS), whole, strict=True):
            assert torch.allclose(x.float(), y.float(), rtol=1e-5, atol=1e-5)


def test_of_equal_logits_the_first_is_the_best_one():
    """All logits are 0: token 0 is argmax's choice, in whichever tile the others lie."""
    hidden, weight = torch.zeros(2, 4), torch.randn(3000, 4)
    with torch.no_grad():
        found = score_tokens(hidden, weight, None, torch.tensor([0, 2999]), OUTPUTS)
    assert found.is_top1.tolist() == [True, False]
    assert found.entropy.tolist() == pytest.approx([math.log(3000)] * 2, rel=1e-5)
