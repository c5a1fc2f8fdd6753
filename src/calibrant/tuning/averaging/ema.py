"""The exponential moving average of the weights."""

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
def moving_average(average: dict[str, Tensor], current: dict[str, Tensor], momentum: float) -> None:
    """Set average <- m average + (1 - m) current, in place.

    Args:
        average: tensors by name; changed.
        current: tensors of the same names and shapes.
        momentum: m, from 0 to 1.

    Example:
        >>> average = {"w": torch.zeros(1)}
        >>> moving_average(average, {"w": torch.ones(1)}, 0.75); average["w"].item()
        0.25
    """
    for name, tensor in average.items():
        tensor.mul_(momentum).add_(current[name], alpha=1 - momentum)


class EMASettings(Settings):
    """Settings of `EMA`.

    Attributes:
        momentum: how much of the average stays at an update.
        every: steps between updates.
    """

    momentum: float = Field(default=0.99, ge=0, lt=1)
    every: int = Field(default=1, ge=1)


@AVERAGINGS.register("ema")
class EMA(Averaging):
    """The tuned model is the moving average of the weights, started from the first ones."""

    Settings: ClassVar[type[Settings]] = EMASettings
    settings: EMASettings

    def __init__(self, settings: EMASettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        trained = model.parameterization.trainables()
        self.average = {name: tensor.detach().clone() for name, tensor in trained.items()}

    def after_step(self, step: int, total: int) -> None:
        if step % self.settings.every == 0:
            moving_average(self.average, dict(self.model.parameterization.trainables()), self.settings.momentum)

    def finish(self) -> None:
        self.model.load_tensors(self.average)

    def state(self) -> dict[str, Tensor]:
        return self.average
