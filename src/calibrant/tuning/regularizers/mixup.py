"""Mixup: pairs of images and of their labels are averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from calibrant.errors import InputError
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Batch
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.regularizers.label_smoothing import targets_of
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel

IMAGES = ("pixels", "other_view")
"""What holds images in a batch: both views, where a method compares two."""


def mixup(values: Tensor, partner: Tensor, share: float) -> Tensor:
    """Give share x_i + (1 - share) x_j, where j is the partner of i.

    Args:
        values: x, float [N, ...]: images or targets.
        partner: int64 [N], a permutation.
        share: from 0 to 1.

    Returns:
        float [N, ...].

    Source: Zhang, Cisse, Dauphin, Lopez-Paz (2018). mixup: beyond empirical risk minimization. ICLR.

    Example:
        >>> mixup(torch.tensor([[1.0], [5.0]]), torch.tensor([1, 0]), 0.75).tolist()
        [[2.0], [4.0]]
    """
    return share * values + (1 - share) * values[partner]


class MixupSettings(Settings):
    """Settings of `Mixup`; it has no term of its own, hence no weight.

    Attributes:
        alpha: of Beta(alpha, alpha), from which the share is drawn; 0.2 is the paper's value for ImageNet.
    """

    alpha: float = Field(default=0.2, gt=0)


@REGULARIZERS.register("mixup")
class Mixup(Regularizer):
    """Every batch is mixed with a permutation of itself, with one share for the batch, as the released code does."""

    Settings: ClassVar[type[Settings]] = MixupSettings

    def __init__(self, settings: MixupSettings, model: TunedModel) -> None:
        super().__init__(RegularizerSettings(), model)
        self.alpha = settings.alpha

    def on_batch(self, batch: Batch, draw: np.random.Generator) -> Batch:
        if "pixels" not in batch:
            raise InputError(
                "'mixup' averages images, but solver.views keeps features, and a mean of features is not the feature "
                "of a mean; set solver.views to live"
            )
        targets = targets_of(batch, len(self.model.classes), self.name)
        share = float(draw.beta(self.alpha, self.alpha))
        partner = torch.from_numpy(draw.permutation(len(targets)))
        images = {name: mixup(batch[name], partner, share) for name in IMAGES if name in batch}
        return {**batch, **images, "targets": mixup(targets, partner, share)}
