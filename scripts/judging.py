"""The logits of many tuned models on one evaluation set; what the untuned image tower says is computed once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from calibrant.data.evaluation_set import EvaluationSet
from calibrant.tuning.tuned_model import TunedModel

BATCH = 64


class Judge:
    """Answers of tuned models on the same images.

    Args:
        chosen: the images.
    """

    def __init__(self, chosen: EvaluationSet) -> None:
        self.chosen = chosen
        self._untouched: list[Tensor] = []

    def logits(self, model: TunedModel) -> npt.NDArray[np.float32]:
        """Give the logits [N, C] of a model."""
        tower = model.parameterization
        with torch.inference_mode():
            if tower.trains_image_tower:
                features = [model.image_features(part) for part in self._parts(model)]
            else:
                if not self._untouched:
                    self._untouched = [model.zero_shot.image_features(part) for part in self._parts(model)]
                features = [tower.adapt(part) for part in self._untouched]
            return torch.cat([model.logits(part, self.chosen.classes) for part in features]).numpy()

    def _parts(self, model: TunedModel) -> list[Tensor]:
        rows = range(len(self.chosen))
        pixels = [model.encoder.test_transform(self.chosen.images[row]) for row in rows]
        return list(torch.stack(pixels).split(BATCH))
