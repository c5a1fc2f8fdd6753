"""Parameterizations that leave the text tower alone: class prompts are encoded once, not at every step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.parameterizations.base import Parameterization
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task

REMEMBERED = 4
"""Class lists whose text features are kept."""


class FrozenText(Parameterization):
    """A parameterization whose text features are those of the zero-shot model, remembered for the last few lists.

    A subclass may change them behind the text tower, starting from `frozen_text_features`.
    """

    def __init__(self, settings: Settings, encoder: DualEncoder, task: Task, draw: np.random.Generator) -> None:
        super().__init__(settings, encoder, task, draw)
        self._remembered: dict[tuple[object, ...], Tensor] = {}

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes of any name with the untouched text tower; see the base class."""
        return self.frozen_text_features(names, templates)

    def frozen_text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Give the text features of the zero-shot model.

        Args:
            names: C class names.
            templates: class prompts with ``{}``; by default those of the task.

        Returns:
            float32 [C, D], rows of unit norm, no gradient.
        """
        templates = list(templates or self.task.templates)
        device = self.encoder.log_logit_scale.device
        asked = tuple((name, *self.task.synonyms(name)) for name in names)
        key = (asked, tuple(templates), device)
        features = self._remembered.pop(key, None)
        if features is None:
            if len(self._remembered) >= REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            # in full precision and outside of inference mode, since the answer outlives the step or the prediction
            with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
                features = super().text_features(names, templates)
        self._remembered[key] = features
        return features
