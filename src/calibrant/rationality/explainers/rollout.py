"""Attention rollout: which patches the class token reads, through all blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.inside import attention_of, blocks_of, on_patches
from calibrant.rationality.explainers.scores import Score
from calibrant.tuning.tuned_model import Answers


class Rollout(Explainer):
    """The product over blocks of mean over heads of A plus the identity, rows summing to 1; the class token's row.

    It knows nothing of the class that is asked about: the map is the same for all. It goes through all blocks,
    whichever are asked for, since the flow through a part of them does not begin in the image.

    Source: Abnar and Zuidema (2020). Quantifying attention flow in transformers. ACL (eq. 1).

    Example:
        >>> Rollout().explains
        False
    """

    name: ClassVar[str] = "rollout"
    paper: ClassVar[str] = "Abnar and Zuidema 2020"
    explains: ClassVar[bool] = False

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        blocks = blocks_of(model.encoder, self.name)
        with attention_of(blocks, graph=False) as attention, torch.no_grad():
            model.parameterization.image_features(pixels)
        flow = torch.eye(attention[0].shape[-1], device=pixels.device)
        for weights in attention:
            step = weights.mean(dim=1) + torch.eye(weights.shape[-1], device=weights.device)
            flow = step / step.sum(dim=-1, keepdim=True) @ flow
        return on_patches(flow[:, 0], model.encoder, pixels)
