"""Learned tokens in the text tower, and tokens made of them in the image tower (MaPLe)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization
from calibrant.tuning.parameterizations.deep_prompts import checked_depth, image_prompts
from calibrant.tuning.parameterizations.drawn_linear import drawn_linear
from calibrant.tuning.parameterizations.prompted_text import PromptedText
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


class CoupledDeepPromptsSettings(Settings):
    """Settings of `CoupledDeepPrompts`.

    Attributes:
        tokens: M, the number of tokens at each prompted block of either tower.
        phrase: words from whose first M tokens the context starts, the others stay as they are; None for a random
            start, N(0, 0.02).
        depth: how many blocks of either tower get prompts; None for three quarters of the blocks of the tower that has
            fewer, which is 9 of CLIP's 12.
    """

    tokens: int = Field(default=2, ge=1)
    phrase: str | None = None
    depth: int | None = Field(default=None, ge=1)


@PARAMETERIZATIONS.register("coupled_deep_prompts")
class CoupledDeepPrompts(Parameterization):
    """Text prompts P_0 ... P_{J-1} and linear maps F_j that make the image prompts F_j(P_j) of them; all are trained.

    The deeper prompts and all maps start from random numbers, so no values make the zero-shot model.

    Source: Khattak et al. (2023). MaPLe: multi-modal prompt learning. CVPR.
    """

    Settings: ClassVar[type[Settings]] = CoupledDeepPromptsSettings
    trains_image_tower = True
    text_side = "tuned"

    def __init__(
        self, settings: CoupledDeepPromptsSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator
    ) -> None:
        super().__init__(settings, encoder, task, draw)
        layers = min(encoder.image_layers, encoder.text_layers)
        depth = checked_depth(settings.depth, 0.75, layers, encoder, "depth")
        self._text = PromptedText(encoder, task, settings.tokens, settings.phrase)
        self.prompts = nn.Parameter(self._text.start(depth, draw))
        first, deeper = (
            drawn_linear(encoder.text_width, encoder.image_width, draw, self.prompts.device) for _ in range(2)
        )
        # in the released code the maps of the deeper blocks start as copies of one
        self.couplings = nn.ModuleList([first, *(copy.deepcopy(deeper) for _ in range(depth - 1))])

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"prompts": self.prompts, **dict(self.couplings.named_parameters(prefix="couplings"))}

    def image_features(self, pixels: Tensor) -> Tensor:
        prompts = [coupling(own) for coupling, own in zip(self.couplings, self.prompts, strict=True)]
        return self.encoder.encode_image(pixels, image_prompts(prompts))

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes of any name among the prompts; templates do not enter, synonyms are averaged."""
        return self._text.features(names, self.prompts)
