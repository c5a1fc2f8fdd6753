"""L2-SP: stay near the starting point."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


def distance_to_start(current: Iterable[Tensor], start: Iterable[Tensor]) -> Tensor:
    """Give half the squared distance between two sets of tensors.

    Args:
        current: tensors.
        start: as many tensors of the same shapes.

    Returns:
        A scalar.

    Source: Li, Grandvalet, Davoine (2018). Explicit inductive bias for transfer learning with convolutional networks.
    ICML.

    Example:
        >>> float(distance_to_start([torch.ones(2)], [torch.zeros(2)]))
        1.0
    """
    return torch.stack([(now - then).square().sum() for now, then in zip(current, start, strict=True)]).sum() / 2


class L2SPSettings(RegularizerSettings):
    """Settings of `L2SP`; the paper chooses the weight by cross-validation."""

    weight: float = 0.1


@REGULARIZERS.register("l2_sp")
class L2SP(Regularizer):
    """Half the squared distance of all trained tensors to their starting values."""

    Settings: ClassVar[type[Settings]] = L2SPSettings

    def __init__(self, settings: L2SPSettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        self.start = [tensor.detach().clone() for tensor in model.parameterization.trainables().values()]

    def loss(self, outputs: Outputs) -> Tensor:
        return distance_to_start(outputs.model.trainables().values(), self.start)
