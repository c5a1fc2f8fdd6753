"""Attention times its gradient: what the class token reads, and what of it moves the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.black_box import scorer
from calibrant.rationality.explainers.inside import (
    attention_of,
    blocks_of,
    chosen_layers,
    class_token_only,
    gradients,
    on_patches,
)
from calibrant.rationality.explainers.scores import Score
from calibrant.tuning.tuned_model import Answers


class AttentionGradient(Explainer):
    """R = I; for every chosen block R <- R + C R with C = mean over heads of relu(dA * A); the map is R[0, patches].

    A is the attention of the block, dA the gradient of the score with respect to it. With the last block alone, which
    the released CLIP notebook takes, nothing before it keeps a graph, and only its class token asks. Maps of several
    blocks change with the scale of the score; the map of the last one, scaled to 0 and 1, does not. Compare models with
    the same layers and score only.

    Source: Chefer, Gur, Wolf (2021). Generic attention-model explainability for interpreting bi-modal and
    encoder-decoder transformers. ICCV (eq. 5 and 6).

    Example:
        >>> AttentionGradient().parameters()
        {}
    """

    name: ClassVar[str] = "attention-gradient"
    paper: ClassVar[str] = "Chefer et al. 2021"
    explains: ClassVar[bool] = True

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        blocks = blocks_of(model.encoder, self.name)
        chosen = [blocks[number] for number in chosen_layers(layers, len(blocks))]
        with attention_of(chosen) as attention, class_token_only(blocks[-1]):
            scored = scorer(model, classes, score)(pixels, targets)
        slopes = gradients(scored, attention)
        relevance = None
        for weights, slope in zip(attention, slopes, strict=True):
            moved = (slope * weights).relu().mean(dim=1)
            own = torch.eye(moved.shape[-1], device=moved.device) if relevance is None else relevance
            # the last block was computed for the class token alone: one row, which is all that is read in the end
            relevance = own[..., : moved.shape[-2], :] + moved @ own
        assert relevance is not None
        return on_patches(relevance[:, 0], model.encoder, pixels)
