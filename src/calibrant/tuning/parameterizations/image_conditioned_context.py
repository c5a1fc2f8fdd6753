"""Context tokens that a small network shifts for every image (CoCoOp)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization, TextFeatures, cosine_logits
from calibrant.tuning.parameterizations.class_prompts import ClassPrompts, averaged, words_of
from calibrant.tuning.parameterizations.drawn_linear import drawn_linear
from calibrant.tuning.parameterizations.text_context import ContextSettings, initial_context
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task

PROMPTS_AT_ONCE = 2048
"""How many prompts are encoded at once where no gradients are kept."""


class ImageConditionedContextSettings(ContextSettings):
    """Settings of `ImageConditionedContext`.

    Attributes:
        reduction: D / reduction is the width of the hidden layer of the meta-net.
    """

    reduction: int = Field(default=16, ge=1)


@PARAMETERIZATIONS.register("image_conditioned_context")
class ImageConditionedContext(Parameterization):
    """Prompts [v_1 + h(z)] ... [v_M + h(z)] [class name] . for an image feature z; v and the meta-net h are trained.

    Every image has text features of its own, whatever else is in the batch. What needs class embeddings without
    an image gets those of the context itself, h left out.

    Source: Zhou, Yang, Loy, Liu (2022). Conditional prompt learning for vision-language models. CVPR.
    """

    Settings: ClassVar[type[Settings]] = ImageConditionedContextSettings
    image_conditioned = True
    text_side = "tuned"

    def __init__(
        self, settings: ImageConditionedContextSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator
    ) -> None:
        super().__init__(settings, encoder, task, draw)
        self.context = nn.Parameter(initial_context(settings, encoder, task, draw))
        device, hidden = self.context.device, max(1, encoder.embed_dim // settings.reduction)
        self.meta_net = nn.Sequential(
            drawn_linear(encoder.embed_dim, hidden, draw, device),
            nn.ReLU(),
            drawn_linear(hidden, encoder.text_width, draw, device),
        )
        self._prompts = ClassPrompts(encoder, len(self.context))

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"context": self.context, **dict(self.meta_net.named_parameters(prefix="meta_net"))}

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes in the context that no image has shifted; templates do not enter, synonyms are averaged.

        It is what the images share. No image is compared with it: see `text_features_for`.

        Args:
            names: C class names.
            templates: not read, since the context replaces them.

        Returns:
            float32 [C, D], rows of unit norm.
        """
        words, counts = words_of(self.task, names)
        return averaged(self._prompts.encode(words, self.context), counts)

    def text_features_for(self, names: Sequence[str], image_features: Tensor) -> Tensor:
        """Encode classes in the context of each image.

        Args:
            names: C class names.
            image_features: float32 [N, D], rows of unit norm.

        Returns:
            float32 [N, C, D], unit norm along D.
        """
        words, counts = words_of(self.task, names)
        contexts = self.context + self.meta_net(image_features)[:, None]
        return averaged(self._prompts.encode_each(words, contexts), counts)

    def logits(self, image_features: Tensor, names: Sequence[str], text_features: TextFeatures | None = None) -> Tensor:
        """Compare images with classes; without gradients a few images at a time, so that memory stays bounded."""
        if text_features is not None or torch.is_grad_enabled():
            return super().logits(image_features, names, text_features)
        words, _ = words_of(self.task, names)
        at_once = max(1, PROMPTS_AT_ONCE // len(words))
        parts = [
            cosine_logits(images, self.text_features_for(names, images), self.encoder)
            for images in torch.split(image_features, at_once)
        ]
        return torch.cat(parts)
