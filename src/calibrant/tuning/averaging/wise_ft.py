"""WiSE-FT: the line between the zero-shot and the fine-tuned weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from calibrant.tuning.averaging.base import Averaging
from calibrant.tuning.components import AVERAGINGS
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


@torch.no_grad()
def interpolate(zero_shot: dict[str, Tensor], tuned: dict[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """Give (1 - alpha) zero_shot + alpha tuned, tensor by tensor.

    Args:
        zero_shot: tensors by name.
        tuned: tensors of the same names and shapes.
        alpha: 0 for the zero-shot model, 1 for the tuned one.

    Returns:
        New tensors by name.

    Source: Wortsman et al. (2022). Robust fine-tuning of zero-shot models. CVPR.

    Example:
        >>> interpolate({"w": torch.zeros(1)}, {"w": torch.ones(1)}, 0.25)["w"].item()
        0.25
    """
    return {name: (1 - alpha) * zero_shot[name] + alpha * tensor for name, tensor in tuned.items()}


class WiSEFTSettings(Settings):
    """Settings of `WiSEFT`.

    Attributes:
        alpha: the share of the tuned weights; 0.5 is the paper's choice where nothing is known of the shift.
    """

    alpha: float = Field(default=0.5, ge=0, le=1)


@AVERAGINGS.register("wise_ft")
class WiSEFT(Averaging):
    """Interpolates all trained tensors; a head with the zero-shot head, as the released code does."""

    Settings: ClassVar[type[Settings]] = WiSEFTSettings
    settings: WiSEFTSettings

    def __init__(self, settings: WiSEFTSettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        self.zero_shot = model.parameterization.zero_shot_tensors()

    def finish(self) -> None:
        tuned = {name: tensor.detach() for name, tensor in self.model.parameterization.trainables().items()}
        self.model.load_tensors(interpolate(self.zero_shot, tuned, self.settings.alpha))
