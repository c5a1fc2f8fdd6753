"""Looking at what image towers compute on the way: attention of blocks, activations, and gradients of scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from calibrant.errors import InputError
from calibrant.models.attention import Attention
from calibrant.rationality.explainers.readers import in_place_of


@contextmanager
def attention_of(blocks: Sequence[Any]) -> Iterator[list[Tensor]]:
    """Keep the attention weights [B, heads, L, L] of blocks, as one forward pass inside makes them.

    Where nothing before the first block asks for gradients, the graph begins at its weights.

    Args:
        blocks: with a part ``attn``: ours, PyTorch's or timm's.

    Yields:
        A list that the forward pass fills, in the order in which the blocks are computed.

    Raises:
        InputError: if the attention is of another make.
    """
    kept: list[Tensor] = []

    def keep(weights: Tensor) -> None:
        kept.append(weights if weights.requires_grad else weights.requires_grad_())

    with ExitStack() as stack:
        for block in blocks:
            stack.enter_context(_recording(block.attn, keep))
        yield kept


@contextmanager
def _recording(attn: Any, keep: Callable[[Tensor], None]) -> Iterator[None]:
    if isinstance(attn, Attention):
        before, attn.record = attn.record, keep
        try:
            yield
        finally:
            attn.record = before
    elif isinstance(attn, nn.MultiheadAttention):
        # the weights that PyTorch's module returns are off the graph; ours computes the same from its parameters
        ours = Attention(attn)
        ours.record = keep
        with in_place_of(attn, ours.forward):
            yield
    elif hasattr(attn, "fused_attn") and hasattr(attn, "attn_drop"):
        before, attn.fused_attn = attn.fused_attn, False
        handle = attn.attn_drop.register_forward_hook(lambda _, __, weights: keep(weights))
        try:
            yield
        finally:
            attn.fused_attn = before
            handle.remove()
    else:
        raise InputError(f"the attention of {type(attn).__name__} does not show its weights")


@contextmanager
def seen(module: nn.Module, look: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Look at what comes out of a module, and let what `look` gives go on in its place."""
    handle = module.register_forward_hook(lambda _, __, made: look(made))
    try:
        yield
    finally:
        handle.remove()


def gradients(score: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    """Differentiate the scores [B] of a batch; they do not depend on one another, so one backward pass serves all."""
    return list(torch.autograd.grad(score.sum(), list(wanted)))
