"""A learned context, and beside it a linear head on re-weighted channels (DePT)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import TextFeatures
from calibrant.tuning.parameterizations.drawn_linear import drawn_linear
from calibrant.tuning.parameterizations.text_context import TextContext, TextContextSettings
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


class DualHeadSettings(TextContextSettings):
    """Settings of `DualHead`.

    Attributes:
        weight: w, the share of the linear head in the loss and in the answers.
        feature_norm: the norm with which image and text features enter the linear head; 10 is about that of CLIP's
            before they are scaled to 1, which the released code takes.
    """

    weight: float = Field(default=0.7, ge=0, le=1)
    feature_norm: float = Field(default=10.0, gt=0)


class Channels(nn.Module):
    """One factor and one offset for each channel, which start at 1 and 0 (channel-wise transformation, cwT).

    Args:
        width: D.
        device: where they lie.

    Example:
        >>> Channels(2, torch.device("cpu"))(torch.tensor([[3.0, 4.0]])).tolist()
        [[3.0, 4.0]]
    """

    def __init__(self, width: int, device: torch.device) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width, device=device))
        self.bias = nn.Parameter(torch.zeros(width, device=device))

    def forward(self, features: Tensor) -> Tensor:
        """Transform [N, D]."""
        return self.scale * features + self.bias


@PARAMETERIZATIONS.register("dual_head")
class DualHead(TextContext):
    """Logits (1-w) s cos(f, t) + w (W cwT(f) + b) for the tuned class list, and s cos(f, t) for any other.

    The similarity head is a learned context, and serves names that were not tuned. The linear head takes up what is
    special to the tuned classes. The two kinds of logits are on scales of their own, the first fixed by the logit scale
    and the second learned freely, so how confident their sum is means little before it is calibrated.

    Source: Zhang et al. (2024). DePT: decoupled prompt tuning. CVPR.
    """

    Settings: ClassVar[type[Settings]] = DualHeadSettings

    def __init__(self, settings: DualHeadSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator) -> None:
        super().__init__(settings, encoder, task, draw)
        self.weight, self.feature_norm = settings.weight, settings.feature_norm
        device = encoder.log_logit_scale.device
        self.image_channels = Channels(encoder.embed_dim, device)
        self.text_channels = Channels(encoder.embed_dim, device)
        self.head = drawn_linear(encoder.embed_dim, len(task.classes), draw, device)

    def trainables(self) -> dict[str, nn.Parameter]:
        parts = ("image_channels", "text_channels", "head")
        named = {name: tensor for part in parts for name, tensor in getattr(self, part).named_parameters(prefix=part)}
        return {**super().trainables(), **named}

    def linear_logits(self, features: Tensor, channels: Channels) -> Tensor:
        """Apply the linear head.

        Args:
            features: [N, D], rows of unit norm.
            channels: `image_channels` or `text_channels`.

        Returns:
            float32 [N, C] for the tuned class list.
        """
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.head(channels(self.feature_norm * features.float()))
        return logits

    def logits(self, image_features: Tensor, names: Sequence[str], text_features: TextFeatures | None = None) -> Tensor:
        """Compare images with classes: both heads for the tuned class list, the similarity head for any other."""
        similarity = super().logits(image_features, names, text_features)
        if list(names) != self.task.classes:
            return similarity
        linear = self.linear_logits(image_features, self.image_channels)
        return (1 - self.weight) * similarity + self.weight * linear
