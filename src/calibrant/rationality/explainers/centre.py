"""The baseline that always points at the middle of the image, where photographers put things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from calibrant.errors import InputError
from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.scores import Score
from calibrant.tuning.tuned_model import Answers


class Centre(Explainer):
    """A Gaussian at the centre of the image; it never looks at the image.

    An explainer that is not above this baseline may only have learnt where objects stand.

    Args:
        width: the standard deviation as a share of the image's height and width. With 0.25, a disc at the centre that
            covers a fifth of the image holds 0.45 of the relevance mass.

    Raises:
        InputError: if the width is not above 0.

    Example:
        >>> Centre(width=0.2).width
        0.2
    """

    name: ClassVar[str] = "centre"
    paper: ClassVar[str] = "a baseline"
    explains: ClassVar[bool] = False

    def __init__(self, width: float = 0.25) -> None:
        if not width > 0:
            raise InputError(f"the width of the centre baseline must be above 0, not {width}")
        self.width = width

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        rows, columns = (self._profile(length) for length in pixels.shape[-2:])
        return (rows[:, None] * columns).expand(len(pixels), -1, -1)

    def _profile(self, length: int) -> Tensor:
        """Give the Gaussian at the centres of the pixels along one side, from -1/2 to 1/2 of the image."""
        place = (torch.arange(length, dtype=torch.float64) + 0.5) / length - 0.5
        return torch.exp(-place.square() / (2 * self.width**2)).float()
