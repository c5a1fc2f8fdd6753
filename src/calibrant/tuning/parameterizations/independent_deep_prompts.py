"""Learned tokens in both towers that know nothing of each other (IVLP, PromptSRC)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization
from calibrant.tuning.parameterizations.deep_prompts import checked_depth, drawn_prompts, image_prompts
from calibrant.tuning.parameterizations.prompted_text import PromptedText
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


class IndependentDeepPromptsSettings(Settings):
    """Settings of `IndependentDeepPrompts`.

    Attributes:
        tokens: M, the number of tokens at each prompted block of the text tower.
        phrase: words from whose first M tokens the context starts, the others stay as they are; None for a random
            start, N(0, 0.02).
        text_depth: how many blocks of the text tower get prompts; None for three quarters, which is 9 of CLIP's 12.
        image_tokens: the number of tokens at each prompted block of the image tower.
        image_depth: how many blocks of the image tower get prompts; None for three quarters.
    """

    tokens: int = Field(default=4, ge=1)
    phrase: str | None = None
    text_depth: int | None = Field(default=None, ge=1)
    image_tokens: int = Field(default=4, ge=1)
    image_depth: int | None = Field(default=None, ge=1)


@PARAMETERIZATIONS.register("independent_deep_prompts")
class IndependentDeepPrompts(Parameterization):
    """Deep text prompts and deep image prompts, each trained on its own side.

    The image prompts and the deeper text prompts start from random numbers, so no values make the zero-shot model.

    Source: Rasheed et al. (2023). Fine-tuned CLIP models are efficient video learners. CVPR; Khattak et al. (2023).
    Self-regulating prompts: foundational model adaptation without forgetting. ICCV.
    """

    Settings: ClassVar[type[Settings]] = IndependentDeepPromptsSettings
    trains_image_tower = True
    text_side = "tuned"

    def __init__(
        self, settings: IndependentDeepPromptsSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator
    ) -> None:
        super().__init__(settings, encoder, task, draw)
        image_depth = checked_depth(settings.image_depth, 0.75, encoder.image_layers, encoder, "image_depth")
        text_depth = checked_depth(settings.text_depth, 0.75, encoder.text_layers, encoder, "text_depth")
        self._text = PromptedText(encoder, task, settings.tokens, settings.phrase)
        self.text_prompts = nn.Parameter(self._text.start(text_depth, draw))
        self.image_prompts = nn.Parameter(
            drawn_prompts(image_depth, settings.image_tokens, encoder.image_width, encoder, draw)
        )

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"text_prompts": self.text_prompts, "image_prompts": self.image_prompts}

    def image_features(self, pixels: Tensor) -> Tensor:
        return self.encoder.encode_image(pixels, image_prompts(self.image_prompts))

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes of any name among the text prompts; templates do not enter, synonyms are averaged."""
        return self._text.features(names, self.text_prompts)
