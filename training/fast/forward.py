"""TRL's scoring forward of causal models at a fraction of its cost: packed pairs, prompts once, answers scored."""

import functools
import types
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.activations import GELUTanh, NewGELUActivation
from trl.trainer.utils import FusedCausalLMOutput, add_fused_lm_head

from training.fast.attention import IMPLEMENTATION
from training.fast.head import score_tokens
from training.fast.layout import Layout, pack
from training.watch import MARGIN_ERROR

INPUTS = {"input_ids", "attention_mask", "use_cache"}
LAYER_TYPES = {"full_attention", "sliding_attention"}
# What models call a factor or a cap of their logits.
LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")

Forward = Callable[..., Any]


class PairForward:
    """Takes the place of trl's add_fused_lm_head in DPOTrainer: same call, same numbers, less work.

    A model's first batch is also scored by TRL's own forward. Where the log-probabilities of a sequence differ by more
    than training.watch.MARGIN_ERROR, or the model is of a kind that cannot be packed, TRL's forward is used from then
    on, and `tell` gets one line with the reason. `trusted` leaves the comparison out, for a model that passed before;
    `passed` is called when one has.
    """

    def __init__(
        self, tell: Callable[[str], None], trusted: bool = False, passed: Callable[[], None] = lambda: None
    ) -> None:
        self._tell = tell
        self._trusted = trusted
        self._passed = passed
        self._told: set[str] = set()

    def install(self, model: PreTrainedModel, outputs: tuple[str, ...] = ("log_probs",)) -> None:
        """Makes `model(..., labels=labels, fused_lm_head=True)` score the answers of TRL's batch of pairs.

        `outputs` are the fields of FusedCausalLMOutput to compute. Any other call is as before.
        """
        add_fused_lm_head(model, outputs=outputs)
        reason = _unsupported(model)
        if reason is not None:
            self._tell_once(f"--fast: TRL's own forward is used, as {reason}")
            return
        scorer = _Scorer(model, outputs, self._tell_once, self._trusted, self._passed)

        @functools.wraps(type(model).forward)  # `generate` checks its arguments against the signature
        def forward(_: PreTrainedModel, *args: Any, **inputs: Any) -> Any:
            return scorer(*args, **inputs)

        model.forward = types.MethodType(forward, model)

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


def _unsupported(model: PreTrainedModel) -> str | None:
    """Why this model cannot be scored in packed pairs, as far as can be seen without a batch."""
    config = model.config.get_text_config()
    name = type(model).__name__
    if model.config._attn_implementation != "sdpa":
        return f"attention {model.config._attn_implementation} is not sdpa"
    if not model._can_set_attn_implementation():
        return f"{name} has attention of its own"
    if getattr(config, "output_router_logits", False):
        return f"{name} is trained with a router loss"
    if config is not model.config or not set(getattr(config, "layer_types", None) or ()) <= LAYER_TYPES:
        return f"{name} has other layers than attention to text"
    if any(getattr(config, change, None) not in (None, 1.0) for change in LOGIT_CHANGES):
        return f"{name} scales or caps its logits"
    return None


class _Scorer:
    """The forward of one model: packed, once that has passed the comparison, and TRL's where it cannot be."""

    def __init__(
        self,
        model: PreTrainedModel,
        outputs: tuple[str, ...],
        tell: Callable[[str], None],
        trusted: bool,
        passed: Callable[[], None],
    ) -> None:
        self._model = model
        self._stock: Forward = model.forward
        self._outputs = outputs
        self._tell = tell
        self._passed = passed
        self._is_off = False
        self._is_checked = trusted
        self._is_prepared = False
        self._replaced: list[tuple[nn.Module, str, nn.Module]] = []

    def __call__(self, *args: Any, fused_lm_head: bool = False, **inputs: Any) -> Any:
        stock = functools.partial(self._stock, *args, fused_lm_head=fused_lm_head, **inputs)
        if not fused_lm_head or self._is_off:
            return stock()
        layout = self._layout(*args, **inputs)
        if isinstance(layout, str):
            self._tell(f"--fast: TRL's own forward is used for a batch, as {layout}")
            return stock()
        if not self._is_checked:
            return self._compared(stock, layout)
        self._prepare()
        return self._score(layout)

    def _layout(self, *args: Any, **inputs: Any) -> Layout | str:
        """How to pack this batch, or why it cannot be."""
        given = {name: x for name, x in inputs.items() if x is not None}  # PEFT names many, most of them None
        labels = given.pop("labels", None)
        others = given.keys() - INPUTS
        if args or labels is None or others or "attention_mask" not in given:
            return f"the model is called with {', '.join(sorted(others)) or 'other inputs than rows of tokens'}"
        weight = self._model.get_output_embeddings().weight
        if isinstance(weight, DTensor) or hasattr(weight, "ds_id"):
            return "the weights are sharded"
        layout = pack(given["input_ids"], given["attention_mask"], labels)
        return "the two rows of a pair do not share their prompt" if layout is None else layout

    def _compared(self, stock: Forward, layout: Layout) -> FusedCausalLMOutput:
        """The packed forward if its log-probabilities are those of TRL's, which is used from now on otherwise."""
        expected = stock().log_probs.detach().sum(dim=1)  # with gradient or without, as checkpointing expects it
        try:
            self._prepare()
            found = self._score(layout)
            difference = float((found.log_probs.detach().sum(dim=1) - expected).abs().max())
            limit = MARGIN_ERROR["lower" if self._is_rounded(layout) else "float32"]
            reason = None if difference <= limit else f"log-probabilities differ from it by {difference:.3g} nats"
        except Exception as error:  # whatever an architecture that takes no packed row may raise
            reason = f"{type(self._model).__name__} takes no packed pairs ({str(error).splitlines()[0]})"
        if reason is None:
            self._is_checked = len(layout.tokens) > 0
            if self._is_checked:
                self._passed()
            return found
        self._is_off = True
        self._restore()
        self._tell(f"--fast: TRL's own forward is used, as {reason}")
        return stock()

    def _is_rounded(self, layout: Layout) -> bool:
        device = layout.tokens.device.type
        is_tf32 = device == "cuda" and torch.backends.cuda.matmul.allow_tf32
        return is_tf32 or torch.is_autocast_enabled(device) or self._model.dtype != torch.float32

    def _prepare(self) -> None:
        """Sets the packed attention, and the GELU of GPT-2 in one kernel instead of eight."""
        if self._is_prepared:
            return
        self._is_prepared = True
        self._model.set_attn_implementation(IMPLEMENTATION)
        for parent in list(self._model.modules()):
            for name, child in parent.named_children():
                if type(child) is NewGELUActivation:
                    self._replaced.append((parent, name, child))
                    setattr(parent, name, GELUTanh())

    def _restore(self) -> None:
        self._model.set_attn_implementation("sdpa")
        for parent, name, child in self._replaced:
            setattr(parent, name, child)

    def _score(self, layout: Layout) -> FusedCausalLMOutput:
        tokens = layout.tokens
        states = self._model.base_model(
            input_ids=layout.input_ids,
            position_ids=layout.position_ids,
            attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=tokens.device),  # as is: no mask is made
            packed_pairs=layout.pairs,
            use_cache=False,
        ).last_hidden_state
        head = self._model.get_output_embeddings()
        scored = F.embedding(layout.scored, states[0])
        found = score_tokens(scored, head.weight, head.bias, tokens, self._outputs)
        per_token = {name: None if x is None else layout.unpack(x) for name, x in found._asdict().items()}
        return FusedCausalLMOutput(label_mask=layout.unpack(torch.ones_like(tokens, dtype=torch.bool)), **per_token)
