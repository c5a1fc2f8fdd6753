"""The inside of an image tower: its blocks, what their attention weighs, and the last one for the class token alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from calibrant.errors import InputError
from calibrant.models.attention import Attention
from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.open_clip_image import find_image_tower

OTHERS = "grad-cam, occlusion or integrated-gradients"


def blocks_of(encoder: DualEncoder, explainer: str) -> list[Any]:
    """Give the blocks of an image tower that answers at its class token, first one first.

    Args:
        encoder: the model.
        explainer: who asks, for the error.

    Returns:
        Blocks with the parts ``ln_1``, ``attn``, ``ls_1``, ``ln_2``, ``mlp`` and ``ls_2``, as open_clip makes them.

    Raises:
        InputError: if the tower is of another make, or its attention is not ours.
    """
    network = getattr(encoder, "network", None)
    tower = None if network is None or not hasattr(network, "visual") else find_image_tower(network)
    blocks = [] if tower is None else list(tower.home.transformer.resblocks)
    if not blocks or not all(isinstance(block.attn, Attention) for block in blocks):
        raise InputError(
            f"'{explainer}' reads the attention of a class token, which the image tower of '{encoder.name}' does not "
            f"show; take {OTHERS}"
        )
    return blocks


def patches_of(encoder: Any, pixels: Tensor) -> tuple[int, int]:
    """Give the rows and columns of patches that a tower makes of pixels [B, 3, H, W].

    Tokens that a method adds stand behind them.
    """
    down, across = encoder.network.visual.conv1.stride
    return pixels.shape[-2] // down, pixels.shape[-1] // across


def chosen_layers(layers: Any, count: int) -> range:
    """Say which blocks are meant.

    Args:
        layers: ``"last"``, ``"all"`` or (first, end), counted from 0.
        count: how many there are.

    Returns:
        Their numbers.

    Raises:
        InputError: if there are no such blocks.

    Example:
        >>> chosen_layers("last", 12), chosen_layers("all", 12), chosen_layers((6, 12), 12)
        (range(11, 12), range(0, 12), range(6, 12))
    """
    if layers in ("last", "all"):
        return range(count - 1 if layers == "last" else 0, count)
    try:
        first, end = (int(one) for one in layers)
    except (TypeError, ValueError):
        raise InputError(f"layers are 'last', 'all' or a range such as (6, 12), not {layers!r}") from None
    if not 0 <= first < end <= count:
        raise InputError(f"layers {first} to {end} are not among the {count} blocks of the image tower")
    return range(first, end)


def on_patches(tokens: Tensor, encoder: Any, pixels: Tensor) -> Tensor:
    """Lay the values [B, L] of tokens, class token first, out on the patches: [B, h, w]."""
    rows, columns = patches_of(encoder, pixels)
    return tokens[:, 1 : 1 + rows * columns].reshape(len(tokens), rows, columns)


@contextmanager
def attention_of(blocks: Sequence[Any], *, graph: bool = True) -> Iterator[list[Tensor]]:
    """Keep the attention weights [B, heads, L, L] of blocks, as one forward pass inside the block makes them.

    Args:
        blocks: their blocks, first one first.
        graph: whether the first of them begins a graph, so that gradients with respect to all can be asked for.

    Yields:
        A list that the forward pass fills.
    """
    kept: list[Tensor] = []

    def keep(weights: Tensor) -> None:
        # nothing before the first block asks for gradients, so the graph begins here
        kept.append(weights if weights.requires_grad or not graph else weights.requires_grad_())

    before = [block.attn.record for block in blocks]
    try:
        for block in blocks:
            block.attn.record = keep
        yield kept
    finally:
        for block, record in zip(blocks, before, strict=True):
            block.attn.record = record


@contextmanager
def seen_by(module: nn.Module, look: Callable[[Tensor], Tensor], *, at: str) -> Iterator[None]:
    """Look at what goes into or comes out of a module, and let something else go on in its place.

    Args:
        module: the module.
        look: what it gives goes on.
        at: ``"input"`` or ``"output"``.
    """
    if at == "input":
        handle = module.register_forward_pre_hook(lambda _, given: (look(given[0]), *given[1:]))
    else:
        handle = module.register_forward_hook(lambda _, __, made: look(made))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def class_token_only(block: Any) -> Iterator[None]:
    """Compute a block for the class token alone, which is all that the tower reads of its last block.

    Args:
        block: the last block of a tower that answers at its class token.
    """

    def forward(x: Tensor, *_: Any, **__: Any) -> Tensor:
        q, k, v = block.attn.projections(block.ln_1(x))
        x = x[:, :1] + block.ls_1(block.attn.attend(q[:, :, :1], k, v))
        changed: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
        return changed

    if "forward" in vars(block):
        raise InputError("this block is being explained already")
    block.forward = forward
    try:
        yield
    finally:
        del block.forward


def gradients(score: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    """Differentiate the scores [B] of a batch; they do not depend on one another, so one backward pass serves all."""
    return list(torch.autograd.grad(score.sum(), list(wanted)))
