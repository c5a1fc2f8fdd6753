"""Learned tokens at the inputs of several blocks of a tower.

Block 0 gets its tokens with the input. Each block up to the depth gets fresh ones in the place of what the block before
made of its own. Behind the depth the last ones go on like any other token.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from calibrant.errors import InputError
from calibrant.models.dual_encoder import BlockEdit, DualEncoder
from calibrant.tuning.parameterizations.text_context import STANDARD_DEVIATION


def image_prompts(prompts: Tensor | Sequence[Tensor]) -> BlockEdit:
    """Put prompts behind the patches.

    Args:
        prompts: for each block, from 0, the tokens [M, W] at its input.

    Returns:
        What `encode_image` takes as edit.

    Example:
        >>> edit = image_prompts(torch.ones(2, 1, 3))
        >>> edit(1, edit(0, torch.zeros(1, 4, 3)))[0, :, 0].tolist()
        [0.0, 0.0, 0.0, 0.0, 1.0]
    """

    def edit(block: int, tokens: Tensor) -> Tensor:
        if block >= len(prompts):
            return tokens
        own = prompts[block].to(tokens.dtype).expand(len(tokens), -1, -1)
        return torch.cat([tokens if block == 0 else tokens[:, : -own.shape[1]], own], dim=1)

    return edit


def text_prompts(prompts: Tensor | Sequence[Tensor], start: int) -> BlockEdit:
    """Put prompts in the place of the context before the name.

    Args:
        prompts: for each block, from 0, the tokens [M, W] at its input; those of block 0 are the context itself and
            not put in again, since they carry positions.
        start: the place of the first of them.

    Returns:
        What `ClassPrompts.encode` takes as edit.

    Example:
        >>> edit = text_prompts(torch.ones(2, 1, 3), start=1)
        >>> edit(1, edit(0, torch.zeros(1, 4, 3)))[0, :, 0].tolist()
        [0.0, 1.0, 0.0, 0.0]
    """

    def edit(block: int, tokens: Tensor) -> Tensor:
        if not 1 <= block < len(prompts):
            return tokens
        own = prompts[block].to(tokens.dtype).expand(len(tokens), -1, -1)
        return torch.cat([tokens[:, :start], own, tokens[:, start + own.shape[1] :]], dim=1)

    return edit


def checked_depth(asked: int | None, share: float, layers: int, encoder: DualEncoder, setting: str) -> int:
    """Find out how many blocks get prompts.

    Args:
        asked: how many; None for a share of them.
        share: of the blocks, if nothing is asked for.
        layers: how many blocks there are; 0 where they cannot be edited.
        encoder: whose blocks they are.
        setting: what asks, for the error.

    Returns:
        The depth, at least 1.

    Raises:
        InputError: if the blocks cannot be edited, or there are fewer of them.
    """
    if not layers:
        raise InputError(f"{encoder.name} takes no deep prompts; choose a model with a ViT and CLIP's own text tower")
    depth = max(1, round(share * layers)) if asked is None else asked
    if depth > layers:
        raise InputError(f"{encoder.name} has {layers} blocks to prompt: parameterization.{setting} {depth} is deeper")
    return depth


def drawn_prompts(depth: int, tokens: int, width: int, encoder: DualEncoder, draw: np.random.Generator) -> Tensor:
    """Draw the initial values N(0, 0.02) of prompts.

    Args:
        depth: number of blocks.
        tokens: M, at each.
        width: W, of a token.
        encoder: tells the device.
        draw: the random numbers.

    Returns:
        float32 [depth, M, W].
    """
    values = draw.normal(0, STANDARD_DEVIATION, (depth, tokens, width))
    return torch.from_numpy(values).float().to(encoder.log_logit_scale.device)
