"""A set of learned contexts that stands for a distribution over class embeddings (ProDA)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
        per_step: how many of them are drawn for each training step, without putting back.
    """

    tokens: int = Field(default=16, ge=1)
    front: int = Field(default=8, ge=0)
    middle: int = Field(default=8, ge=0)
    end: int = Field(default=16, ge=0)
    per_step: int = Field(default=4, ge=2)

    @model_validator(mode="after")
    def _enough(self) -> PromptDistributionSettings:
        count = self.front + self.middle + self.end
        if count < self.per_step:
            raise ValueError(f"'front', 'middle' and 'end' add up to {count} prompts, fewer than 'per_step'")
        return self


@PARAMETERIZATIONS.register("prompt_distribution")
class PromptDistribution(Parameterization):
    """K prompts of M context vectors; a class is the mean of its K unit-norm embeddings.

    Images are compared with the mean itself, whose norm is below 1 by as much as the prompts disagree;
    `text_features` gives its direction. A training step sees a few of the prompts only, whatever asks for
    features. Templates do not enter; synonyms of a class are averaged in each prompt.

    Source: Lu, Liu, Zhang, Liu, Tian (2022). Prompt distribution learning. CVPR.
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
        self._per_step = settings.per_step
        self._chosen = self._all = list(range(len(self._place_of)))
        self._means: dict[Any, Tensor] = {}

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"contexts": self.contexts}

    @contextmanager
    def at_step(self, draw: np.random.Generator) -> Iterator[None]:
        """Draw the prompts of one training step; outside of the context all of them answer."""
        self._chosen = draw.permutation(len(self._all))[: self._per_step].tolist()
        try:
            yield
        finally:
            self._chosen = self._all

    def prompt_features(self, names: Sequence[str]) -> Tensor:
        """Encode classes in every prompt of the step, or in all.

        Args:
            names: C class names.

        Returns:
            float32 [n, C, D], unit norm along D.
        """
        words, counts = words_of(self.task, names)
        return averaged(self._encode(words), counts)

    def nameless_features(self) -> Tensor:
        """Encode the prompts of the step, or all, without any class name.

        Returns:
            float32 [n, D], rows of unit norm.
        """
        return self._encode([""])[:, 0]

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Give the direction of each class's mean embedding; see the class for templates and synonyms."""
        return normalised(self._mean(names))

    def logits(self, image_features: Tensor, names: Sequence[str], text_features: TextFeatures | None = None) -> Tensor:
        """Compare images with the mean embeddings, which are not of unit norm."""
        return cosine_logits(image_features, self._mean(names), self.encoder)

    def _mean(self, names: Sequence[str]) -> Tensor:
        """[C, D]; without gradients that of the last two class lists is remembered."""
        if torch.is_grad_enabled():
            return self.prompt_features(names).mean(dim=0)
        words, counts = words_of(self.task, names)
        key = (tuple(words), tuple(counts), tuple(self._chosen), self.contexts._version)
        if key not in self._means:
            self._means = {**dict(list(self._means.items())[-1:]), key: self.prompt_features(names).mean(dim=0)}
        return self._means[key]

    def _encode(self, words: Sequence[str]) -> Tensor:
        """[n, words, D], rows of unit norm."""
        return torch.stack([self._prompts[self._place_of[k]].encode(words, self.contexts[k]) for k in self._chosen])
