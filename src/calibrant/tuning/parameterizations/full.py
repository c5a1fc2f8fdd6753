"""Both towers and the logit scale."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization, with_own
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


@PARAMETERIZATIONS.register("full")
class Full(Parameterization):
    """Everything is trained, as FLYP and CaRot do; the text classifier comes from the tuned text tower.

    References:
        Goyal et al. (2023). Finetune like you pretrain. CVPR.
    """

    trains_image_tower = True
    text_side = "tuned"

    def __init__(self, settings: Settings, encoder: DualEncoder, task: Task, draw: np.random.Generator) -> None:
        start = dict(encoder.named_parameters())
        super().__init__(settings, with_own(encoder, list(start.values())), task, draw)
        self._start = {f"encoder.{name}": parameter.detach() for name, parameter in start.items()}

    def trainables(self) -> dict[str, nn.Parameter]:
        return {f"encoder.{name}": parameter for name, parameter in self.encoder.named_parameters()}

    def zero_shot_tensors(self) -> dict[str, Tensor]:
        return self._start
