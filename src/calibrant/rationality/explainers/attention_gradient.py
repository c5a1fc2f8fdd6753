"""Attention times its gradient: what the class token reads, and what of it moves the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.black_box import scorer
from calibrant.rationality.explainers.inside import attention_of, gradients
from calibrant.rationality.explainers.readers import reading
from calibrant.rationality.explainers.scores import Score
from calibrant.rationality.explainers.towers import tower_of
from calibrant.tuning.tuned_model import Answers


class AttentionGradient(Explainer):
    """R = I; for every chosen block R <- R + C R with C = mean over heads of relu(dA * A); the map is R[0, patches].

    A is the attention of the block, dA the gradient of the score with respect to it. With the last block alone, which
    the released CLIP notebook takes, nothing before it keeps a graph, and only its class token asks. Where a pooler
    reads the image, its query takes the place of the class token, and the pooler counts as the last block. Maps of
    several blocks change with the scale of the score; the map of the last one, scaled to 0 and 1, does not. Compare
    models with the same layers and score only.

    Source: Chefer, Gur, Wolf (2021). Generic attention-model explainability for interpreting bi-modal and
    encoder-decoder transformers. ICCV (eq. 5 and 6).

    Example:
        >>> AttentionGradient().parameters()
        {}
    """

    name: ClassVar[str] = "attention-gradient"
    paper: ClassVar[str] = "Chefer et al. 2021"
    explains: ClassVar[bool] = True
    layers_read: ClassVar[str] = "chosen"

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        tower = tower_of(model.encoder, self.name)
        blocks, with_reader = tower.chosen(layers)
        with attention_of(blocks) as attention, reading(tower.reader) as read:
            scored = scorer(model, classes, score)(pixels, targets)
        if with_reader:
            attention.append(read[0].weights)
        slopes = gradients(scored, attention)
        moved = [(slope * weights).relu().mean(dim=1) for weights, slope in zip(attention, slopes, strict=True)]
        relevance = torch.eye(moved[0].shape[-1], device=pixels.device)
        for step in moved[: len(blocks)]:
            relevance = relevance + step @ relevance
        # of the reader there is one row, which is all that counts; a pooler's query is no token and had nothing before
        row = relevance[..., :1, :]
        if with_reader:
            row = moved[-1] @ relevance + (row if tower.reader.among_tokens else 0)
        return tower.patches.laid_out(row[:, 0], pixels)
