"""Attention rollout: which patches the class token reads, through all blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.inside import attention_of
from calibrant.rationality.explainers.readers import reading
from calibrant.rationality.explainers.scores import Score
from calibrant.rationality.explainers.towers import tower_of
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
    layers_read: ClassVar[str] = "all"

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        tower = tower_of(model.encoder, self.name)
        with torch.no_grad(), attention_of(tower.before) as attention, reading(tower.reader) as read:
            model.parameterization.image_features(pixels)
            flow = torch.eye(read[0].weights.shape[-1], device=pixels.device)
            for weights in attention:
                flow = _mixed(weights) @ flow
            # the query of a pooler is no token, so it has nothing of its own to pass on
            last = _mixed(read[0].weights) if tower.reader.among_tokens else read[0].weights.mean(dim=1)
            return tower.patches.laid_out((last @ flow)[:, 0], pixels)


def _mixed(weights: Tensor) -> Tensor:
    """Give the mean over heads of attention [B, heads, Q, L] plus the identity, rows summing to 1: [B, Q, L]."""
    step = weights.mean(dim=1) + torch.eye(*weights.shape[-2:], device=weights.device)
    return step / step.sum(dim=-1, keepdim=True)
