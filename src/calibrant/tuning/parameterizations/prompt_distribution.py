"""A set of learned contexts that stands for a distribution over class embeddings (ProDA)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization, TextFeatures, cosine_logits, normalised
from calibrant.tuning.parameterizations.class_prompts import ClassPrompts, Position, averaged, words_of
from calibrant.tuning.parameterizations.text_context import STANDARD_DEVIATION
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


class PromptDistributionSettings(Settings):
    """Settings of `PromptDistribution`.

    Attributes:
        tokens: M, the number of context tokens of each prompt.
        front: how many prompts begin with the class name.
        middle: how many have it in the middle of the context.
        end: how many end with it.
    """

    tokens: int = Field(default=16, ge=1)
    front: int = Field(default=8, ge=0)
    middle: int = Field(default=8, ge=0)
    end: int = Field(default=16, ge=0)

    @model_validator(mode="after")
    def _several(self) -> PromptDistributionSettings:
        if self.front + self.middle + self.end < 2:
            raise ValueError("a distribution needs at least two prompts: 'front', 'middle' and 'end' add up to fewer")
        return self


@PARAMETERIZATIONS.register("prompt_distribution")
class PromptDistribution(Parameterization):
    """K prompts of M context vectors; a class is the mean of its K unit-norm embeddings.

    Images are compared with the mean itself, whose norm is below 1 by as much as the prompts disagree;
    `text_features` gives its direction. Templates do not enter; synonyms of a class are averaged in each prompt.

    References:
        Lu, Liu, Zhang, Liu, Tian (2022). Prompt distribution learning. CVPR.
    """

    Settings: ClassVar[type[Settings]] = PromptDistributionSettings
    text_side = "tuned"

    def __init__(
        self, settings: PromptDistributionSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator
    ) -> None:
        super().__init__(settings, encoder, task, draw)
        places: dict[Position, int] = {"front": settings.front, "middle": settings.middle, "end": settings.end}
        self._place_of = [place for place, count in places.items() for _ in range(count)]
        self._prompts = {place: ClassPrompts(encoder, settings.tokens, place) for place in places}
        values = draw.normal(0, STANDARD_DEVIATION, (len(self._place_of), settings.tokens, encoder.text_width))
        self.contexts = nn.Parameter(torch.from_numpy(values).float().to(encoder.log_logit_scale.device))
        self._means: dict[Any, Tensor] = {}

    @property
    def prompts(self) -> int:
        """K, the number of prompts."""
        return len(self.contexts)

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"contexts": self.contexts}

    def prompt_features(self, names: Sequence[str], prompts: Iterable[int] | None = None) -> Tensor:
        """Encode classes in several prompts.

        Args:
            names: C class names.
            prompts: numbers of n prompts from 0; by default all.

        Returns:
            float32 [n, C, D], unit norm along D.
        """
        words, counts = words_of(self.task, names)
        return averaged(self._encode(words, prompts), counts)

    def nameless_features(self, prompts: Iterable[int]) -> Tensor:
        """Encode prompts without any class name.

        Args:
            prompts: numbers of n prompts from 0.

        Returns:
            float32 [n, D], rows of unit norm.
        """
        return self._encode([""], prompts)[:, 0]

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Give the direction of each class's mean embedding; see the class for templates and synonyms."""
        return normalised(self._mean(names))

    def logits(self, image_features: Tensor, names: Sequence[str], text_features: TextFeatures | None = None) -> Tensor:
        """Compare images with the mean embeddings, which are not of unit norm."""
        return cosine_logits(image_features, self._mean(names), self.encoder)

    def _mean(self, names: Sequence[str]) -> Tensor:
        """[C, D]; without gradients that of the last class lists is remembered."""
        if torch.is_grad_enabled():
            return self.prompt_features(names).mean(dim=0)
        words, counts = words_of(self.task, names)
        key = (tuple(words), tuple(counts), self.contexts._version)
        if key not in self._means:
            kept = list(self._means.items())[-1:]
            mean = self.prompt_features(names).mean(dim=0)
            self._means = dict([*kept, (key, mean)])
        return self._means[key]

    def _encode(self, words: Sequence[str], prompts: Iterable[int] | None) -> Tensor:
        """[n, words, D], rows of unit norm."""
        numbers = range(self.prompts) if prompts is None else prompts
        encoded = [self._prompts[self._place_of[k]].encode(words, self.contexts[k]) for k in numbers]
        return torch.stack(encoded)
