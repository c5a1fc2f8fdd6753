"""What explainers share that look at a model from outside: its score for changed images, and the part they keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.rationality.explainers.scores import Score
from calibrant.tuning.tuned_model import Answers

Scorer: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(pixels [M, 3, H, W], targets [M]) -> float32 [M]."""


def scorer(model: Answers, classes: Sequence[str], score: Score) -> Scorer:
    """Fix everything but the images and their targets.

    Args:
        model: a tuned model or its zero-shot reference.
        classes: C names; the model remembers their text features, so that they are not encoded with every forward pass.
        score: what is explained.

    Returns:
        A function of pixels and targets; it keeps the graph from the pixels on where gradients are switched on.

    Raises:
        InputError: if the margin is asked for and there is one class only.
    """
    if score == "margin" and len(classes) < 2:
        raise InputError("the margin is the lead over other classes, so it needs at least two classes")
    part = model.parameterization

    def scores(pixels: Tensor, targets: Tensor) -> Tensor:
        features = part.image_features(pixels)
        if score == "cosine":
            own = _own_text(model, classes, features, targets)
            return F.cosine_similarity(features.float(), own.float(), dim=-1)
        remembered = None if part.image_conditioned else model.text_features
        logits = part.logits(features, list(classes), remembered)
        own = logits.gather(1, targets[:, None])[:, 0]
        if score == "head":
            return own
        others = logits.scatter(1, targets[:, None], float("-inf"))
        return own - others.logsumexp(dim=1)

    return scores


def _own_text(model: Answers, classes: Sequence[str], features: Tensor, targets: Tensor) -> Tensor:
    """Give the text features of the class of each image [M, D]."""
    if not model.parameterization.image_conditioned:
        return model.text_features(classes)[targets]
    text = model.parameterization.text_features_for(list(classes), features)
    return text[torch.arange(len(targets), device=text.device), targets]


def part_of(relevance: Tensor, signed: bool) -> Tensor:
    """Keep what speaks for the class, or also what speaks against it.

    Min-max scaling turns the most negative relevance into 0 and no relevance into something above it, so that an empty
    background would count as evidence.

    Args:
        relevance: [B, H, W], negative where it speaks against the class.
        signed: whether to keep it all.

    Returns:
        [B, H, W].
    """
    return relevance if signed else relevance.relu()
