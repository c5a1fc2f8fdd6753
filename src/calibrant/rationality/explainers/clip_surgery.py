"""CLIP Surgery: patches that attend by their values alone, without what they say of every class."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor

from calibrant.errors import InputError
from calibrant.models.attention import Attention
from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.inside import seen
from calibrant.rationality.explainers.mask_clip import refuse_texts_of_images
from calibrant.rationality.explainers.scores import Score
from calibrant.rationality.explainers.towers import Tower, tower_of
from calibrant.tuning.parameterizations.base import normalised
from calibrant.tuning.tuned_model import Answers

_SHARPNESS = 2.0  # of the softmax that weighs classes, as in the released code


class ClipSurgery(Explainer):
    """w_n f_i't_n - mean_m w_m f_i't_m for patch i and class n: what it says of this class and not of all.

    The patch features f come from a second path beside the last blocks: in each of them the patches attend with their
    values as queries and keys, and skip the MLP. w = p / mean(p) with p = softmax(2 f_CLS't), where the class token
    took the model's own path. It localises: the second path is not the model whose answer is asked about. Values may be
    negative.

    Args:
        blocks: how many blocks, from the last, have a second path; all of them in a shallower tower.

    Raises:
        InputError: if `blocks` is below 1.

    Source: Li et al. (2023). CLIP Surgery for better explainability with enhancement in open-vocabulary tasks. arXiv
    2304.05653.

    Example:
        >>> ClipSurgery().blocks
        6
    """

    name: ClassVar[str] = "clip-surgery"
    paper: ClassVar[str] = "Li et al. 2023"
    explains: ClassVar[bool] = False

    def __init__(self, blocks: int = 6) -> None:
        if blocks < 1:
            raise InputError(f"clip-surgery needs at least one block, not {blocks}")
        self.blocks = blocks

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        refuse_texts_of_images(model, self.name)
        tower = tower_of(model.encoder, self.name)
        if not tower.reader.among_tokens:
            raise InputError(
                f"'{self.name}' needs a class token, and '{model.encoder.name}' pools its patches; take mask-clip"
            )
        if score != "cosine":
            raise InputError(f"'{self.name}' compares patches with text features: its score is 'cosine', not '{score}'")
        if len(classes) < 2:
            raise InputError(f"'{self.name}' takes away what patches say of every class, so it needs at least two")
        with torch.no_grad(), ExitStack() as stack:
            _second_path(tower, tower.blocks[-self.blocks :], pixels, stack)
            features = model.parameterization.image_features(pixels)
            features = normalised(features).view(len(pixels), -1, features.shape[-1])
            cosines = features @ normalised(model.text_features(classes)).T  # [B, 1 + P, C]
            likely = (_SHARPNESS * cosines[:, 0]).softmax(dim=-1)
            weighed = cosines[:, 1:] * (likely / likely.mean(dim=-1, keepdim=True))[:, None]
            own = weighed.gather(2, targets[:, None, None].expand(-1, weighed.shape[1], 1))[..., 0]
            localised: Tensor = (own - weighed.mean(dim=-1)).view(-1, *tower.patches.grid(pixels))
            return localised


def _second_path(tower: Tower, blocks: Sequence[Any], pixels: Tensor, stack: ExitStack) -> None:
    """Let the class token, and the patches of the second path, leave the tower as images of their own."""
    path: list[Tensor] = []

    def begin(_: Any, given: tuple[Tensor, ...]) -> None:
        path.append(given[0])

    def end(tokens: Tensor) -> Tensor:
        return torch.cat([tokens[:, :1], tower.patches.of(path[-1], pixels)], dim=1).flatten(0, 1)[:, None]

    handle = blocks[0].register_forward_pre_hook(begin)
    stack.callback(handle.remove)
    for block in blocks:
        stack.enter_context(seen(block.ln_1, _by_values(block, path)))
    stack.enter_context(seen(tower.blocks[-1], end))


def _by_values(block: Any, path: list[Tensor]) -> Any:
    attn = block.attn if isinstance(block.attn, Attention) else Attention(block.attn)

    def attend(tokens: Tensor) -> Tensor:
        values = attn.projections(tokens)[2]
        path.append(path[-1] + block.ls_1(attn.attend(values, values, values)))
        return tokens

    return attend
