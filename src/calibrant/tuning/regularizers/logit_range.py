"""The logit-range penalty: logits stay within the range of the zero-shot logits of the same image."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.settings import Settings


def logit_range(logits: Tensor, zero_shot_logits: Tensor) -> Tensor:
    """Give the mean over images and classes of ReLU(l - max l_zs) + ReLU(min l_zs - l).

    Args:
        logits: l, [N, C].
        zero_shot_logits: l_zs, [N, C]; the extremes are those of each image.

    Returns:
        A scalar.

    Source: Murugesan, Silva-Rodriguez, Ben Ayed, Dolz (2024). Robust calibration of large vision-language adapters.
    ECCV ("penalty"); averaged over classes and images as in the released code.

    Example:
        >>> import torch
        >>> float(logit_range(torch.tensor([[9.0, 1.0]]), torch.tensor([[5.0, 2.0]])))
        2.5
    """
    highest, lowest = zero_shot_logits.amax(dim=1, keepdim=True), zero_shot_logits.amin(dim=1, keepdim=True)
    return ((logits - highest).relu() + (lowest - logits).relu()).mean()


class LogitRangeSettings(RegularizerSettings):
    """Settings of `LogitRange`; the default weight is that of the released code."""

    weight: float = 10.0


@REGULARIZERS.register("logit_range")
class LogitRange(Regularizer):
    """Tuning widens the range of the logits, and with it confidence grows; this holds the range."""

    Settings: ClassVar[type[Settings]] = LogitRangeSettings

    def loss(self, outputs: Outputs) -> Tensor:
        return logit_range(outputs.logits, outputs.zero_shot_logits)
