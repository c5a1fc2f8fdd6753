"""Learned tokens in the image tower (VPT)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.deep_prompts import checked_depth, drawn_prompts, image_prompts
from calibrant.tuning.parameterizations.frozen_text import FrozenText
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


class VisualPromptsSettings(Settings):
    """Settings of `VisualPrompts`.

    Attributes:
        tokens: M, the number of tokens at each prompted block.
        depth: how many blocks get tokens of their own: 1 for VPT-shallow; None for all of them, VPT-deep.
    """

    tokens: int = Field(default=8, ge=1)
    depth: int | None = Field(default=None, ge=1)


@PARAMETERIZATIONS.register("visual_prompts")
class VisualPrompts(FrozenText):
    """Tokens behind the patches, at the input of the image tower or of each of its blocks; the text side is untouched.

    They start as N(0, 0.02) and have no positions. No values of them make the zero-shot model: a token of zeros, too,
    is attended to.

    Source: Jia et al. (2022). Visual prompt tuning. ECCV.
    """

    Settings: ClassVar[type[Settings]] = VisualPromptsSettings
    trains_image_tower = True

    def __init__(
        self, settings: VisualPromptsSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator
    ) -> None:
        super().__init__(settings, encoder, task, draw)
        depth = checked_depth(settings.depth, 1.0, encoder.image_layers, encoder, "depth")
        self.prompts = nn.Parameter(drawn_prompts(depth, settings.tokens, encoder.image_width, encoder, draw))

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"prompts": self.prompts}

    def image_features(self, pixels: Tensor) -> Tensor:
        return self.encoder.encode_image(pixels, image_prompts(self.prompts))
