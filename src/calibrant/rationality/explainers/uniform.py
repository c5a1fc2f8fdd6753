"""The baseline that points nowhere: the same relevance everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.scores import Score
from calibrant.tuning.tuned_model import Answers


class Uniform(Explainer):
    """A map of ones, whose relevance mass is the area of the object; it never looks at the image.

    The pixel in the upper left corner is 0, since a map that is constant altogether counts as no evidence.

    Example:
        >>> Uniform().explains
        False
    """

    name: ClassVar[str] = "uniform"
    paper: ClassVar[str] = "a baseline"
    explains: ClassVar[bool] = False

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        maps = torch.ones(len(pixels), *pixels.shape[-2:])
        maps[:, 0, 0] = 0
        return maps
