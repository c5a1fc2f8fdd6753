"""Coupled deep prompts with an adapter behind either tower (CoPrompt)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.coupled_deep_prompts import CoupledDeepPrompts, CoupledDeepPromptsSettings
from calibrant.tuning.parameterizations.feature_adapter import adapted, uniform
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


class AdaptedDeepPromptsSettings(CoupledDeepPromptsSettings):
    """Settings of `AdaptedDeepPrompts`, besides those of `CoupledDeepPromptsSettings`.

    Attributes:
        reduction: how many times narrower an adapter is than the features.
        image_ratio: the share of the adapter in the image features, from 0 to 1.
        text_ratio: the share of the adapter in the text features, from 0 to 1.
    """

    reduction: PositiveInt = 4
    image_ratio: float = Field(default=0.1, ge=0, le=1)
    text_ratio: float = Field(default=0.2, ge=0, le=1)


@PARAMETERIZATIONS.register("adapted_deep_prompts")
class AdaptedDeepPrompts(CoupledDeepPrompts):
    """MaPLe's prompts, and on the features of either tower an adapter as CLIP-Adapter has it on those of the images.

    Source: Roy, Etemad (2024). Consistency-guided prompt learning for vision-language models. ICLR.
    """

    Settings: ClassVar[type[Settings]] = AdaptedDeepPromptsSettings

    def __init__(
        self, settings: AdaptedDeepPromptsSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator
    ) -> None:
        super().__init__(settings, encoder, task, draw)
        self.settings = settings
        width, narrow = encoder.embed_dim, encoder.embed_dim // settings.reduction
        if narrow == 0:
            raise InputError(
                f"parameterization.reduction is {settings.reduction}, but {encoder.name} has only {width} features"
            )
        device = self.prompts.device
        self.adapters = nn.ParameterDict()
        for tower in ("image", "text"):
            self.adapters[f"{tower}_down"] = nn.Parameter(uniform(draw, narrow, width).to(device))
            self.adapters[f"{tower}_up"] = nn.Parameter(uniform(draw, width, narrow).to(device))

    def trainables(self) -> dict[str, nn.Parameter]:
        return {**super().trainables(), **dict(self.adapters.named_parameters(prefix="adapters"))}

    def image_features(self, pixels: Tensor) -> Tensor:
        return self.adapt(super().image_features(pixels))

    def adapt(self, features: Tensor) -> Tensor:
        """Send image features through their adapter; see `feature_adapter.adapted`."""
        return self._through("image", features, self.settings.image_ratio)

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes of any name among the prompts and send them through the text adapter."""
        return self._through("text", super().text_features(names, templates), self.settings.text_ratio)

    def _through(self, tower: str, features: Tensor, ratio: float) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return adapted(features.float(), self.adapters[f"{tower}_down"], self.adapters[f"{tower}_up"], ratio)
