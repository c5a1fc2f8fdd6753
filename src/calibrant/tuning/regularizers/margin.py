"""Margin-based label smoothing (MbLS): logits lie at most a margin below the largest."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.settings import Settings


def margin(logits: Tensor, size: float) -> Tensor:
    """Give the mean over images and classes of ReLU(max_k l_k - l_j - m).

    Args:
        logits: l, [N, C].
        size: m, in units of logits.

    Returns:
        A scalar.

    Source: Liu, Ben Ayed, Galdran, Dolz (2022). The devil is in the margin: margin-based label smoothing for network
    calibration. CVPR; averaged over classes and images as in the released code.

    Example:
        >>> import torch
        >>> float(margin(torch.tensor([[20.0, 12.0, 6.0, 20.0]]), 10.0))
        1.0
    """
    return (logits.amax(dim=1, keepdim=True) - logits - size).relu().mean()


class MarginSettings(RegularizerSettings):
    """Settings of `Margin`; the defaults are those of the released code.

    Attributes:
        margin: how far a logit may lie below the largest at no cost. It counts in units of logits, and those of a
            CLIP model are cosines times about 100.
    """

    weight: float = 0.1
    margin: float = Field(default=10.0, ge=0)


@REGULARIZERS.register("margin")
class Margin(Regularizer):
    """Where label smoothing pulls all logits together, this leaves those alone that are within a margin."""

    Settings: ClassVar[type[Settings]] = MarginSettings
    settings: MarginSettings

    def loss(self, outputs: Outputs) -> Tensor:
        return margin(outputs.logits, self.settings.margin)
