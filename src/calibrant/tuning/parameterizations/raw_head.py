"""A linear head on image features as the tower gives them, not scaled to unit norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization, TextFeatures, normalised
from calibrant.tuning.parameterizations.head import Head, HeadSettings
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


class RawHeadSettings(Settings):
    """Settings of `RawHead`.

    Attributes:
        image_tower: whether the image tower is trained along with the head.
    """

    image_tower: bool = False


@PARAMETERIZATIONS.register("raw_head")
class RawHead(Head):
    """Logits W f + b of the image feature f, whose norm stays as it is; W starts from random numbers, b at 0.

    The head answers exactly the tuned class list. For any other list the features are scaled to unit norm and meet the
    text classifier of the zero-shot model.

    Source: Wang et al. (2025). Beyond accuracy: on the effects of fine-tuning towards vision-language model's
    prediction rationality. AAAI (released code).
    """

    Settings: ClassVar[type[Settings]] = RawHeadSettings

    def __init__(self, settings: RawHeadSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator) -> None:
        super().__init__(HeadSettings(image_tower=settings.image_tower, initial="random"), encoder, task, draw)
        # kept features have unit norm, so images are encoded anew even where the tower is not trained
        self.trains_image_tower = True

    @property
    def image_side(self) -> str:
        return "tuned" if self._tower_start else "untouched"

    def zero_shot_tensors(self) -> dict[str, Tensor]:
        return Parameterization.zero_shot_tensors(self)

    def image_features(self, pixels: Tensor) -> Tensor:
        """Encode images, float32 [N, D]; unlike those of other parameterizations the rows are not of unit norm."""
        return self.encoder.embed_image(pixels)

    def logits(self, image_features: Tensor, names: Sequence[str], text_features: TextFeatures | None = None) -> Tensor:
        """Apply the head to the tuned class list, and the zero-shot text classifier to any other."""
        if list(names) != self.task.classes:
            return Parameterization.logits(self, normalised(image_features), names, text_features)
        with torch.autocast(image_features.device.type, enabled=False):
            logits: Tensor = self.head(image_features.float())
        return logits
