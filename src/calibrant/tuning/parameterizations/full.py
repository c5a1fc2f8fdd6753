"""Both towers and the logit scale."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization, with_own
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


class FullSettings(Settings):
    """Settings of `Full`.

    Attributes:
        logit_scale: whether the logit scale is trained along with the towers.
    """

    logit_scale: bool = True


@PARAMETERIZATIONS.register("full")
class Full(Parameterization):
    """Everything is trained, as FLYP and CaRot do; the text classifier comes from the tuned text tower.

    Source: Goyal et al. (2023). Finetune like you pretrain. CVPR.
    """

    Settings: ClassVar[type[Settings]] = FullSettings
    trains_image_tower = True
    text_side = "tuned"

    def __init__(self, settings: FullSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator) -> None:
        fixed = () if settings.logit_scale else (id(encoder.log_logit_scale),)
        start = {name: tensor for name, tensor in encoder.named_parameters() if id(tensor) not in fixed}
        super().__init__(settings, with_own(encoder, list(start.values())), task, draw)
        self._start = {f"encoder.{name}": parameter.detach() for name, parameter in start.items()}

    def trainables(self) -> dict[str, nn.Parameter]:
        return {name: parameter for name, parameter in self.named_parameters() if name in self._start}

    def zero_shot_tensors(self) -> dict[str, Tensor]:
        return self._start
